package resource

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Why a request is refused before any token is looked at.
var (
	errNoToken   = errors.New("no access token")
	errMalformed = errors.New("malformed or repeated header")
	errProof     = errors.New("no valid DPoP proof")
	// errNotTheirs says that an access token and an account management
	// authentication token belong to two users, or to two accounts.
	errNotTheirs = errors.New("the tokens are not of one user")
)

// contextKey is what a verified token is found by in a request's context. The
// Verifier is part of it, so that one never trusts what another has let in.
type contextKey struct {
	verifier *Verifier
	typ      string
}

type (
	latestAccess  struct{}
	latestAccount struct{}
)

// FromContext returns the access token that Require has let in.
func FromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(latestAccess{}).(*Token)
	return t, ok
}

// AccountMemberFromContext returns the account management authentication token
// that RequireAccountMember has let in.
func AccountMemberFromContext(ctx context.Context) (*Token, bool) {
	t, ok := ctx.Value(latestAccount{}).(*Token)
	return t, ok
}

// Require lets requests through that carry an access token with all of the
// scopes in their one Authorization header; never is one taken from the query or
// the body. Without scopes any good token will do. Handlers find it by
// FromContext.
//
// It answers 401 without a token and to a bad one, 403 to one that lacks a scope,
// 400 to a header that cannot be read, each with the challenge of RFC 6750 §3 and
// RFC 9449 §7.1, and 503 while the keys of the issuer cannot be had.
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

// authenticate returns the access token of a request and the scheme in which it
// came. One that was let in already is not verified again, and nor is its proof,
// which is good for one use.
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
