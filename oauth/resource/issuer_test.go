package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an authorization server whose key set the test chooses.
type issuer struct {
	url   string
	clock *clock

	mu       sync.Mutex
	set      jose.JSONWebKeySet
	answer   func(http.ResponseWriter) bool // called before the key set is written, unless nil; true if it has written the response
	control  string                         // Cache-Control of the key set
	metadata map[string]any

	keyRequests      atomic.Int64
	metadataRequests atomic.Int64
}

// clock is a clock that tests advance.
type clock struct{ nanos atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

// newIssuer starts an issuer that publishes one ES256 key, "k1", with a max-age of five
// minutes.
func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{clock: newClock(), control: "public, max-age=300"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", i.serveMetadata)
	mux.HandleFunc("GET /keys", i.serveKeys)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	i.metadata = map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys"}
	i.publish(es256Key(t).public("k1"))
	return i
}

func (i *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	i.metadataRequests.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	_ = json.NewEncoder(w).Encode(i.metadata)
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.keyRequests.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answer != nil && i.answer(w) {
		return
	}
	if i.control != "" {
		w.Header().Set("Cache-Control", i.control)
	}
	_ = json.NewEncoder(w).Encode(i.set)
}

// change calls f with the issuer locked.
func (i *issuer) change(f func(*issuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f(i)
}

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.change(func(i *issuer) { i.set = jose.JSONWebKeySet{Keys: keys} })
}

// setDown makes the issuer answer 500, or answer normally again.
func (i *issuer) setDown(down bool) {
	i.change(func(i *issuer) {
		i.answer = func(w http.ResponseWriter) bool {
			if down {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return down
		}
	})
}

const audience = "https://api.example"

// verifier returns a Verifier of the issuer's tokens for audience.
func (i *issuer) verifier(t testing.TB, change func(*Config)) *Verifier {
	t.Helper()
	cfg := Config{Issuer: i.url, Audiences: []string{"https://first.example", audience}, Now: i.clock.now}
	if change != nil {
		change(&cfg)
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signingKey is a private key with the algorithm that it signs with.
type signingKey struct {
	alg     jose.SignatureAlgorithm
	private crypto.Signer
}

func (k signingKey) public(kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.private.Public(), KeyID: kid, Algorithm: string(k.alg), Use: "sig"}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// es256Key returns the issuer's key "k1". Each call returns the same key.
func es256Key(t testing.TB) signingKey {
	t.Helper()
	return signingKey{jose.ES256, must[*ecdsa.PrivateKey](t)(fixedES256())}
}

var fixedES256 = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })

var fixedRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func rs256Key(t testing.TB) signingKey {
	t.Helper()
	return signingKey{jose.RS256, must[*rsa.PrivateKey](t)(fixedRSA())}
}

func anotherKey(t testing.TB) signingKey {
	t.Helper()
	return signingKey{jose.ES256, must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))}
}

func eddsaKey(t testing.TB) signingKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signingKey{jose.EdDSA, private}
}

type object = map[string]any

// with returns a copy of the object with changed members. A nil value removes a member.
func with(o object, changes object) object {
	o = maps.Clone(o)
	for name, value := range changes {
		o[name] = value
		if value == nil {
			delete(o, name)
		}
	}
	return o
}

// claims returns the claims of Jane's access token.
func (i *issuer) claims() object {
	now := i.clock.now().Unix()
	return object{
		"iss": i.url, "sub": "usr_jane", "aud": audience, "client_id": "shop", "jti": "jti_1",
		"iat": now, "nbf": now, "exp": now + 600, "scope": "Shopper MeAdmin", "auth_time": now - 60, "amr": []string{"otp"},
	}
}

// accountClaims returns the claims of Jane's account management authentication token.
func (i *issuer) accountClaims() object {
	return with(i.claims(), object{
		"aud": i.url + "/v2", "scope": "acme", "account_uid": "acc_1", "account_id": "acme", "account_name": "Acme Ltd",
		"account_roles": []string{"Buy"}, "account_member_id": "usr_jane", "realm_id": "r1", "store_id": "s1",
	})
}

// sign returns a token that is signed with "k1". The header has the typ at+jwt, with the
// changes in header.
func (i *issuer) sign(t testing.TB, claims object, header object) string {
	t.Helper()
	return sign(t, es256Key(t), claims, with(object{"typ": "at+jwt", "kid": "k1"}, header))
}

func sign(t testing.TB, k signingKey, claims, header object) string {
	t.Helper()
	return signWith(t, jose.SigningKey{Algorithm: k.alg, Key: k.private}, claims, header)
}

func signWith(t testing.TB, k jose.SigningKey, claims any, header object) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for name, value := range header {
		options.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer := must[jose.Signer](t)(jose.NewSigner(k, options))
	payload := must[[]byte](t)(json.Marshal(claims))
	signed := must[*jose.JSONWebSignature](t)(signer.Sign(payload))
	return must[string](t)(signed.CompactSerialize())
}

// account returns Jane's account management authentication token.
func (i *issuer) account(t testing.TB, changes object) string {
	t.Helper()
	return i.sign(t, with(i.accountClaims(), changes), object{"typ": "account+jwt"})
}

// showTokens is a handler that writes the subjects of the verified tokens.
var showTokens = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if t, ok := FromContext(r.Context()); ok {
		_, _ = fmt.Fprintf(w, "%s by %s", t.Subject, t.ClientID)
	}
	if t, ok := AccountMemberFromContext(r.Context()); ok {
		_, _ = fmt.Fprintf(w, " member %s of %s", t.Subject, t.Account.ID)
	}
})

// get sends a request to a handler. headers are pairs of name and value.
func get(h http.Handler, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/things?access_token=ignored", nil)
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Add(headers[n], headers[n+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
