package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
)

// fakeKMS is in place of a key management service. It signs and does not reveal its key.
type fakeKMS struct {
	private crypto.Signer
	calls   atomic.Int64
	down    error
}

func (v *fakeKMS) Public() crypto.PublicKey { return v.private.Public() }

func (v *fakeKMS) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	v.calls.Add(1)
	if v.down != nil {
		return nil, v.down
	}
	return v.private.Sign(random, digest, opts)
}

func newFakeKMS(t testing.TB, alg string) *fakeKMS {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case keys.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case keys.RS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &fakeKMS{private: private}
}

func withExternal(t testing.TB, store *fakeStore, c *clock, external ...keys.ExternalKey) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(context.Background(), keys.RingConfig{
		Store: store, Sealer: newSealer(t), Algs: []string{keys.ES256}, External: external, RotateAfter: rotateAfter, Now: c.Now,
	})
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	return r
}

func TestExternalKeySigns(t *testing.T) {
	t.Parallel()
	for _, alg := range allAlgs {
		store, c, v := &fakeStore{}, newClock(), newFakeKMS(t, alg)
		r := withExternal(t, store, c, keys.ExternalKey{KID: "kms-1", Alg: alg, Signer: v})
		token := mustSign(t, r, alg, claimsAt(c.Now()))
		if err := r.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
			t.Errorf("%s: Parse: got %v, want no error", alg, err)
		}
		if v.calls.Load() != 1 {
			t.Errorf("%s: got %d calls for one token, want 1", alg, v.calls.Load())
		}
		if k, err := r.SigningKey(alg); err != nil || k.KID != "kms-1" {
			t.Errorf("%s: SigningKey: got %q, %v", alg, k.KID, err)
		}
		if k, err := r.VerificationKey("kms-1"); err != nil || k.Private != nil {
			t.Errorf("%s: VerificationKey: %v, with a private key: %v", alg, err, k.Private != nil)
		}
		if jwk, ok := r.Public("kms-1"); !ok || len(jwk) == 0 || !slices.Contains(publishedKIDs(r), "kms-1") {
			t.Errorf("%s: the key is not published, want it published", alg)
		}
		for _, k := range store.keys {
			if k.Alg == alg {
				t.Errorf("%s: got the stored key %s, want none", alg, k.KID)
			}
		}
	}
}

func TestExternalKeyFailure(t *testing.T) {
	t.Parallel()
	c, v := newClock(), newFakeKMS(t, keys.ES256)
	v.down = errors.New("key service down")
	r := withExternal(t, &fakeStore{}, c, keys.ExternalKey{Alg: keys.ES256, Signer: v})
	if _, err := r.Sign("", keys.TypeAccessToken, claimsAt(c.Now())); !errors.Is(err, v.down) {
		t.Errorf("Sign: got %v, want the error of the service", err)
	}
}

// TestExternalKeyReplacement replaces a stored key with an external key, and that with another
// external key. At the end the stored key signs again.
func TestExternalKeyReplacement(t *testing.T) {
	t.Parallel()
	store, c := &fakeStore{}, newClock()
	stored := withExternal(t, store, c)
	before := mustSign(t, stored, "", claimsAt(c.Now()))
	at := c.Now().Add(keys.DefaultPublishAhead)
	one := keys.ExternalKey{KID: "one", Alg: keys.ES256, Signer: newFakeKMS(t, keys.ES256), ActivatesAt: at}
	r := withExternal(t, store, c, one)
	if got := signingKID(t, r, ""); got != store.keys[0].KID || !slices.Contains(publishedKIDs(r), "one") {
		t.Errorf("before ActivatesAt: got the signer %s, published %v", got, publishedKIDs(r))
	}
	if err := r.Parse(before, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Errorf("a token of the stored key: got %v, want no error", err)
	}
	c.Advance(keys.DefaultPublishAhead)
	if got := signingKID(t, r, ""); got != "one" || !slices.Contains(publishedKIDs(r), store.keys[0].KID) {
		t.Errorf("after ActivatesAt: got the signer %s, published %v", got, publishedKIDs(r))
	}
	byOne := mustSign(t, r, "", claimsAt(c.Now()))

	two := keys.ExternalKey{KID: "two", Alg: keys.ES256, Signer: newFakeKMS(t, keys.ES256), ActivatesAt: c.Now().Add(time.Second)}
	one.Public, one.Signer = one.Signer.Public(), nil // the key can only verify now
	r = withExternal(t, store, c, two, one)
	if got := signingKID(t, r, ""); got != store.keys[0].KID {
		t.Errorf("without an external key that signs: got the signer %s", got)
	}
	c.Advance(time.Second)
	if got := signingKID(t, r, ""); got != "two" {
		t.Errorf("got the signer %s, want two", got)
	}
	if err := r.Parse(byOne, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Errorf("a token of the former external key: got %v, want no error", err)
	}
	if got := signingKID(t, withExternal(t, store, c), ""); got != store.keys[0].KID || len(store.keys) != 1 {
		t.Errorf("without external keys: got the signer %s and %d stored keys", got, len(store.keys))
	}
}

func TestExternalKeysAreNotChanged(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	stored := signingKID(t, withExternal(t, store, c), "")
	v := newFakeKMS(t, keys.ES256)
	r := withExternal(t, store, c, keys.ExternalKey{KID: "kms", Alg: keys.ES256, Signer: v, ActivatesAt: c.Now()})
	c.Advance(2 * rotateAfter)
	if got := mustMaintain(t, r); got != nil || len(store.keys) != 1 {
		t.Errorf("Maintain: got the announced keys %+v, want none", got)
	}
	for name, act := range map[string]func() error{
		"Rotate":     func() error { _, err := r.Rotate(ctx, ""); return err },
		"PlanRotate": func() error { _, err := r.PlanRotate(ctx, ""); return err },
		"Revoke":     func() error { return r.Revoke(ctx, "kms") },
		"PlanRevoke": func() error { _, err := r.PlanRevoke(ctx, "kms"); return err },
	} {
		if err := act(); !errors.Is(err, keys.ErrExternalKey) {
			t.Errorf("%s = %v, want ErrExternalKey", name, err)
		}
	}
	infos, err := r.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	start := c.Now().Add(-2 * rotateAfter)
	want := []keys.KeyInfo{
		{KID: stored, Alg: keys.ES256, State: keys.StateAnnounced, CreatedAt: start, ActivatesAt: start},
		{KID: "kms", Alg: keys.ES256, State: keys.StateActive, ActivatesAt: start, External: true},
	}
	if diff := cmp.Diff(want, infos); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

// rsaOf returns an RSA public key of that many bits. Its private key does not exist.
func rsaOf(bits int) *rsa.PublicKey {
	n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
	return &rsa.PublicKey{N: n, E: 65537}
}

func TestBadExternalKeys(t *testing.T) {
	t.Parallel()
	v, other := newFakeKMS(t, keys.ES256), newFakeKMS(t, keys.ES256)
	for name, external := range map[string][]keys.ExternalKey{
		"no key":            {{Alg: keys.ES256}},
		"other algorithm":   {{Alg: keys.RS256, Signer: v}},
		"unknown algorithm": {{Alg: "HS256", Signer: v}},
		"other public key":  {{Alg: keys.ES256, Signer: v, Public: other.Public()}},
		"same kid":          {{KID: "a", Alg: keys.ES256, Signer: v}, {KID: "a", Alg: keys.ES256, Signer: other}},
		"same key":          {{Alg: keys.ES256, Signer: v}, {Alg: keys.ES256, Public: v.Public()}},
		"RSA too short":     {{Alg: keys.RS256, Public: rsaOf(1024)}},
		"RSA too long":      {{Alg: keys.RS256, Public: rsaOf(8192)}}, // verifiers refuse this size
		"PS256":             {{Alg: "PS256", Public: rsaOf(2048)}},
		"line break":        {{KID: "a\nb", Alg: keys.ES256, Signer: v}},
	} {
		_, err := keys.NewRing(context.Background(), keys.RingConfig{Store: &fakeStore{}, Sealer: newSealer(t), External: external})
		if err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
	store, c := &fakeStore{}, newClock()
	replica(t, store, c, keys.ES256)
	_, err := keys.NewRing(context.Background(), keys.RingConfig{
		Store: store, Sealer: newSealer(t), External: []keys.ExternalKey{{KID: store.keys[0].KID, Alg: keys.ES256, Signer: v}},
	})
	if err == nil {
		t.Error("kid of a stored key: got no error, want one")
	}
}
