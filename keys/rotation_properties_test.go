package keys_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"

	"latchkey/keys"
)

const (
	ahead   = time.Hour
	maxLife = 10 * time.Hour
	// maxLag is the longest time until a replica reloads after a rotation. Caches of the key
	// set can use the rest of ahead.
	maxLag = 10 * time.Minute
)

type issued struct {
	kid string
	exp time.Time
}

// rotationModel has two replicas over one store, the keys that a resource server that caches
// key sets knows, and the tokens that are still valid. Its exported methods are the actions of
// the state machine.
type rotationModel struct {
	store   *fakeStore
	clock   *clock
	rings   [2]*keys.Ring
	stale   time.Duration        // time since both replicas reloaded
	since   map[string]time.Time // by kid: the time since which both replicas publish the key
	exempt  map[string]bool      // by kid: whether the key may sign although it was not announced
	revoked map[string]bool
	tokens  []issued
}

var rotatedAlgs = []string{keys.ES256, keys.EdDSA}

func newRotationModel(t *rapid.T) *rotationModel {
	m := &rotationModel{
		store: &fakeStore{}, clock: newClock(),
		since: map[string]time.Time{}, exempt: map[string]bool{}, revoked: map[string]bool{},
	}
	sealer, err := keys.NewSealer(masterKey(1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.rings {
		m.rings[i], err = keys.NewRing(context.Background(), keys.RingConfig{
			Store: m.store, Sealer: sealer, Algs: rotatedAlgs, Now: m.clock.Now,
			PublishAhead: ahead, MaxTokenLife: maxLife,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m.exemptSigners(t) // the first keys are not announced
	return m
}

func (m *rotationModel) ring(t *rapid.T) *keys.Ring {
	return m.rings[rapid.IntRange(0, 1).Draw(t, "replica")]
}

func (m *rotationModel) exemptSigners(t *rapid.T) {
	for _, alg := range rotatedAlgs {
		m.exempt[m.signer(t, m.rings[0], alg)] = true
	}
}

func (m *rotationModel) signer(t *rapid.T, r *keys.Ring, alg string) string {
	k, err := r.SigningKey(alg)
	if err != nil {
		t.Fatalf("SigningKey(%s): got %v, want no error", alg, err)
	}
	return k.KID
}

func (m *rotationModel) list(t *rapid.T) []keys.KeyInfo {
	infos, err := m.rings[0].List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

// Rotate rotates on one replica. The other replica reloads later.
func (m *rotationModel) Rotate(t *rapid.T) {
	if _, err := m.ring(t).Rotate(context.Background(), rapid.SampledFrom(rotatedAlgs).Draw(t, "alg")); err != nil {
		t.Fatal(err)
	}
}

// Revoke revokes any key in any state. Both replicas reload at once.
func (m *rotationModel) Revoke(t *rapid.T) {
	infos := m.list(t)
	kid := infos[rapid.IntRange(0, len(infos)-1).Draw(t, "key")].KID
	before := map[string]string{}
	for _, alg := range rotatedAlgs {
		before[alg] = m.signer(t, m.rings[0], alg)
	}
	if err := m.ring(t).Revoke(context.Background(), kid); err != nil {
		t.Fatal(err)
	}
	m.revoked[kid] = true
	m.Reload(t)
	for _, alg := range rotatedAlgs {
		if before[alg] == kid {
			m.exempt[m.signer(t, m.rings[0], alg)] = true
		} else if now := m.signer(t, m.rings[0], alg); now != before[alg] {
			t.Fatalf("revoking %s, which did not sign: got the new signer %s", kid, now)
		}
	}
}

func (m *rotationModel) Reload(t *rapid.T) {
	for _, r := range m.rings {
		if err := r.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	m.stale = 0
	m.watchPublication()
}

func (m *rotationModel) Wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{
		time.Second, maxLag / 2, ahead / 2, ahead, ahead + time.Minute, maxLife - ahead, maxLife, 3 * maxLife,
	}).Draw(t, "time")
	if m.stale += d; m.stale >= maxLag {
		m.Reload(t)
	}
	m.clock.Advance(d)
}

// Restart replaces a replica with a new one over the same store.
func (m *rotationModel) Restart(t *rapid.T) {
	sealer, err := keys.NewSealer(masterKey(1))
	if err != nil {
		t.Fatal(err)
	}
	i := rapid.IntRange(0, 1).Draw(t, "replica")
	count := len(m.store.keys)
	m.rings[i], err = keys.NewRing(context.Background(), keys.RingConfig{
		Store: m.store, Sealer: sealer, Algs: rotatedAlgs, Now: m.clock.Now,
		PublishAhead: ahead, MaxTokenLife: maxLife,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.store.keys) != count {
		t.Fatal("a restart created a key")
	}
}

// Check checks what must be true after every action.
func (m *rotationModel) Check(t *rapid.T) {
	m.checkOneActive(t)
	m.watchPublication()
	now := m.clock.Now()
	life := time.Duration(rapid.IntRange(1, int(maxLife/time.Second)).Draw(t, "life")) * time.Second
	for _, r := range m.rings {
		for _, alg := range rotatedAlgs {
			kid := m.signer(t, r, alg)
			if m.revoked[kid] {
				t.Fatalf("the revoked key %s signs", kid)
			}
			if since, ok := m.since[kid]; !m.exempt[kid] && (!ok || now.Sub(since) < ahead-maxLag) {
				t.Fatalf("got the signer %s, published since %v, now %v", kid, since, now)
			}
			m.tokens = append(m.tokens, issued{kid, now.Truncate(time.Second).Add(life)})
		}
	}
	m.checkTokens(t)
}

// Sign checks that one replica verifies a token that the other has just signed.
func (m *rotationModel) Sign(t *rapid.T) {
	now := m.clock.Now().Unix()
	claims := map[string]any{"iss": issuer, "iat": now, "exp": now + 1}
	token, err := m.rings[0].Sign(rapid.SampledFrom(rotatedAlgs).Draw(t, "alg"), keys.TypeAccessToken, claims)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.rings[1].Parse(token, keys.TypeAccessToken, jwt.MapClaims{}, issuer); err != nil {
		t.Fatalf("a fresh token of the other replica: got %v, want no error", err)
	}
}

func (m *rotationModel) checkOneActive(t *rapid.T) {
	active := map[string]int{}
	for _, info := range m.list(t) {
		if info.State == keys.StateActive {
			active[info.Alg]++
		}
	}
	for _, alg := range rotatedAlgs {
		if active[alg] != 1 {
			t.Fatalf("got %d active %s keys, want 1: %+v", active[alg], alg, m.list(t))
		}
	}
}

// watchPublication records the time since which both replicas publish each key.
func (m *rotationModel) watchPublication() {
	other := publishedKIDs(m.rings[1])
	current := map[string]time.Time{}
	for _, kid := range publishedKIDs(m.rings[0]) {
		if !slices.Contains(other, kid) {
			continue
		}
		current[kid] = m.clock.Now()
		if since, ok := m.since[kid]; ok {
			current[kid] = since
		}
	}
	m.since = current
}

// checkTokens checks that both replicas have the keys of all valid tokens, unless the keys are
// revoked.
func (m *rotationModel) checkTokens(t *rapid.T) {
	now := m.clock.Now()
	m.tokens = slices.DeleteFunc(m.tokens, func(i issued) bool { return !now.Before(i.exp) })
	for _, token := range m.tokens {
		for _, r := range m.rings {
			if _, err := r.VerificationKey(token.kid); (err == nil) == m.revoked[token.kid] {
				t.Fatalf("key %s of a token valid until %v: got %v (revoked: %v)", token.kid, token.exp, err, m.revoked[token.kid])
			}
		}
	}
}

func TestRotationProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newRotationModel(t)
		t.Repeat(rapid.StateMachineActions(m))
	})
}
