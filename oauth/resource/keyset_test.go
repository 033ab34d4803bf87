package resource

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// cacheFixture has an issuer and a verifier, and waits for fetches of keys.
type cacheFixture struct {
	*issuer
	t *testing.T
	v *Verifier
}

func newCacheFixture(t *testing.T, change func(*Config)) *cacheFixture {
	i := newIssuer(t)
	return &cacheFixture{i, t, i.verifier(t, change)}
}

// checkVerify verifies a token that is signed with k and checks the error.
func (c *cacheFixture) checkVerify(want error, k signingKey, kid string) {
	c.t.Helper()
	_, err := c.v.Verify(c.t.Context(), sign(c.t, k, c.claims(), object{"typ": "at+jwt", "kid": kid}))
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		c.t.Errorf("key %s: got %v, want %v", kid, err, want)
	}
}

// waitForFetch waits until no fetch is running.
func (c *cacheFixture) waitForFetch() {
	c.t.Helper()
	c.v.keys.mu.Lock()
	running := c.v.keys.running
	c.v.keys.mu.Unlock()
	if running == nil {
		return
	}
	select {
	case <-running.done:
	case <-time.After(30 * time.Second):
		c.t.Fatal("a fetch of keys did not end in 30s")
	}
}

func (c *cacheFixture) checkFetches(n int64) {
	c.t.Helper()
	c.waitForFetch()
	if got := c.keyRequests.Load(); got != n {
		c.t.Errorf("got %d fetches of keys, want %d", got, n)
	}
}

// TestNoFetchBeforeTheFirstToken tests that a service can start without its issuer.
func TestNoFetchBeforeTheFirstToken(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, nil)
	c.checkFetches(0)
	for range 10 {
		c.checkVerify(nil, es256Key(t), "k1")
	}
	c.checkFetches(1)
	if n := c.metadataRequests.Load(); n != 1 {
		t.Errorf("got %d reads of the metadata, want 1", n)
	}
}

// TestKeysAreCachedForMaxAge tests that keys are fetched again after their max-age, and that
// requests do not wait for that fetch.
func TestKeysAreCachedForMaxAge(t *testing.T) {
	t.Parallel()
	for header, life := range map[string]time.Duration{
		"":                             5 * time.Minute,
		"public":                       5 * time.Minute,
		"public, max-age=120":          2 * time.Minute,
		"Max-Age=120, must-revalidate": 2 * time.Minute,
		"max-age=0":                    time.Second,
		"max-age=-5":                   time.Second,
		"no-store":                     time.Second,
		"no-cache, max-age=120":        time.Second,
		"max-age=999999999999":         24 * time.Hour,
		"max-age=4000000000":           24 * time.Hour,
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			c := newCacheFixture(t, nil)
			c.change(func(i *issuer) { i.control = header })
			c.checkVerify(nil, es256Key(t), "k1")
			c.clock.advance(life - time.Nanosecond)
			c.checkVerify(nil, es256Key(t), "k1")
			c.checkFetches(1)

			release := make(chan struct{})
			c.change(func(i *issuer) { i.answer = func(http.ResponseWriter) bool { <-release; return false } })
			c.clock.advance(time.Nanosecond)
			for range 3 {
				c.checkVerify(nil, es256Key(t), "k1") // the issuer does not answer now
			}
			c.v.keys.mu.Lock()
			if c.v.keys.running == nil {
				t.Error("got no running fetch, so the request waited for it")
			}
			c.v.keys.mu.Unlock()
			close(release)
			c.checkFetches(2)
		})
	}
}

// TestAgeCounts tests that the header Age shortens the max-age.
func TestAgeCounts(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, nil)
	c.change(func(i *issuer) {
		i.answer = func(w http.ResponseWriter) bool { w.Header().Set("Age", "290"); return false }
	})
	c.checkVerify(nil, es256Key(t), "k1")
	c.clock.advance(10 * time.Second)
	c.checkVerify(nil, es256Key(t), "k1")
	c.checkFetches(2)
}

// TestRotation tests that a new key is accepted before the max-age of the key set ends, and
// that a key that is no longer published is refused.
func TestRotation(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, nil)
	next := anotherKey(t)
	c.checkVerify(nil, es256Key(t), "k1")
	c.publish(next.public("k2"))
	c.clock.advance(DefaultRefetchInterval)
	c.checkVerify(nil, next, "k2")
	c.checkVerify(ErrInvalidToken, es256Key(t), "k1")
	c.checkFetches(2)
}

// TestUnknownKeysCauseFewFetches tests that many tokens with unknown keys cause at most one
// fetch per RefetchInterval.
func TestUnknownKeysCauseFewFetches(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, nil)
	c.checkVerify(nil, es256Key(t), "k1")
	var requests sync.WaitGroup
	for second := range 30 {
		for n := range 20 {
			forged := c.sign(t, c.claims(), object{"kid": fmt.Sprintf("forged-%d-%d", second, n)})
			requests.Go(func() {
				if _, err := c.v.Verify(t.Context(), forged); !errors.Is(err, ErrInvalidToken) {
					t.Errorf("forged: got %v, want ErrInvalidToken", err)
				}
			})
		}
		requests.Wait()
		c.clock.advance(time.Second)
		c.checkVerify(nil, es256Key(t), "k1")
	}
	c.checkFetches(3) // at 0, 10 and 20 seconds
}

// TestConcurrentRequestsShareAFetch tests that many requests wait for one fetch, and that the
// fetch continues if the request that started it is canceled.
func TestConcurrentRequestsShareAFetch(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, nil)
	started, release := make(chan struct{}, 1), make(chan struct{})
	c.change(func(i *issuer) {
		i.answer = func(http.ResponseWriter) bool { started <- struct{}{}; <-release; return false }
	})
	good := c.sign(t, c.claims(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := c.v.Verify(ctx, good); first <- err }()
	<-started
	cancel()
	if err := <-first; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled request: got %v, want ErrUnavailable and context.Canceled", err)
	}
	var requests sync.WaitGroup
	for range 50 {
		requests.Go(func() {
			if _, err := c.v.Verify(t.Context(), good); err != nil {
				t.Error(err)
			}
		})
	}
	close(release)
	requests.Wait()
	c.checkFetches(1)
}

// TestIssuerUnavailable tests the answer 503 without keys, and that cached keys are used for
// MaxStale. A token that may be valid is never called invalid.
func TestIssuerUnavailable(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, func(cfg *Config) { cfg.MaxStale = time.Hour })
	c.setDown(true)
	h := c.v.Require()(showTokens)
	w := get(h, "Authorization", "Bearer "+c.sign(t, c.claims(), nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "2" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("without keys: got %d %v, want 503", w.Code, w.Header())
	}
	c.checkVerify(ErrUnavailable, es256Key(t), "k1")
	c.checkFetches(1) // the next fetch is allowed a second later
	c.setDown(false)
	c.clock.advance(time.Second)
	c.checkVerify(nil, es256Key(t), "k1")
	c.checkFetches(2)

	c.setDown(true)
	c.clock.advance(5*time.Minute + time.Hour - time.Nanosecond)
	c.checkVerify(nil, es256Key(t), "k1")
	c.checkFetches(3)
	c.checkVerify(ErrUnavailable, anotherKey(t), "k2") // it may be a new key
	c.clock.advance(time.Nanosecond)
	c.checkVerify(ErrUnavailable, es256Key(t), "k1")
	c.checkFetches(3)
	c.clock.advance(time.Second)
	c.checkVerify(ErrUnavailable, es256Key(t), "k1")
	c.checkFetches(4)
	c.setDown(false)
	c.clock.advance(time.Second)
	c.checkVerify(nil, es256Key(t), "k1")
}

// TestBadKeySets tests that an invalid key set is handled like an unavailable issuer.
func TestBadKeySets(t *testing.T) {
	t.Parallel()
	k1 := es256Key(t).public("k1")
	for name, body := range map[string]string{
		"no JSON": "<html>", "no keys": `{}`, "keys null": `{"keys":null}`, "keys an object": `{"keys":{}}`, "a list": `[]`,
		"one kid twice": `{"keys":[` + jwkText(t, k1) + `,` + jwkText(t, anotherKey(t).public("k1")) + `]}`,
		"too long":      `{"keys":[],"x":"` + strings.Repeat("x", maxDocument) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCacheFixture(t, nil)
			c.change(func(i *issuer) {
				i.answer = func(w http.ResponseWriter) bool { _, _ = w.Write([]byte(body)); return true }
			})
			c.checkVerify(ErrUnavailable, es256Key(t), "k1")
		})
	}
}

// jwkText returns a JWK as JSON.
func jwkText(t testing.TB, k jose.JSONWebKey) string {
	t.Helper()
	return string(must[[]byte](t)(k.MarshalJSON()))
}

// TestUnusableKeys tests that keys that cannot be used are left out, and that the other keys of
// the set work.
func TestUnusableKeys(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, nil)
	k, small := anotherKey(t), must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // too small on purpose
	encryption, other, private, nameless := k.public("enc"), k.public("es384"), k.public("private"), k.public("")
	encryption.Use, other.Algorithm, private.Key = "enc", "ES384", k.private
	free, edwards := k.public("free"), eddsaKey(t)
	free.Algorithm, free.Use = "", ""
	weak := signingKey{jose.RS256, small}
	symmetric := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "oct", Algorithm: "HS256"}
	c.publish(encryption, other, private, nameless, free, edwards.public("ed"), weak.public("weak"), symmetric, es256Key(t).public("k1"))
	c.checkVerify(nil, es256Key(t), "k1")
	c.checkVerify(nil, k, "free")
	c.checkVerify(nil, edwards, "ed")
	for _, kid := range []string{"enc", "es384", "private", "", "oct"} {
		c.checkVerify(ErrInvalidToken, k, kid)
	}
	_, err := c.v.Verify(t.Context(), signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: symmetric.Key}, c.claims(), object{"typ": "at+jwt", "kid": "oct"}))
	if !errors.Is(err, ErrInvalidToken) {
		t.Errorf("HS256: got %v, want ErrInvalidToken", err)
	}
	if _, known := c.v.keys.current.Load().keys["weak"]; known {
		t.Error("a key of 1024 bits was accepted")
	}
}

// TestAllowedAlgorithms tests that keys of algorithms that the configuration does not allow are
// refused.
func TestAllowedAlgorithms(t *testing.T) {
	t.Parallel()
	c := newCacheFixture(t, func(cfg *Config) { cfg.Algorithms = []string{"EdDSA"} })
	edwards := eddsaKey(t)
	c.publish(es256Key(t).public("k1"), edwards.public("ed"))
	c.checkVerify(nil, edwards, "ed")
	c.checkVerify(ErrInvalidToken, es256Key(t), "k1")
}

// TestIssuerMetadata tests that metadata with another issuer or without a usable jwks_uri is
// refused (RFC 8414 §3.3).
func TestIssuerMetadata(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(i *issuer){
		"another issuer": func(i *issuer) { i.metadata["issuer"] = "https://attacker.example" },
		"with a slash":   func(i *issuer) { i.metadata["issuer"] = i.url + "/" },
		"no issuer":      func(i *issuer) { delete(i.metadata, "issuer") },
		"no key set":     func(i *issuer) { delete(i.metadata, "jwks_uri") },
		"a file":         func(i *issuer) { i.metadata["jwks_uri"] = "file:///etc/passwd" },
		"relative":       func(i *issuer) { i.metadata["jwks_uri"] = "/keys" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCacheFixture(t, nil)
			c.change(change)
			c.checkVerify(ErrUnavailable, es256Key(t), "k1")
			c.checkFetches(0)
		})
	}
	for issuer, want := range map[string]string{
		"https://id.example":          "https://id.example/.well-known/oauth-authorization-server",
		"https://id.example/":         "https://id.example/.well-known/oauth-authorization-server",
		"https://id.example/tenant/1": "https://id.example/.well-known/oauth-authorization-server/tenant/1",
	} {
		if got := metadataURL(issuer); got != want {
			t.Errorf("metadataURL(%s): got %s, want %s", issuer, got, want)
		}
	}
}

// TestRedirects tests that only redirects within the origin are followed.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for name, toOther := range map[string]bool{"same origin": false, "other origin": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCacheFixture(t, nil)
			other := newIssuer(t)
			mux := http.NewServeMux()
			mux.HandleFunc("GET /keys", c.serveKeys)
			mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) {
				target := "/keys"
				if toOther {
					target = other.url + "/keys"
				}
				http.Redirect(w, r, target, http.StatusFound)
			})
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			c.v = c.verifier(t, func(cfg *Config) { cfg.JWKSURL = server.URL + "/moved" })
			want, fetches := error(nil), int64(1)
			if toOther {
				want, fetches = ErrUnavailable, 0
			}
			c.checkVerify(want, es256Key(t), "k1")
			c.checkFetches(fetches)
			if n := other.keyRequests.Load(); n != 0 {
				t.Errorf("the other origin received %d requests, want none", n)
			}
		})
	}
}

// TestNew tests that invalid configurations are refused.
func TestNew(t *testing.T) {
	t.Parallel()
	good := func() Config { return Config{Issuer: "https://id.example", Audiences: []string{audience}} }
	for name, change := range map[string]func(*Config){
		"no issuer":          func(c *Config) { c.Issuer = "" },
		"a query":            func(c *Config) { c.Issuer += "?x=y" },
		"no audience":        func(c *Config) { c.Audiences = nil },
		"an empty audience":  func(c *Config) { c.Audiences = []string{audience, ""} },
		"a file":             func(c *Config) { c.JWKSURL = "file:///etc/passwd" },
		"alg none":           func(c *Config) { c.Algorithms = []string{"none"} },
		"alg HS256":          func(c *Config) { c.Algorithms = []string{"ES256", "HS256"} },
		"negative leeway":    func(c *Config) { c.Leeway = -time.Second },
		"DPoP without URL":   func(c *Config) { c.DPoP = &DPoP{} },
		"DPoP with HS256":    func(c *Config) { c.DPoP = &DPoP{BaseURL: audience, Algorithms: []string{"HS256"}} },
		"negative proof age": func(c *Config) { c.DPoP = &DPoP{BaseURL: audience, MaxAge: -1} },
	} {
		cfg := good()
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
	if _, err := New(good()); err != nil {
		t.Error(err)
	}
}
