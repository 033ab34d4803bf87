package console

import (
	"encoding/json"
	"net/http"
)

const (
	noticeCookie  = "latchkey-notice"
	noticeContext = "console notice"
)

// notice is what the page after a change shows once: that it was made, and a secret that
// is never shown again. It travels in a sealed cookie, so that reloading the page neither
// repeats the change nor shows the secret.
type notice struct {
	Text   string   `json:"t"`           // name of a text
	Pairs  []string `json:"p,omitempty"` // its placeholders and their values
	Label  string   `json:"l,omitempty"` // name of the text that says what the secret is
	Secret string   `json:"s,omitempty"`

	Warning string `json:"w,omitempty"` // of /v1 about the change, in English
}

// warningHeader is the response header in which /v1 warns of what a change gives away.
const warningHeader = "Latchkey-Notice"

// keepNotice lets the next page show the notice.
func (x *call) keepNotice(n notice) error {
	plain, err := json.Marshal(n)
	if err != nil {
		return err
	}
	value, err := x.console.cfg.Sealer.SealText(plain, noticeContext)
	if err != nil {
		return err
	}
	x.console.setCookie(x.w, noticeCookie, value)
	return nil
}

// takeNotice takes the notice of the change before. Requests of scripts leave it to the
// page.
func (x *call) takeNotice() {
	cookie, err := x.Cookie(x.console.cookieName(noticeCookie))
	if err != nil || x.Method != http.MethodGet || x.Header.Get("HX-Request") != "" {
		return
	}
	x.console.setCookie(x.w, noticeCookie, "")
	if plain, err := x.console.cfg.Sealer.OpenText(cookie.Value, noticeContext); err == nil {
		_ = json.Unmarshal(plain, &x.notice) // this server sealed it
	}
}
