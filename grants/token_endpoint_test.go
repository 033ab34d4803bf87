package grants

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/internal/memstore"
	"latchkey/grants/signin"
	"latchkey/otp"
	"latchkey/storage"
)

// plainClient is a client of fosite's own type, without a policy.
type plainClient struct{ *fosite.DefaultClient }

// foreignGrant is a handler of another module. It issues the token "foreign".
type foreignGrant struct{ grant string }

func (foreignGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

func (g foreignGrant) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(g.grant)
}

func (g foreignGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	if !g.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	return nil
}

func (g foreignGrant) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	if !g.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	w.SetAccessToken("foreign")
	w.SetTokenType("bearer")
	w.SetScopes(r.GetGrantedScopes())
	return nil
}

// endpointFixture is a token endpoint over a store in memory.
type endpointFixture struct {
	*fixture
	client    *storage.Client
	endpoint  *TokenEndpoint
	clientErr error // error of the client authentication
	policyErr error // error of the ClientStore
	failed    error
	password  *Password
}

// authenticator returns an Authenticator that checks passwords with verifier.
func (e *endpointFixture) authenticator(t *testing.T, verifier signin.PasswordVerifier) *signin.Authenticator {
	t.Helper()
	a, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: e.Store, Codes: e.Store, Passwords: verifier, Now: e.clock})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Client implements ClientStore.
func (e *endpointFixture) Client(_ context.Context, id string) (storage.Client, error) {
	if e.policyErr != nil || id != e.client.ID {
		return storage.Client{}, errors.Join(e.policyErr, storage.ErrNotFound)
	}
	return *e.client, nil
}

func newEndpoint(t *testing.T, more ...fosite.TokenEndpointHandler) *endpointFixture {
	t.Helper()
	e := &endpointFixture{}
	e.fixture, e.client = newFixture(t)
	e.client.RefreshTokenTTL = time.Hour
	tokens := refreshTokens()
	e.password = &Password{Authenticator: e.authenticator(t, e.Store), AccessTokens: e, RefreshTokens: tokens, Now: e.clock}
	handlers := append(fosite.TokenEndpointHandlers{
		e.password,
		&Refresh{Families: e, AccessTokens: e, RefreshTokens: tokens, Recorder: storage.DiscardEvents{}, Now: e.clock},
	}, more...)
	provider := fosite.NewOAuth2Provider(nil, &fosite.Config{
		TokenEndpointHandlers: handlers,
		ClientAuthenticationStrategy: func(context.Context, *http.Request, url.Values) (fosite.Client, error) {
			return plainClient{&fosite.DefaultClient{ID: "shop"}}, e.clientErr
		},
	})
	var err error
	if e.endpoint, err = NewTokenEndpoint(provider, e); err != nil {
		t.Fatal(err)
	}
	e.endpoint.Failed = func(_ *http.Request, err error) { e.failed = err }
	return e
}

func (e *endpointFixture) clock() time.Time { return e.Now }

// post sends a form. It returns the response and its JSON object.
func (e *endpointFixture) post(t *testing.T, body string) (*http.Response, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", formType)
	rec := httptest.NewRecorder()
	e.endpoint.ServeHTTP(rec, r)
	object := map[string]any{}
	if err := json.Unmarshal(rec.Body.Bytes(), &object); err != nil {
		t.Fatalf("%s: %v", rec.Body, err)
	}
	response := rec.Result()
	if got := response.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("%s: got Cache-Control %q, want no-store", body, got)
	}
	return response, object
}

const passwordForm = "grant_type=password&username=bob&password="

// TestTokenEndpointErrors tests the status, the code and the header of each kind of refusal.
func TestTokenEndpointErrors(t *testing.T) {
	t.Parallel()
	good := passwordForm + url.QueryEscape(rightPassword)
	for name, c := range map[string]struct {
		change func(*endpointFixture)
		form   string
		status int
		code   string
		header string
	}{
		"repeated parameter":           {form: good + "&username=eve", status: 400, code: "invalid_request"},
		"malformed body":               {form: good + "&x=%zz", status: 400, code: "invalid_request"},
		"no grant type":                {form: "username=bob", status: 400, code: "invalid_request"},
		"unknown grant type":           {form: "grant_type=urn:example:x", status: 400, code: "unsupported_grant_type"},
		"two grant types":              {form: "grant_type=password+refresh_token", status: 400, code: "unsupported_grant_type"},
		"no credentials":               {form: "grant_type=password", status: 400, code: "invalid_request"},
		"wrong password":               {form: passwordForm + "x", status: 400, code: "invalid_grant"},
		"grant not allowed":            {func(e *endpointFixture) { e.client.GrantTypes = nil }, good, 400, "unauthorized_client", ""},
		"client without a policy":      {func(e *endpointFixture) { e.client.ID = "other" }, good, 400, "unauthorized_client", ""},
		"wrong client secret":          {func(e *endpointFixture) { e.clientErr = fosite.ErrInvalidClient }, good, 401, "invalid_client", "WWW-Authenticate"},
		"client store unavailable":     {func(e *endpointFixture) { e.clientErr = fosite.ErrInvalidClient.WithWrap(storage.ErrUnavailable) }, good, 503, "temporarily_unavailable", "Retry-After"},
		"policies unavailable":         {func(e *endpointFixture) { e.policyErr = storage.ErrUnavailable }, good, 503, "temporarily_unavailable", "Retry-After"},
		"token cannot be minted":       {func(e *endpointFixture) { e.mintErr = errors.New("the secret reason") }, good, 500, "server_error", ""},
		"refresh token of nobody":      {form: "grant_type=refresh_token&refresh_token=x", status: 400, code: "invalid_grant"},
		"refresh token is missing":     {form: "grant_type=refresh_token", status: 400, code: "invalid_request"},
		"too many roles are requested": {form: good + "&scope=Root", status: 400, code: "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			if c.change != nil {
				c.change(e)
			}
			response, object := e.post(t, c.form)
			if response.StatusCode != c.status || object["error"] != c.code || c.header != "" && response.Header.Get(c.header) == "" {
				t.Errorf("got %d %v %v, want %d %s with %s", response.StatusCode, object, response.Header, c.status, c.code, c.header)
			}
			if (c.status >= 500) != (e.failed != nil) {
				t.Errorf("got the reported error %v, want one for a 5xx only", e.failed)
			}
			if text, _ := object["error_description"].(string); text == "" || strings.Contains(text, "secret reason") {
				t.Errorf("got the description %q, want one without internals", text)
			}
		})
	}
}

func TestTokenEndpointMethod(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	rec := httptest.NewRecorder()
	e.endpoint.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/token?"+passwordForm, nil))
	if rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != http.MethodPost {
		t.Errorf("got %d %v, want 405 with Allow: POST", rec.Code, rec.Header())
	}
}

// oldHash is a verifier to which every password hash has an unsupported format.
type oldHash struct {
	signin.PasswordVerifier
	encoded string
}

func (v oldHash) Verify(context.Context, string, string) (ok, upgrade bool, err error) {
	return false, false, signin.CheckEncoded(v.encoded)
}

// TestUnsupportedHash tests that a password hash of an unsupported format is reported to the
// server with the user and without the hash. The client gets the answer to a wrong password.
func TestUnsupportedHash(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	_, ordinary := e.post(t, passwordForm+"x")
	if e.failed != nil {
		t.Errorf("a wrong password is reported: got %v, want none", e.failed)
	}
	for _, encoded := range []string{"$scrypt$ln=14,r=8,p=1$abc$def", "5f4dcc3b5aa765d61d8327deb882cf99", "$2a$31$" + strings.Repeat("a", 53)} {
		e := newEndpoint(t)
		e.password.Authenticator = e.authenticator(t, oldHash{e.Store, encoded})
		response, object := e.post(t, passwordForm+url.QueryEscape(rightPassword))
		if response.StatusCode != http.StatusBadRequest || !maps.Equal(object, ordinary) {
			t.Errorf("%s: got %d %v, want 400 %v", encoded, response.StatusCode, object, ordinary)
		}
		if !errors.Is(e.failed, signin.ErrHashRefused) || !strings.Contains(e.failed.Error(), "usr_bob") || strings.Contains(e.failed.Error(), encoded) {
			t.Errorf("%s: got the reported error %v, want one with the user and without the hash", encoded, e.failed)
		}
		if e.Writes != 1 {
			t.Errorf("%s: got %d writes, want 1 for the failure", encoded, e.Writes)
		}
	}
}

// TestClientWithoutCodes tests that the reason of the refusal is reported to the server, and
// not to the client.
func TestClientWithoutCodes(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	rec := httptest.NewRecorder()
	e.endpoint.WriteError(rec, httptest.NewRequest(http.MethodPost, "/code", nil), otp.CheckClient(storage.Client{ID: "shop", Active: true}))
	if rec.Code != http.StatusBadRequest || strings.Contains(rec.Body.String(), "Credentials") || e.failed == nil || !strings.Contains(e.failed.Error(), "Credentials.OTP") {
		t.Errorf("got %d %s, reported %v", rec.Code, rec.Body, e.failed)
	}
}

// TestTwoKindsOfRefreshTokens tests that each handler gets only its own tokens.
func TestTwoKindsOfRefreshTokens(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, OtherRefresh(foreignGrant{GrantRefreshToken}), foreignGrant{GrantClientCredentials})
	_, object := e.post(t, passwordForm+memstore.RightCode)
	ours, _ := object["refresh_token"].(string)
	if !IsRefreshToken(ours) {
		t.Fatalf("got %v, want a refresh token of this package", object)
	}
	for token, want := range map[string]string{ours: "token", "other": "foreign"} {
		if _, object := e.post(t, "grant_type=refresh_token&refresh_token="+token); object["access_token"] != want {
			t.Errorf("%s: got %v, want the access token %q", token, object, want)
		}
	}
	if _, object := e.post(t, "grant_type=client_credentials&scope=a+b"); object["access_token"] != "foreign" || object["scope"] != "a b" {
		t.Errorf("fosite's own grant: got %v", object)
	}
	if response, object := e.post(t, "grant_type=refresh_token&refresh_token=lkr_x.1.p.s.m"); response.StatusCode != 400 || object["error"] != "invalid_grant" {
		t.Errorf("a forged token of this package: got %d %v, want 400 invalid_grant", response.StatusCode, object)
	}
}

// TestNewTokenEndpoint tests that errors of the assembly name the mistake.
func TestNewTokenEndpoint(t *testing.T) {
	t.Parallel()
	complete := newEndpoint(t).endpoint.handlers
	for want, handlers := range map[string]fosite.TokenEndpointHandlers{
		"the field AccessTokens of *grants.Password is missing":             {&Password{Authenticator: complete[0].(*Password).Authenticator}},
		"the field Now of *grants.Refresh is missing":                       {&Refresh{Families: newEndpoint(t), AccessTokens: newEndpoint(t), RefreshTokens: &RefreshTokens{}}},
		"both serve the grant password":                                     append(fosite.TokenEndpointHandlers{foreignGrant{GrantPassword}}, complete...),
		"both serve the grant refresh_token with a token of package grants": append(fosite.TokenEndpointHandlers{foreignGrant{GrantRefreshToken}}, complete...),
	} {
		_, err := NewTokenEndpoint(fosite.NewOAuth2Provider(nil, &fosite.Config{TokenEndpointHandlers: handlers}), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := NewTokenEndpoint(nil, nil); err == nil {
		t.Error("without a provider: got no error, want one")
	}
}

// TestCheckClient tests that the error names the client and the field.
func TestCheckClient(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*storage.Client){
		"ID is empty":            func(c *storage.Client) { c.ID = "" },
		"Active is false":        func(c *storage.Client) { c.Active = false },
		"GrantTypes is empty":    func(c *storage.Client) { c.GrantTypes = nil },
		"Credentials.OTP is set": func(c *storage.Client) { c.GrantTypes = []string{GrantClientCredentials} },
		"neither OTP nor":        func(c *storage.Client) { c.Credentials = storage.Credentials{} },
		"admits no user":         func(c *storage.Client) { c.AllowAnyBuyer = false },
		"RefreshTokenTTL is not": func(c *storage.Client) { c.RefreshTokenTTL = 0 },
	} {
		c := storage.Client{
			ID: "shop", Active: true, AllowAnyBuyer: true, Credentials: storage.Credentials{OTP: true},
			GrantTypes: []string{GrantPassword, GrantRefreshToken}, RefreshTokenTTL: time.Hour,
		}
		if err := CheckClient(c); err != nil {
			t.Fatal(err)
		}
		if made, err := NewClient(c); err != nil || made.Policy().ID != "shop" {
			t.Fatal(err)
		}
		change(&c)
		if _, err := NewClient(c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "client ") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
