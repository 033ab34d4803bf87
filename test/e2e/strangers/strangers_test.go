//go:build strangers

package strangers

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/test/e2e/kit"
)

// strangersResource is a resource besides the server's default.
const strangersResource = "https://api.example/orders"

// TestStrangers tests that clients, applications, gateways and SDKs of others, for OAuth,
// OrderCloud and Elastic Path, use a server on each database. They come from npm, Debian and
// the module proxy of Go, unmodified; "make strangers" fetches them.
func TestStrangers(t *testing.T) {
	scripts := t.TempDir()
	if err := os.CopyFS(scripts, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--no-package-lock")
	install.Dir = scripts
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm install: %v\n%s", err, out)
	}
	proxy, zitadel := installOAuth2Proxy(t, t.TempDir()), buildZitadel(t, scripts)
	t.Run("databases", func(t *testing.T) {
		kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
			s := newStrangersStage(t, w)
			for _, script := range []string{"openid-client.mjs", "oauth4webapi.mjs", "resource-servers.mjs"} {
				t.Run(script, func(t *testing.T) { s.node(t, scripts, script, "") })
			}
			t.Run("HAProxy", s.haproxy)
			t.Run("mod_oauth2", s.apache)
			for _, script := range []string{"openid-client-relying-party.mjs", "express-relying-party.cjs", "next-auth-relying-party.cjs"} {
				t.Run(script, func(t *testing.T) { s.nodeApplication(t, w, scripts, script) })
			}
			t.Run("oidc-client-ts", func(t *testing.T) { s.oidcClientTS(t, w, scripts) })
			t.Run("go-oidc", func(t *testing.T) { s.goOIDC(t, w) })
			t.Run("zitadel-oidc", func(t *testing.T) { s.application(t, w, s.startApplication(t, w, exec.Command(zitadel)), true) })
			t.Run("oauth2-proxy", func(t *testing.T) { s.oauth2Proxy(t, w, proxy) })
			t.Run("mod_auth_openidc", func(t *testing.T) { s.modAuthOpenIDC(t, w) })
			for _, sdk := range []string{"ordercloud-javascript-sdk", "ordercloud-javascript-sdk-11"} {
				t.Run(sdk, func(t *testing.T) { s.node(t, scripts, "ordercloud.cjs", sdk) })
			}
			for _, script := range []string{"elasticpath.cjs", "elasticpath-shopper.mjs", "catalyst.cjs"} {
				t.Run(script, func(t *testing.T) { s.node(t, scripts, script, "") })
			}
			t.Run("ordercloud-seeding", func(t *testing.T) { s.seeding(t, scripts) })
		})
	})
}

// scriptInput is the input of the scripts.
type scriptInput struct {
	Issuer   string           `json:"issuer"`
	Resource string           `json:"resource"`
	Machine  strangersClient  `json:"machine"`
	RSA      strangersClient  `json:"rsa"`
	Shop     strangersClient  `json:"shop"`
	Admin    strangersClient  `json:"admin"`
	Store    strangersClient  `json:"store"`
	Relying  strangersClient  `json:"relyingParty"`
	User     strangersAccount `json:"user"`
	Browser  string           `json:"browser"` // address of the application in the browser
	Codes    string           `json:"codes"`   // URL that answers with the code that was sent last
	Chromium string           `json:"chromium"`
}

type strangersClient struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

type strangersAccount struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func newStrangersStage(t *testing.T, w *kit.Fixture) *scriptInput {
	t.Helper()
	browser, _ := kit.FreeAddresses(t)
	n := w.Serve("LATCHKEY_RESOURCES="+strangersResource, "LATCHKEY_CORS_ORIGINS=http://"+browser)
	client := func(args ...string) strangersClient {
		c := w.CreateClient(t, append([]string{"--name", args[1], "--grant", "client_credentials"}, args...)...)
		return strangersClient{ID: c.ID, Secret: c.Secret}
	}
	return &scriptInput{
		Issuer: n.URL, Resource: strangersResource, Browser: browser,
		Machine: client("--id", "machine", "--role", "Reader", "--role", "Writer"),
		RSA:     client("--id", "rsa", "--role", "Reader", "--signing-alg", "RS256"),
		Admin:   client("--id", "admin", "--role", "FullAccess"),
		Store:   client("--id", "store", "--role", "FullAccess", "--grant", "implicit"),
		Shop:    strangersClient{ID: "shop", Secret: kit.ClientSecret},
		Relying: strangersClient{ID: "relying-party", Secret: kit.ClientSecret},
		User:    strangersAccount{Username: "jane", Password: kit.Password},
	}
}

// node runs a script, which throws if a check fails.
func (s *scriptInput) node(t *testing.T, dir, script, sdk string) {
	t.Helper()
	input, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "INPUT="+string(input), "SDK="+sdk, "NO_PROXY=127.0.0.1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// token asks for an access token by client credentials.
func (s *scriptInput) token(t *testing.T, c strangersClient) string {
	t.Helper()
	response, err := http.PostForm(s.Issuer+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.ID}, "client_secret": {c.Secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end or broken
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("no token: %s, %v", response.Status, err)
	}
	return answer.AccessToken
}

// verifyEmail marks the address of the user as verified, as an administrator.
func (s *scriptInput) verifyEmail(t *testing.T) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.Issuer+"/v1/buyers/acme/users/jane", strings.NewReader(`{"EmailVerified":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token(t, s.Admin))
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // not read
	if response.StatusCode != http.StatusOK {
		t.Fatalf("verify the address: got %s", response.Status)
	}
}

// keySet writes the server's key set to a file and returns the public RSA key.
func (s *scriptInput) keySet(t *testing.T, file string) any {
	t.Helper()
	response, err := http.Get(s.Issuer + "/oauth/jwks")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end or broken
	var body bytes.Buffer
	var set jose.JSONWebKeySet
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		if k.Algorithm == "RS256" {
			return k.Key
		}
	}
	t.Fatal("no RSA key is published")
	return nil
}

// haproxy lets HAProxy verify a token by jwt_verify, as a gateway does.
func (s *scriptInput) haproxy(t *testing.T) {
	dir := t.TempDir()
	der, err := x509.MarshalPKIXPublicKey(s.keySet(t, filepath.Join(dir, "jwks.json")))
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	listen, _ := kit.FreeAddresses(t)
	s.gateway(t, dir, listen, fmt.Sprintf(`
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend gateway
  bind %s
  http-request set-var(txn.bearer) http_auth_bearer
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_header_query('$.alg') -m str RS256 }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_payload_query('$.iss') -m str %s }
  http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify('RS256','%s') -m int 1 }
  http-request return status 200 content-type text/plain string "in"
`, listen, s.Issuer, key), "haproxy", "-f")
}

// apache lets mod_oauth2 verify a token by the server's key set.
func (s *scriptInput) apache(t *testing.T) {
	dir := t.TempDir()
	s.keySet(t, filepath.Join(dir, "jwks.json"))
	listen, _ := kit.FreeAddresses(t)
	openApacheRoot(t, dir)
	s.gateway(t, dir, listen, apacheConfiguration(dir, listen, "oauth2_module", "mod_oauth2.so")+fmt.Sprintf(`
<Location />
  AuthType oauth2
  OAuth2TokenVerify jwks_uri %[1]s/oauth/jwks verify.iss=%[1]s
  Require valid-user
</Location>
`, s.Issuer), "apache2", "-X", "-f")
}

// openApacheRoot makes a page in a directory of a test, which Apache reads as another user.
func openApacheRoot(t *testing.T, dir string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("in"), 0o644); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	for d := dir; strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // see above
			t.Fatal(err)
		}
	}
}

// apacheConfiguration serves a directory with a module.
func apacheConfiguration(dir, listen, module, file string) string {
	return fmt.Sprintf(`
ServerRoot %[1]s
ServerName gateway
PidFile %[1]s/pid
ErrorLog %[1]s/error.log
Listen %[2]s
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule %[3]s /usr/lib/apache2/modules/%[4]s
User www-data
Group www-data
DocumentRoot %[1]s
DirectoryIndex index.html
`, dir, listen, module, file)
}

// gateway starts a gateway with that configuration as its last argument, and sends it tokens.
func (s *scriptInput) gateway(t *testing.T, dir, listen, configuration, program string, args ...string) {
	t.Helper()
	file := filepath.Join(dir, "gateway.conf")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, file)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	kit.StartProcess(t, cmd, listen, "http://"+listen+"/")
	good := s.token(t, s.RSA)
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"good":      {good, http.StatusOK},
		"forged":    {good[:strings.LastIndexByte(good, '.')+1] + strings.Repeat("A", 342), http.StatusUnauthorized},
		"nonsense":  {"nonsense", http.StatusUnauthorized},
		"unsigned":  {"eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", http.StatusUnauthorized},
		"no header": {"", http.StatusUnauthorized},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listen+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.token != "" {
			request.Header.Set("Authorization", "Bearer "+c.token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.status {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Errorf("%s token: got %s, want %d\n%s\n%s", name, response.Status, c.status, said.String(), log)
		}
	}
}
