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

// userinfo is the answer of the userinfo endpoint (OpenID Connect Core 1.0 §5.1). The
// scopes of the access token decide which members it has (§5.4).
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

// errTwoTokens refuses a request with access tokens in both places (RFC 6750 §2).
var errTwoTokens = &grants.RequestError{
	Status: http.StatusBadRequest, Code: "invalid_request", Description: "The access token must be in the Authorization header or in the form, not in both.",
}

// userinfoCaller returns the caller of the userinfo endpoint. The access token is in the
// Authorization header, as bearer token or with a DPoP proof, or in a posted form (RFC 6750
// §2.2).
func (e *Endpoints) userinfoCaller(w http.ResponseWriter, r *http.Request) (*token.Caller, error) {
	form, err := grants.ReadTokenForm(w, r)
	noForm := errors.Is(err, grants.ErrMethod) || errors.Is(err, grants.ErrContentType)
	switch {
	case err != nil && !noForm:
		return nil, err
	case noForm || !form.Has("access_token"):
		return e.tokens.Authorize(r)
	case r.Header.Get("Authorization") != "":
		return nil, errTwoTokens
	}
	return e.tokens.Bearer(r.Context(), form.Get("access_token"))
}

// serveUserinfo is the userinfo endpoint (OpenID Connect Core 1.0 §5.3), by GET or POST.
func (e *Endpoints) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	caller, err := e.userinfoCaller(w, r)
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
