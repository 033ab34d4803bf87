package main

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"latchkey/keys"
	"latchkey/oauth/server"
	"latchkey/storage"
)

// TestKeysRotateThemselves lets three servers notice at once that their keys
// have signed for long enough.
func TestKeysRotateThemselves(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		const rotation, maxAge = 2160 * time.Hour, time.Hour
		w.apply(clientAlgsDocument) // with a client that wants EdDSA
		nodes := []*node{w.serve(wireIssuer), w.serve(wireIssuer), w.serve(wireIssuer)}
		cached := nodes[0].fetchKeys(t, "/oauth/jwks")
		w.clock.advance(rotation - maxAge - server.KeyMargin)
		w.nudge()
		for _, n := range nodes {
			wireSoon(t, "a successor of each key is announced", func() bool {
				return len(n.fetchKeys(t, "/oauth/jwks").Keys) == 2*len(cached.Keys)
			})
		}
		w.checkSuccessors(t)
		for _, n := range nodes {
			wireVerify(t, n.signedIn(t, "vendor"), jose.ES256, cached)
		}
		fresh := nodes[1].fetchKeys(t, "/oauth/jwks")
		w.clock.advance(maxAge + server.KeyMargin + time.Second)
		for _, n := range nodes {
			token := n.signedIn(t, "vendor")
			wireVerify(t, token, jose.ES256, fresh)
			if len(cached.Key(wireKID(t, token))) != 0 {
				t.Error("the old key signs")
			}
		}
		w.checkAnnouncements(t, len(cached.Keys))
	})
}

// nudge changes the configuration, which every server hears of.
func (w *world) nudge() {
	w.withApp(func(ctx context.Context, a *app) error {
		_, err := a.store.PutSecurityProfile(ctx, storage.SecurityProfile{ID: "nudge", RealmID: storage.DefaultRealmID, Name: "Nudge"})
		return err
	})
}

// checkSuccessors demands one key of each algorithm that signs and one that
// will.
func (w *world) checkSuccessors(t *testing.T) {
	t.Helper()
	w.withApp(func(ctx context.Context, a *app) error {
		if err := a.openRing(ctx); err != nil {
			return err
		}
		infos, err := a.ring.List(ctx)
		count := map[string]int{}
		for _, k := range infos {
			count[k.Alg+" "+string(k.State)]++
		}
		for _, alg := range []string{keys.ES256, keys.RS256, keys.EdDSA} {
			if count[alg+" active"] != 1 || count[alg+" announced"] != 1 {
				t.Errorf("keys: %v, want one active and one announced %s key", count, alg)
			}
		}
		return err
	})
}

// checkAnnouncements demands an audit event of each announced key.
func (w *world) checkAnnouncements(t *testing.T, want int) {
	t.Helper()
	wireSoon(t, "every announcement is in the audit log, once", func() bool {
		found := 0
		w.withApp(func(ctx context.Context, a *app) error {
			page, err := a.store.ListAuditEvents(ctx, storage.Query{Limit: 100})
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

// TestEmergencyRevocation has one server revoke a key while another is asked
// about its tokens.
func TestEmergencyRevocation(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		first, second := w.serve(wireIssuer), w.serve(wireIssuer)
		token := first.signIn("jane", janesPassword).mustIssue(t)
		kid := wireKID(t, token)
		if a := second.introspect(token); a.field("username") != "jane" {
			t.Fatalf("before: %s", a.body)
		}
		w.withApp(func(ctx context.Context, a *app) error {
			if err := a.openRing(ctx); err != nil {
				return err
			}
			return a.ring.Revoke(ctx, kid)
		})
		for _, n := range []*node{first, second} {
			wireSoon(t, "the key's tokens are inactive", func() bool { return n.introspect(token).body == `{"active":false}` })
			if a := n.do(http.MethodGet, "/oauth/certs/"+kid, "", ""); a.status != http.StatusNotFound {
				t.Errorf("the revoked key: %d %s", a.status, a.body)
			}
		}
		next := second.signIn("jane", janesPassword).mustIssue(t)
		if a := first.introspect(next); wireKID(t, next) == kid || a.field("username") != "jane" {
			t.Errorf("a token of the new key: %s", a.body)
		}
	})
}
