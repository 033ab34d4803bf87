//go:build strangers

package strangers

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// relyingPartyDocument registers the applications at which users sign in through the pages.
// NOTIFY is the address for logout tokens.
const relyingPartyDocument = `
ApiClients:
  - {ID: relying-party, AppName: Relying party, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["http://127.0.0.1/callback"]NOTIFY}
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

// registerRelyingParty creates the application, or changes its address for logout tokens.
func registerRelyingParty(w *kit.Fixture, notify string) {
	if notify != "" {
		notify = fmt.Sprintf(", BackchannelLogoutUri: %q", notify)
	}
	w.Apply(strings.Replace(relyingPartyDocument, "NOTIFY", notify, 1))
}

// nodeApplication signs a user in at an application in a script, which shows userinfo.
func (s *scriptInput) nodeApplication(t *testing.T, w *kit.Fixture, scripts, script string) {
	registerRelyingParty(w, "")
	stage, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	listen, _ := kit.FreeAddresses(t)
	cmd := exec.Command("node", script)
	cmd.Dir = scripts
	cmd.Env = append(os.Environ(), "STAGE="+string(stage), "LISTEN="+listen, "NO_PROXY=127.0.0.1")
	cmd.Stderr = os.Stderr
	kit.StartProcess(t, cmd, listen, "http://"+listen+"/")
	shown := s.newVisitor(t, w).signIn("http://" + listen + "/login")
	var claims map[string]any
	if err := json.Unmarshal([]byte(shown), &claims); err != nil || claims["email"] != "jane@example.com" {
		t.Errorf("userinfo: %v %s", err, shown)
	}
}

// modAuthOpenIDC lets Apache sign a user in, by the address from userinfo. It ends its own
// session when the server notifies it of a logout.
func (s *scriptInput) modAuthOpenIDC(t *testing.T, w *kit.Fixture) {
	dir := t.TempDir()
	listen, _ := kit.FreeAddresses(t)
	registerRelyingParty(w, "http://"+listen+"/callback?logout=backchannel")
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
