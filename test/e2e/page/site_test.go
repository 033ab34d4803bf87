package page

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"latchkey/test/e2e/kit"
)

const callback = "https://app.example/callback"

// pageDocument contains the clients of the tests: a public one, a confidential one, and one of
// a third party.
const pageDocument = `
ApiClients:
  - {ID: spa, AppName: Single page, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token, password], AllowedCredentials: [otp, password],
     RedirectUris: ["https://app.example/callback", "http://127.0.0.1/callback"]}
  - {ID: web, AppName: Web, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true,
     GrantTypes: [authorization_code], AllowedCredentials: [otp], RedirectUris: ["https://web.example/callback"]}
  - {ID: partner, AppName: Partner, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true, ThirdParty: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["https://partner.example/callback"]}
`

// site is a server with the clients of pageDocument.
type site struct {
	*kit.OneServer
	t *testing.T
}

func newSite(t *testing.T, w *kit.Fixture, settings ...string) *site {
	t.Helper()
	s := &site{kit.NewOneServer(w, settings...), t}
	s.Apply(pageDocument)
	return s
}

// eachSite runs a test on both databases.
func eachSite(t *testing.T, test func(t *testing.T, s *site)) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) { test(t, newSite(t, w)) })
}

// browser keeps cookies and follows no redirects.
type browser struct {
	*site
	client *http.Client
	server *kit.Server
	header http.Header // that it sends with posts
}

func (s *site) newBrowser() *browser {
	jar, err := cookiejar.New(nil)
	s.Must(err)
	return &browser{
		site: s, server: s.Server, header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}},
		client: &http.Client{
			Jar: jar, Transport: kit.HTTPClient.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// page is a response that a browser received.
type page struct {
	status int
	header http.Header
	body   string
}

func (b *browser) send(r *http.Request) page {
	b.t.Helper()
	response, err := b.client.Do(r)
	b.Must(err)
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	b.Must(err)
	return page{response.StatusCode, response.Header, string(body)}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.server.URL+path, nil)
	b.Must(err)
	return b.send(r)
}

// submit posts the form of a page with further fields name, value, …
func (b *browser) submit(p page, fields ...string) page {
	b.t.Helper()
	form := url.Values{"state": {p.state(b.t)}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, b.server.URL+"/oauth/signin", strings.NewReader(form.Encode()))
	b.Must(err)
	r.Header = b.header.Clone()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(r)
}

var stateField = regexp.MustCompile(`name="state" value="([A-Za-z0-9_-]+)"`)

func (p page) state(t *testing.T) string {
	t.Helper()
	found := stateField.FindStringSubmatch(p.body)
	if found == nil {
		t.Fatalf("no form: %d %v %s", p.status, p.header, p.body)
	}
	return found[1]
}

// asksFor fails the test unless the page has status 200 and asks for a field.
func (p page) asksFor(t *testing.T, field string) page {
	t.Helper()
	if p.status != 200 || !strings.Contains(p.body, `autocomplete="`+field+`"`) {
		t.Fatalf("the page does not ask for %s: %d %v %s", field, p.status, p.header, p.body)
	}
	return p
}

// response returns the parameters with which the browser is sent to the client.
func (p page) response(t *testing.T, to string) url.Values {
	t.Helper()
	target, values, _ := strings.Cut(p.header.Get("Location"), "?")
	if p.status != http.StatusSeeOther || target != to {
		t.Fatalf("not sent to %s: %d %v %s", to, p.status, p.header, p.body)
	}
	parsed, err := url.ParseQuery(values)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Get("iss") == "" {
		t.Errorf("no iss: %v", parsed)
	}
	return parsed
}

// alert returns the text of role=alert.
func (p page) alert() string {
	found := regexp.MustCompile(`role="alert">([^<]*)<`).FindStringSubmatch(p.body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// authorizationRequest has the parameters of a client's authorization request.
type authorizationRequest struct {
	*site
	config   oauth2.Config
	verifier string
	state    string
}

func (s *site) authorizationRequest(clientID, secret, redirectURI string, scopes ...string) *authorizationRequest {
	return &authorizationRequest{
		site: s, verifier: oauth2.GenerateVerifier(), state: randomText(),
		config: oauth2.Config{
			ClientID: clientID, ClientSecret: secret, RedirectURL: redirectURI, Scopes: scopes,
			Endpoint: oauth2.Endpoint{
				AuthURL: s.Server.URL + "/oauth/authorize", TokenURL: s.Server.URL + "/oauth/token", AuthStyle: oauth2.AuthStyleInParams,
			},
		},
	}
}

// spa returns an authorization request of the public client.
func (s *site) spa(scopes ...string) *authorizationRequest {
	if len(scopes) == 0 {
		scopes = []string{"openid", "profile", "email"}
	}
	return s.authorizationRequest("spa", "", callback, scopes...)
}

func randomText() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// path returns the authorization request with further parameters name, value, …
func (a *authorizationRequest) path(more ...string) string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.verifier)}
	for i := 0; i+1 < len(more); i += 2 {
		options = append(options, oauth2.SetAuthURLParam(more[i], more[i+1]))
	}
	return strings.TrimPrefix(a.config.AuthCodeURL(a.state, options...), a.Server.URL)
}

// exchange redeems a code with x/oauth2.
func (a *authorizationRequest) exchange(code string) (*oauth2.Token, error) {
	return a.config.Exchange(context.WithValue(context.Background(), oauth2.HTTPClient, kit.HTTPClient), code, oauth2.VerifierOption(a.verifier))
}

// signIn signs a user in with a code from the inbox, and returns the parameters that the
// client gets.
func (b *browser) signIn(a *authorizationRequest, name string, more ...string) url.Values {
	b.t.Helper()
	page := b.get(a.path(more...)).asksFor(b.t, "username")
	page = b.submit(page, "username", name).asksFor(b.t, "one-time-code")
	got := b.submit(page, "code", b.Inbox.Next(b.t).EventBody.OneTimePassword).response(b.t, a.config.RedirectURL)
	if got.Get("state") != a.state {
		b.t.Fatalf("got the state %q", got.Get("state"))
	}
	return got
}
