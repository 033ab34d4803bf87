package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/keys"
	"latchkey/oauth/resource"
)

// TestForgedTokensAtAService presents to the middleware, which has the keys from
// a real server, all forgeries that the server itself refuses (F5, F12).
func TestForgedTokensAtAService(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		c := &tokenTest{w, w.serve(wireIssuer)}
		v, err := resource.New(resource.Config{
			Issuer: "https://login.example.com", Audiences: []string{"https://login.example.com"},
			JWKSURL: c.node.url + "/oauth/jwks", Leeway: time.Nanosecond, Now: w.clock.now,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.wireRing(t, func(ring *keys.Ring) { c.atAService(t, ring, v) })
	})
}

func (c *tokenTest) atAService(t *testing.T, ring *keys.Ring, v *resource.Verifier) {
	f := &forge{t: t, ring: ring, real: c.node.signIn("jane", janesPassword).mustIssue(t)}
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.fetched.Add(1) }))
	defer trap.Close()
	_, f.claims = c.node.verifyEverywhere(t, f.real, jose.ES256)
	f.kid, f.rsaKID = f.key("ES256").KID, f.key("RS256").KID
	genuine, claims := f.genuine(), f.otherClaims()
	delete(genuine, "of a clock ahead") // further than the leeway allows
	for what, token := range genuine {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v, so the forgeries prove nothing", what, err)
		}
	}
	for _, forgeries := range []map[string]string{claims, f.otherHeaders(trap.URL), f.otherKeys(), f.otherText()} {
		for what, token := range forgeries {
			// What only the server knows, whoever has its key could say.
			if slices.Contains([]string{"another client", "client gone", "user gone", "login gone", "user with NUL", "token id with NUL"}, what) {
				continue
			}
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, resource.ErrInvalidToken) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if n := f.fetched.Load(); n != 0 {
		t.Errorf("%d requests to the address in a header", n)
	}
}
