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

// cached is an issuer and a verifier, with a way to wait for readings of keys.
type cached struct {
	*issuer
	t *testing.T
	v *Verifier
}

func newCached(t *testing.T, change func(*Config)) *cached {
	i := newIssuer(t)
	return &cached{i, t, i.verifier(t, change)}
}

// mustVerify verifies a token of a key, and tells what else it should be.
func (c *cached) mustBe(want error, k signingKey, kid string) {
	c.t.Helper()
	_, err := c.v.Verify(c.t.Context(), sign(c.t, k, c.claims(), object{"typ": "at+jwt", "kid": kid}))
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		c.t.Errorf("key %s: %v, want %v", kid, err, want)
	}
}

// settle waits until no reading is under way.
func (c *cached) settle() {
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
		c.t.Fatal("a reading of keys does not end")
	}
}

func (c *cached) mustHaveAsked(n int64) {
	c.t.Helper()
	c.settle()
	if got := c.asked.Load(); got != n {
		c.t.Errorf("asked for keys %d times, want %d", got, n)
	}
}

// TestNothingIsReadBeforeTheFirstToken: a service starts without its issuer.
func TestNothingIsReadBeforeTheFirstToken(t *testing.T) {
	t.Parallel()
	c := newCached(t, nil)
	c.mustHaveAsked(0)
	for range 10 {
		c.mustBe(nil, es256Key(t), "k1")
	}
	c.mustHaveAsked(1)
	if n := c.introduce.Load(); n != 1 {
		t.Errorf("metadata read %d times", n)
	}
}

// TestKeysAreKeptForMaxAge reads them again afterwards, and lets nobody wait for
// it.
func TestKeysAreKeptForMaxAge(t *testing.T) {
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
			c := newCached(t, nil)
			c.change(func(i *issuer) { i.control = header })
			c.mustBe(nil, es256Key(t), "k1")
			c.clock.advance(life - time.Nanosecond)
			c.mustBe(nil, es256Key(t), "k1")
			c.mustHaveAsked(1)

			gate := make(chan struct{})
			c.change(func(i *issuer) { i.answer = func(http.ResponseWriter) bool { <-gate; return false } })
			c.clock.advance(time.Nanosecond)
			for range 3 {
				c.mustBe(nil, es256Key(t), "k1") // the issuer does not answer meanwhile
			}
			c.v.keys.mu.Lock()
			if c.v.keys.running == nil {
				t.Error("they were waited for")
			}
			c.v.keys.mu.Unlock()
			close(gate)
			c.mustHaveAsked(2)
		})
	}
}

// TestAgeCounts: what a cache on the way kept for a while is not fresh.
func TestAgeCounts(t *testing.T) {
	t.Parallel()
	c := newCached(t, nil)
	c.change(func(i *issuer) {
		i.answer = func(w http.ResponseWriter) bool { w.Header().Set("Age", "290"); return false }
	})
	c.mustBe(nil, es256Key(t), "k1")
	c.clock.advance(10 * time.Second)
	c.mustBe(nil, es256Key(t), "k1")
	c.mustHaveAsked(2)
}

// TestRotation takes a new key without waiting for the end of max-age, and
// forgets one that is published no more.
func TestRotation(t *testing.T) {
	t.Parallel()
	c := newCached(t, nil)
	next := anotherKey(t)
	c.mustBe(nil, es256Key(t), "k1")
	c.publish(next.public("k2"))
	c.clock.advance(DefaultRefetchInterval)
	c.mustBe(nil, next, "k2")
	c.mustBe(ErrInvalidToken, es256Key(t), "k1")
	c.mustHaveAsked(2)
}

// TestUnknownKeysDoNotHammer: a forger makes up keys as fast as he can.
func TestUnknownKeysDoNotHammer(t *testing.T) {
	t.Parallel()
	c := newCached(t, nil)
	c.mustBe(nil, es256Key(t), "k1")
	var crowd sync.WaitGroup
	for second := range 30 {
		for n := range 20 {
			forged := c.sign(t, c.claims(), object{"kid": fmt.Sprintf("forged-%d-%d", second, n)})
			crowd.Go(func() {
				if _, err := c.v.Verify(t.Context(), forged); !errors.Is(err, ErrInvalidToken) {
					t.Errorf("forged: %v", err)
				}
			})
		}
		crowd.Wait()
		c.clock.advance(time.Second)
		c.mustBe(nil, es256Key(t), "k1")
	}
	c.mustHaveAsked(3) // at 0, 10 and 20 seconds
}

// TestOneReadingForAll: many wait for the first keys, and the one who began may
// hang up.
func TestOneReadingForAll(t *testing.T) {
	t.Parallel()
	c := newCached(t, nil)
	begun, gate := make(chan struct{}, 1), make(chan struct{})
	c.change(func(i *issuer) {
		i.answer = func(http.ResponseWriter) bool { begun <- struct{}{}; <-gate; return false }
	})
	good := c.sign(t, c.claims(), nil)
	gone, hangUp := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := c.v.Verify(gone, good); first <- err }()
	<-begun
	hangUp()
	if err := <-first; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up: %v", err)
	}
	var crowd sync.WaitGroup
	for range 50 {
		crowd.Go(func() {
			if _, err := c.v.Verify(t.Context(), good); err != nil {
				t.Error(err)
			}
		})
	}
	close(gate)
	crowd.Wait()
	c.mustHaveAsked(1)
}

// TestIssuerAway: 503 without keys; with keys they serve for a bounded time, and
// the answer is never that a token is invalid which may be good.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	c := newCached(t, func(cfg *Config) { cfg.MaxStale = time.Hour })
	c.down(true)
	h := c.v.Require()(greet)
	w := ask(h, "Authorization", "Bearer "+c.sign(t, c.claims(), nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "2" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("without keys: %d %v", w.Code, w.Header())
	}
	c.mustBe(ErrUnavailable, es256Key(t), "k1")
	c.mustHaveAsked(1) // a second has to pass
	c.down(false)
	c.clock.advance(time.Second)
	c.mustBe(nil, es256Key(t), "k1")
	c.mustHaveAsked(2)

	c.down(true)
	c.clock.advance(5*time.Minute + time.Hour - time.Nanosecond)
	c.mustBe(nil, es256Key(t), "k1")
	c.mustHaveAsked(3)
	c.mustBe(ErrUnavailable, anotherKey(t), "k2") // it may be a new one
	c.clock.advance(time.Nanosecond)
	c.mustBe(ErrUnavailable, es256Key(t), "k1")
	c.mustHaveAsked(3)
	c.clock.advance(time.Second)
	c.mustBe(ErrUnavailable, es256Key(t), "k1")
	c.mustHaveAsked(4)
	c.down(false)
	c.clock.advance(time.Second)
	c.mustBe(nil, es256Key(t), "k1")
}

// TestBadKeySets: what cannot be trusted is as good as no answer.
func TestBadKeySets(t *testing.T) {
	t.Parallel()
	k1 := es256Key(t).public("k1")
	for name, body := range map[string]string{
		"no JSON": "<html>", "no keys": `{}`, "keys null": `{"keys":null}`, "keys an object": `{"keys":{}}`, "a list": `[]`,
		"one kid twice": `{"keys":[` + text(t, k1) + `,` + text(t, anotherKey(t).public("k1")) + `]}`,
		"too long":      `{"keys":[],"x":"` + strings.Repeat("x", maxDocument) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, nil)
			c.change(func(i *issuer) {
				i.answer = func(w http.ResponseWriter) bool { _, _ = w.Write([]byte(body)); return true }
			})
			c.mustBe(ErrUnavailable, es256Key(t), "k1")
		})
	}
}

func text(t testing.TB, k jose.JSONWebKey) string {
	t.Helper()
	return string(must[[]byte](t)(k.MarshalJSON()))
}

// TestUnusableKeys are left out; the others of the set serve.
func TestUnusableKeys(t *testing.T) {
	t.Parallel()
	c := newCached(t, nil)
	k, small := anotherKey(t), must[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // too small on purpose
	encryption, other, private, nameless := k.public("enc"), k.public("es384"), k.public("private"), k.public("")
	encryption.Use, other.Algorithm, private.Key = "enc", "ES384", k.private
	free, edwards := k.public("free"), eddsaKey(t)
	free.Algorithm, free.Use = "", ""
	weak := signingKey{jose.RS256, small}
	symmetric := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "oct", Algorithm: "HS256"}
	c.publish(encryption, other, private, nameless, free, edwards.public("ed"), weak.public("weak"), symmetric, es256Key(t).public("k1"))
	c.mustBe(nil, es256Key(t), "k1")
	c.mustBe(nil, k, "free")
	c.mustBe(nil, edwards, "ed")
	for _, kid := range []string{"enc", "es384", "private", "", "oct"} {
		c.mustBe(ErrInvalidToken, k, kid)
	}
	_, err := c.v.Verify(t.Context(), signWith(t, jose.SigningKey{Algorithm: jose.HS256, Key: symmetric.Key}, c.claims(), object{"typ": "at+jwt", "kid": "oct"}))
	if !errors.Is(err, ErrInvalidToken) {
		t.Errorf("HS256: %v", err)
	}
	if _, known := c.v.keys.current.Load().keys["weak"]; known {
		t.Error("a key of 1024 bits is taken")
	}
}

// TestAllowList refuses what the service does not want, whatever the issuer
// publishes.
func TestAllowList(t *testing.T) {
	t.Parallel()
	c := newCached(t, func(cfg *Config) { cfg.Algorithms = []string{"EdDSA"} })
	edwards := eddsaKey(t)
	c.publish(es256Key(t).public("k1"), edwards.public("ed"))
	c.mustBe(nil, edwards, "ed")
	c.mustBe(ErrInvalidToken, es256Key(t), "k1")
}

// TestMetadata holds the issuer to its name (RFC 8414 §3.3).
func TestMetadata(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(i *issuer){
		"another issuer": func(i *issuer) { i.metadata["issuer"] = "https://evil.example" },
		"with a slash":   func(i *issuer) { i.metadata["issuer"] = i.url + "/" },
		"no issuer":      func(i *issuer) { delete(i.metadata, "issuer") },
		"no key set":     func(i *issuer) { delete(i.metadata, "jwks_uri") },
		"a file":         func(i *issuer) { i.metadata["jwks_uri"] = "file:///etc/passwd" },
		"relative":       func(i *issuer) { i.metadata["jwks_uri"] = "/keys" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, nil)
			c.change(change)
			c.mustBe(ErrUnavailable, es256Key(t), "k1")
			c.mustHaveAsked(0)
		})
	}
	for issuer, want := range map[string]string{
		"https://id.example":          "https://id.example/.well-known/oauth-authorization-server",
		"https://id.example/":         "https://id.example/.well-known/oauth-authorization-server",
		"https://id.example/tenant/1": "https://id.example/.well-known/oauth-authorization-server/tenant/1",
	} {
		if got := metadataURL(issuer); got != want {
			t.Errorf("metadata of %s at %s, want %s", issuer, got, want)
		}
	}
}

// TestRedirects follows one within the issuer's origin only.
func TestRedirects(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"within": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCached(t, nil)
			elsewhere := newIssuer(t)
			mux := http.NewServeMux()
			mux.HandleFunc("GET /keys", c.serveKeys)
			mux.HandleFunc("GET /moved", func(w http.ResponseWriter, r *http.Request) {
				target := "/keys"
				if away {
					target = elsewhere.url + "/keys"
				}
				http.Redirect(w, r, target, http.StatusFound)
			})
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			c.v = c.verifier(t, func(cfg *Config) { cfg.JWKSURL = server.URL + "/moved" })
			want, asked := error(nil), int64(1)
			if away {
				want, asked = ErrUnavailable, 0
			}
			c.mustBe(want, es256Key(t), "k1")
			c.mustHaveAsked(asked)
			if n := elsewhere.asked.Load(); n != 0 {
				t.Errorf("another origin was asked %d times", n)
			}
		})
	}
}

// TestNew names what is wrong with a configuration.
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
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(good()); err != nil {
		t.Error(err)
	}
}
