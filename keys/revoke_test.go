package keys_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"latchkey/keys"
	"latchkey/storage"
)

func TestRevokeSigningKey(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r, other := replica(t, store, c, keys.ES256), replica(t, store, c, keys.ES256)
	first := signingKID(t, r, "")
	token := mustSign(t, r, "", claimsAt(c.Now()))
	if err := r.Revoke(ctx, first); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	if err := other.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	for name, ring := range map[string]*keys.Ring{"own": r, "other": other} {
		if err := ring.Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("%s: token of the revoked key: got %v, want ErrUnknownKey", name, err)
		}
		if slices.Contains(publishedKIDs(ring), first) {
			t.Errorf("%s: the revoked key is published", name)
		}
		if _, ok := ring.Public(first); ok {
			t.Errorf("%s: Public returns the revoked key", name)
		}
		if signingKID(t, ring, "") == first {
			t.Errorf("%s: the revoked key signs", name)
		}
	}
	if err := other.Parse(mustSign(t, r, "", claimsAt(c.Now())), keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Errorf("a token of the replacement: got %v, want no error", err)
	}
	if err := r.Revoke(ctx, first); err != nil || len(store.keys) != 2 {
		t.Errorf("revoking twice: got error %v, %d keys; want 2 keys", err, len(store.keys))
	}
	if err := r.Revoke(ctx, "unknown"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("unknown kid: got %v, want ErrNotFound", err)
	}
}

func TestRevokeActivatesTheAnnouncedSuccessor(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	first := signingKID(t, r, "")
	next, err := r.Rotate(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Minute)
	if err := r.Revoke(ctx, first); err != nil {
		t.Fatal(err)
	}
	if got := signingKID(t, r, ""); got != next.KID || len(store.keys) != 2 {
		t.Errorf("got the signer %s of %d keys, want the announced %s of 2", got, len(store.keys), next.KID)
	}
}

func TestRevokeAnnouncedCancelsRotation(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	before, err := r.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next, err := r.Rotate(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Revoke(ctx, next.KID); err != nil {
		t.Fatal(err)
	}
	after, err := r.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	after = slices.DeleteFunc(after, func(k keys.KeyInfo) bool { return k.KID == next.KID })
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the old key (-before +after):\n%s", diff)
	}
}

func TestRevokeRetiredChangesNoOtherKey(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	first := signingKID(t, r, "")
	next, err := r.Rotate(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * time.Hour)
	if err := r.Revoke(ctx, first); err != nil {
		t.Fatal(err)
	}
	if got := signingKID(t, r, ""); got != next.KID || len(store.keys) != 2 {
		t.Errorf("got the signer %s of %d keys, want %s of 2", got, len(store.keys), next.KID)
	}
}

// TestInterruptedChanges interrupts a process before and after the store has made its change.
func TestInterruptedChanges(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, act := range map[string]func(*keys.Ring, string) error{
		"rotate":   func(r *keys.Ring, _ string) error { _, err := r.Rotate(ctx, ""); return err },
		"maintain": func(r *keys.Ring, _ string) error { _, err := r.Maintain(ctx); return err },
		"revoke":   func(r *keys.Ring, kid string) error { return r.Revoke(ctx, kid) },
	} {
		for _, at := range []string{"change", "answer"} {
			store, c := &fakeStore{}, newClock()
			r := rotatingReplica(t, store, c.Now)
			first := signingKID(t, r, "")
			c.Advance(rotateAfter)
			store.fail, store.failOn = storage.ErrUnavailable, at
			if err := act(r, first); !errors.Is(err, storage.ErrUnavailable) {
				t.Fatalf("%s, interrupted at the %s: got %v, want ErrUnavailable", name, at, err)
			}
			store.fail = nil
			c.Advance(2 * keys.DefaultPublishAhead)
			other := rotatingReplica(t, store, c.Now)
			if got := signingKID(t, other, ""); (got == first) != (at == "change") {
				t.Errorf("%s, interrupted at the %s: got the signer %s after a restart; the first key is %s", name, at, got, first)
			}
			if err := act(other, first); err != nil {
				t.Fatalf("%s again: got %v, want no error", name, err)
			}
			c.Advance(keys.DefaultPublishAhead)
			if got := signingKID(t, other, ""); got == first {
				t.Errorf("%s again: the old key still signs", name)
			}
		}
	}
}

// TestOverdueKeyStaysPublished tests a key that signs after its time because its successor was
// revoked. It stays published for the lifetime of its last token.
func TestOverdueKeyStaysPublished(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r := replica(t, store, c, keys.ES256)
	for range 2 {
		if _, err := r.Rotate(ctx, ""); err != nil {
			t.Fatal(err)
		}
		c.Advance(2 * keys.DefaultPublishAhead)
	}
	gone, overdue := store.keys[0].KID, store.keys[1].KID
	store.keys[2].RevokedAt = c.Now()
	c.Advance(48 * time.Hour)
	if err := r.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if got := signingKID(t, r, ""); got != overdue {
		t.Fatalf("got the signer %s, want the overdue %s", got, overdue)
	}
	if err := r.Revoke(ctx, gone); err != nil {
		t.Fatal(err)
	}
	if got := signingKID(t, r, ""); got == overdue {
		t.Error("the overdue key still signs")
	}
	c.Advance(keys.DefaultMaxTokenLife - 1)
	if _, err := r.VerificationKey(overdue); err != nil {
		t.Errorf("the last token of the overdue key: got %v, want no error", err)
	}
	c.Advance(1)
	if _, err := r.VerificationKey(overdue); err == nil {
		t.Error("the overdue key still verifies")
	}
}

func TestRotationCannotUndoRevocation(t *testing.T) {
	t.Parallel()
	ctx, store, c := context.Background(), &fakeStore{}, newClock()
	r, other := replica(t, store, c, keys.ES256), replica(t, store, c, keys.ES256)
	first := signingKID(t, r, "")
	reads := 0
	store.afterGet = func() {
		if reads++; reads == 2 { // this is the last read of Rotate
			store.afterGet = nil
			if err := other.Revoke(ctx, first); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		}
	}
	if _, err := r.Rotate(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.VerificationKey(first); !errors.Is(err, keys.ErrUnknownKey) {
		t.Errorf("the revoked key verifies again: got %v, want keys.ErrUnknownKey", err)
	}
	if got := signingKID(t, r, ""); got == first {
		t.Error("the revoked key signs again")
	}
}
