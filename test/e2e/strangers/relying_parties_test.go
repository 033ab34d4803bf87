//go:build strangers

package strangers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"latchkey/test/e2e/kit"
)

// relyingPartyDocument registers the applications at which users sign in through the pages:
// one with a secret, and one that runs in the browser. APP is the address where the
// application listens, NOTIFY the setting for logout tokens.
const relyingPartyDocument = `
ApiClients:
  - {ID: relying-party, AppName: Relying party, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], PostLogoutRedirectUris: ["http://APP", "http://APP/"],
     RedirectUris: ["http://127.0.0.1/callback", "http://127.0.0.1/oauth2/callback", "http://127.0.0.1/api/auth/callback/latchkey"]NOTIFY}
  - {ID: browser-application, AppName: Browser application, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["http://127.0.0.1/"], PostLogoutRedirectUris: ["http://APP/"]}
`

// visitor is a browser that follows redirects, and the fixture whose inbox gets its codes.
type visitor struct {
	*kit.Fixture
	t      *testing.T
	issuer string
	client *http.Client
}

func (s *scriptInput) newVisitor(t *testing.T, w *kit.Fixture) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{w, t, s.Issuer, &http.Client{Jar: jar, Transport: kit.HTTPClient.Transport}}
}

// do sends a request, and returns the address and the body where its redirects end.
func (v *visitor) do(method, target string, fields ...string) (at, body string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, target, strings.NewReader(kit.EncodeForm(fields...)))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", kit.FormMedia)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	response, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %s %v %s", response.Request.URL, response.Status, err, content)
	}
	return response.Request.URL.String(), string(content)
}

var pageState = regexp.MustCompile(`name="state" value="([A-Za-z0-9_-]+)"`)

// submit posts the form of a page.
func (v *visitor) submit(path, page string, fields ...string) (at, body string) {
	v.t.Helper()
	found := pageState.FindStringSubmatch(page)
	if found == nil {
		v.t.Fatalf("no form: %s", page)
	}
	return v.do(http.MethodPost, v.issuer+path, append(fields, "state", found[1])...)
}

// signIn opens an address of an application, signs jane in at the pages, and returns what
// the application shows then.
func (v *visitor) signIn(target string) string {
	v.t.Helper()
	_, page := v.do(http.MethodGet, target)
	_, page = v.submit("/oauth/signin", page, "username", "jane")
	at, shown := v.submit("/oauth/signin", page, "code", v.Inbox.Next(v.t).EventBody.OneTimePassword)
	if u, _ := url.Parse(target); !strings.HasPrefix(at, "http://"+u.Host+"/") {
		v.t.Fatalf("not at the application but at %s: %s", at, shown)
	}
	return shown
}

// signOut opens the address of an application that signs the user out. The browser comes
// back to the application. The next sign-in at target asks for the name again.
func (v *visitor) signOut(address, target string) {
	v.t.Helper()
	u, _ := url.Parse(address)
	if at, shown := v.do(http.MethodGet, address); strings.TrimSuffix(at, "/") != "http://"+u.Host {
		v.t.Fatalf("after the sign-out at %s: %s", at, shown)
	}
	v.mustAsk(target)
}

// mustAsk fails the test unless the application at target sends the browser to the page
// that asks for the name.
func (v *visitor) mustAsk(target string) {
	v.t.Helper()
	if at, page := v.do(http.MethodGet, target); !strings.HasPrefix(at, v.issuer+"/oauth/") || !strings.Contains(page, `autocomplete="username"`) {
		v.t.Errorf("after the sign-out, %s leads to %s: %s", target, at, page)
	}
}

// registerRelyingParty creates the applications, or changes their address and that for
// logout tokens.
func registerRelyingParty(w *kit.Fixture, listen, notify string) {
	if notify != "" {
		notify = fmt.Sprintf(", BackchannelLogoutUri: %q", notify)
	}
	w.Apply(strings.NewReplacer("APP", listen, "NOTIFY", notify).Replace(relyingPartyDocument))
}

// application signs a user in at an application that listens at the address and shows
// userinfo at /login. If it has /logout, the user signs out there.
func (s *scriptInput) application(t *testing.T, w *kit.Fixture, listen string, logout bool) {
	t.Helper()
	v := s.newVisitor(t, w)
	shown := v.signIn("http://" + listen + "/login")
	var claims map[string]any
	if err := json.Unmarshal([]byte(shown), &claims); err != nil || claims["email"] != "jane@example.com" {
		t.Errorf("userinfo: %v %s", err, shown)
	}
	if logout {
		v.signOut("http://"+listen+"/logout", "http://"+listen+"/login")
	}
}

// startApplication starts a program, which gets the input and its address by variables.
func (s *scriptInput) startApplication(t *testing.T, w *kit.Fixture, cmd *exec.Cmd) (listen string) {
	t.Helper()
	listen, _ = kit.FreeAddresses(t)
	registerRelyingParty(w, listen, "")
	input, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "INPUT="+string(input), "LISTEN="+listen, "NO_PROXY=127.0.0.1")
	cmd.Stderr = os.Stderr
	kit.StartProcess(t, cmd, listen, "http://"+listen+"/")
	return listen
}

// nodeApplication signs a user in at an application in a script.
func (s *scriptInput) nodeApplication(t *testing.T, w *kit.Fixture, scripts, script string) {
	cmd := exec.Command("node", script)
	cmd.Dir = scripts
	s.application(t, w, s.startApplication(t, w, cmd), script != "next-auth-relying-party.cjs") // which only forgets the user
}

// buildZitadel builds an application on the library zitadel/oidc and returns its path.
func buildZitadel(t *testing.T, scripts string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "application")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join(scripts, "zitadel-relying-party")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// oidcClientTS signs a user in with Chromium at an application that runs in the browser.
func (s *scriptInput) oidcClientTS(t *testing.T, w *kit.Fixture, scripts string) {
	registerRelyingParty(w, s.Browser, "")
	codes := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte(w.Inbox.Next(t).EventBody.OneTimePassword)) // the script fails without it
	}))
	t.Cleanup(codes.Close)
	var err error
	if s.Chromium, err = exec.LookPath("chromium"); err != nil {
		t.Fatal(err)
	}
	s.Codes = codes.URL
	s.node(t, scripts, "oidc-client-ts.mjs", "")
}

// goOIDC signs a user in at an application on x/oauth2 and go-oidc.
func (s *scriptInput) goOIDC(t *testing.T, w *kit.Fixture) {
	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	listen := strings.TrimPrefix(app.URL, "http://")
	registerRelyingParty(w, listen, "")
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: s.Relying.ID, ClientSecret: s.Relying.Secret, Endpoint: provider.Endpoint(),
		RedirectURL: app.URL + "/callback", Scopes: []string{oidc.ScopeOpenID, "email"},
	}
	const state, nonce = "a-state", "a-nonce" // of the only user
	verifier, idToken := oauth2.GenerateVerifier(), ""
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusFound)
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		err := func() error {
			if r.FormValue("state") != state {
				return fmt.Errorf("state %q", r.FormValue("state"))
			}
			token, err := config.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				return err
			}
			idToken, _ = token.Extra("id_token").(string)
			id, err := provider.Verifier(&oidc.Config{ClientID: s.Relying.ID}).Verify(ctx, idToken)
			if err != nil {
				return err
			}
			if err := id.VerifyAccessToken(token.AccessToken); err != nil || id.Nonce != nonce {
				return fmt.Errorf("at_hash: %w, nonce %q", err, id.Nonce)
			}
			info, err := provider.UserInfo(ctx, config.TokenSource(ctx, token))
			if err != nil {
				return err
			}
			return json.NewEncoder(w).Encode(map[string]string{"email": info.Email})
		}()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, r *http.Request) {
		var metadata struct {
			EndSession string `json:"end_session_endpoint"`
		}
		if err := provider.Claims(&metadata); err != nil {
			t.Error(err)
		}
		query := url.Values{"id_token_hint": {idToken}, "post_logout_redirect_uri": {app.URL + "/"}}
		http.Redirect(w, r, metadata.EndSession+"?"+query.Encode(), http.StatusFound)
	})
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	s.application(t, w, listen, true)
}

// oauth2ProxyVersion is the version that the tests build.
const oauth2ProxyVersion = "v7.15.6"

// installOAuth2Proxy builds oauth2-proxy and returns its path.
func installOAuth2Proxy(t *testing.T, dir string) string {
	t.Helper()
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/oauth2-proxy/oauth2-proxy/v7@"+oauth2ProxyVersion)
	install.Env = append(os.Environ(), "GOBIN="+dir)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "oauth2-proxy")
}

// oauth2Proxy lets oauth2-proxy sign a user in, whose address an administrator verified.
// It signs out at the server too.
func (s *scriptInput) oauth2Proxy(t *testing.T, w *kit.Fixture, program string) {
	listen, _ := kit.FreeAddresses(t)
	registerRelyingParty(w, listen, "")
	s.verifyEmail(t)
	cmd := exec.Command(program, "--provider=oidc", "--oidc-issuer-url="+s.Issuer, "--client-id="+s.Relying.ID, "--client-secret="+s.Relying.Secret,
		"--http-address="+listen, "--redirect-url=http://"+listen+"/oauth2/callback", "--code-challenge-method=S256", "--scope=openid email",
		"--email-domain=example.com", "--cookie-secret=0123456789abcdef0123456789abcdef", "--cookie-secure=false", "--upstream=static://200",
		"--skip-provider-button", "--whitelist-domain="+strings.TrimPrefix(s.Issuer, "http://"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	t.Cleanup(func() { // after the process has ended
		if t.Failed() {
			t.Logf("%s", said.String())
		}
	})
	kit.StartProcess(t, cmd, listen, "http://"+listen+"/ping")
	v := s.newVisitor(t, w)
	if shown := v.signIn("http://" + listen + "/"); shown != "Authenticated" {
		t.Fatalf("oauth2-proxy shows %s", shown)
	}
	if _, shown := v.do(http.MethodGet, "http://"+listen+"/oauth2/userinfo"); !strings.Contains(shown, `"email":"jane@example.com"`) {
		t.Errorf("userinfo: %s", shown)
	}
	logout := s.Issuer + "/oauth/end_session?" + kit.EncodeForm("client_id", s.Relying.ID, "post_logout_redirect_uri", "http://"+listen+"/")
	_, question := v.do(http.MethodGet, "http://"+listen+"/oauth2/sign_out?"+kit.EncodeForm("rd", logout))
	if at, page := v.submit("/oauth/signin/logout", question); !strings.Contains(page, `autocomplete="username"`) { // the proxy signs in again
		t.Errorf("after the sign-out at %s: %s", at, page)
	}
}

// modAuthOpenIDC lets Apache sign a user in, by the address from userinfo. It ends its own
// session when the server notifies it of a logout.
func (s *scriptInput) modAuthOpenIDC(t *testing.T, w *kit.Fixture) {
	dir := t.TempDir()
	listen, _ := kit.FreeAddresses(t)
	registerRelyingParty(w, listen, "http://"+listen+"/callback?logout=backchannel")
	openApacheRoot(t, dir)
	file := filepath.Join(dir, "apache.conf")
	configuration := apacheConfiguration(dir, listen, "auth_openidc_module", "mod_auth_openidc.so") + fmt.Sprintf(`
OIDCProviderMetadataURL %[1]s/.well-known/openid-configuration
OIDCClientID relying-party
OIDCClientSecret %[2]s
OIDCRedirectURI http://%[3]s/callback
OIDCCryptoPassphrase a-passphrase-for-the-cookies-of-apache
OIDCPKCEMethod S256
OIDCScope "openid email"
<Location />
  AuthType openid-connect
  Require claim email:jane@example.com
</Location>
<Location /open>
  AuthType None
  Require all granted
</Location>
`, s.Issuer, kit.ClientSecret, listen)
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "open"), []byte("open"), 0o644); err != nil { //nolint:gosec // Apache reads it as another user
		t.Fatal(err)
	}
	kit.StartProcess(t, exec.Command("apache2", "-X", "-f", file), listen, "http://"+listen+"/open")
	t.Cleanup(func() {
		if log, _ := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() {
			t.Logf("%s", log)
		}
	})
	v := s.newVisitor(t, w)
	if shown := v.signIn("http://" + listen + "/"); shown != "in" {
		t.Fatalf("Apache shows %s", shown)
	}
	_, question := v.do(http.MethodGet, s.Issuer+"/oauth/end_session")
	if at, _ := v.do(http.MethodGet, "http://"+listen+"/"); at != "http://"+listen+"/" {
		t.Errorf("Apache asks for a sign-in again, at %s", at)
	}
	v.submit("/oauth/signin/logout", question)
	kit.Eventually(t, "Apache ends its session", func() bool {
		at, _ := v.do(http.MethodGet, "http://"+listen+"/")
		return strings.HasPrefix(at, s.Issuer+"/oauth/authorize?")
	})
}
