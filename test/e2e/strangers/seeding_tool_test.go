//go:build strangers

package strangers

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"latchkey/test/e2e/kit"
)

// sandboxHost is the address of the marketplace for the seeding tool, which seeds only
// addresses that contain the word sandbox.
const sandboxHost = "sandbox.marketplace.example"

// seedFile is a marketplace for the seeding tool. It has all that Latchkey keeps.
const seedFile = `
Objects:
  SecurityProfiles:
    - {ID: seed-shopper, Name: Shopper, Roles: [MeAdmin, Shopper], CustomRoles: [Vip]}
    - {ID: seed-seller, Name: Seller, Roles: [BuyerReader]}
  AdminUsers:
    - {ID: seed-ada, Username: seed-ada, FirstName: A, LastName: Da, Email: ada@example.com, Active: true}
  Buyers:
    - {ID: seed-buyer, Name: Buyer, Active: true, xp: {tier: gold}}
  Users:
    - {ID: seed-jane, BuyerID: seed-buyer, Username: seed-jane, Password: correct-Horse-7-battery, FirstName: Jane, LastName: Doe, Email: seed-jane@example.com, Active: true}
  Suppliers:
    - {ID: seed-supplier, Name: Supplier, Active: true}
  SupplierUsers:
    - {ID: seed-sue, SupplierID: seed-supplier, Username: seed-sue, FirstName: S, LastName: Ue, Email: seed-sue@example.com, Active: true}
  ApiClients:
    - {ID: storefront, AppName: Seeded storefront, Active: true, AccessTokenDuration: 600, RefreshTokenDuration: 0, AllowAnyBuyer: false, AllowAnySupplier: false, AllowSeller: false}
  MessageSenders:
    - {ID: seed-sender, Name: Sender, MessageTypes: [OneTimePassword], URL: "https://hook.example/x", SharedKey: <Redacted. Leave unchanged.>}
Assignments:
  SecurityProfileAssignments:
    - {SecurityProfileID: seed-shopper, BuyerID: seed-buyer}
    - {SecurityProfileID: seed-seller}
  ApiClientAssignments:
    - {ApiClientID: storefront, BuyerID: seed-buyer}
`

// seeding seeds a marketplace with OrderCloud's own tool and downloads it again. The tool gets
// a proxy by the variables that its HTTP library reads. The proxy is in this process: it
// answers for the vendor's portal, passes requests for the marketplace to the server, and
// answers with empty lists for what Latchkey does not keep.
func (s *scriptInput) seeding(t *testing.T, dir string) {
	m := newSeedingProxy(t, s, dir)
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "seed.yml"), []byte(seedFile), 0o600); err != nil {
		t.Fatal(err)
	}
	m.run(t, work, "seed", "seed.yml", "-u", "operator", "-p", "password", "-i", "marketplace", "-n", "Marketplace")
	m.run(t, work, "download", "-f", "downloaded.yml", "-u", "operator", "-p", "password", "-i", "marketplace")
	text, err := os.ReadFile(filepath.Join(work, "downloaded.yml"))
	if err != nil {
		t.Fatal(err)
	}
	client := sameMarketplace(t, seedFile, string(text))

	signedIn := (&kit.Server{T: t, URL: s.Issuer}).Form("/oauth/token", "grant_type", "password", "client_id", client,
		"username", "seed-jane", "password", "correct-Horse-7-battery")
	if signedIn.Status != http.StatusOK || signedIn.Field("scope") != "MeAdmin Shopper Vip" {
		t.Errorf("a seeded user signs in: got %d %s, want 200", signedIn.Status, signedIn.Body)
	}
	t.Logf("not of Latchkey: %v", m.elsewhere)
}

// sameMarketplace looks for everything seeded in what was downloaded, and returns the
// id that the seeded API client got.
func sameMarketplace(t *testing.T, seeded, downloaded string) (clientID string) {
	t.Helper()
	type kinds = map[string][]map[string]any
	read := func(text string) map[string]kinds {
		var marketplace struct {
			Objects     kinds `yaml:"Objects"`
			Assignments kinds `yaml:"Assignments"`
		}
		if err := yaml.Unmarshal([]byte(text), &marketplace); err != nil {
			t.Fatal(err)
		}
		return map[string]kinds{"Objects": marketplace.Objects, "Assignments": marketplace.Assignments}
	}
	want, got := read(seeded), read(downloaded)
	for _, c := range got["Objects"]["ApiClients"] {
		if c["AppName"] == "Seeded storefront" {
			clientID, _ = c["ID"].(string)
		}
	}
	for part, of := range want {
		for kind, records := range of {
			for _, record := range records {
				delete(record, "Password") // write only
				for name, value := range record {
					if value == "storefront" { // the server makes the ids of API clients
						record[name] = clientID
					}
				}
				if record["SharedKey"] != nil {
					delete(record, "SharedKey")
				}
				if !slices.ContainsFunc(got[part][kind], func(found map[string]any) bool { return isPartOf(record, found) }) {
					t.Errorf("%s.%s: no %v in %v", part, kind, record, got[part][kind])
				}
			}
		}
	}
	return clientID
}

// isPartOf reports whether found has all members of want.
func isPartOf(want, found map[string]any) bool {
	for name, value := range want {
		if !cmp.Equal(value, found[name]) {
			return false
		}
	}
	return true
}

// seedingProxy is the network around the seeding tool.
type seedingProxy struct {
	input *scriptInput
	url   string
	ca    string // file
	tool  string // directory of the package
	leaf  tls.Certificate

	mu        sync.Mutex
	created   bool     // the marketplace
	elsewhere []string // lists that were answered in Latchkey's place
}

func newSeedingProxy(t *testing.T, s *scriptInput, dir string) *seedingProxy {
	t.Helper()
	m := &seedingProxy{input: s, ca: filepath.Join(t.TempDir(), "ca.pem"), tool: filepath.Join(dir, "node_modules/@ordercloud/seeding")}
	m.certify(t, "portal.ordercloud.io", "api.ordercloud.io")
	proxy := httptest.NewServer(m)
	t.Cleanup(proxy.Close)
	m.url = proxy.URL
	return m
}

// certify makes a certificate for the vendor's hosts, by an authority that only the
// tool trusts.
func (m *seedingProxy) certify(t *testing.T, hosts ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "strangers"}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	m.leaf = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if err := os.WriteFile(m.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a command of the tool.
func (m *seedingProxy) run(t *testing.T, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{filepath.Join(m.tool, "dist/cli.js")}, args...)...)
	cmd.Dir = dir
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "HTTP_PROXY="+m.url, "HTTPS_PROXY="+m.url, "NODE_EXTRA_CA_CERTS="+m.ca)
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("ERROR")) || bytes.Contains(out, []byte("Will retry")) || !bytes.Contains(out, []byte("SUCCESS")) {
		t.Fatalf("seeding %v: %v\n%s", args, err, out)
	}
}

// ServeHTTP implements http.Handler: it is the proxy.
func (m *seedingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		m.tunnel(w)
	case r.URL.Hostname() == sandboxHost:
		m.marketplace(w, r)
	default:
		http.Error(w, "no such host: "+r.URL.Host, http.StatusBadGateway)
	}
}

// tunnel answers what comes through a tunnel in the place of the vendor.
func (m *seedingProxy) tunnel(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	defer connection.Close() //nolint:errcheck // its other end is a test's
	if _, err := io.WriteString(connection, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	secured := tls.Server(connection, &tls.Config{Certificates: []tls.Certificate{m.leaf}, MinVersion: tls.VersionTLS12})
	m.serveConnection(secured)
}

func (m *seedingProxy) serveConnection(connection net.Conn) {
	reader := bufio.NewReader(connection)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		answer := httptest.NewRecorder()
		m.vendor(answer, request)
		_, _ = io.Copy(io.Discard, request.Body)
		response := answer.Result()
		response.ContentLength = int64(answer.Body.Len())
		if err := response.Write(connection); err != nil {
			return
		}
	}
}

// vendor answers for the portal and for the description of the vendor's API.
func (m *seedingProxy) vendor(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch path := r.Host + strings.TrimPrefix(r.URL.Path, "/api/v1"); {
	case path == "portal.ordercloud.io/oauth/token":
		fmt.Fprintf(w, `{"access_token":%q,"refresh_token":"of-the-portal","expires_in":600}`, m.adminToken()) // it reads when a token ends
	case strings.HasSuffix(path, "/token"):
		fmt.Fprintf(w, `{"access_token":%q}`, m.adminToken())
	case strings.HasPrefix(path, "portal.ordercloud.io/organizations/") && r.Method == http.MethodPut:
		m.created = true
		_, _ = io.WriteString(w, `{}`)
	case strings.HasPrefix(path, "portal.ordercloud.io/organizations/") && m.created:
		fmt.Fprintf(w, `{"Id":"marketplace","Name":"Marketplace","CoreApiUrl":"http://%s"}`, sandboxHost)
	case path == "api.ordercloud.io/v1/openapi/v3":
		_ = json.NewEncoder(w).Encode(m.directory())
	default:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"Errors":[{"ErrorCode":"NotFound","Message":"Not found","Data":null}]}`)
	}
}

func (m *seedingProxy) adminToken() string {
	client := m.input.Admin
	return (&kit.Server{URL: m.input.Issuer}).ClientCredentials(client.ID, client.Secret).Field("access_token")
}

// directory describes every path and model that the tool names.
func (m *seedingProxy) directory() any {
	text, _ := os.ReadFile(filepath.Join(m.tool, "dist/cli.js")) // a tool without it does not run either
	paths, models := map[string]any{}, map[string]any{}
	for _, found := range regexp.MustCompile(`\bpath: "(/[^"]+)"`).FindAllSubmatch(text, -1) {
		paths[string(found[1])] = map[string]any{"post": map[string]any{}}
	}
	for _, found := range regexp.MustCompile(`\bmodelName: ['"](\w+)['"]`).FindAllSubmatch(text, -1) {
		properties := map[string]any{"ID": map[string]any{"type": "string"}}
		if model := string(found[1]); model == "User" {
			properties["Username"] = map[string]any{"type": "string"}
		}
		models[string(found[1])] = map[string]any{"properties": properties}
	}
	return map[string]any{"paths": paths, "components": map[string]any{"schemas": models}}
}

// marketplace passes a request to the server. It answers with an empty list for a
// list that the server says does not exist.
func (m *seedingProxy) marketplace(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	passed, err := http.NewRequestWithContext(r.Context(), r.Method, m.input.Issuer+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	passed.Header = r.Header.Clone()
	response, err := kit.HTTPClient.Do(passed)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close() //nolint:errcheck // only read
	answer, _ := io.ReadAll(response.Body)
	status := response.StatusCode
	if r.Method == http.MethodGet && status == http.StatusNotFound && bytes.Contains(answer, []byte(`"ObjectType":"Route"`)) {
		m.mu.Lock()
		m.elsewhere = append(m.elsewhere, r.URL.Path)
		m.mu.Unlock()
		status, answer = http.StatusOK, []byte(`{"Meta":{"Page":1,"PageSize":100,"TotalCount":0,"TotalPages":0,"ItemRange":[0,0]},"Items":[]}`)
	}
	w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}
