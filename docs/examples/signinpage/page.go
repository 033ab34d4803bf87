package main

import (
	"context"
	"html/template"
	"net/http"
	"net/netip"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/token/jwt"

	"latchkey/grants"
	"latchkey/grants/signin"
	"latchkey/storage"
)

// page is the sign-in page. Its form goes to its own URL, so the authorization request stays
// in the query.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sign in</title>
<h1>Sign in</h1>
{{with .Message}}<p role="alert">{{.}}</p>{{end}}
<form method="post">
<p><label>Username <input name="username" value="{{.Username}}" autocomplete="username" required></label></p>
<p><label>Code <input name="code" autocomplete="one-time-code" inputmode="text"></label></p>
<p><button name="do" value="sign-in">Sign in</button> <button name="do" value="send">Send me a code</button></p>
</form></html>
`))

// render writes the page.
func render(w http.ResponseWriter, status int, username, message string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	_ = page.Execute(w, struct{ Username, Message string }{username, message})
}

// showPage checks the authorization request (RFC 6749 §4.1.1) and shows the page.
func (s *server) showPage(w http.ResponseWriter, r *http.Request) {
	request, err := s.provider.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		s.provider.WriteAuthorizeError(r.Context(), w, request, err)
		return
	}
	render(w, http.StatusOK, "", "")
}

// signIn answers the form of the page. The authorization request is checked again, because
// it comes from the browser.
func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	request, err := s.provider.NewAuthorizeRequest(r.Context(), r)
	if err != nil {
		s.provider.WriteAuthorizeError(r.Context(), w, request, err)
		return
	}
	username := r.PostForm.Get("username")
	policy, err := s.store.Client(r.Context(), request.GetClient().GetID())
	if err == nil && r.PostForm.Get("do") == "send" {
		if err = s.codes.Request(r.Context(), policy, username); err == nil {
			render(w, http.StatusOK, username, "If we know you, a code is on its way.")
			return
		}
	}
	if err == nil {
		err = s.authorize(w, r, request, &policy)
	}
	if err != nil { // what the token endpoint would say, as a page
		answer, _ := grants.RefusalOf(err)
		render(w, answer.Status, username, answer.Description)
	}
}

// authorize verifies the code of the user, and sends an authorization code to the client. The
// sign-in takes effect after the authorization code was made, and before it is sent. So
// an error uses nothing up.
func (s *server) authorize(w http.ResponseWriter, r *http.Request, request fosite.AuthorizeRequester, policy *storage.Client) error {
	ctx := r.Context()
	signIn, err := s.authenticator.Verify(ctx, policy, signin.Attempt{
		ProfileID: policy.ProfileID, Username: r.PostForm.Get("username"), Secret: r.PostForm.Get("code"),
		Source: userAddress(r), OTP: true, Purposes: []storage.Purpose{storage.PurposeSignIn},
	})
	if err != nil {
		return err
	}
	response, err := s.respond(ctx, request, policy, signIn)
	if err != nil {
		s.authenticator.Abandon(ctx, signIn)
		return err
	}
	if err := s.authenticator.Settle(ctx, signIn, nil); err != nil {
		return err
	}
	s.provider.WriteAuthorizeResponse(ctx, w, request, response)
	return nil
}

// userAddress returns the address of the user. Behind a proxy, it is in the header that the
// proxy sets.
func userAddress(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr()
}

// respond grants the scopes that the user and the client have in common, and makes the
// authorization code.
func (s *server) respond(ctx context.Context, request fosite.AuthorizeRequester, policy *storage.Client, signIn *signin.SignIn) (fosite.AuthorizeResponder, error) {
	scopes, err := grants.GrantRoles(policy, signIn.Principal.Roles, request.GetRequestedScopes())
	if err != nil {
		return nil, err
	}
	for _, scope := range scopes {
		request.GrantScope(scope)
	}
	request.GrantAudience(issuer) // fosite would leave the audience empty
	user := signIn.Principal.User.UID
	now := time.Now()
	return s.provider.NewAuthorizeResponse(ctx, request, &oauth2.JWTSession{
		Subject: user,
		JWTClaims: &jwt.JWTClaims{Issuer: issuer, Subject: user, IssuedAt: now, Extra: map[string]any{
			"client_id": policy.ID, "amr": []string{signIn.AMR}, "auth_time": now.Unix(),
		}},
	})
}
