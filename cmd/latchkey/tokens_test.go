package main

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/oauth/server"
	"latchkey/storage"
)

// clientAlgsDocument has a client for each signing algorithm.
const clientAlgsDocument = `
ApiClients:
  - {ID: shop-rs256, AppName: RS256, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, SigningAlg: RS256, GrantTypes: [password], AllowedCredentials: [password]}
  - {ID: shop-eddsa, AppName: EdDSA, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, SigningAlg: EdDSA, GrantTypes: [password], AllowedCredentials: [password]}
`

func TestTokens(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve(wireIssuer)
		c := &tokenTest{w, n}
		// While the server runs, which has no EdDSA key yet.
		w.apply(clientAlgsDocument)
		t.Run("client's algorithm", c.clientAlgs)
		t.Run("parallel", func(t *testing.T) {
			for name, test := range map[string]func(*testing.T){
				"header and claims": c.claims, "client's own": c.ownClaims, "key set": c.keySet, "forged": c.forged,
				"server's algorithm": c.serverAlgs, "subjects": c.subjects, "renamed": c.renamed,
			} {
				t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
			}
		})
		t.Run("rotation", c.rotation)
		t.Run("revocation", c.revocation)
	})
}

type tokenTest struct {
	*world
	node *node
}

// signedIn returns an access token of jane's through a public client.
func (n *node) signedIn(t *testing.T, clientID string) string {
	t.Helper()
	return n.form("/oauth/token", "grant_type", "password", "client_id", clientID, "username", "jane", "password", janesPassword).mustIssue(t)
}

// fetchKeys returns a published key set.
func (n *node) fetchKeys(t *testing.T, path string) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	a := n.do(http.MethodGet, path, "", "")
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %v %s", path, a.status, err, a.body)
	}
	return set
}

// wireVerify takes a token as a resource server does that knows the key set and
// the one algorithm, and returns header and claims.
func wireVerify(t *testing.T, token string, alg jose.SignatureAlgorithm, set jose.JSONWebKeySet) (jose.Header, map[string]any) {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		t.Fatalf("token %s: %v", token, err)
	}
	header := signed.Signatures[0].Protected
	found := set.Key(header.KeyID)
	if len(found) != 1 {
		t.Fatalf("%d keys of the kid %q in the set", len(found), header.KeyID)
	}
	payload, err := signed.Verify(found[0])
	if err != nil {
		t.Fatalf("token %s: %v", token, err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return header, claims
}

// wireKID returns the kid of a token that need not be valid.
func wireKID(t *testing.T, token string) string {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signatures[0].Protected.KeyID
}

// verifyEverywhere verifies a token by the three addresses of our keys, and
// returns header and claims.
func (n *node) verifyEverywhere(t *testing.T, token string, alg jose.SignatureAlgorithm) (jose.Header, map[string]any) {
	t.Helper()
	for _, path := range []string{"/oauth/jwks", "/.well-known/jwks.json"} {
		wireVerify(t, token, alg, n.fetchKeys(t, path))
	}
	var key jose.JSONWebKey
	a := n.do(http.MethodGet, "/oauth/certs/"+wireKID(t, token), "", "")
	if err := json.Unmarshal([]byte(a.body), &key); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %v %s", a.status, err, a.body)
	}
	return wireVerify(t, token, alg, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
}

// wireTake removes a claim and returns it.
func wireTake[T any](t *testing.T, claims map[string]any, name string) T {
	t.Helper()
	value, ok := claims[name].(T)
	if !ok {
		t.Errorf("claim %s is %v", name, claims[name])
	}
	delete(claims, name)
	return value
}

// wireTakeMicros removes the issue time in microseconds, which is the other one
// but for the part of a second.
func wireTakeMicros(t *testing.T, claims map[string]any, issued float64) {
	t.Helper()
	if micros := wireTake[float64](t, claims, "iat_us"); math.Floor(micros/1e6) != issued {
		t.Errorf("iat_us %v, iat %v", micros, issued)
	}
}

// claims is F1, F2 and F3: RFC 9068 §2.1, §2.2.
func (c *tokenTest) claims(t *testing.T) {
	header, claims := c.node.verifyEverywhere(t, c.node.signIn("jane", janesPassword).mustIssue(t), jose.ES256)
	if header.Algorithm != "ES256" || header.ExtraHeaders[jose.HeaderType] != "at+jwt" || len(header.KeyID) < 20 || len(header.ExtraHeaders) != 1 || header.JSONWebKey != nil {
		t.Errorf("header %+v", header)
	}
	issued := wireTake[float64](t, claims, "iat")
	if age := float64(c.clock.now().Unix()) - issued; age < 0 || age > 60 {
		t.Errorf("issued %v s ago", age)
	}
	wireTakeMicros(t, claims, issued)
	for name, ahead := range map[string]float64{"exp": 3600, "nbf": -10, "auth_time": 0} {
		// The sign-in is timed before the password was verified.
		if got := wireTake[float64](t, claims, name) - issued; got > ahead || got < ahead-10 || name != "auth_time" && got != ahead {
			t.Errorf("%s is iat + %v, want + %v", name, got, ahead)
		}
	}
	for _, name := range []string{"jti", "sid", "login_id", "src"} {
		if id := wireTake[string](t, claims, name); len(id) < 22 {
			t.Errorf("%s %q is shorter than 128 random bits", name, id)
		}
	}
	sub := wireTake[string](t, claims, "sub")
	if uuid.Validate(sub) != nil {
		t.Errorf("sub %q", sub)
	}
	want := map[string]any{
		"iss": "https://login.example.com", "aud": "https://login.example.com", "client_id": "shop", "scope": "MeAdmin Shopper",
		"amr": []any{"pwd"}, "usr": "jane", "cid": "shop", "u": sub, "usrtype": "buyer", "role": []any{"MeAdmin", "Shopper"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// ownClaims are those of a client that acts for itself.
func (c *tokenTest) ownClaims(t *testing.T) {
	k := c.adminClient(t, "--name", "machine", "--id", "Machine", "--grant", "client_credentials", "--role", "Reader", "--role", "Writer", "--access-token-duration", "90s")
	ids := map[string]bool{}
	for range 3 {
		a := c.node.self("machine", k.Secret, "scope", "Reader")
		_, claims := c.node.verifyEverywhere(t, a.mustIssue(t), jose.ES256)
		if a.field("refresh_token") != "" {
			t.Error("a refresh token was issued (RFC 6749 §4.4.3)")
		}
		ids[wireTake[string](t, claims, "jti")] = true
		issued := wireTake[float64](t, claims, "iat")
		wireTakeMicros(t, claims, issued)
		if got := wireTake[float64](t, claims, "exp") - issued; got != 90 {
			t.Errorf("lives for %v s, want 90", got)
		}
		want := map[string]any{
			"iss": "https://login.example.com", "aud": "https://login.example.com", "sub": "Machine", "client_id": "Machine", "cid": "Machine",
			"nbf": issued - 10, "scope": "Reader", "role": []any{"Reader"}, "usrtype": "admin",
		}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	}
	if len(ids) != 3 {
		t.Errorf("3 tokens have %d ids", len(ids))
	}
}

// clientAlgs is F9 for clients that name an algorithm of their own. Nobody who
// asks at once may get a server error.
func (c *tokenTest) clientAlgs(t *testing.T) {
	for id, alg := range map[string]jose.SignatureAlgorithm{"shop-rs256": jose.RS256, "shop-eddsa": jose.EdDSA} {
		wireSoon(t, "the client "+id+" is known", func() bool {
			a := c.node.form("/oauth/token", "grant_type", "password", "client_id", id, "username", "jane", "password", janesPassword)
			a.mustNotLeak(t)
			return a.status == http.StatusOK
		})
		header, _ := c.node.verifyEverywhere(t, c.node.signedIn(t, id), alg)
		if header.Algorithm != string(alg) || header.ExtraHeaders[jose.HeaderType] != "at+jwt" {
			t.Errorf("header %+v, want %s", header, alg)
		}
	}
}

// serverAlgs is F9 for the whole server, and its aud.
func (c *tokenTest) serverAlgs(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.EdDSA, jose.RS256} {
		n := c.serve("LATCHKEY_SIGNING_ALG="+string(alg), "LATCHKEY_AUDIENCE=https://api.example.com")
		header, claims := n.verifyEverywhere(t, n.signedIn(t, "vendor"), alg)
		if header.Algorithm != string(alg) || claims["iss"] != testIssuer || claims["aud"] != "https://api.example.com" {
			t.Errorf("header %+v, iss %v, aud %v", header, claims["iss"], claims["aud"])
		}
		header, _ = n.verifyEverywhere(t, n.signedIn(t, "shop-rs256"), jose.RS256)
		if header.Algorithm != "RS256" {
			t.Errorf("the client's algorithm is %s, want its own", header.Algorithm)
		}
	}
}

// keySet is F6: public members only, unique kids, RSA of 2048 bits or more.
func (c *tokenTest) keySet(t *testing.T) {
	var first string
	for _, path := range []string{"/oauth/jwks", "/.well-known/jwks.json"} {
		a := c.node.do(http.MethodGet, path, "", "")
		if a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "public, max-age=3600" || a.status != http.StatusOK {
			t.Errorf("%d %v", a.status, a.header)
		}
		if first == "" {
			first = a.body
		}
		if a.body != first {
			t.Errorf("%s answers differently", path)
		}
	}
	var raw struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(first), &raw); err != nil {
		t.Fatal(err)
	}
	members := map[any][]string{"EC": {"crv", "x", "y"}, "RSA": {"e", "n"}, "OKP": {"crv", "x"}}
	var algs []string
	kids := map[any]bool{}
	for _, key := range raw.Keys {
		var names []string
		for name := range key {
			names = append(names, name)
		}
		slices.Sort(names)
		want := slices.Sorted(slices.Values(append([]string{"alg", "kid", "kty", "use"}, members[key["kty"]]...)))
		if diff := cmp.Diff(want, names); diff != "" || key["use"] != "sig" || kids[key["kid"]] {
			t.Errorf("key %v: members (-want +got):\n%s", key["kid"], diff)
		}
		kids[key["kid"]] = true
		alg, _ := key["alg"].(string)
		algs = append(algs, alg)
	}
	slices.Sort(algs)
	if want := []string{"ES256", "EdDSA", "RS256"}; !slices.Equal(slices.Compact(algs), want) {
		t.Errorf("algorithms %v, want %v", algs, want)
	}
	for _, key := range c.node.fetchKeys(t, "/oauth/jwks").Keys {
		if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < 2048 {
			t.Errorf("RSA key of %d bits", public.N.BitLen())
		}
		if !key.Valid() || !key.IsPublic() {
			t.Errorf("key %s is not a valid public key", key.KeyID)
		}
	}
	for _, kid := range []string{"unknown", "..%2f..%2fetc%2fpasswd", "%00", "%27%20OR%201=1", strings.Repeat("x", 2000)} {
		a := c.node.do(http.MethodGet, "/oauth/certs/"+kid, "", "")
		a.mustNotLeak(t)
		if a.status != http.StatusNotFound {
			t.Errorf("certificate %.20s: %d %s", kid, a.status, a.body)
		}
	}
}

// subjects is F10: no client can be given an id that is or could be a user's
// sub.
func (c *tokenTest) subjects(t *testing.T) {
	_, claims := c.node.verifyEverywhere(t, c.node.signedIn(t, "vendor"), jose.ES256)
	sub, _ := claims["sub"].(string)
	for _, id := range []string{"usr_x", "USR_X", "acc_x"} {
		code, _, errs := call(t, "client", "create", "--name", "x", "--id", id)
		if code != exitUsage || !strings.Contains(errs, "--id must not begin with usr_ or acc_") {
			t.Errorf("id %q: got %d %q", id, code, errs)
		}
	}
	for _, id := range []string{sub, strings.ToUpper(sub), "usr_x", "acc_x"} {
		if id == sub || strings.EqualFold(id, sub) {
			c.withApp(func(ctx context.Context, a *app) error {
				if _, err := a.createClient(ctx, newClient{name: "x", id: id, profile: storage.DefaultProfileID}); !errors.Is(err, storage.ErrConflict) {
					t.Errorf("id %q: %v", id, err)
				}
				return nil
			})
		}
		a := c.node.self(id, "x")
		a.mustRefuse(t, 400, wireInvalidClient)
	}
}

// renamed is F11: sub stays, and what was issued under the old name goes on.
func (c *tokenTest) renamed(t *testing.T) {
	before := c.node.signIn("john", janesPassword)
	_, was := c.node.verifyEverywhere(t, before.mustIssue(t), jose.ES256)
	c.apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: true, Users: [
		{ID: john, Username: john.doe, FirstName: John, LastName: Doe, Email: new@example.com, Active: true}]}]}`)
	after := c.node.signIn("john.doe", janesPassword)
	_, is := c.node.verifyEverywhere(t, after.mustIssue(t), jose.ES256)
	if was["sub"] != is["sub"] || is["usr"] != "john.doe" {
		t.Errorf("was %v, is %v", was, is)
	}
	c.node.signIn("john", janesPassword).mustRefuse(t, 400, wireWrongCredentials)
	for _, token := range []string{before.field("access_token"), after.field("access_token")} {
		if a := c.node.introspect(token); a.field("sub") != was["sub"] {
			t.Errorf("introspection: %s, want sub %v", a.body, was["sub"])
		}
	}
	_, refreshed := c.node.verifyEverywhere(t, c.node.refresh(before.field("refresh_token")).mustIssue(t), jose.ES256)
	if refreshed["sub"] != was["sub"] || refreshed["usr"] != "john.doe" {
		t.Errorf("refreshed %v, want sub %v and the new name", refreshed, was["sub"])
	}
	// Somebody else who takes the old name is somebody else.
	c.apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: true, Users: [
		{ID: john2, Username: john, Password: correct-Horse-7-battery, FirstName: John, LastName: Two, Active: true}]}]}`)
	_, other := c.node.verifyEverywhere(t, c.node.signIn("john", janesPassword).mustIssue(t), jose.ES256)
	if other["sub"] == was["sub"] {
		t.Error("a sub was used again")
	}
}

// rotation is F7, seen by a resource server that keeps the key set for as long
// as it may.
func (c *tokenTest) rotation(t *testing.T) {
	n := c.node
	auditor := c.adminClient(t, "--name", "auditor", "--role", "TokenIntrospection")
	old := n.signedIn(t, "vendor")
	cached := n.fetchKeys(t, "/oauth/jwks")
	c.adminProcess(t, "keys", "rotate")
	announced := func(set jose.JSONWebKeySet) []string {
		var kids []string
		for _, key := range set.Keys {
			if len(cached.Key(key.KeyID)) == 0 {
				kids = append(kids, key.KeyID)
			}
		}
		return kids
	}
	wireSoon(t, "the successor is announced", func() bool { return len(announced(n.fetchKeys(t, "/oauth/jwks"))) == 1 })
	successor := announced(n.fetchKeys(t, "/oauth/jwks"))[0]

	c.clock.advance(time.Hour - time.Minute)
	for range 3 {
		wireVerify(t, n.signedIn(t, "vendor"), jose.ES256, cached)
	}
	fresh := n.fetchKeys(t, "/oauth/jwks")
	c.clock.advance(3*time.Minute + 30*time.Second)
	token := n.signedIn(t, "vendor")
	if header, _ := wireVerify(t, token, jose.ES256, fresh); header.KeyID != successor {
		t.Errorf("signed by %s, want the successor %s", header.KeyID, successor)
	}
	wireVerify(t, old, jose.ES256, n.fetchKeys(t, "/oauth/jwks"))
	for _, token := range []string{old, token} {
		if a := n.form("/oauth/introspect", "client_id", auditor.ID, "client_secret", auditor.Secret, "token", token); a.field("username") != "jane" {
			t.Errorf("introspection after the rotation: %s", a.body)
		}
	}
	mine := n.signIn("jane", janesPassword).mustIssue(t)
	// The retired key stays for the longest life of a token.
	c.clock.advance(server.MaxTokenLife - time.Hour)
	wireVerify(t, old, jose.ES256, n.fetchKeys(t, "/oauth/jwks"))
	c.clock.advance(time.Hour + server.KeyMargin)
	if set := n.fetchKeys(t, "/oauth/jwks"); len(set.Key(wireKID(t, old))) != 0 {
		t.Error("the retired key is published longer than any token lives")
	}
	if a := n.introspect(mine); a.body != `{"active":false}` {
		t.Errorf("an expired token: %s", a.body)
	}
}

// revocation is F8: an emergency revocation by another process takes effect
// without a restart.
func (c *tokenTest) revocation(t *testing.T) {
	n := c.node
	a := n.signIn("jane", janesPassword)
	token, kid := a.mustIssue(t), wireKID(t, a.field("access_token"))
	byRSA := n.signedIn(t, "shop-rs256")
	if a := n.introspect(token); a.field("username") != "jane" {
		t.Fatalf("the token is not active: %s", a.body)
	}
	c.adminProcess(t, "keys", "revoke", kid)
	wireSoon(t, "tokens of the key are inactive", func() bool { return n.introspect(token).body == `{"active":false}` })
	if set := n.fetchKeys(t, "/oauth/jwks"); len(set.Key(kid)) != 0 {
		t.Error("the revoked key is published")
	}
	if a := n.do(http.MethodGet, "/oauth/certs/"+kid, "", ""); a.status != http.StatusNotFound {
		t.Errorf("the revoked key: %d %s", a.status, a.body)
	}
	next := n.refresh(a.field("refresh_token")).mustIssue(t)
	if header, _ := n.verifyEverywhere(t, next, jose.ES256); header.KeyID == kid {
		t.Error("the revoked key signs")
	}
	if a := n.introspect(next); a.field("username") != "jane" {
		t.Errorf("a token of the new key: %s", a.body)
	}
	n.verifyEverywhere(t, byRSA, jose.RS256)
}
