package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// reader reads claims and remembers the first that is not what it should be.
// Names are compared to the letter, as encoding/json does not when it fills a
// struct.
type reader struct {
	claims jwt.MapClaims
	wrong  string
}

// read checks the claims of a token of that kind (RFC 9068 §2.2, §4).
func (v *Verifier) read(claims jwt.MapClaims, k kind) (*Token, error) {
	if err := v.validate.Validate(claims); err != nil {
		return nil, err
	}
	r := &reader{claims: claims}
	t := &Token{
		ID: r.required("jti"), Subject: r.required("sub"), ClientID: r.required("client_id"),
		Audience: r.audience(), Scopes: strings.Fields(r.text("scope")), AMR: r.list("amr"),
		AuthTime: r.moment("auth_time"), IssuedAt: r.moment("iat"), ExpiresAt: r.moment("exp"),
		Account: r.account(), KeyThumbprint: r.thumbprint(), Claims: claims,
	}
	switch {
	case r.wrong != "":
		return nil, fmt.Errorf("claim %q is missing or wrong", r.wrong)
	case r.text("iss") != v.issuer:
		return nil, jwt.ErrTokenInvalidIssuer
	case t.IssuedAt.IsZero():
		return nil, errors.New("claim \"iat\" is missing")
	case !slices.ContainsFunc(t.Audience, func(aud string) bool { return slices.Contains(k.audiences, aud) }):
		return nil, jwt.ErrTokenInvalidAudience
	}
	return t, nil
}

func (r *reader) fail(name string) {
	if r.wrong == "" {
		r.wrong = name
	}
}

// text reads a string that may be missing.
func (r *reader) text(name string) string {
	value, ok := r.claims[name]
	if !ok {
		return ""
	}
	text, ok := value.(string)
	if !ok {
		r.fail(name)
	}
	return text
}

func (r *reader) required(name string) string {
	text := r.text(name)
	if text == "" {
		r.fail(name)
	}
	return text
}

// list reads an array of strings that may be missing.
func (r *reader) list(name string) []string {
	value, ok := r.claims[name]
	if !ok {
		return nil
	}
	items, ok := value.([]any)
	if !ok {
		r.fail(name)
	}
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			r.fail(name)
		}
		texts = append(texts, text)
	}
	return texts
}

// audience reads aud, which is a string for one and an array for several
// (RFC 7519 §4.1.3).
func (r *reader) audience() []string {
	if text, ok := r.claims["aud"].(string); ok {
		return []string{text}
	}
	return r.list("aud")
}

// moment reads a time in seconds that may be missing.
func (r *reader) moment(name string) time.Time {
	value, ok := r.claims[name]
	if !ok {
		return time.Time{}
	}
	const latest = 1 << 40 // a number in JSON may be larger than any time
	seconds, ok := value.(float64)
	if !ok || !(seconds > 0 && seconds < latest) {
		r.fail(name)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

func (r *reader) account() *Account {
	a := Account{
		UID: r.text("account_uid"), ID: r.text("account_id"), Name: r.text("account_name"),
		Roles: r.list("account_roles"), MemberID: r.text("account_member_id"),
		RealmID: r.text("realm_id"), StoreID: r.text("store_id"),
	}
	if a.UID == "" {
		return nil
	}
	return &a
}

// thumbprint reads cnf (RFC 7800 §3.1). A confirmation that nobody here can
// check makes the token useless, not unbound.
func (r *reader) thumbprint() string {
	value, ok := r.claims["cnf"]
	if !ok {
		return ""
	}
	confirmation, _ := value.(map[string]any)
	thumbprint, _ := confirmation["jkt"].(string)
	if thumbprint == "" || len(confirmation) != 1 {
		r.fail("cnf")
	}
	return thumbprint
}
