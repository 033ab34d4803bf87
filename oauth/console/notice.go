package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

const (
	noticeCookie  = "latchkey-notice"
	noticeContext = "console notice"
)

// notice is shown once, on the page after a change: that it was made, and a secret that is
// never shown again. It travels in a sealed cookie, so that reloading the page neither
// repeats the change nor shows the secret.
type notice struct {
	Text   string   `json:"t"`           // name of a text
	Pairs  []string `json:"p,omitempty"` // its placeholders and their values
	Label  string   `json:"l,omitempty"` // name of the text that says what the secret is
	Secret string   `json:"s,omitempty"`

	Warning string `json:"w,omitempty"` // of /v1 about the change, in English

	For string `json:"u"` // the username of the user who made the change: nobody else sees the notice
	At  int64  `json:"a"` // when the change was made, in Unix milliseconds
	By  []byte `json:"b"` // the server that made it
}

// noticeLife is how long a notice waits for the page after the change.
const noticeLife = 5 * time.Minute

// learnTime is the longest time until another server learns of a change.
const learnTime = 400 * time.Millisecond

// warningHeader is the response header in which /v1 warns of secrets that a change makes
// more powerful.
const warningHeader = "Latchkey-Notice"

// keepNotice lets the next page show the notice.
func (x *call) keepNotice(n notice) error {
	n.For, n.At, n.By = x.caller.Username, x.console.cfg.Now().UnixMilli(), x.console.instance
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
// page. If another server made the change a moment ago, it waits, so that the page does not
// show what was stored before.
func (x *call) takeNotice() {
	cookie, err := x.Cookie(x.console.cookieName(noticeCookie))
	if err != nil || x.Method != http.MethodGet || x.Header.Get("HX-Request") != "" {
		return
	}
	x.console.setCookie(x.w, noticeCookie, "")
	if plain, err := x.console.cfg.Sealer.OpenText(cookie.Value, noticeContext); err == nil {
		_ = json.Unmarshal(plain, &x.notice) // this server sealed it
	}
	ago := x.console.cfg.Now().Sub(time.UnixMilli(x.notice.At))
	if x.notice.For != x.caller.Username || ago > noticeLife {
		x.notice = notice{}
		return
	}
	if ago < 0 || ago > learnTime || bytes.Equal(x.notice.By, x.console.instance) {
		return
	}
	select {
	case <-time.After(learnTime - ago):
	case <-x.Context().Done():
	}
}
