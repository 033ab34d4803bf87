package resource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// claimReader reads claims and keeps the name of the first that is missing or has the
// wrong type. It compares names exactly. encoding/json would ignore case when it decodes
// into a struct.
type claimReader struct {
	claims jwt.MapClaims
	wrong  string
}

// readClaims checks the claims of a token of the kind (RFC 9068 §2.2, §4).
func (v *Verifier) readClaims(claims jwt.MapClaims, k kind) (*Token, error) {
	if err := v.validate.Validate(claims); err != nil {
		return nil, err
	}
	r := &claimReader{claims: claims}
	t := &Token{
		ID: r.required("jti"), Subject: r.required("sub"), ClientID: r.required("client_id"),
		Audience: r.audience(), Scopes: strings.Fields(r.text("scope")), AMR: r.list("amr"),
		AuthTime: r.time("auth_time"), IssuedAt: r.time("iat"), ExpiresAt: r.time("exp"),
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

func (r *claimReader) fail(name string) {
	if r.wrong == "" {
		r.wrong = name
	}
}

// text returns a string claim, or "" if it is missing.
func (r *claimReader) text(name string) string {
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

// required returns a string claim that must not be empty.
func (r *claimReader) required(name string) string {
	text := r.text(name)
	if text == "" {
		r.fail(name)
	}
	return text
}

// list returns a claim that is an array of strings, or nil if it is missing.
func (r *claimReader) list(name string) []string {
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

// audience returns aud, which is a string or an array of strings (RFC 7519 §4.1.3).
func (r *claimReader) audience() []string {
	if text, ok := r.claims["aud"].(string); ok {
		return []string{text}
	}
	return r.list("aud")
}

// time returns a claim in seconds since 1970, or the zero time if it is missing.
func (r *claimReader) time(name string) time.Time {
	value, ok := r.claims[name]
	if !ok {
		return time.Time{}
	}
	const latest = 1 << 40 // a number in JSON may be larger than any time.Time
	seconds, ok := value.(float64)
	if !ok || !(seconds > 0 && seconds < latest) {
		r.fail(name)
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// account returns the account claims, or nil without account_uid.
func (r *claimReader) account() *Account {
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

// thumbprint returns the member jkt of cnf, or "" without cnf (RFC 7800 §3.1). A token
// with any other confirmation is refused, because it cannot be checked here.
func (r *claimReader) thumbprint() string {
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
