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

// turn is how long a key of the tests signs.
const turn = 30 * 24 * time.Hour

// turning is a replica whose keys rotate by themselves.
func turning(t testing.TB, store keys.KeyStore, now func() time.Time) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(context.Background(), keys.RingConfig{
		Store: store, Sealer: newSealer(t), Algs: []string{keys.ES256}, RotateAfter: turn, Now: now,
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

func TestMaintainAnnouncesInTime(t *testing.T) {
	t.Parallel()
	store, c := &memory{}, newClock()
	r := turning(t, store, c.Now)
	first, start := signingKID(t, r, ""), c.Now()
	for _, wait := range []time.Duration{0, turn / 2, turn/2 - keys.DefaultPublishAhead - 1} {
		c.Advance(wait)
		if got := mustMaintain(t, r); got != nil {
			t.Fatalf("%v too early: %+v", start.Add(turn).Sub(c.Now()), got)
		}
	}
	c.Advance(1)
	announced := mustMaintain(t, r)
	if len(announced) != 1 {
		t.Fatalf("announced %+v, want one key", announced)
	}
	want := keys.KeyInfo{
		KID: announced[0].KID, Alg: keys.ES256, State: keys.StateAnnounced, CreatedAt: c.Now(), ActivatesAt: start.Add(turn),
	}
	if diff := cmp.Diff(want, announced[0]); diff != "" {
		t.Errorf("the successor (-want +got):\n%s", diff)
	}
	if again := mustMaintain(t, r); again != nil {
		t.Errorf("announced twice: %+v", again)
	}
	c.Advance(keys.DefaultPublishAhead - 1)
	if got := signingKID(t, r, ""); got != first {
		t.Errorf("%s signs too early", got)
	}
	c.Advance(1)
	if got := signingKID(t, r, ""); got != want.KID {
		t.Errorf("%s signs, want the successor", got)
	}
}

// TestMaintainAfterALongStop has nobody look for a year: the key signs on, and
// its successor is announced for as long as any other.
func TestMaintainAfterALongStop(t *testing.T) {
	t.Parallel()
	store, c := &memory{}, newClock()
	first := signingKID(t, turning(t, store, c.Now), "")
	c.Advance(365 * 24 * time.Hour)
	r := turning(t, store, c.Now)
	announced := mustMaintain(t, r)
	if len(announced) != 1 || !announced[0].ActivatesAt.Equal(c.Now().Add(keys.DefaultPublishAhead)) || signingKID(t, r, "") != first {
		t.Errorf("announced %+v, %s signs", announced, signingKID(t, r, ""))
	}
}

func TestMaintainLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &memory{}, newClock()
	never := replica(t, store, c, keys.ES256, keys.EdDSA)
	c.Advance(10 * turn)
	if got := mustMaintain(t, never); got != nil {
		t.Errorf("without RotateAfter: %+v", got)
	}
	if got := mustMaintain(t, turning(t, store, c.Now)); len(got) != 1 || got[0].Alg != keys.ES256 {
		t.Errorf("announced %+v, want ES256 alone: nobody uses EdDSA", got)
	}
	r := turning(t, store, c.Now)
	got := mustMaintain(t, r, keys.EdDSA, keys.EdDSA, keys.RS256)
	if len(got) != 2 || got[0].State != keys.StateAnnounced || got[0].Alg != keys.EdDSA || got[1].State != keys.StateActive {
		t.Errorf("announced %+v, want a successor for EdDSA and a first key for RS256", got)
	}
	if _, err := r.Maintain(ctx, "HS256"); !errors.Is(err, keys.ErrUnsupportedAlg) {
		t.Errorf("Maintain(HS256) = %v", err)
	}
}

func TestMaintainAsksOnlyWhenItMust(t *testing.T) {
	t.Parallel()
	store, c := &memory{}, newClock()
	r := turning(t, store, c.Now)
	store.fail = storage.ErrUnavailable
	if _, err := r.Maintain(context.Background()); err != nil {
		t.Errorf("nothing is due: %v", err)
	}
	c.Advance(turn)
	if _, err := r.Maintain(context.Background()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a successor is due: %v, want ErrUnavailable", err)
	}
	mustSign(t, r, "", claimsAt(c.Now()))
}

func TestForgetsKeysThatAreGone(t *testing.T) {
	t.Parallel()
	store, c := &memory{}, newClock()
	r := turning(t, store, c.Now)
	first := signingKID(t, r, "")
	c.Advance(turn - keys.DefaultPublishAhead)
	mustMaintain(t, r)
	has := func(kid string) bool {
		return slices.ContainsFunc(store.keys, func(k storage.SigningKey) bool { return k.KID == kid })
	}
	c.Advance(keys.DefaultPublishAhead + keys.DefaultMaxTokenLife + 24*time.Hour - 1)
	if mustMaintain(t, r); !has(first) {
		t.Error("forgotten before its day is over")
	}
	c.Advance(1)
	if mustMaintain(t, r); has(first) || len(store.keys) != 1 {
		t.Errorf("%d keys are left", len(store.keys))
	}
	store.keys = append(store.keys, storage.SigningKey{KID: "revoked", Alg: keys.ES256, Predecessor: "-", RevokedAt: c.Now()})
	c.Advance(keys.DefaultMaxTokenLife + 24*time.Hour - 1)
	if mustMaintain(t, r); !has("revoked") {
		t.Error("a revoked key is forgotten before its time")
	}
	c.Advance(1)
	if mustMaintain(t, r); has("revoked") {
		t.Error("a revoked key is never forgotten")
	}
	// The one that signs is not forgotten, however long it is overdue.
	store.keys[0].RetiresAt, store.keys[0].GoneAt = c.Now(), c.Now()
	c.Advance(10 * 24 * time.Hour)
	never := replica(t, store, c, keys.ES256)
	if mustMaintain(t, never); len(store.keys) != 1 {
		t.Error("the key that signs is forgotten")
	}
	mustSign(t, never, "", claimsAt(c.Now()))
}

// successors are the keys that many replicas announce when each of them has
// seen the others announce none.
func successors(t *testing.T, store *memory, act func(*keys.Ring) error) (kids map[string]bool) {
	t.Helper()
	const replicas = 16
	c := newClock()
	rings := make([]*keys.Ring, replicas)
	for i := range rings {
		skew := time.Duration(i) * time.Minute / replicas
		rings[i] = turning(t, store, func() time.Time { return c.Now().Add(skew) })
	}
	first := signingKID(t, rings[0], "")
	c.Advance(turn)
	looked, looksAgain := meetOnce(replicas), meetOnce(replicas) // before and after it makes a key
	var reads atomic.Int64
	store.afterGet = func() {
		if reads.Add(1) <= replicas {
			looked()
		} else {
			looksAgain()
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
		if got := successors(t, &memory{}, act); len(got) != 1 {
			t.Errorf("%s: %d successors, want 1", name, len(got))
		}
		if got := successors(t, &memory{naive: true}, act); len(got) < 2 {
			t.Errorf("%s: %d successors in a store that does not compare and swap; the race is not one", name, len(got))
		}
	}
}

// TestRevocationsAtOnce revokes the key and its announced successor, each
// counting on the other.
func TestRevocationsAtOnce(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &memory{}, newClock()
	rings := []*keys.Ring{replica(t, store, c, keys.ES256), replica(t, store, c, keys.ES256)}
	first := signingKID(t, rings[0], "")
	next, err := rings[0].Rotate(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	store.afterGet = meetOnce(2)
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

// audience is all resource servers there could be. Each keeps a key set that one
// of the replicas published, for as long as it may, and has tokens of any age.
type audience struct {
	maxAge, life time.Duration
	sets         []publication // oldest first
	tokens       []freshToken  // likewise
}

type publication struct {
	at  time.Time
	set jose.JSONWebKeySet
}

type freshToken struct {
	at  time.Time
	kid string
	raw string // empty: only the kid matters
}

// failures counts what goes wrong for those of them who have it worst: whose set
// is as old as it may be, when they get the newest tokens; and who have just got
// the newest sets, when a token is about to expire.
func (a *audience) failures(t *testing.T, now time.Time) (n int) {
	t.Helper()
	a.sets = slices.DeleteFunc(a.sets, func(p publication) bool { return now.Sub(p.at) > a.maxAge })
	a.tokens = slices.DeleteFunc(a.tokens, func(f freshToken) bool { return now.Sub(f.at) >= a.life })
	const each = 3 // replicas publish a set and sign a token at a time
	for _, worst := range []struct {
		sets   []publication
		tokens []freshToken
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

func (f freshToken) verifies(t *testing.T, set jose.JSONWebKeySet) bool {
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

// TestTenRotations rotates by itself ten times while three replicas, whose
// clocks are up to a minute apart and which learn of changes half a minute late,
// sign for resource servers that cache the key set for its whole max-age.
func TestTenRotations(t *testing.T) {
	t.Parallel()
	if failures, used := rotateTenTimes(t, time.Hour+2*time.Minute, 2*time.Hour+2*time.Minute); failures > 0 || used != 11 {
		t.Errorf("%d failed verifications with %d keys, want none with 11", failures, used)
	}
	if failures, _ := rotateTenTimes(t, time.Hour, 2*time.Hour+2*time.Minute); failures == 0 {
		t.Error("nothing fails when keys are announced for no longer than the max-age; the test sees nothing")
	}
	if failures, _ := rotateTenTimes(t, time.Hour+2*time.Minute, 2*time.Hour); failures == 0 {
		t.Error("nothing fails when keys go before their tokens; the test sees nothing")
	}
}

// rotateTenTimes counts the verifications that fail, up to the first few, and
// the keys that signed.
func rotateTenTimes(t *testing.T, publishAhead, keep time.Duration) (failures, used int) {
	t.Helper()
	const period, tick = 4 * time.Hour, 30 * time.Second
	store, c := &memory{}, newClock()
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
	a := audience{maxAge: time.Hour, life: 2 * time.Hour}
	kids := map[string]bool{}
	for step := 0; len(kids) < 11 && failures < 3 && step < 12*int(period/tick); step++ {
		c.Advance(tick)
		for i, r := range rings {
			kid := signingKID(t, r, "")
			kids[kid] = true
			f := freshToken{at: c.Now(), kid: kid}
			if step%8 == i {
				claims := claimsAt(c.Now())
				claims["exp"] = c.Now().Add(a.life).Unix()
				f.raw = mustSign(t, r, "", claims)
			}
			a.tokens = append(a.tokens, f)
			a.sets = append(a.sets, publication{c.Now(), r.PublicSet()})
			for _, other := range rings {
				if _, err := other.VerificationKey(kid); err != nil {
					t.Fatalf("a replica refuses a fresh token: %v", err)
				}
			}
		}
		failures += a.failures(t, c.Now())
		for i := range rings { // whoever is first announces
			mustMaintain(t, rings[(step+i)%len(rings)])
		}
	}
	return failures, len(kids)
}
