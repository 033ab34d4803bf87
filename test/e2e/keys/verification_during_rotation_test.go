package keys

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/keys"
	"latchkey/oauth/resource"
	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// These are resource servers that know only the issuer of the server.

// service is a service behind the middleware.
type service struct {
	t   *testing.T
	url string
}

// startService starts a service for the tokens of the server's issuer.
func startService(w *kit.Fixture, t *testing.T, n *kit.Server, change func(*resource.Config)) *service {
	t.Helper()
	cfg := resource.Config{Issuer: n.URL, Audiences: []string{n.URL}, Now: w.Clock.Now}
	if change != nil {
		change(&cfg)
	}
	v, err := resource.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /things", v.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resource.FromContext(r.Context())
		_, _ = io.WriteString(w, token.Subject)
	})))
	mux.Handle("GET /checkout", v.RequireAccountMember()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := resource.AccountMemberFromContext(r.Context())
		_, _ = io.WriteString(w, member.Account.ID)
	})))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &service{t, server.URL}
}

// takes returns the status with which the service answers a token.
func (p *service) takes(token string) int {
	return p.get("/things", "Authorization", "Bearer "+token).Status
}

func (p *service) get(path string, header ...string) kit.Response {
	n := kit.Server{T: p.t, URL: p.url}
	return n.Do(http.MethodGet, path, "", "", header...)
}

// machine creates a client whose tokens cost little.
func machine(w *kit.Fixture, t *testing.T) kit.Client {
	t.Helper()
	return w.CreateClient(t, "--name", "Machine", "--grant", "client_credentials", "--role", "Reader")
}

func tokenOf(n *kit.Server, c kit.Client) string {
	a := n.Form("/oauth/token", "grant_type", "client_credentials", "client_id", c.ID, "client_secret", c.Secret)
	if a.Status != http.StatusOK {
		n.T.Errorf("no token: got %d %s, want 200", a.Status, a.Body)
	}
	return a.Field("access_token")
}

// rotationTest is a server whose keys rotate, and a service that relies only on the max-age of
// the key set.
type rotationTest struct {
	*kit.Fixture
	t       *testing.T
	server  *kit.Server
	machine kit.Client
	service *service
	since   time.Time // time since which the present key signs
	kept    []string  // tokens that are checked until they expire
	kids    map[string]bool
	checked int
}

const (
	protectedRotation = time.Hour
	protectedMaxAge   = 5 * time.Minute
	perSecond         = 100
)

// TestNoVerificationFailsWhileKeysRotate rotates the keys ten times, with a hundred tokens a
// second around each rotation. A service that fetches the key set only after its max-age must
// verify all of them.
func TestNoVerificationFailsWhileKeysRotate(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		machine := machine(w, t)
		n := w.Serve("LATCHKEY_JWKS_MAX_AGE="+protectedMaxAge.String(), "LATCHKEY_KEY_ROTATION="+protectedRotation.String())
		r := &rotationTest{Fixture: w, t: t, server: n, machine: machine, since: w.Clock.Now(), kids: map[string]bool{}}
		r.service = startService(w, t, n, func(cfg *resource.Config) { cfg.RefetchInterval = 10_000 * time.Hour })
		r.busy(1)
		for range 10 {
			r.rotate()
		}
		if len(r.kids) != 11 || r.checked < 10*4*perSecond {
			t.Errorf("got %d signing keys and %d checked tokens, want more", len(r.kids), r.checked)
		}
	})
}

// rotate advances the time until the next key signs. The service reads the key set just before
// the successor is announced, so it learns of the successor as late as possible.
func (r *rotationTest) rotate() {
	r.t.Helper()
	due := r.since.Add(protectedRotation - protectedMaxAge - server.KeyMargin)
	r.waitUntil(due.Add(-time.Second), protectedMaxAge)
	r.Clock.Advance(2 * time.Second)
	at := r.announced()
	r.busy(1)
	r.waitUntil(at.Add(-1500*time.Millisecond), time.Minute)
	r.busy(3) // the successor starts to sign in this period
	r.since = at
}

// waitUntil advances the time in steps with few tokens.
func (r *rotationTest) waitUntil(end time.Time, step time.Duration) {
	r.t.Helper()
	for left := end.Sub(r.Clock.Now()); left > 0; left = end.Sub(r.Clock.Now()) {
		r.Clock.Advance(min(left, step))
		r.check(tokenOf(r.server, r.machine))
		r.settle()
	}
}

// announced lets the server maintain its keys, as it does every half minute, and returns the
// time at which the announced key will sign.
func (r *rotationTest) announced() (at time.Time) {
	r.t.Helper()
	kit.Eventually(r.t, "a successor is announced", func() bool {
		r.WithApp(func(ctx context.Context, a *server.App) error {
			_, err := a.Store.PutSecurityProfile(ctx, storage.SecurityProfile{
				ID: "nudge", RealmID: storage.DefaultRealmID, Name: fmt.Sprint("Nudge at ", r.Clock.Now()),
			})
			return err
		})
		r.WithRing(r.t, func(ring *keys.Ring) { at = r.next(ring) })
		return !at.IsZero()
	})
	return at
}

// next returns the time at which the announced ES256 key will sign, or zero if there is none.
func (r *rotationTest) next(ring *keys.Ring) (at time.Time) {
	infos, err := ring.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, k := range infos {
		if k.Alg == keys.ES256 && k.State == keys.StateAnnounced {
			at = k.ActivatesAt
		}
	}
	return at
}

// busy issues and checks tokens for a number of seconds.
func (r *rotationTest) busy(seconds int) {
	r.t.Helper()
	for range seconds {
		tokens := make([]string, perSecond)
		var crowd sync.WaitGroup
		var next atomic.Int64
		for range 4 {
			crowd.Go(func() {
				for i := next.Add(1) - 1; i < perSecond; i = next.Add(1) - 1 {
					tokens[i] = tokenOf(r.server, r.machine)
					if status := r.service.takes(tokens[i]); status != http.StatusOK {
						r.t.Errorf("a fresh token: got %d, want %d", status, http.StatusOK)
					}
				}
			})
		}
		crowd.Wait()
		r.checked += perSecond
		r.check(tokens[0])
		r.Clock.Advance(time.Second)
	}
}

// check verifies a token at the service and keeps the token.
func (r *rotationTest) check(token string) {
	r.t.Helper()
	r.kids[kit.KeyID(r.t, token)] = true
	r.kept = append(r.kept, token)
	if status := r.service.takes(token); status != http.StatusOK {
		r.t.Errorf("a fresh token: got %d, want %d", status, http.StatusOK)
	}
}

// settle checks the kept tokens that have not expired, whichever key signed them.
func (r *rotationTest) settle() {
	r.t.Helper()
	var valid []string
	for _, token := range r.kept {
		_, claims := kit.DecodeJWT(r.t, token)
		if exp, _ := claims["exp"].(float64); r.Clock.Now().Unix()+30 > int64(exp) {
			continue
		}
		valid = append(valid, token)
		if status := r.service.takes(token); status != http.StatusOK {
			r.t.Errorf("a token that expires at %v: got %d, want %d", claims["exp"], status, http.StatusOK)
		}
	}
	r.kept = valid
}

// TestKeyRevokedInAnEmergency tests that tokens of a revoked key are inactive at once at
// introspection, and refused by services after the max-age at the latest. The next key signs at
// once without an announcement. So services that do not fetch unknown keys refuse its tokens,
// which is why other keys are announced.
func TestKeyRevokedInAnEmergency(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		machine := machine(w, t)
		n := w.Serve("LATCHKEY_JWKS_MAX_AGE=" + protectedMaxAge.String())
		looking := startService(w, t, n, nil)
		waiting := startService(w, t, n, func(cfg *resource.Config) { cfg.RefetchInterval = 10_000 * time.Hour })
		old := n.SignIn("jane", kit.Password).AccessToken(t)
		for name, service := range map[string]*service{"looking": looking, "waiting": waiting} {
			if status := service.takes(old); status != http.StatusOK {
				t.Fatalf("%s before: got %d, want %d", name, status, http.StatusOK)
			}
		}
		w.WithApp(func(ctx context.Context, a *server.App) error {
			if err := a.OpenRing(ctx); err != nil {
				return err
			}
			return a.Ring.Revoke(ctx, kit.KeyID(t, old))
		})
		kit.Eventually(t, "the key's tokens are inactive", func() bool { return n.Introspect(old).Body == `{"active":false}` })
		next := tokenOf(n, machine)
		if kit.KeyID(t, next) == kit.KeyID(t, old) {
			t.Fatal("got a token signed by the revoked key")
		}
		w.Clock.Advance(resource.DefaultRefetchInterval)
		if status := looking.takes(next); status != http.StatusOK {
			t.Errorf("a token of the next key: got %d, want %d", status, http.StatusOK)
		}
		if status := looking.takes(old); status != http.StatusUnauthorized {
			t.Errorf("a token of the revoked key: got %d, want %d", status, http.StatusUnauthorized)
		}
		if status := waiting.takes(next); status != http.StatusUnauthorized {
			t.Errorf("a key that signs at once, at a service that relies on max-age: got %d, want 401", status)
		}
		w.Clock.Advance(protectedMaxAge)
		kit.Eventually(t, "all services have the new keys", func() bool {
			return waiting.takes(next) == http.StatusOK && waiting.takes(old) == http.StatusUnauthorized
		})
	})
}
