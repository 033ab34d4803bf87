package tokens

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
	"latchkey/test/e2e/kit"
)

// TestForgedTokensAtAService tests that the middleware of a service, with the keys of a real
// server, refuses all forged tokens that the server refuses.
func TestForgedTokensAtAService(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		c := &tokenTest{w, w.Serve(kit.SharedIssuer)}
		v, err := resource.New(resource.Config{
			Issuer: "https://login.example.com", Audiences: []string{"https://login.example.com"},
			JWKSURL: c.node.URL + "/oauth/jwks", Leeway: time.Nanosecond, Now: w.Clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.WithRing(t, func(ring *keys.Ring) { c.atAService(t, ring, v) })
	})
}

func (c *tokenTest) atAService(t *testing.T, ring *keys.Ring, v *resource.Verifier) {
	f := &kit.TokenForger{T: t, Ring: ring, Real: c.node.SignIn("jane", kit.Password).AccessToken(t)}
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { f.Fetched.Add(1) }))
	defer trap.Close()
	_, f.Claims = verifyEverywhere(c.node, t, f.Real, jose.ES256)
	f.ES256KeyID, f.RS256KeyID = f.Key("ES256").KID, f.Key("RS256").KID
	genuine, claims := genuine(f), otherClaims(f)
	delete(genuine, "of a clock ahead") // this clock differs by more than the leeway
	for what, token := range genuine {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: got %v for a genuine token, want no error", what, err)
		}
	}
	for _, forgeries := range []map[string]string{claims, otherHeaders(f, trap.URL), otherKeys(f), otherText(f)} {
		for what, token := range forgeries {
			// These tokens are validly signed, and only the server can know that they are
			// wrong.
			if slices.Contains([]string{"another client", "client gone", "user gone", "login gone", "user with NUL", "token id with NUL"}, what) {
				continue
			}
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, resource.ErrInvalidToken) {
				t.Errorf("%s: got %v, want resource.ErrInvalidToken", what, err)
			}
		}
	}
	if n := f.Fetched.Load(); n != 0 {
		t.Errorf("got %d requests to the address in a header, want none", n)
	}
}
