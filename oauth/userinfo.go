package oauth

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"latchkey/grants"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
)

const userinfoPath = "/oauth/userinfo"

// userinfo is what the access token's scopes show of its user (OpenID Connect Core 1.0
// §5.1, §5.4).
type userinfo struct {
	Subject           string `json:"sub"`
	Name              string `json:"name,omitempty"`
	GivenName         string `json:"given_name,omitempty"`
	MiddleName        string `json:"middle_name,omitempty"`
	FamilyName        string `json:"family_name,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`
	Locale            string `json:"locale,omitempty"`
	Email             string `json:"email,omitempty"`
	EmailVerified     *bool  `json:"email_verified,omitempty"` // with email only
	PhoneNumber       string `json:"phone_number,omitempty"`
}

// serveUserinfo is the userinfo endpoint (OpenID Connect Core 1.0 §5.3), by GET or POST.
// The access token is in the Authorization header, as bearer token or with a DPoP proof.
func (e *Endpoints) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	caller, err := e.tokens.Authorize(r)
	if err == nil && (caller.Principal == nil || !slices.Contains(caller.Identity, grants.ScopeOpenID)) {
		err = token.ErrInsufficientRoles
	}
	if err != nil {
		e.refuseUserinfo(w, r, err)
		return
	}
	u := &caller.Principal.User
	has := func(scope string) bool { return slices.Contains(caller.Identity, scope) }
	answer := userinfo{Subject: u.UID}
	if has(grants.ScopeProfile) {
		answer.Name = cmp.Or(u.Name, strings.TrimSpace(u.FirstName+" "+u.LastName))
		answer.GivenName, answer.MiddleName, answer.FamilyName = u.FirstName, u.MiddleName, u.LastName
		answer.PreferredUsername, answer.Locale = caller.Principal.Login.Username, u.Locale
	}
	if has(grants.ScopeEmail) && u.Email != "" {
		answer.Email, answer.EmailVerified = u.Email, new(u.EmailVerified())
	}
	if has(grants.ScopePhone) {
		answer.PhoneNumber = u.Phone
	}
	surface.WriteOAuthJSON(w, http.StatusOK, answer)
}

// refuseUserinfo answers a refused request (RFC 6750 §3.1).
func (e *Endpoints) refuseUserinfo(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, token.ErrInsufficientRoles):
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
		surface.WriteOAuthJSON(w, http.StatusForbidden, errorBody{
			Error: "insufficient_scope", ErrorDescription: "The access token does not have the scope openid.",
			Errors: []vendorError{{ErrorCode: "Auth.InsufficientRoles", Message: "The access token does not have the scope openid."}},
		})
	case errors.Is(err, token.ErrInvalidToken):
		token.SetChallenge(w.Header(), err)
		surface.WriteOAuthJSON(w, http.StatusUnauthorized, errorBody{
			Error: "invalid_token", ErrorDescription: "The access token is invalid, expired or revoked.",
			Errors: []vendorError{{ErrorCode: "InvalidToken", Message: "The access token is invalid, expired or revoked."}},
		})
	default:
		e.writeError(w, r, err)
	}
}
