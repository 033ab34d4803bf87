package keys

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/keys"
	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestKeysRotateThemselves lets three servers find at the same time that their signing keys are
// old enough. One successor is announced for each algorithm.
func TestKeysRotateThemselves(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const rotation, maxAge = 2160 * time.Hour, time.Hour
		w.Apply(kit.ClientAlgsDocument) // adds a client with EdDSA
		nodes := []*kit.Server{w.Serve(kit.SharedIssuer), w.Serve(kit.SharedIssuer), w.Serve(kit.SharedIssuer)}
		cached := nodes[0].FetchKeys(t, "/oauth/jwks")
		w.Clock.Advance(rotation - maxAge - server.KeyMargin)
		nudge(w)
		for _, n := range nodes {
			kit.Eventually(t, "a successor of each key is announced", func() bool {
				return len(n.FetchKeys(t, "/oauth/jwks").Keys) == 2*len(cached.Keys)
			})
		}
		checkSuccessors(w, t)
		for _, n := range nodes {
			kit.VerifyToken(t, n.JanesToken(t, "vendor"), jose.ES256, cached)
		}
		fresh := nodes[1].FetchKeys(t, "/oauth/jwks")
		w.Clock.Advance(maxAge + server.KeyMargin + time.Second)
		for _, n := range nodes {
			token := n.JanesToken(t, "vendor")
			kit.VerifyToken(t, token, jose.ES256, fresh)
			if len(cached.Key(kit.KeyID(t, token))) != 0 {
				t.Error("got a token signed by the old key")
			}
		}
		checkAnnouncements(w, t, len(cached.Keys))
	})
}

// nudge changes the configuration, which every server learns of.
func nudge(w *kit.Fixture) {
	w.WithApp(func(ctx context.Context, a *server.App) error {
		_, err := a.Store.PutSecurityProfile(ctx, storage.SecurityProfile{ID: "nudge", RealmID: storage.DefaultRealmID, Name: "Nudge"})
		return err
	})
}

// checkSuccessors expects one active and one announced key of each algorithm.
func checkSuccessors(w *kit.Fixture, t *testing.T) {
	t.Helper()
	w.WithApp(func(ctx context.Context, a *server.App) error {
		if err := a.OpenRing(ctx); err != nil {
			return err
		}
		infos, err := a.Ring.List(ctx)
		count := map[string]int{}
		for _, k := range infos {
			count[k.Alg+" "+string(k.State)]++
		}
		for _, alg := range []string{keys.ES256, keys.RS256, keys.EdDSA} {
			if count[alg+" active"] != 1 || count[alg+" announced"] != 1 {
				t.Errorf("keys: got %v, want one active and one announced %s key", count, alg)
			}
		}
		return err
	})
}

// checkAnnouncements expects an audit event of each announced key.
func checkAnnouncements(w *kit.Fixture, t *testing.T, want int) {
	t.Helper()
	kit.Eventually(t, "every announcement is in the audit log, once", func() bool {
		found := 0
		w.WithApp(func(ctx context.Context, a *server.App) error {
			page, err := a.Store.ListAuditEvents(ctx, storage.Query{Limit: 100})
			for _, e := range page.Items {
				if e.Action == "signingkey.announced" {
					found++
				}
			}
			return err
		})
		return found == want
	})
}

// TestEmergencyRevocation revokes a key at one server. Tokens that the key has signed must be
// inactive at the other server.
func TestEmergencyRevocation(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		first, second := w.Serve(kit.SharedIssuer), w.Serve(kit.SharedIssuer)
		token := first.SignIn("jane", kit.Password).AccessToken(t)
		kid := kit.KeyID(t, token)
		if a := second.Introspect(token); a.Field("username") != "jane" {
			t.Fatalf("before: got %s", a.Body)
		}
		w.WithApp(func(ctx context.Context, a *server.App) error {
			if err := a.OpenRing(ctx); err != nil {
				return err
			}
			return a.Ring.Revoke(ctx, kid)
		})
		for _, n := range []*kit.Server{first, second} {
			kit.Eventually(t, "the key's tokens are inactive", func() bool { return n.Introspect(token).Body == `{"active":false}` })
			if a := n.Do(http.MethodGet, "/oauth/certs/"+kid, "", ""); a.Status != http.StatusNotFound {
				t.Errorf("the revoked key: got %d %s, want 404", a.Status, a.Body)
			}
		}
		next := second.SignIn("jane", kit.Password).AccessToken(t)
		if a := first.Introspect(next); kit.KeyID(t, next) == kid || a.Field("username") != "jane" {
			t.Errorf("a token of the new key: got %s", a.Body)
		}
	})
}
