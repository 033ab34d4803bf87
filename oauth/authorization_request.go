package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"latchkey/grants"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// AuthorizePath is the path of the authorization endpoint (RFC 6749 §3.1).
const AuthorizePath = "/oauth/authorize"

// Response modes (OAuth 2.0 Multiple Response Types §2.1, OAuth 2.0 Form Post Response
// Mode).
const (
	ModeQuery    = "query"
	ModeFormPost = "form_post"
)

// Values of the parameter prompt (OpenID Connect Core 1.0 §3.1.2.1).
const (
	PromptNone          = "none"
	PromptLogin         = "login"
	PromptConsent       = "consent"
	PromptSelectAccount = "select_account"
)

func prompts() []string {
	return []string{PromptNone, PromptLogin, PromptConsent, PromptSelectAccount}
}

// maxParameter is the longest value of a parameter of an authorization request, in bytes.
const maxParameter = 2000

// AuthorizationRequest is a request of the authorization endpoint that has been checked.
// The forms of the pages contain it, sealed. So a visitor who has not signed in writes
// nothing to the database.
type AuthorizationRequest struct {
	ClientID     string   `json:"c"`
	RedirectURI  string   `json:"u"`           // where the response goes
	SentURI      string   `json:"su,omitzero"` // as the request had it; empty: it had none
	ResponseMode string   `json:"m,omitzero"`
	State        string   `json:"s,omitzero"`
	Scope        []string `json:"sc,omitzero"`
	Resources    []string `json:"r,omitzero"`
	Nonce        string   `json:"n,omitzero"`
	Challenge    string   `json:"ch"`
	JKT          string   `json:"j,omitzero"`
	Prompt       []string `json:"p,omitzero"`
	MaxAge       *int64   `json:"a,omitzero"` // seconds
	LoginHint    string   `json:"h,omitzero"`
	Subject      string   `json:"sb,omitzero"` // of id_token_hint: the user who must sign in
	UILocales    string   `json:"l,omitzero"`
	ACR          []string `json:"ac,omitzero"` // those of acr_values that the server knows
	PushedID     []byte   `json:"pi,omitzero"` // identifies a pushed request, which is good once (RFC 9126 §4)
	PushedUntil  int64    `json:"pu,omitzero"` // Unix seconds
}

// Has reports whether the request has that prompt.
func (q *AuthorizationRequest) Has(prompt string) bool { return slices.Contains(q.Prompt, prompt) }

// AuthorizationError is a refused authorization request. Request is where the refusal is
// sent, or nil if a page must show it: then client and redirect URI are not known to
// belong together (RFC 6749 §4.1.2.1).
type AuthorizationError struct {
	Code, Description string
	Request           *AuthorizationRequest
}

func (e *AuthorizationError) Error() string { return e.Code + ": " + e.Description }

func pageError(code, description string) error {
	return &AuthorizationError{Code: code, Description: description}
}

// ReadAuthorization reads and checks a request of the authorization endpoint, by GET or
// by POST (OpenID Connect Core 1.0 §3.1.2.1). The client is all that it reads from the
// database. Errors: *AuthorizationError, grants.ErrFormTooLarge, and those of the store.
func (e *Endpoints) ReadAuthorization(w http.ResponseWriter, r *http.Request) (*AuthorizationRequest, *storage.Client, error) {
	form, err := authorizationForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	c, err := e.authorizedClient(r.Context(), form)
	if err != nil {
		return nil, nil, err
	}
	if uri := form.Get("request_uri"); strings.HasPrefix(uri, requestURIPrefix) {
		q, err := e.openPushed(uri, c)
		return q, c, err
	}
	q, err := e.checkAuthorization(form, c)
	if err == nil && c.RequirePAR {
		err = &AuthorizationError{"invalid_request", "The client must push its authorization requests.", q}
	}
	return q, c, err
}

// authorizationForm returns the parameters of the request. It refuses a repeated client_id
// or redirect_uri. Other repeated parameters are refused later, because the client gets
// that error at its redirect URI.
func authorizationForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	form, err := readParameters(w, r)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(form[name]) > 1 {
			return nil, pageError("invalid_request", "The parameter "+name+" is repeated.")
		}
	}
	return form, nil
}

// readParameters returns the parameters that a browser sends in the query of a GET or in
// the body of a POST. It drops empty parameters. The error is grants.ErrFormTooLarge if
// the body is too large, and otherwise an *AuthorizationError.
func readParameters(w http.ResponseWriter, r *http.Request) (form url.Values, err error) {
	if r.Method == http.MethodPost {
		form, err = grants.ReadParameters(w, r)
	} else {
		form, err = surface.ParseQuery(r)
	}
	if errors.Is(err, grants.ErrFormTooLarge) {
		return nil, err
	}
	if err != nil {
		return nil, pageError("invalid_request", "The request is malformed.")
	}
	for name, values := range form {
		if len(values) == 1 && values[0] == "" {
			delete(form, name)
		}
	}
	return form, nil
}

// ReadPageForm reads the parameters that a browser sends to a page, each once, and
// replaces r.Form and r.PostForm by them. The error is grants.ErrFormTooLarge if the body
// is too large, and otherwise an *AuthorizationError.
func ReadPageForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	form, err := readParameters(w, r)
	if err != nil {
		return nil, err
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, pageError("invalid_request", "A parameter is repeated.")
		}
	}
	r.Form, r.PostForm = form, form
	return form, nil
}

// authorizedClient returns the client that the request names.
func (e *Endpoints) authorizedClient(ctx context.Context, form url.Values) (*storage.Client, error) {
	id := form.Get("client_id")
	if id == "" || !otp.IsName(id) {
		return nil, pageError("invalid_request", "The parameter client_id is missing.")
	}
	c, err := e.cfg.Clients.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !c.Active {
		return nil, pageError("invalid_client", "The application is not known.")
	}
	if err != nil {
		return nil, fmt.Errorf("read client: %w", err)
	}
	return &c, nil
}

// checkAuthorization checks the parameters of a request of the client. Once the redirect
// URI is known to be the client's, its errors have a Request: they are sent to that URI.
func (e *Endpoints) checkAuthorization(form url.Values, c *storage.Client) (*AuthorizationRequest, error) {
	q := &AuthorizationRequest{ClientID: c.ID, SentURI: form.Get("redirect_uri"), State: form.Get("state")}
	identity := slices.Contains(strings.Fields(form.Get("scope")), grants.ScopeOpenID)
	switch {
	case q.SentURI != "" && c.HasRedirectURI(q.SentURI):
		q.RedirectURI = q.SentURI
	case q.SentURI != "":
		return nil, pageError("invalid_request", "The redirect URI is not registered for the application.")
	case len(c.RedirectURIs) == 1 && !identity:
		q.RedirectURI = c.RedirectURIs[0]
	default:
		return nil, pageError("invalid_request", "The parameter redirect_uri is missing.")
	}
	refuse := func(code, description string) error { return &AuthorizationError{code, description, q} }
	if len(q.State) > maxParameter {
		q.State = ""
		return q, refuse("invalid_request", "The parameter state is too long.")
	}
	switch mode := form.Get("response_mode"); {
	case mode == ModeFormPost && !strings.HasPrefix(q.RedirectURI, "http"): // a browser posts no form to an application
		return q, refuse("invalid_request", "The response_mode form_post needs a redirect URI of https or http.")
	case mode == "", mode == ModeQuery, mode == ModeFormPost:
		q.ResponseMode = mode
	default:
		return q, refuse("invalid_request", "The response_mode is not supported.")
	}
	for _, step := range []func(url.Values, *storage.Client, *AuthorizationRequest) (code, description string){
		checkProtocol, checkChallenge, e.checkScope, checkPrompt, e.checkHints,
	} {
		if code, description := step(form, c, q); code != "" {
			return q, refuse(code, description)
		}
	}
	return q, nil
}

// checkProtocol checks the form of all parameters, the grant and the response type.
func checkProtocol(form url.Values, c *storage.Client, _ *AuthorizationRequest) (code, description string) {
	for name, values := range form {
		switch {
		case len(values) > 1 && name != "resource":
			return "invalid_request", "A parameter is repeated."
		case len(values[0]) > maxParameter && name != "id_token_hint" && name != "claims":
			return "invalid_request", "A parameter is too long."
		case slices.ContainsFunc(values, func(v string) bool { return !surface.IsPlainText(v) }):
			return "invalid_request", "A parameter has control characters."
		}
	}
	switch {
	case !c.HasGrant(grants.GrantAuthorizationCode):
		return "unauthorized_client", "The client may not use the authorization code grant."
	case form.Has("request"):
		return "request_not_supported", "Request objects are not supported."
	case form.Has("request_uri"):
		return "request_uri_not_supported", "The request_uri is not one of this server."
	case form.Get("response_type") == "":
		return "invalid_request", "The parameter response_type is missing."
	case form.Get("response_type") != "code":
		return "unsupported_response_type", "The only response_type is code."
	}
	return "", ""
}

// checkChallenge checks the code challenge (RFC 7636 §4.3), which every client needs, and
// the key that the code is bound to (RFC 9449 §10).
func checkChallenge(form url.Values, c *storage.Client, q *AuthorizationRequest) (code, description string) {
	q.Challenge, q.JKT = form.Get("code_challenge"), form.Get("dpop_jkt")
	switch {
	case q.Challenge == "":
		return "invalid_request", "The parameter code_challenge is missing: PKCE is required."
	case form.Get("code_challenge_method") != "S256" || !grants.IsChallenge(q.Challenge):
		return "invalid_request", "The code_challenge_method must be S256, and the code_challenge of that method."
	case q.JKT != "" && !grants.IsChallenge(q.JKT): // a thumbprint is a SHA-256 too (RFC 7638 §3)
		return "invalid_request", "The parameter dpop_jkt is malformed."
	}
	return "", ""
}

// checkScope checks the scope and the resources (RFC 8707).
func (e *Endpoints) checkScope(form url.Values, c *storage.Client, q *AuthorizationRequest) (code, description string) {
	if !surface.IsScope(form.Get("scope")) {
		return "invalid_scope", "The scope has unsupported characters."
	}
	for _, name := range strings.Fields(form.Get("scope")) {
		if !slices.Contains(q.Scope, name) {
			q.Scope = append(q.Scope, name)
		}
	}
	identity, roles := grants.SplitScope(q.Scope)
	if len(roles) > 0 && len(grants.AllowedRoles(c, roles)) == 0 && !slices.Contains(identity, grants.ScopeOpenID) {
		return "invalid_scope", "The client may not request that scope."
	}
	var err error
	if q.Resources, err = e.tokens.RequestedResources(form, c); err != nil || len(e.tokens.DefaultAudience(c)) == 0 {
		return "invalid_target", "The requested resource is unknown, or the client may not have tokens for it."
	}
	q.Nonce = form.Get("nonce")
	return "", ""
}

// checkPrompt checks prompt, max_age and acr_values: how the user must sign in.
func checkPrompt(form url.Values, _ *storage.Client, q *AuthorizationRequest) (code, description string) {
	q.Prompt = strings.Fields(form.Get("prompt"))
	for _, prompt := range q.Prompt {
		if !slices.Contains(prompts(), prompt) {
			return "invalid_request", "The parameter prompt has an unknown value."
		}
	}
	if q.Has(PromptNone) && len(q.Prompt) > 1 {
		return "invalid_request", "The prompt none goes with no other one."
	}
	if text := form.Get("max_age"); text != "" {
		age, err := strconv.ParseInt(text, 10, 32)
		if err != nil || age < 0 {
			return "invalid_request", "The parameter max_age is no number of seconds."
		}
		q.MaxAge = &age
	}
	for _, acr := range strings.Fields(form.Get("acr_values")) {
		if acr == grants.ACROTP || acr == grants.ACRPassword {
			q.ACR = append(q.ACR, acr)
		}
	}
	return "", ""
}

// checkHints reads login_hint, ui_locales and id_token_hint: which user is expected.
func (e *Endpoints) checkHints(form url.Values, c *storage.Client, q *AuthorizationRequest) (code, description string) {
	q.LoginHint, q.UILocales = form.Get("login_hint"), form.Get("ui_locales")
	presented := form.Get("id_token_hint")
	if presented == "" {
		return "", ""
	}
	hint, ok := e.tokens.ReadIDHint(presented)
	if !ok || hint.ClientID != c.ID {
		return "invalid_request", "The id_token_hint is not an ID token of the client."
	}
	q.Subject = hint.Subject
	return "", ""
}
