package main

import (
	"errors"
	"html/template"
	"log"
	"net/http"
	"time"

	"github.com/ory/fosite"

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
<p><label>Code <input name="code" autocomplete="one-time-code"></label></p>
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

// serveAuthorize is the authorization endpoint. Each request is checked, also that of the
// form, because the authorization request comes from the browser.
func (s *server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	request, err := s.provider.NewAuthorizeRequest(ctx, r)
	if err == nil {
		err = s.authorize.Check(ctx, request)
	}
	if err != nil {
		s.provider.WriteAuthorizeError(ctx, w, request, err)
		return
	}
	switch r.PostForm.Get("do") {
	case "send":
		s.sendCode(w, r, request.GetClient().GetID())
	case "sign-in":
		s.signIn(w, r, request)
	default:
		render(w, http.StatusOK, "", "")
	}
}

// sendCode sends a code. The page does not show whether the user exists.
func (s *server) sendCode(w http.ResponseWriter, r *http.Request, clientID string) {
	username := r.PostForm.Get("username")
	policy, err := s.store.Client(r.Context(), clientID)
	if err == nil {
		err = s.codes.Request(r.Context(), policy, username)
	}
	if err != nil {
		refuse(w, username, err)
		return
	}
	render(w, http.StatusOK, username, "If we know you, a code is on its way.")
}

// signIn verifies the code of the user, and sends an authorization code to the client. The
// sign-in takes effect and the authorization code is issued in one step of the handler.
func (s *server) signIn(w http.ResponseWriter, r *http.Request, request fosite.AuthorizeRequester) {
	ctx, username := r.Context(), r.PostForm.Get("username")
	policy, err := s.store.Client(ctx, request.GetClient().GetID())
	var signIn *signin.SignIn
	if err == nil {
		signIn, err = s.authorize.Authenticator.Verify(ctx, &policy, signin.Attempt{
			ProfileID: policy.ProfileID, Username: username, Secret: r.PostForm.Get("code"),
			Source: userAddress(r), OTP: true, Purposes: []storage.Purpose{storage.PurposeSignIn},
		})
	}
	if err != nil {
		refuse(w, username, err)
		return
	}
	response, err := s.provider.NewAuthorizeResponse(ctx, request, grants.SignedIn(signIn, time.Now()))
	switch {
	case errors.Is(err, grants.ErrInsufficientRoles):
		s.provider.WriteAuthorizeError(ctx, w, request, fosite.ErrAccessDenied.WithWrap(err))
	case err != nil: // another attempt came first, for example
		refuse(w, username, err)
	default:
		s.provider.WriteAuthorizeResponse(ctx, w, request, response)
	}
}

// refuse shows what the token endpoint would say.
func refuse(w http.ResponseWriter, username string, err error) {
	answer, known := grants.RefusalOf(err)
	if !known {
		log.Print(err)
	}
	render(w, answer.Status, username, answer.Description)
}
