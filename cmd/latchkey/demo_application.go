package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"latchkey/oauth/surface"
)

//go:embed demo_application.html
var demoPage string

// demoCookie has the state and the code verifier while the user is at the sign-in page.
const demoCookie = "sample-application"

// demoApplication is the sample application of the demo: a client that signs its users in
// at the hosted pages, by authorization code with PKCE (RFC 7636). It keeps no sessions: it
// shows what it got.
type demoApplication struct {
	issuer string // of the server
	origin string // of the application
	page   *template.Template
	client *http.Client
	server *http.Server
	listen net.Listener
}

// demoShown is the data of the page of the application.
type demoShown struct {
	Claims  map[string]any // about the user; nil before the sign-in
	Problem string
	SignOut string // URL
}

// newDemoApplication opens a loopback port for the application. close releases it.
func newDemoApplication(ctx context.Context, issuer string) (*demoApplication, error) {
	page, err := template.New("").Parse(demoPage)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sample application: %w", err)
	}
	a := &demoApplication{
		issuer: issuer, origin: "http://" + listener.Addr().String(), page: page, listen: listener,
		client: &http.Client{Timeout: 10 * time.Second},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { a.show(w, demoShown{}) })
	mux.HandleFunc("GET /signin", a.signIn)
	mux.HandleFunc("GET /callback", a.callback)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return a, nil
}

// serve serves the application until it is closed.
func (a *demoApplication) serve() error {
	if err := a.server.Serve(a.listen); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("sample application: %w", err)
	}
	return nil
}

func (a *demoApplication) close() error { return a.server.Close() }

// signIn sends the browser to the authorization endpoint.
func (a *demoApplication) signIn(w http.ResponseWriter, r *http.Request) {
	state, verifier := rand.Text(), rand.Text()+rand.Text()
	challenge := sha256.Sum256([]byte(verifier))
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // the demo is reached by plain http
		Name: demoCookie, Value: state + "." + verifier, Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, a.issuer+"/oauth/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {"sample"}, "redirect_uri": {a.origin + "/callback"},
		"scope": {"openid profile email"}, "state": {state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode(), http.StatusSeeOther)
}

// callback takes the response of the authorization endpoint.
func (a *demoApplication) callback(w http.ResponseWriter, r *http.Request) {
	shown, err := a.redeem(r)
	if err != nil {
		shown = demoShown{Problem: err.Error()}
	}
	http.SetCookie(w, &http.Cookie{Name: demoCookie, Path: "/", MaxAge: -1}) //nolint:gosec // it deletes the cookie
	a.show(w, shown)
}

// redeem redeems the code, and asks who the user is.
func (a *demoApplication) redeem(r *http.Request) (demoShown, error) {
	q, err := surface.ParseQuery(r)
	if err != nil {
		return demoShown{}, err
	}
	cookie, err := r.Cookie(demoCookie)
	if err != nil {
		return demoShown{}, errors.New("this browser has not started to sign in here")
	}
	state, verifier, _ := strings.Cut(cookie.Value, ".")
	switch {
	case q.Get("state") != state:
		return demoShown{}, errors.New("the response belongs to another sign-in")
	case q.Get("iss") != a.issuer: // RFC 9207 §2.4
		return demoShown{}, errors.New("the response comes from another server")
	case q.Get("error") != "":
		return demoShown{}, errors.New(q.Get("error") + ": " + q.Get("error_description"))
	}
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if err := a.call(r.Context(), "/oauth/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"sample"}, "redirect_uri": {a.origin + "/callback"},
		"code": {q.Get("code")}, "code_verifier": {verifier},
	}, "", &tokens); err != nil {
		return demoShown{}, err
	}
	shown := demoShown{SignOut: a.issuer + "/oauth/end_session?" + url.Values{"id_token_hint": {tokens.ID}}.Encode()}
	return shown, a.call(r.Context(), "/oauth/userinfo", nil, tokens.Access, &shown.Claims)
}

// call posts the form to the server, and decodes the answer.
func (a *demoApplication) call(ctx context.Context, path string, form url.Values, token string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s: %s", path, response.Status, body)
	}
	return json.Unmarshal(body, answer)
}

func (a *demoApplication) show(w http.ResponseWriter, shown demoShown) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	_ = a.page.Execute(w, shown) // an error means that the browser has gone
}
