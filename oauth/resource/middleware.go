package resource

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Reasons to refuse a request that have no exported error.
var (
	errNoToken   = errors.New("no access token")
	errMalformed = errors.New("malformed or repeated header")
	errProof     = errors.New("no valid DPoP proof")
	// errTokenMismatch says that an access token and an account management
	// authentication token belong to different users or accounts.
	errTokenMismatch = errors.New("the tokens belong to different users or accounts")
)

// contextKey is the context key of a verified token. It contains the Verifier, so that a
// Verifier never trusts a token that another one has accepted.
type contextKey struct {
	verifier *Verifier
	typ      string
}

// Context keys of the tokens that handlers get, from any Verifier.
type (
	latestAccess  struct{}
	latestAccount struct{}
)

// FromContext returns the access token that Require has accepted.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(latestAccess{}).(*Token)
	return t, ok
}

// AccountMemberFromContext returns the account management authentication token that
// RequireAccountMember has accepted.
func AccountMemberFromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(latestAccount{}).(*Token)
	return t, ok
}

// Require returns a middleware that requires one Authorization header with an access
// token that has all of the scopes. Without scopes it accepts every valid token. It never
// reads a token from the query or the body. Handlers get the token with FromContext.
//
// It answers 401 without a token or to an invalid one, 403 if a scope is missing, and 400
// to a malformed or repeated header. These have a challenge (RFC 6750 §3, RFC 9449 §7.1).
// It answers 503 if the keys of the issuer or the used proofs are not available.
func (v *Verifier) Require(scopes ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t, scheme, err := v.authenticate(r)
			if err == nil && !t.HasScopes(scopes...) {
				err = ErrInsufficientScope
			}
			if err != nil {
				v.refuse(w, refusal{cause: err, scheme: scheme, scopes: scopes})
				return
			}
			ctx := context.WithValue(r.Context(), contextKey{v, typeAccessToken}, t)
			next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, latestAccess{}, t)))
		})
	}
}

// authenticate returns the access token of a request and the scheme of the Authorization
// header. A token that this Verifier has accepted for the request already is not verified
// again. Its proof could not be, because it can be used only once.
func (v *Verifier) authenticate(r *http.Request) (*Token, string, error) {
	scheme, token, err := v.credentials(r.Header)
	if err != nil {
		return nil, scheme, err
	}
	if t, ok := r.Context().Value(contextKey{v, typeAccessToken}).(*Token); ok {
		return t, scheme, nil
	}
	if scheme == schemeBearer {
		t, err := v.Verify(r.Context(), token)
		return t, scheme, err
	}
	t, err := v.verify(r.Context(), token, v.access)
	if err == nil {
		err = v.dpop.check(r, token, t)
	}
	return t, scheme, err
}

// credentials returns the scheme and the token of the one Authorization header
// (RFC 6750 §2.1, RFC 9449 §7.1).
func (v *Verifier) credentials(h http.Header) (scheme, token string, err error) {
	values := h.Values("Authorization")
	switch len(values) {
	case 0:
		return "", "", errNoToken
	case 1:
	default:
		return schemeBearer, "", errMalformed
	}
	given, token, _ := strings.Cut(values[0], " ")
	switch {
	case strings.EqualFold(given, schemeBearer):
		scheme = schemeBearer
	case v.dpop != nil && strings.EqualFold(given, schemeDPoP):
		scheme = schemeDPoP
	default:
		return "", "", errNoToken
	}
	token = strings.Trim(token, " ")
	if token == "" || strings.ContainsAny(token, " \t,") {
		return scheme, "", errMalformed
	}
	return scheme, token, nil
}
