package keys_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/storage"
)

// rotateAfter is RingConfig.RotateAfter in these tests.
const rotateAfter = 30 * 24 * time.Hour

// rotatingReplica returns a ring whose keys rotate in Maintain.
func rotatingReplica(t testing.TB, store keys.KeyStore, now func() time.Time) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(context.Background(), keys.RingConfig{
		Store: store, Sealer: newSealer(t), Algs: []string{keys.ES256}, RotateAfter: rotateAfter, Now: now,
	})
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	return r
}

func mustMaintain(t testing.TB, r *keys.Ring, also ...string) []keys.KeyInfo {
	t.Helper()
	if err := r.Reload(context.Background()); err != nil {
		t.Fatalf("Reload: %v", err)
	}
	announced, err := r.Maintain(context.Background(), also...)
	if err != nil {
		t.Fatalf("Maintain: %v", err)
	}
	return announced
}

func TestMaintainAnnounces(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	r := rotatingReplica(t, store, c.Now)
	first, start := signingKID(t, r, ""), c.Now()
	for _, wait := range []time.Duration{0, rotateAfter / 2, rotateAfter/2 - keys.DefaultPublishAhead - 1} {
		c.Advance(wait)
		if got := mustMaintain(t, r); got != nil {
			t.Fatalf("%v too early: got %+v, want none", start.Add(rotateAfter).Sub(c.Now()), got)
		}
	}
	c.Advance(1)
	announced := mustMaintain(t, r)
	if len(announced) != 1 {
		t.Fatalf("got the announced keys %+v, want one", announced)
	}
	want := keys.KeyInfo{
		KID: announced[0].KID, Alg: keys.ES256, State: keys.StateAnnounced, CreatedAt: c.Now(), ActivatesAt: start.Add(rotateAfter),
	}
	if diff := cmp.Diff(want, announced[0]); diff != "" {
		t.Errorf("the successor (-want +got):\n%s", diff)
	}
	if again := mustMaintain(t, r); again != nil {
		t.Errorf("a second call: got the announced keys %+v, want none", again)
	}
	c.Advance(keys.DefaultPublishAhead - 1)
	if got := signingKID(t, r, ""); got != first {
		t.Errorf("got the signer %s before its time", got)
	}
	c.Advance(1)
	if got := signingKID(t, r, ""); got != want.KID {
		t.Errorf("got the signer %s, want the successor", got)
	}
}

// TestMaintainAfterALongStop tests that a key that is long overdue still signs, and that its
// successor is announced for PublishAhead.
func TestMaintainAfterALongStop(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	first := signingKID(t, rotatingReplica(t, store, c.Now), "")
	c.Advance(365 * 24 * time.Hour)
	r := rotatingReplica(t, store, c.Now)
	announced := mustMaintain(t, r)
	if len(announced) != 1 || !announced[0].ActivatesAt.Equal(c.Now().Add(keys.DefaultPublishAhead)) || signingKID(t, r, "") != first {
		t.Errorf("got the announced keys %+v and the signer %s", announced, signingKID(t, r, ""))
	}
}

func TestMaintainRotatesOnlyListedAlgorithms(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	never := replica(t, store, c, keys.ES256, keys.EdDSA)
	c.Advance(10 * rotateAfter)
	if got := mustMaintain(t, never); got != nil {
		t.Errorf("without RotateAfter: got %+v, want none", got)
	}
	if got := mustMaintain(t, rotatingReplica(t, store, c.Now)); len(got) != 1 || got[0].Alg != keys.ES256 {
		t.Errorf("got the announced keys %+v, want ES256 alone", got)
	}
	r := rotatingReplica(t, store, c.Now)
	got := mustMaintain(t, r, keys.EdDSA, keys.EdDSA, keys.RS256)
	if len(got) != 2 || got[0].State != keys.StateAnnounced || got[0].Alg != keys.EdDSA || got[1].State != keys.StateActive {
		t.Errorf("got the announced keys %+v, want a successor for EdDSA and a first key for RS256", got)
	}
	if _, err := r.Maintain(ctx, "HS256"); !errors.Is(err, keys.ErrUnsupportedAlg) {
		t.Errorf("Maintain(HS256): got %v, want keys.ErrUnsupportedAlg", err)
	}
}

func TestMaintainUsesTheStoreOnlyIfDue(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	r := rotatingReplica(t, store, c.Now)
	store.fail = storage.ErrUnavailable
	if _, err := r.Maintain(context.Background()); err != nil {
		t.Errorf("nothing is due: got %v, want no error", err)
	}
	c.Advance(rotateAfter)
	if _, err := r.Maintain(context.Background()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a successor is due: got %v, want ErrUnavailable", err)
	}
	mustSign(t, r, "", claimsAt(c.Now()))
}

func TestMaintainDeletesOldKeys(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	r := rotatingReplica(t, store, c.Now)
	first := signingKID(t, r, "")
	c.Advance(rotateAfter - keys.DefaultPublishAhead)
	mustMaintain(t, r)
	has := func(kid string) bool {
		return slices.ContainsFunc(store.keys, func(k storage.SigningKey) bool { return k.KID == kid })
	}
	c.Advance(keys.DefaultPublishAhead + keys.DefaultMaxTokenLife + 24*time.Hour - 1)
	if mustMaintain(t, r); !has(first) {
		t.Error("the key was deleted before its day has passed")
	}
	c.Advance(1)
	if mustMaintain(t, r); has(first) || len(store.keys) != 1 {
		t.Errorf("got %d remaining keys, want 1", len(store.keys))
	}
	store.keys = append(store.keys, storage.SigningKey{KID: "revoked", Alg: keys.ES256, Predecessor: "-", RevokedAt: c.Now()})
	c.Advance(keys.DefaultMaxTokenLife + 24*time.Hour - 1)
	if mustMaintain(t, r); !has("revoked") {
		t.Error("a revoked key was deleted too early")
	}
	c.Advance(1)
	if mustMaintain(t, r); has("revoked") {
		t.Error("a revoked key was not deleted")
	}
	// The key that signs is not deleted, even if it is long overdue.
	store.keys[0].RetiresAt, store.keys[0].GoneAt = c.Now(), c.Now()
	c.Advance(10 * 24 * time.Hour)
	never := replica(t, store, c, keys.ES256)
	if mustMaintain(t, never); len(store.keys) != 1 {
		t.Error("the key that signs was deleted")
	}
	mustSign(t, never, "", claimsAt(c.Now()))
}

// concurrentSuccessors returns the keys that many replicas announce if all of them read the
// store before any of them has announced a key.
func concurrentSuccessors(t *testing.T, store *fakeStore, act func(*keys.Ring) error) (kids map[string]bool) {
	t.Helper()
	const replicas = 16
	c := newClock()
	rings := make([]*keys.Ring, replicas)
	for i := range rings {
		skew := time.Duration(i) * time.Minute / replicas
		rings[i] = rotatingReplica(t, store, func() time.Time { return c.Now().Add(skew) })
	}
	first := signingKID(t, rings[0], "")
	c.Advance(rotateAfter)
	firstRead, secondRead := waitForEachOther(replicas), waitForEachOther(replicas) // before and after a replica generates a key
	var reads atomic.Int64
	store.afterGet = func() {
		if reads.Add(1) <= replicas {
			firstRead()
		} else {
			secondRead()
		}
	}
	var all sync.WaitGroup
	for _, r := range rings {
		all.Go(func() {
			if err := act(r); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	kids = map[string]bool{}
	for _, k := range store.keys {
		if k.KID != first {
			kids[k.KID] = true
		}
	}
	c.Advance(2 * keys.DefaultPublishAhead)
	for i, r := range rings {
		if err := r.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		if kid := signingKID(t, r, ""); kid == first || !kids[kid] {
			t.Errorf("replica %d signs with %s", i, kid)
		}
	}
	return kids
}

func TestOneSuccessorOfManyReplicas(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, act := range map[string]func(*keys.Ring) error{
		"maintain": func(r *keys.Ring) error { _, err := r.Maintain(ctx); return err },
		"rotate":   func(r *keys.Ring) error { _, err := r.Rotate(ctx, ""); return err },
	} {
		if got := concurrentSuccessors(t, &fakeStore{}, act); len(got) != 1 {
			t.Errorf("%s: got %d successors, want 1", name, len(got))
		}
		if got := concurrentSuccessors(t, &fakeStore{naive: true}, act); len(got) < 2 {
			t.Errorf("%s: %d successors in a naive store, so the replicas did not race", name, len(got))
		}
	}
}

// TestConcurrentRevocations tests that a new key signs if the signing key and its announced
// successor are revoked at the same time.
func TestConcurrentRevocations(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	rings := []*keys.Ring{replica(t, store, c, keys.ES256), replica(t, store, c, keys.ES256)}
	first := signingKID(t, rings[0], "")
	next, err := rings[0].Rotate(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	store.afterGet = waitForEachOther(2)
	var both sync.WaitGroup
	for i, kid := range []string{first, next.KID} {
		both.Go(func() {
			if err := rings[i].Revoke(ctx, kid); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		})
	}
	both.Wait()
	for i, r := range rings {
		if err := r.Reload(ctx); err != nil {
			t.Fatal(err)
		}
		if kid := signingKID(t, r, ""); kid == first || kid == next.KID {
			t.Errorf("replica %d signs with a revoked key", i)
		}
	}
}

// resourceServers represents all resource servers. Each caches a key set of one of the replicas
// for maxAge and gets tokens of any age.
type resourceServers struct {
	maxAge, tokenLife time.Duration
	sets              []publishedSet // oldest first
	tokens            []signedToken  // oldest first
}

type publishedSet struct {
	at  time.Time
	set jose.JSONWebKeySet
}

type signedToken struct {
	at  time.Time
	kid string
	raw string // if empty, only the kid matters
}

// failures returns the number of failed verifications in the two worst cases: the oldest cached
// key sets with the newest tokens, and the newest key sets with the oldest tokens.
func (a *resourceServers) failures(t *testing.T, now time.Time) (n int) {
	t.Helper()
	a.sets = slices.DeleteFunc(a.sets, func(p publishedSet) bool { return now.Sub(p.at) > a.maxAge })
	a.tokens = slices.DeleteFunc(a.tokens, func(f signedToken) bool { return now.Sub(f.at) >= a.tokenLife })
	const each = 3 // number of replicas; each publishes a set and signs a token per step
	for _, worst := range []struct {
		sets   []publishedSet
		tokens []signedToken
	}{
		{a.sets[:each], a.tokens[len(a.tokens)-each:]},
		{a.sets[len(a.sets)-each:], a.tokens[:each]},
	} {
		for _, p := range worst.sets {
			for _, f := range worst.tokens {
				if !f.verifies(t, p.set) {
					n++
				}
			}
		}
	}
	return n
}

func (f signedToken) verifies(t *testing.T, set jose.JSONWebKeySet) bool {
	t.Helper()
	found := set.Key(f.kid)
	if len(found) != 1 || f.raw == "" {
		return len(found) == 1
	}
	parsed, err := josejwt.ParseSigned(f.raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Headers[0].KeyID == f.kid && parsed.Claims(found[0]) == nil
}

// TestTenRotations rotates ten times while three replicas sign. The clocks of the replicas
// differ by up to a minute, and replicas learn of changes half a minute late. Resource servers
// cache the key set for its whole max-age.
func TestTenRotations(t *testing.T) {
	t.Parallel()
	if failures, used := rotateTenTimes(t, time.Hour+2*time.Minute, 2*time.Hour+2*time.Minute); failures > 0 || used != 11 {
		t.Errorf("got %d failed verifications with %d keys, want none with 11", failures, used)
	}
	if failures, _ := rotateTenTimes(t, time.Hour, 2*time.Hour+2*time.Minute); failures == 0 {
		t.Error("keys that are announced for the max-age only: got no failure, want one")
	}
	if failures, _ := rotateTenTimes(t, time.Hour+2*time.Minute, 2*time.Hour); failures == 0 {
		t.Error("keys that end before their tokens: got no failure, want one")
	}
}

// rotateTenTimes returns the number of failed verifications, up to the first few, and the
// number of keys that signed.
func rotateTenTimes(t *testing.T, publishAhead, keep time.Duration) (failures, used int) {
	t.Helper()
	const period, tick = 4 * time.Hour, 30 * time.Second
	store, c := &fakeStore{}, newClock()
	var rings []*keys.Ring
	for _, skew := range []time.Duration{0, 30 * time.Second, time.Minute} {
		r, err := keys.NewRing(context.Background(), keys.RingConfig{
			Store: store, Sealer: newSealer(t), Algs: []string{keys.ES256}, PublishAhead: publishAhead, RotateAfter: period,
			MaxTokenLife: keep, Now: func() time.Time { return c.Now().Add(skew) },
		})
		if err != nil {
			t.Fatal(err)
		}
		rings = append(rings, r)
	}
	a := resourceServers{maxAge: time.Hour, tokenLife: 2 * time.Hour}
	kids := map[string]bool{}
	for step := 0; len(kids) < 11 && failures < 3 && step < 12*int(period/tick); step++ {
		c.Advance(tick)
		for i, r := range rings {
			kid := signingKID(t, r, "")
			kids[kid] = true
			f := signedToken{at: c.Now(), kid: kid}
			if step%8 == i {
				claims := claimsAt(c.Now())
				claims["exp"] = c.Now().Add(a.tokenLife).Unix()
				f.raw = mustSign(t, r, "", claims)
			}
			a.tokens = append(a.tokens, f)
			a.sets = append(a.sets, publishedSet{c.Now(), r.PublicSet()})
			for _, other := range rings {
				if _, err := other.VerificationKey(kid); err != nil {
					t.Fatalf("a fresh token at another replica: got %v, want no error", err)
				}
			}
		}
		failures += a.failures(t, c.Now())
		for i := range rings { // the first replica announces
			mustMaintain(t, rings[(step+i)%len(rings)])
		}
	}
	return failures, len(kids)
}
