package tokens

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
	"latchkey/test/e2e/kit"
)

func TestTokens(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve(kit.SharedIssuer)
		c := &tokenTest{w, n}
		// The server runs and has no EdDSA key yet.
		w.Apply(kit.ClientAlgsDocument)
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
	*kit.Fixture
	node *kit.Server
}

// verifyEverywhere verifies a token with the keys of three paths, and returns the header and
// the claims.
func verifyEverywhere(n *kit.Server, t *testing.T, token string, alg jose.SignatureAlgorithm) (jose.Header, map[string]any) {
	t.Helper()
	for _, path := range []string{"/oauth/jwks", "/.well-known/jwks.json"} {
		kit.VerifyToken(t, token, alg, n.FetchKeys(t, path))
	}
	var key jose.JSONWebKey
	a := n.Do(http.MethodGet, "/oauth/certs/"+kit.KeyID(t, token), "", "")
	if err := json.Unmarshal([]byte(a.Body), &key); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%d %v %s", a.Status, err, a.Body)
	}
	return kit.VerifyToken(t, token, alg, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
}

// wireTake removes a claim and returns it.
func wireTake[T any](t *testing.T, claims map[string]any, name string) T {
	t.Helper()
	value, ok := claims[name].(T)
	if !ok {
		t.Errorf("got claim %s %v", name, claims[name])
	}
	delete(claims, name)
	return value
}

// wireTakeMicros removes the issue time in microseconds. It must be the issue time in seconds,
// with a fraction.
func wireTakeMicros(t *testing.T, claims map[string]any, issued float64) {
	t.Helper()
	if micros := wireTake[float64](t, claims, "iat_us"); math.Floor(micros/1e6) != issued {
		t.Errorf("got iat_us %v, want it within iat %v", micros, issued)
	}
}

// claims tests the header and the claims of a user's token (RFC 9068 §2.1, §2.2).
func (c *tokenTest) claims(t *testing.T) {
	header, claims := verifyEverywhere(c.node, t, c.node.SignIn("jane", kit.Password).AccessToken(t), jose.ES256)
	if header.Algorithm != "ES256" || header.ExtraHeaders[jose.HeaderType] != "at+jwt" || len(header.KeyID) < 20 || len(header.ExtraHeaders) != 1 || header.JSONWebKey != nil {
		t.Errorf("got the header %+v", header)
	}
	issued := wireTake[float64](t, claims, "iat")
	if age := float64(c.Clock.Now().Unix()) - issued; age < 0 || age > 60 {
		t.Errorf("got a token issued %v s ago, want at most 60", age)
	}
	wireTakeMicros(t, claims, issued)
	for name, ahead := range map[string]float64{"exp": 3600, "nbf": -10, "auth_time": 0} {
		// The time of the sign-in is from before the verification of the password.
		if got := wireTake[float64](t, claims, name) - issued; got > ahead || got < ahead-10 || name != "auth_time" && got != ahead {
			t.Errorf("%s: got iat + %v, want iat + %v", name, got, ahead)
		}
	}
	for _, name := range []string{"jti", "sid", "login_id", "src"} {
		if id := wireTake[string](t, claims, name); len(id) < 22 {
			t.Errorf("%s: got %q, want at least 128 random bits", name, id)
		}
	}
	sub := wireTake[string](t, claims, "sub")
	if uuid.Validate(sub) != nil {
		t.Errorf("got sub %q", sub)
	}
	want := map[string]any{
		"iss": "https://login.example.com", "aud": "https://login.example.com", "client_id": "shop", "scope": "MeAdmin Shopper",
		"amr": []any{"pwd"}, "usr": "jane", "cid": "shop", "u": sub, "usrtype": "buyer", "role": []any{"MeAdmin", "Shopper"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// ownClaims tests the claims of a client that acts as itself.
func (c *tokenTest) ownClaims(t *testing.T) {
	k := c.CreateClient(t, "--name", "machine", "--id", "Machine", "--grant", "client_credentials", "--role", "Reader", "--role", "Writer", "--access-token-duration", "90s")
	ids := map[string]bool{}
	for range 3 {
		a := c.node.ClientCredentials("machine", k.Secret, "scope", "Reader")
		_, claims := verifyEverywhere(c.node, t, a.AccessToken(t), jose.ES256)
		if a.Field("refresh_token") != "" {
			t.Error("got a refresh token, want none (RFC 6749 §4.4.3)")
		}
		ids[wireTake[string](t, claims, "jti")] = true
		issued := wireTake[float64](t, claims, "iat")
		wireTakeMicros(t, claims, issued)
		if got := wireTake[float64](t, claims, "exp") - issued; got != 90 {
			t.Errorf("got a lifetime of %v s, want 90", got)
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
		t.Errorf("got %d IDs of 3 tokens, want 3", len(ids))
	}
}

// clientAlgs tests clients that have their own algorithm. Parallel requests for the first
// tokens must not cause an error of the server.
func (c *tokenTest) clientAlgs(t *testing.T) {
	for id, alg := range map[string]jose.SignatureAlgorithm{"shop-rs256": jose.RS256, "shop-eddsa": jose.EdDSA} {
		kit.Eventually(t, "the client "+id+" is known", func() bool {
			a := c.node.Form("/oauth/token", "grant_type", "password", "client_id", id, "username", "jane", "password", kit.Password)
			a.MustNotLeak(t)
			return a.Status == http.StatusOK
		})
		header, _ := verifyEverywhere(c.node, t, c.node.JanesToken(t, id), alg)
		if header.Algorithm != string(alg) || header.ExtraHeaders[jose.HeaderType] != "at+jwt" {
			t.Errorf("got the header %+v, want %s", header, alg)
		}
	}
}

// serverAlgs tests the algorithm and the audience that are configured for the whole server.
func (c *tokenTest) serverAlgs(t *testing.T) {
	for _, alg := range []jose.SignatureAlgorithm{jose.EdDSA, jose.RS256} {
		n := c.Serve("LATCHKEY_SIGNING_ALG="+string(alg), "LATCHKEY_AUDIENCE=https://api.example.com")
		header, claims := verifyEverywhere(n, t, n.JanesToken(t, "vendor"), alg)
		if header.Algorithm != string(alg) || claims["iss"] != testIssuer || claims["aud"] != "https://api.example.com" {
			t.Errorf("got the header %+v, iss %v, aud %v", header, claims["iss"], claims["aud"])
		}
		header, _ = verifyEverywhere(n, t, n.JanesToken(t, "shop-rs256"), jose.RS256)
		if header.Algorithm != "RS256" {
			t.Errorf("got the algorithm %s, want RS256 of the client", header.Algorithm)
		}
	}
}

// keySet tests that the key set has only public members, unique kids, and RSA keys of at least
// 2048 bits.
func (c *tokenTest) keySet(t *testing.T) {
	var first string
	for _, path := range []string{"/oauth/jwks", "/.well-known/jwks.json"} {
		a := c.node.Do(http.MethodGet, path, "", "")
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "public, max-age=3600" || a.Status != http.StatusOK {
			t.Errorf("got %d %v", a.Status, a.Header)
		}
		if first == "" {
			first = a.Body
		}
		if a.Body != first {
			t.Errorf("%s: got another answer than at the first path", path)
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
		t.Errorf("got the algorithms %v, want %v", algs, want)
	}
	for _, key := range c.node.FetchKeys(t, "/oauth/jwks").Keys {
		if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < 2048 {
			t.Errorf("got an RSA key of %d bits, want at least 2048", public.N.BitLen())
		}
		if !key.Valid() || !key.IsPublic() {
			t.Errorf("key %s: got no valid public key", key.KeyID)
		}
	}
	for _, kid := range []string{"unknown", "..%2f..%2fetc%2fpasswd", "%00", "%27%20OR%201=1", strings.Repeat("x", 2000)} {
		a := c.node.Do(http.MethodGet, "/oauth/certs/"+kid, "", "")
		a.MustNotLeak(t)
		if a.Status != http.StatusNotFound {
			t.Errorf("certificate %.20s: got %d %s, want 404", kid, a.Status, a.Body)
		}
	}
}

// subjects tests that a client cannot have an ID that is or could be the sub of a user.
func (c *tokenTest) subjects(t *testing.T) {
	_, claims := verifyEverywhere(c.node, t, c.node.JanesToken(t, "vendor"), jose.ES256)
	sub, _ := claims["sub"].(string)
	for _, id := range []string{"usr_x", "USR_X", "acc_x"} {
		r := kit.TryCommand(t, c.Environ(), "client", "create", "--name", "x", "--id", id)
		if r.ExitCode != 2 || !strings.Contains(r.Stderr, "--id must not begin with usr_ or acc_") {
			t.Errorf("id %q: got %d %q", id, r.ExitCode, r.Stderr)
		}
	}
	for _, id := range []string{sub, strings.ToUpper(sub), "usr_x", "acc_x"} {
		if id == sub || strings.EqualFold(id, sub) {
			c.WithApp(func(ctx context.Context, a *server.App) error {
				if _, err := a.Store.PutClient(ctx, storage.Client{ID: id, Name: "x", ProfileID: storage.DefaultProfileID, Active: true}); !errors.Is(err, storage.ErrConflict) {
					t.Errorf("id %q: got %v, want storage.ErrConflict", id, err)
				}
				return nil
			})
		}
		a := c.node.ClientCredentials(id, "x")
		a.MustRefuse(t, 400, kit.InvalidClient)
	}
}

// renamed tests that sub stays when a user is renamed, and that tokens from before stay valid.
func (c *tokenTest) renamed(t *testing.T) {
	before := c.node.SignIn("john", kit.Password)
	_, was := verifyEverywhere(c.node, t, before.AccessToken(t), jose.ES256)
	c.Apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: true, Users: [
		{ID: john, Username: john.doe, FirstName: John, LastName: Doe, Email: new@example.com, Active: true}]}]}`)
	after := c.node.SignIn("john.doe", kit.Password)
	_, is := verifyEverywhere(c.node, t, after.AccessToken(t), jose.ES256)
	if was["sub"] != is["sub"] || is["usr"] != "john.doe" {
		t.Errorf("got the claims %v and then %v, want the same sub and the new name", was, is)
	}
	c.node.SignIn("john", kit.Password).MustRefuse(t, 400, kit.WrongCredentials)
	for _, token := range []string{before.Field("access_token"), after.Field("access_token")} {
		if a := c.node.Introspect(token); a.Field("sub") != was["sub"] {
			t.Errorf("introspection: got %s, want sub %v", a.Body, was["sub"])
		}
	}
	_, refreshed := verifyEverywhere(c.node, t, c.node.Refresh(before.Field("refresh_token")).AccessToken(t), jose.ES256)
	if refreshed["sub"] != was["sub"] || refreshed["usr"] != "john.doe" {
		t.Errorf("after a refresh: got %v, want sub %v and the new name", refreshed, was["sub"])
	}
	// Another user who takes the old name has another sub.
	c.Apply(`{Buyers: [{ID: acme, Name: Acme Ltd, Active: true, Users: [
		{ID: john2, Username: john, Password: correct-Horse-7-battery, FirstName: John, LastName: Two, Active: true}]}]}`)
	_, other := verifyEverywhere(c.node, t, c.node.SignIn("john", kit.Password).AccessToken(t), jose.ES256)
	if other["sub"] == was["sub"] {
		t.Error("got the same sub for another user")
	}
}

// rotation tests a rotation as seen by a resource server that caches the key set as long as
// allowed.
func (c *tokenTest) rotation(t *testing.T) {
	n := c.node
	auditor := c.CreateClient(t, "--name", "auditor", "--role", "TokenIntrospection")
	old := n.JanesToken(t, "vendor")
	cached := n.FetchKeys(t, "/oauth/jwks")
	c.Command(t, "keys", "rotate")
	announced := func(set jose.JSONWebKeySet) []string {
		var kids []string
		for _, key := range set.Keys {
			if len(cached.Key(key.KeyID)) == 0 {
				kids = append(kids, key.KeyID)
			}
		}
		return kids
	}
	kit.Eventually(t, "the successor is announced", func() bool { return len(announced(n.FetchKeys(t, "/oauth/jwks"))) == 1 })
	successor := announced(n.FetchKeys(t, "/oauth/jwks"))[0]

	c.Clock.Advance(time.Hour - time.Minute)
	for range 3 {
		kit.VerifyToken(t, n.JanesToken(t, "vendor"), jose.ES256, cached)
	}
	fresh := n.FetchKeys(t, "/oauth/jwks")
	c.Clock.Advance(3*time.Minute + 30*time.Second)
	token := n.JanesToken(t, "vendor")
	if header, _ := kit.VerifyToken(t, token, jose.ES256, fresh); header.KeyID != successor {
		t.Errorf("got a token signed by %s, want the successor %s", header.KeyID, successor)
	}
	kit.VerifyToken(t, old, jose.ES256, n.FetchKeys(t, "/oauth/jwks"))
	for _, token := range []string{old, token} {
		if a := n.Form("/oauth/introspect", "client_id", auditor.ID, "client_secret", auditor.Secret, "token", token); a.Field("username") != "jane" {
			t.Errorf("introspection after the rotation: got %s", a.Body)
		}
	}
	mine := n.SignIn("jane", kit.Password).AccessToken(t)
	// The retired key stays published for the longest lifetime of a token.
	c.Clock.Advance(server.MaxTokenLife - time.Hour)
	kit.VerifyToken(t, old, jose.ES256, n.FetchKeys(t, "/oauth/jwks"))
	c.Clock.Advance(time.Hour + server.KeyMargin)
	if set := n.FetchKeys(t, "/oauth/jwks"); len(set.Key(kit.KeyID(t, old))) != 0 {
		t.Error("the retired key is still published, want it removed")
	}
	if a := n.Introspect(mine); a.Body != `{"active":false}` {
		t.Errorf("an expired token: got %s", a.Body)
	}
}

// revocation tests that an emergency revocation by another process takes effect without a
// restart.
func (c *tokenTest) revocation(t *testing.T) {
	n := c.node
	a := n.SignIn("jane", kit.Password)
	token, kid := a.AccessToken(t), kit.KeyID(t, a.Field("access_token"))
	byRSA := n.JanesToken(t, "shop-rs256")
	if a := n.Introspect(token); a.Field("username") != "jane" {
		t.Fatalf("got %s, want an active token", a.Body)
	}
	c.Command(t, "keys", "revoke", kid)
	kit.Eventually(t, "tokens of the key are inactive", func() bool { return n.Introspect(token).Body == `{"active":false}` })
	if set := n.FetchKeys(t, "/oauth/jwks"); len(set.Key(kid)) != 0 {
		t.Error("the revoked key is published, want it removed")
	}
	if a := n.Do(http.MethodGet, "/oauth/certs/"+kid, "", ""); a.Status != http.StatusNotFound {
		t.Errorf("the revoked key: got %d %s, want 404", a.Status, a.Body)
	}
	next := n.Refresh(a.Field("refresh_token")).AccessToken(t)
	if header, _ := verifyEverywhere(n, t, next, jose.ES256); header.KeyID == kid {
		t.Error("the revoked key signs, want another key")
	}
	if a := n.Introspect(next); a.Field("username") != "jane" {
		t.Errorf("a token of the new key: got %s", a.Body)
	}
	verifyEverywhere(n, t, byRSA, jose.RS256)
}
