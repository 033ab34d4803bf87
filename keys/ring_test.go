package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/storage"
)

func TestNewRingRefusesBadConfig(t *testing.T) {
	t.Parallel()
	good := keys.RingConfig{Store: &fakeStore{}, Sealer: newSealer(t)}
	for name, spoil := range map[string]func(*keys.RingConfig){
		"no store":          func(c *keys.RingConfig) { c.Store = nil },
		"no sealer":         func(c *keys.RingConfig) { c.Sealer = nil },
		"unknown algorithm": func(c *keys.RingConfig) { c.Algs = []string{"HS256"} },
		"algorithm none":    func(c *keys.RingConfig) { c.Algs = []string{"none"} },
		"negative ahead":    func(c *keys.RingConfig) { c.PublishAhead = -1 },
		"negative life":     func(c *keys.RingConfig) { c.MaxTokenLife = -1 },
		"negative rotation": func(c *keys.RingConfig) { c.RotateAfter = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := keys.NewRing(context.Background(), cfg); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

func TestFirstKeys(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	r, err := keys.NewRing(context.Background(), keys.RingConfig{Store: store, Sealer: newSealer(t), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	infos, err := r.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []keys.KeyInfo
	for _, info := range infos {
		if info.KID == "" {
			t.Error("a key without a kid")
		}
		info.KID = ""
		got = append(got, info)
	}
	slices.SortFunc(got, func(a, b keys.KeyInfo) int { return strings.Compare(a.Alg, b.Alg) })
	want := []keys.KeyInfo{
		{Alg: "ES256", State: keys.StateActive, CreatedAt: c.Now(), ActivatesAt: c.Now()},
		{Alg: "RS256", State: keys.StateActive, CreatedAt: c.Now(), ActivatesAt: c.Now()},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("first keys (-want +got):\n%s", diff)
	}
	if k, err := r.SigningKey(""); err != nil || k.Alg != "ES256" {
		t.Errorf("default key = %s, %v", k.Alg, err)
	}
}

func TestRestartKeepsKeys(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	before := replica(t, store, c, keys.ES256, keys.ES256, keys.EdDSA)
	token := mustSign(t, before, "", claimsAt(c.Now()))
	after := replica(t, store, c, keys.ES256, keys.EdDSA)
	if len(store.keys) != 2 {
		t.Errorf("after a restart: got %d keys, want 2", len(store.keys))
	}
	if err := after.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Errorf("a token from before the restart: got %v, want no error", err)
	}
}

func TestConcurrentFirstStart(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), newClock()
	store := &fakeStore{afterGet: waitForEachOther(2)} // both replicas read an empty store
	rings := make([]*keys.Ring, 2)
	var both sync.WaitGroup
	for i := range rings {
		both.Go(func() { rings[i] = replica(t, store, c, keys.ES256) })
	}
	both.Wait()
	if len(store.keys) != 1 {
		t.Fatalf("got %d stored keys, want one for both replicas", len(store.keys))
	}
	for _, r := range rings {
		mustSign(t, r, "", claimsAt(c.Now())) // the new key signs at once
		if err := r.Reload(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want := store.keys[0].KID
	for i, r := range rings {
		if got := signingKID(t, r, ""); got != want {
			t.Errorf("replica %d: got the signer %s, want %s", i, got, want)
		}
		if n := len(publishedKIDs(r)); n != 1 {
			t.Errorf("replica %d: got %d published keys, want 1", i, n)
		}
	}
	token := mustSign(t, rings[0], "", claimsAt(c.Now()))
	if err := rings[1].Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Errorf("the token at the other replica: got %v, want no error", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	start, first := c.Now(), signingKID(t, r, "")

	c.Advance(time.Hour)
	next, err := r.Rotate(ctx, "")
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	want := keys.KeyInfo{
		KID: next.KID, Alg: keys.ES256, State: keys.StateAnnounced,
		CreatedAt: c.Now(), ActivatesAt: c.Now().Add(keys.DefaultPublishAhead),
	}
	if diff := cmp.Diff(want, next); diff != "" {
		t.Errorf("the successor (-want +got):\n%s", diff)
	}
	infos, err := r.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	old := keys.KeyInfo{
		KID: first, Alg: keys.ES256, State: keys.StateActive, CreatedAt: start, ActivatesAt: start,
		RetiresAt: next.ActivatesAt, GoneAt: next.ActivatesAt.Add(keys.DefaultMaxTokenLife),
	}
	if diff := cmp.Diff([]keys.KeyInfo{old, want}, infos); diff != "" {
		t.Errorf("after Rotate (-want +got):\n%s", diff)
	}
	for _, step := range []struct {
		wait      time.Duration
		signs     string
		published []string
	}{
		{0, first, []string{first, next.KID}},
		{time.Hour - time.Nanosecond, first, []string{first, next.KID}},
		{time.Nanosecond, next.KID, []string{first, next.KID}},
		{24*time.Hour - time.Nanosecond, next.KID, []string{first, next.KID}},
		{time.Nanosecond, next.KID, []string{next.KID}},
	} {
		c.Advance(step.wait)
		if got := signingKID(t, r, ""); got != step.signs {
			t.Errorf("%v later: got the signer %s, want %s", step.wait, got, step.signs)
		}
		if diff := cmp.Diff(step.published, publishedKIDs(r)); diff != "" {
			t.Errorf("%v later: published (-want +got):\n%s", step.wait, diff)
		}
	}
	if _, err := r.VerificationKey(first); !errors.Is(err, keys.ErrUnknownKey) {
		t.Errorf("a key that has ended: got %v, want keys.ErrUnknownKey", err)
	}
}

func TestRotateReturnsTheAnnouncedKey(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	a, err := r.Rotate(ctx, keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(30 * time.Minute)
	b, err := replica(t, store, c, keys.ES256).Rotate(ctx, keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" || len(store.keys) != 2 {
		t.Errorf("got %d keys, want 2; second Rotate (-first +second):\n%s", len(store.keys), diff)
	}
}

func TestRotateMakesFirstKeyOfAnAlgorithm(t *testing.T) {
	t.Parallel()
	ctx, c := context.Background(), newClock()
	r := replica(t, &fakeStore{}, c, keys.ES256)
	info, err := r.Rotate(ctx, keys.EdDSA)
	if err != nil || info.State != keys.StateActive {
		t.Fatalf("Rotate: got %+v, %v; want an active key", info, err)
	}
	if got := signingKID(t, r, keys.EdDSA); got != info.KID {
		t.Errorf("got the signer %s, want %s", got, info.KID)
	}
	if _, err := r.Rotate(ctx, "HS256"); !errors.Is(err, keys.ErrUnsupportedAlg) {
		t.Errorf("Rotate(HS256): got %v, want ErrUnsupportedAlg", err)
	}
}

func TestConcurrentRotations(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	rings := []*keys.Ring{replica(t, store, c, keys.ES256), replica(t, store, c, keys.ES256)}
	first := signingKID(t, rings[0], "")
	store.afterGet = waitForEachOther(2) // both replicas read the store before either has changed it
	var both sync.WaitGroup
	for _, r := range rings {
		both.Go(func() {
			if _, err := r.Rotate(ctx, ""); err != nil {
				t.Errorf("Rotate: %v", err)
			}
		})
	}
	both.Wait()
	for _, r := range rings {
		if err := r.Reload(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := signingKID(t, rings[0], ""), signingKID(t, rings[1], ""); a != first || b != first {
		t.Errorf("before the successor activates: got the signers %s and %s, want %s", a, b, first)
	}
	c.Advance(keys.DefaultPublishAhead)
	if a, b := signingKID(t, rings[0], ""), signingKID(t, rings[1], ""); a != b || a == first {
		t.Errorf("after the successor activates: got the signers %s and %s; the first key was %s", a, b, first)
	}
	if len(store.keys) != 2 {
		t.Errorf("got %d keys, want one successor", len(store.keys))
	}
}

func TestFailedReloadKeepsKeys(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	token := mustSign(t, r, "", claimsAt(c.Now()))
	store.fail = storage.ErrUnavailable
	if err := r.Reload(ctx); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Reload: got %v, want ErrUnavailable", err)
	}
	if err := r.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Errorf("Parse while the store is down: %v", err)
	}
	mustSign(t, r, "", claimsAt(c.Now()))
}

func TestPlantedRecordsAreRefused(t *testing.T) {
	t.Parallel()
	ctx, c, sealer := context.Background(), newClock(), newSealer(t)
	foreign := &fakeStore{}
	replica(t, foreign, c, keys.ES256)
	for name, spoil := range map[string]func(own, foreign storage.SigningKey) storage.SigningKey{
		"kid of another key": func(own, f storage.SigningKey) storage.SigningKey {
			f.Private = own.Private
			return f
		},
		"sealed under a false kid": func(_, f storage.SigningKey) storage.SigningKey {
			pkcs8, err := sealer.Open(f.Private, "signing-key:"+f.KID)
			if err != nil {
				t.Fatal(err)
			}
			f.KID = "false"
			if f.Private, err = sealer.Seal(pkcs8, "signing-key:false"); err != nil {
				t.Fatal(err)
			}
			return f
		},
		"changed kid": func(own, f storage.SigningKey) storage.SigningKey {
			f.KID += "x"
			return f
		},
		"other algorithm": func(own, f storage.SigningKey) storage.SigningKey {
			f.Alg = keys.EdDSA
			return f
		},
		"private half missing": func(own, f storage.SigningKey) storage.SigningKey {
			f.Private.Data = nil
			return f
		},
	} {
		store := &fakeStore{}
		r := replica(t, store, c, keys.ES256)
		planted := spoil(store.keys[0], foreign.keys[0])
		store.keys = append(store.keys, planted)
		if err := r.Reload(ctx); err == nil {
			t.Errorf("%s: Reload: got no error, want one", name)
		}
		if _, err := r.VerificationKey(planted.KID); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("%s: verification: got %v, want keys.ErrUnknownKey", name, err)
		}
	}
}

func TestPublicColumnIsIgnored(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	attacker := &fakeStore{}
	replica(t, attacker, c, keys.ES256)
	want, _ := r.Public(store.keys[0].KID)
	store.keys[0].Public = attacker.keys[0].Public
	got, ok := replica(t, store, c, keys.ES256).Public(store.keys[0].KID)
	if !ok || string(got) != string(want) {
		t.Errorf("public key = %s, want %s", got, want)
	}
}

func TestGoneKeysNeedNoMasterKey(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	if _, err := r.Rotate(ctx, ""); err != nil {
		t.Fatal(err)
	}
	c.Advance(48 * time.Hour)
	store.keys[0].Private.KeyID = "retired master key"
	if err := replica(t, store, c, keys.ES256).Reload(ctx); err != nil {
		t.Errorf("Reload with an ended key that cannot be decrypted: got %v, want no error", err)
	}
}

func TestKeySetHasNoPrivateKeys(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	r := replica(t, store, c, allAlgs...)
	set, err := json.Marshal(r.PublicSet())
	if err != nil {
		t.Fatal(err)
	}
	var decoded struct{ Keys []map[string]any }
	if err := json.Unmarshal(set, &decoded); err != nil || len(decoded.Keys) != len(allAlgs) {
		t.Fatalf("key set %s: %v", set, err)
	}
	seen := map[any]bool{}
	for i, k := range decoded.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, ok := k[private]; ok {
				t.Errorf("%s key: got the private member %q, want none", k["alg"], private)
			}
		}
		if k["alg"] != allAlgs[i] || k["use"] != "sig" || k["kid"] == "" || seen[k["kid"]] {
			t.Errorf("key %d = %v", i, k)
		}
		seen[k["kid"]] = true
		one, ok := r.Public(k["kid"].(string))
		var single map[string]any
		if err := json.Unmarshal(one, &single); !ok || err != nil || !cmp.Equal(single, k) {
			t.Errorf("Public(%v): got %s, %v", k["kid"], one, ok)
		}
		verify, err := r.VerificationKey(k["kid"].(string))
		if err != nil || verify.Private != nil {
			t.Errorf("VerificationKey: %v, with a private key: %v", err, verify.Private != nil)
		}
	}
}

func TestSigningWhileReloading(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.EdDSA)
	done := make(chan struct{})
	var signers sync.WaitGroup
	for range 2 {
		signers.Go(func() {
			for {
				token, err := r.Sign("", keys.TypeAccessToken, claimsAt(c.Now()))
				if err != nil {
					t.Errorf("Sign: %v", err)
					return
				}
				if err := r.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil && !errors.Is(err, jwt.ErrTokenExpired) {
					t.Errorf("Parse: %v", err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 20 {
		if _, err := r.Rotate(ctx, ""); err != nil {
			t.Errorf("Rotate: %v", err)
		}
		c.Advance(keys.DefaultPublishAhead)
		if err := r.Reload(ctx); err != nil {
			t.Errorf("Reload: %v", err)
		}
	}
	close(done)
	signers.Wait()
}

// TestOpen tests that two replicas get the same signing keys and peppers.
func TestOpen(t *testing.T) {
	t.Parallel()
	store, master := &fakeStore{}, make([]byte, keys.MasterKeySize)
	ring, peppers, err := keys.Open(t.Context(), store, master)
	if err != nil {
		t.Fatal(err)
	}
	again, samePeppers, err := keys.Open(t.Context(), store, master)
	if err != nil || again.PublicSet().Keys[0].KeyID != ring.PublicSet().Keys[0].KeyID || !samePeppers.Matches(peppers.Digest("p", "x"), "p", "x") {
		t.Errorf("another replica: got other keys, error %v", err)
	}
	master[0]++
	if _, _, err := keys.Open(t.Context(), store, master); err == nil {
		t.Error("another master key: got no error, want one")
	}
	if _, _, err := keys.Open(t.Context(), store, nil); err == nil {
		t.Error("no master key: got no error, want one")
	}
}
