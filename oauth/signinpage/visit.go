package signinpage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"latchkey/oauth"
)

const (
	visitContext = "sign-in page"

	// visitLife is how long a form is accepted. A later one gets a fresh page for the same
	// request.
	visitLife = time.Hour
	// visitStep is the size in bytes of which the sealed state has a multiple. So pages
	// for names of equal length have equal sizes.
	visitStep = 512
)

// Steps of a visit.
const (
	stepName     = "name"
	stepCode     = "code"
	stepPassword = "password"
	stepResume   = "resume"  // go on as the user of the session, or as another one
	stepAccount  = "account" // choose an account
	stepConsent  = "consent"
)

// visit is the state of a form. The form contains it, sealed, so that nothing is stored for
// a visitor.
type visit struct {
	Request   *oauth.AuthorizationRequest `json:"q"`
	Started   int64                       `json:"t"` // when the request came, in Unix microseconds
	ShownAt   int64                       `json:"x"` // when this form was shown
	Browser   string                      `json:"b"` // digest of the cookie of the browser that may post it
	Step      string                      `json:"p"`
	Name      string                      `json:"n,omitzero"` // as typed
	CodeUntil int64                       `json:"e,omitzero"` // when the code that was sent expires, in Unix microseconds
	Digits    bool                        `json:"d,omitzero"` // the code consists of digits
	Account   string                      `json:"a,omitzero"` // UID of the account that was chosen
	Session   string                      `json:"s,omitzero"` // ID of the session that the step belongs to
}

// seal returns the visit as the form has it.
func (p *Pages) seal(v *visit) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // six bytes for each "<" make a form that is larger than one may be
	if err := encoder.Encode(v); err != nil {
		return "", fmt.Errorf("seal form: %w", err)
	}
	plain := text.Bytes()
	if over := len(plain) % visitStep; over > 0 {
		plain = append(plain, bytes.Repeat([]byte(" "), visitStep-over)...)
	}
	return p.cfg.Sealer.SealText(plain, visitContext)
}

// open returns the visit in a form. ok is false if this server did not seal it.
func (p *Pages) open(sealed string) (v *visit, ok bool) {
	plain, err := p.cfg.Sealer.OpenText(sealed, visitContext)
	if err != nil {
		return nil, false
	}
	v = new(visit)
	if err := json.Unmarshal(plain, v); err != nil || v.Request == nil {
		return nil, false
	}
	return v, true
}
