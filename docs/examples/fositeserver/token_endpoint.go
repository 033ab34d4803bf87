package main

import (
	"context"
	"crypto/rand"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/storage"
)

// client is a client of this server. It has the policy for the grants and a hashed secret,
// which fosite compares.
type client struct {
	grants.Client
	secretHash []byte
}

// GetHashedSecret implements fosite.Client.
func (c client) GetHashedSecret() []byte { return c.secretHash }

// minter makes access tokens (RFC 9068).
type minter struct {
	ring   *keys.Ring
	issuer string
}

// Mint implements grants.AccessTokens.
func (m minter) Mint(_ context.Context, t grants.AccessToken) (string, error) {
	claims := map[string]any{
		"iss": m.issuer, "aud": m.issuer, "jti": rand.Text(),
		"sub": t.Principal.User.UID, "client_id": t.Client.ID, "scope": strings.Join(t.Scope, " "),
		"iat": t.IssuedAt.Unix(), "exp": t.ExpiresAt.Unix(), "auth_time": t.AuthTime.Unix(), "amr": t.AMR,
	}
	if t.Member != nil {
		claims["account_id"], claims["account_roles"] = t.Member.Account.ID, t.Member.Membership.Roles
	}
	return m.ring.Sign("", keys.TypeAccessToken, claims)
}

const maxForm = 16 << 10 // bytes

// parseForm parses a form. It refuses what fosite does not check: other media types,
// truncated bodies, and repeated parameters (RFC 6749 §3.2). It returns false after it has
// answered.
func parseForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.ParseForm() != nil {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return false
	}
	for _, values := range r.Form {
		if len(values) > 1 {
			refuse(w, http.StatusBadRequest, "invalid_request")
			return false
		}
	}
	return true
}

// refuse answers with an error code (RFC 6749 §5.2).
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"error":"` + code + `"}`))
}

// serveToken is the token endpoint. It refuses unknown grant types itself, because fosite
// treats them as malformed requests. It passes each grant the type of session that its
// handler expects.
func (s *server) serveToken(w http.ResponseWriter, r *http.Request) {
	if !parseForm(w, r) {
		return
	}
	var session fosite.Session
	switch r.PostForm.Get("grant_type") {
	case grants.GrantPassword, grants.GrantAccountMember:
		session = &grants.Session{}
	case grants.GrantClientCredentials:
		session = &oauth2.JWTSession{}
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	request, err := s.oauth.NewAccessRequest(r.Context(), r, session)
	if err == nil {
		var response fosite.AccessResponder
		if response, err = s.oauth.NewAccessResponse(r.Context(), request); err == nil {
			s.oauth.WriteAccessResponse(r.Context(), w, request, response)
			return
		}
	}
	s.refuseToken(w, r, request, err)
}

// refuseToken answers with the error of a grant. An unavailable store and too many waiting
// attempts are temporary errors, because the user was not refused.
func (s *server) refuseToken(w http.ResponseWriter, r *http.Request, request fosite.AccessRequester, err error) {
	var choose *grants.SelectionRequired
	switch {
	case errors.As(err, &choose):
		refuse(w, http.StatusBadRequest, "account_selection_required")
	case errors.Is(err, storage.ErrUnavailable), errors.Is(err, signin.ErrBusy):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable")
	case errors.Is(err, fosite.ErrInvalidClient):
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`) // fosite does not set it
		refuse(w, http.StatusUnauthorized, "invalid_client")
	default:
		s.oauth.WriteAccessError(r.Context(), w, request, err)
	}
}
