package tokens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/test/e2e/kit"
)

// assertionTest has two replicas of a server and a client that signs assertions.
type assertionTest struct {
	*kit.Fixture
	*asserter
	nodes [2]*kit.Server
}

// TestPrivateKeyJWT tests that clients authenticate by private_key_jwt, and that invalid
// assertions are refused.
func TestPrivateKeyJWT(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := &assertionTest{Fixture: w, nodes: [2]*kit.Server{w.Serve(kit.SharedIssuer), w.Serve(kit.SharedIssuer)}}
		a.asserter = newAsserter(w, t, "machine")
		a.endpoints(t)
		a.refused(t)
		a.forgeries(t)
		a.once(t)
		a.methods(t)
		a.otherKinds(t)
	})
}

// endpoints tests every algorithm at every endpoint that advertises it.
func (a *assertionTest) endpoints(t *testing.T) {
	n := a.nodes[0]
	for _, k := range []struct {
		alg jose.SignatureAlgorithm
		kid string
	}{{jose.ES256, "curve"}, {jose.RS256, "number"}, {jose.PS256, "number"}, {jose.EdDSA, "edwards"}} {
		fresh := func() string { return a.sign(k.alg, k.kid, a.claims(nil)) }
		token := asserted(n, "/oauth/token", fresh()).AccessToken(t)
		if got := asserted(n, "/oauth/introspect", fresh(), "token", token); got.Field("client_id") != "machine" {
			t.Errorf("%s: introspection: got %d %s", k.alg, got.Status, got.Body)
		}
		if got := asserted(n, "/oauth/revoke", fresh(), "token", token); got.Status != http.StatusOK {
			t.Errorf("%s: revocation: got %d %s, want 200", k.alg, got.Status, got.Body)
		}
		if got := asserted(n, "/oauth/introspect", fresh(), "token", token); got.Body != `{"active":false}` {
			t.Errorf("%s: after revocation: got %d %s", k.alg, got.Status, got.Body)
		}
	}
	for what, assertion := range map[string]string{
		"token endpoint as aud": a.assert(map[string]any{"aud": testTokenPath}),
		"list of one aud":       a.assert(map[string]any{"aud": []string{testIssuer}}),
		"no iat":                a.assert(map[string]any{"iat": nil}),
		"client's clock behind": a.assert(map[string]any{"exp": a.now().Add(-30 * time.Second).Unix()}),
		"client's clock ahead":  a.assert(map[string]any{"iat": a.now().Add(30 * time.Second).Unix(), "nbf": a.now().Add(30 * time.Second).Unix()}),
		"no kid":                signJWT(t, jose.ES256, a.keys["curve"], a.claims(nil)),
		"typ JWT":               a.sign(jose.ES256, "curve", a.claims(nil), "typ", "JWT"),
		"typ of its own":        a.sign(jose.ES256, "curve", a.claims(nil), "typ", "client-authentication+jwt"),
	} {
		if got := asserted(n, "/oauth/token", assertion, "client_id", "MACHINE"); got.Status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", what, got.Status, got.Body)
		}
	}
}

// refused tests that any wrong assertion gets the answer to a wrong secret.
func (a *assertionTest) refused(t *testing.T) {
	at := func(d time.Duration) int64 { return a.now().Add(d).Unix() }
	for what, changes := range map[string]map[string]any{
		"another iss":         {"iss": "shop"},
		"no iss":              {"iss": nil},
		"another sub":         {"sub": "shop"},
		"unknown sub":         {"iss": "nobody", "sub": "nobody"},
		"no sub":              {"sub": nil},
		"another aud":         {"aud": "https://other.example"},
		"aud of an endpoint":  {"aud": testIssuer + "/oauth/introspect"},
		"aud with a slash":    {"aud": testIssuer + "/"},
		"two auds":            {"aud": []string{testIssuer, "https://other.example"}},
		"two auds of ours":    {"aud": []string{testIssuer, testTokenPath}},
		"empty list of auds":  {"aud": []string{}},
		"no aud":              {"aud": nil},
		"expired":             {"exp": at(-2 * time.Minute)},
		"no exp":              {"exp": nil},
		"exp is text":         {"exp": "soon"},
		"exp in quotes":       {"exp": fmt.Sprint(at(time.Minute))},
		"nbf in quotes":       {"nbf": fmt.Sprint(at(-time.Minute))},
		"iat in quotes":       {"iat": fmt.Sprint(at(0))},
		"nbf is a list":       {"nbf": []int64{at(0)}},
		"iat is null":         {"iat": json.RawMessage("null")},
		"exp is true":         {"exp": true},
		"far exp":             {"exp": at(7 * time.Minute)},
		"exp beyond all time": {"exp": 1e300},
		"not yet":             {"nbf": at(2 * time.Minute)},
		"issued later":        {"iat": at(2 * time.Minute)},
		"no jti":              {"jti": nil},
		"empty jti":           {"jti": ""},
		"jti is a number":     {"jti": 7},
		"long jti":            {"jti": fmt.Sprintf("%0300d", 7)},
		"huge":                {"xp": fmt.Sprintf("%09000d", 7)},
	} {
		a.mustRefuse(t, what, a.assert(changes))
	}
}

// mustRefuse expects the answer to a wrong secret at each endpoint.
func (a *assertionTest) mustRefuse(t *testing.T, what, assertion string, more ...string) {
	t.Helper()
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke"} {
		wrong := []string{"grant_type", "client_credentials", "client_id", "shop", "client_secret", "wrong", "token", "x"}
		want := a.nodes[0].Form(path, wrong...)
		got := asserted(a.nodes[0], path, assertion, append(more, "token", "x")...)
		if got.Status != want.Status || got.Body != want.Body || got.Header.Get("WWW-Authenticate") != want.Header.Get("WWW-Authenticate") {
			t.Errorf("%s at %s: got %d %s, want %d %s", what, path, got.Status, got.Body, want.Status, want.Body)
		}
	}
}

// forgeries tests assertions that are not signed, signed by another key, or signed by a key
// that the assertion contains.
func (a *assertionTest) forgeries(t *testing.T) {
	var fetched atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer trap.Close()
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own := func(header ...any) string {
		return signJWT(t, jose.ES256, jose.JSONWebKey{Key: stranger, KeyID: "curve"}, a.claims(nil), header...)
	}
	strangersKey := jose.JSONWebKey{Key: stranger.Public(), KeyID: "curve"}
	forgeries := map[string]string{
		"another key":            own(),
		"another key, unknown":   signJWT(t, jose.ES256, jose.JSONWebKey{Key: stranger, KeyID: "elsewhere"}, a.claims(nil)),
		"another key, no kid":    signJWT(t, jose.ES256, stranger, a.claims(nil)),
		"embedded jwk":           own("jwk", strangersKey),
		"jku":                    own("jku", trap.URL+"/keys"),
		"x5u":                    own("x5u", trap.URL+"/cert"),
		"x5c":                    own("x5c", []string{"AAAA"}),
		"crit":                   own("crit", []string{"exp"}),
		"right key, jku":         a.sign(jose.ES256, "curve", a.claims(nil), "jku", trap.URL+"/keys"),
		"right key, other kid":   signJWT(t, jose.ES256, jose.JSONWebKey{Key: a.keys["curve"], KeyID: "number"}, a.claims(nil)),
		"kid is a path":          signJWT(t, jose.ES256, jose.JSONWebKey{Key: stranger, KeyID: "../../dev/null"}, a.claims(nil)),
		"kid is SQL":             signJWT(t, jose.ES256, jose.JSONWebKey{Key: stranger, KeyID: "' OR 1=1 --"}, a.claims(nil)),
		"typ of an access token": a.sign(jose.ES256, "curve", a.claims(nil), "typ", "at+jwt"),
		"RS512":                  a.sign(jose.RS512, "number", a.claims(nil)),
		"none":                   unsigned(t, "none", a.claims(nil)),
		"None":                   unsigned(t, "None", a.claims(nil)),
		"empty":                  "..",
		"no JWT":                 "eyJhbGciOiJFUzI1NiJ9.e30",
		"line break":             "\n" + a.assert(nil),
	}
	der, err := x509.MarshalPKIXPublicKey(a.keys["number"].Public())
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "DER": der,
		"JSON": a.publicJSON(t, "curve"),
	} {
		forgeries["HS256 with the public key as "+what] = signJWT(t, jose.HS256, secret, a.claims(nil), "kid", "number")
	}
	for what, assertion := range forgeries {
		a.mustRefuse(t, what, assertion)
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("got %d requests to the address in a header, want none", n)
	}
}

func (a *assertionTest) publicJSON(t *testing.T, kid string) []byte {
	t.Helper()
	encoded, err := json.Marshal(jose.JSONWebKey{Key: a.keys[kid].Public(), KeyID: kid})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// once tests that one assertion is accepted once, over all replicas and endpoints.
func (a *assertionTest) once(t *testing.T) {
	twice := a.assert(nil)
	asserted(a.nodes[0], "/oauth/token", twice).AccessToken(t)
	a.mustRefuse(t, "used before", twice)
	sameID := a.claims(nil)
	asserted(a.nodes[1], "/oauth/token", a.sign(jose.ES256, "curve", sameID)).AccessToken(t)
	a.mustRefuse(t, "jti used before, in another assertion", a.sign(jose.RS256, "number", sameID))

	for round := range 3 {
		assertion := a.assert(nil)
		var let, other atomic.Int64
		var group sync.WaitGroup
		for i := range 50 {
			group.Go(func() {
				switch got := asserted(a.nodes[i%2], "/oauth/token", assertion); got.Status {
				case http.StatusOK:
					let.Add(1)
				case http.StatusBadRequest:
				default:
					other.Add(1)
				}
			})
		}
		group.Wait()
		if let.Load() != 1 || other.Load() != 0 {
			t.Errorf("round %d: got %d of 50 accepted, %d with another answer; want 1 and 0", round, let.Load(), other.Load())
		}
	}
}

// methods tests that a client has one authentication method, and that a request uses one.
func (a *assertionTest) methods(t *testing.T) {
	n := a.nodes[0]
	n.ClientCredentials("machine", "").MustRefuse(t, 400, kit.InvalidClient)
	n.ClientCredentials("machine", "guess").MustRefuse(t, 400, kit.InvalidClient)
	a.mustRefuse(t, "of a client with a secret", a.sign(jose.ES256, "curve", a.claims(map[string]any{"iss": "shop", "sub": "shop"})))
	a.mustRefuse(t, "of another client_id", a.assert(nil), "client_id", "shop")

	secret := a.adminSecret(t)
	n.ClientCredentials("machine", secret).MustRefuse(t, 400, kit.InvalidClient)

	both := kit.Refusal("invalid_request", "Auth.OauthError", "The client authenticated itself in two ways.")
	asserted(n, "/oauth/token", a.assert(nil), "client_id", "machine", "client_secret", secret).MustRefuse(t, 400, both)
	n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(
		"grant_type", "client_credentials", "client_assertion_type", jwtBearer, "client_assertion", a.assert(nil)),
		kit.BasicAuth("machine", secret)...).MustRefuse(t, 400, both)
	for _, incomplete := range [][]string{
		{"client_assertion", a.assert(nil)},
		{"client_id", "machine", "client_assertion_type", jwtBearer},
		{"client_assertion", a.assert(nil), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
	} {
		n.Form("/oauth/token", append(incomplete, "grant_type", "client_credentials")...).MustRefuse(t, 400, kit.InvalidClient)
	}

	a.Command(t, "client", "disable", "machine")
	for _, node := range a.nodes {
		kit.Eventually(t, "the client is disabled", func() bool {
			return asserted(node, "/oauth/token", a.assert(nil)).Status != http.StatusOK
		})
	}
	a.Command(t, "client", "enable", "machine")
	kit.Eventually(t, "the client is enabled", func() bool { return asserted(n, "/oauth/token", a.assert(nil)).Status == http.StatusOK })
}

// adminSecret adds a secret to the client, which the client cannot use.
func (a *assertionTest) adminSecret(t *testing.T) string {
	t.Helper()
	var issued kit.Client
	if err := json.Unmarshal([]byte(a.Command(t, "client", "secret", "add", "machine")), &issued); err != nil {
		t.Fatal(err)
	}
	return issued.Secret
}

// otherKinds tests that an assertion cannot be used as another token.
func (a *assertionTest) otherKinds(t *testing.T) {
	n := a.nodes[0]
	exchanger := a.CreateClient(t, "--name", "exchanger", "--grant", "urn:ietf:params:oauth:grant-type:token-exchange")
	claims := a.claims(map[string]any{"client_id": "machine", "scope": "FullAccess", "role": []string{"FullAccess"}})
	for what, assertion := range map[string]string{
		"plain": a.assert(nil), "like an access token": a.sign(jose.ES256, "curve", claims, "typ", "at+jwt"),
	} {
		if got := asserted(n, "/oauth/introspect", a.assert(nil), "token", assertion); got.Body != `{"active":false}` {
			t.Errorf("%s: introspection: got %d %s", what, got.Status, got.Body)
		}
		if got := n.Do(http.MethodGet, "/v1/apiclients", "", "", "Authorization", "Bearer "+assertion); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: as an access token: got %d %s, want 401", what, got.Status, got.Body)
		}
		exchange := n.Form("/oauth/token", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
			"client_id", exchanger.ID, "client_secret", exchanger.Secret, "account_id", "acme",
			"subject_token", assertion, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token")
		if exchange.Status != http.StatusBadRequest || exchange.Field("error") != "invalid_request" {
			t.Errorf("%s: as a subject token: got %d %s, want 400", what, exchange.Status, exchange.Body)
		}
	}
}
