package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/storage"
)

// Defaults of RingConfig.
const (
	DefaultPublishAhead = time.Hour
	DefaultMaxTokenLife = 24 * time.Hour
)

// Why the ring has no key to give.
var (
	// ErrNoKey says that no key of the algorithm can sign now.
	ErrNoKey = errors.New("no signing key")
	// ErrUnknownKey says that no key of that kid verifies now: it never
	// existed, is gone, or was revoked.
	ErrUnknownKey = errors.New("unknown key")
	// ErrUnsupportedAlg says that the server does not sign with the algorithm.
	ErrUnsupportedAlg = errors.New("unsupported signing algorithm")
)

// KeyStore keeps signing keys.
type KeyStore interface {
	// SigningKeys returns all keys, gone and revoked ones included.
	SigningKeys(context.Context) ([]storage.SigningKey, error)
	// AddSigningKey stores a new key; storage.ErrConflict when its KID exists.
	AddSigningKey(context.Context, storage.SigningKey) error
	// UpdateSigningKey stores the times of the key with that KID. A RevokedAt
	// that is set already stays as it is, so that a rotation which runs while
	// another process revokes the key cannot undo the revocation.
	UpdateSigningKey(context.Context, storage.SigningKey) error
}

// RingConfig says how a Ring works. Store and Sealer are required.
type RingConfig struct {
	Store  KeyStore
	Sealer *Sealer
	// Algs are the JWS algorithms that must have a key; the first is the
	// default. Empty: ES256 and RS256.
	Algs []string
	// PublishAhead is how long a key is announced before it signs. Whoever
	// caches the key set may keep it for less than that, by the time a replica
	// takes to notice a change. 0: DefaultPublishAhead.
	PublishAhead time.Duration
	// MaxTokenLife is the longest life of a token that the ring signs; a
	// retired key stays published for so long. 0: DefaultMaxTokenLife.
	MaxTokenLife time.Duration
	Now          func() time.Time // nil: time.Now
	// Rand is the source of new keys where the standard library lets a caller
	// choose one. nil: crypto/rand.
	Rand io.Reader
}

// Key is one key of the ring. Keys given for verification have no Private.
type Key struct {
	KID     string // RFC 7638 thumbprint
	Alg     string // JWS algorithm
	Private crypto.Signer
	Public  crypto.PublicKey
}

// KeyInfo is what an administrator sees of a key.
type KeyInfo struct {
	KID         string
	Alg         string
	State       State
	CreatedAt   time.Time
	ActivatesAt time.Time
	RetiresAt   time.Time // zero: no successor announced
	GoneAt      time.Time // zero: no successor announced
	RevokedAt   time.Time // zero: not revoked
}

// Ring holds the signing keys. Reading takes no lock: it looks at a snapshot
// that Reload replaces as a whole. Safe for concurrent use.
type Ring struct {
	store        KeyStore
	sealer       *Sealer
	algs         []string
	publishAhead time.Duration
	maxTokenLife time.Duration
	now          func() time.Time
	random       io.Reader
	parser       *jwt.Parser

	changing sync.Mutex // held while reading records into a new snapshot
	current  atomic.Pointer[snapshot]
}

// NewRing loads the keys and makes the first one of each algorithm that has
// none; that one is active at once. Several processes may do so at the same
// time: all keys are stored, and all processes use the same one as soon as
// they have loaded both. It returns the errors of the store and of the sealer,
// and ErrUnsupportedAlg.
func NewRing(ctx context.Context, cfg RingConfig) (*Ring, error) {
	r, err := newRing(cfg)
	if err != nil {
		return nil, fmt.Errorf("new key ring: %w", err)
	}
	if err := r.start(ctx); err != nil {
		return nil, fmt.Errorf("new key ring: %w", err)
	}
	return r, nil
}

func newRing(cfg RingConfig) (*Ring, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("no key store")
	case cfg.Sealer == nil:
		return nil, errors.New("no sealer")
	case cfg.PublishAhead < 0, cfg.MaxTokenLife < 0:
		return nil, errors.New("negative duration")
	}
	r := &Ring{
		store:        cfg.Store,
		sealer:       cfg.Sealer,
		publishAhead: cmp.Or(cfg.PublishAhead, DefaultPublishAhead),
		maxTokenLife: cmp.Or(cfg.MaxTokenLife, DefaultMaxTokenLife),
		now:          cfg.Now,
		random:       cfg.Rand,
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.random == nil {
		r.random = rand.Reader
	}
	r.parser = newParser(r.now)
	var err error
	r.algs, err = requiredAlgs(cfg.Algs)
	return r, err
}

// requiredAlgs returns each of the algorithms once.
func requiredAlgs(given []string) ([]string, error) {
	if len(given) == 0 {
		return []string{ES256, RS256}, nil
	}
	var algs []string
	for _, alg := range given {
		if _, err := signingMethod(alg); err != nil {
			return nil, err
		}
		if !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs, nil
}

func (r *Ring) start(ctx context.Context) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.reload(ctx); err != nil {
		return err
	}
	created := false
	for _, alg := range r.algs {
		if _, err := r.signer(alg); err == nil {
			continue
		}
		if _, err := r.create(ctx, alg, 0); err != nil {
			return err
		}
		created = true
	}
	if !created {
		return nil
	}
	return r.reload(ctx)
}

// instant is the present as the store keeps it.
func (r *Ring) instant() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

// create makes and stores a key that activates after the delay.
func (r *Ring) create(ctx context.Context, alg string, delay time.Duration) (storage.SigningKey, error) {
	record, err := generate(alg, r.random, r.sealer)
	if err != nil {
		return storage.SigningKey{}, err
	}
	// Only now: making an RSA key takes long.
	record.CreatedAt = r.instant()
	record.ActivatesAt = record.CreatedAt.Add(delay)
	if err := r.store.AddSigningKey(ctx, record); err != nil {
		return storage.SigningKey{}, fmt.Errorf("add %s key: %w", alg, err)
	}
	return record, nil
}

// Reload reads the keys again, which makes changes of other processes take
// effect. When it fails the keys known before stay in use.
func (r *Ring) Reload(ctx context.Context) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	return r.reload(ctx)
}

func (r *Ring) reload(ctx context.Context) error {
	records, err := r.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	next, err := newSnapshot(records, r.current.Load(), r.sealer, r.now())
	if err != nil {
		return err
	}
	r.current.Store(next)
	return nil
}

// SigningKey returns the key that signs with the algorithm now ("": the
// default one), or ErrNoKey.
func (r *Ring) SigningKey(alg string) (Key, error) {
	e, err := r.signer(alg)
	if err != nil {
		return Key{}, err
	}
	return e.key, nil
}

func (r *Ring) signer(alg string) (*entry, error) {
	if alg == "" {
		alg = r.algs[0]
	}
	if e := r.current.Load().signer(alg, r.now()); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("%w for %q", ErrNoKey, alg)
}

// VerificationKey returns the key with exactly that kid, without its private
// half, as long as tokens it signed may be valid; else ErrUnknownKey.
func (r *Ring) VerificationKey(kid string) (Key, error) {
	e := r.current.Load().published(kid, r.now())
	if e == nil {
		return Key{}, ErrUnknownKey
	}
	return Key{KID: e.key.KID, Alg: e.key.Alg, Public: e.key.Public}, nil
}

// List returns all keys as the store has them now, oldest first.
func (r *Ring) List(ctx context.Context) ([]KeyInfo, error) {
	records, err := r.store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	records = slices.SortedFunc(slices.Values(records), byAge)
	now := r.now()
	infos := make([]KeyInfo, len(records))
	for i, record := range records {
		infos[i] = infoOf(record, records, now)
	}
	return infos, nil
}

func infoOf(k storage.SigningKey, all []storage.SigningKey, now time.Time) KeyInfo {
	return KeyInfo{
		KID: k.KID, Alg: k.Alg, State: StateAt(k, all, now),
		CreatedAt: k.CreatedAt, ActivatesAt: k.ActivatesAt,
		RetiresAt: k.RetiresAt, GoneAt: k.GoneAt, RevokedAt: k.RevokedAt,
	}
}

func byAge(a, b storage.SigningKey) int {
	if older(&a, &b) {
		return -1
	}
	if older(&b, &a) {
		return 1
	}
	return 0
}

// Rotate announces a successor of the algorithm's signing key ("": the default
// algorithm), which takes over after PublishAhead, and returns it. While a
// successor is announced already, that one is returned, so any number of
// replicas may rotate at once. An algorithm without a key gets one that is
// active at once. An interrupted Rotate leaves the old key in service.
func (r *Ring) Rotate(ctx context.Context, alg string) (KeyInfo, error) {
	if alg == "" {
		alg = r.algs[0]
	}
	r.changing.Lock()
	defer r.changing.Unlock()
	info, err := r.rotate(ctx, alg)
	if err != nil {
		return KeyInfo{}, fmt.Errorf("rotate %s key: %w", alg, err)
	}
	return info, r.reload(ctx)
}

func (r *Ring) rotate(ctx context.Context, alg string) (KeyInfo, error) {
	now := r.instant()
	all, err := r.store.SigningKeys(ctx)
	if err != nil {
		return KeyInfo{}, err
	}
	heir := heirAt(all, alg, now)
	if heir < 0 {
		delay := r.publishAhead
		if signerAt(all, alg, now) < 0 {
			delay = 0
		}
		created, err := r.create(ctx, alg, delay)
		if err != nil || delay == 0 {
			return infoOf(created, []storage.SigningKey{created}, now), err
		}
		// Another replica may have announced one meanwhile; all choose alike.
		if all, err = r.store.SigningKeys(ctx); err != nil {
			return KeyInfo{}, err
		}
		if heir = heirAt(all, alg, now); heir < 0 {
			return KeyInfo{}, fmt.Errorf("%w: the successor was revoked meanwhile", ErrNoKey)
		}
	}
	retired := retirements(all, all[heir], signingKID(all, alg, now), r.maxTokenLife)
	if err := r.update(ctx, retired); err != nil {
		return KeyInfo{}, err
	}
	return infoOf(all[heir], all, now), nil
}

func (r *Ring) update(ctx context.Context, changed []storage.SigningKey) error {
	for _, k := range changed {
		if err := r.store.UpdateSigningKey(ctx, k); err != nil {
			return fmt.Errorf("update key %q: %w", k.KID, err)
		}
	}
	return nil
}

// Revoke is for a key that is known to others: it is no longer published and
// verifies nothing, here at once, on other replicas when they reload. If it was
// the signing key its announced successor, or else a new key, is active at
// once; if it was the announced successor, the rotation is called off. An
// unknown kid gives storage.ErrNotFound; revoking twice is no error.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.revoke(ctx, kid); err != nil {
		return fmt.Errorf("revoke key %q: %w", kid, err)
	}
	return r.reload(ctx)
}

func (r *Ring) revoke(ctx context.Context, kid string) error {
	now := r.instant()
	all, err := r.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(k storage.SigningKey) bool { return k.KID == kid })
	if i < 0 {
		return storage.ErrNotFound
	}
	revoked := all[i]
	if !revoked.RevokedAt.IsZero() {
		return nil
	}
	// The others first: when this is cut short there still is a key that signs.
	signing := signingKID(all, revoked.Alg, now)
	if err := r.replace(ctx, slices.Delete(all, i, i+1), revoked.Alg, signing, now); err != nil {
		return err
	}
	revoked.RevokedAt = now
	return r.update(ctx, []storage.SigningKey{revoked})
}

// replace sees to it that one of the remaining keys, or a new one, signs with
// alg once the key that the caller revokes next is out of the way. signing is
// the kid of the key that has signed so far.
func (r *Ring) replace(ctx context.Context, rest []storage.SigningKey, alg, signing string, now time.Time) error {
	if succeeded(rest, alg, now) {
		next := rest[signerAt(rest, alg, now)]
		return r.update(ctx, calledOff(next, rest))
	}
	heir, err := r.heirAtOnce(ctx, rest, alg, now)
	if err != nil {
		return err
	}
	return r.update(ctx, retirements(rest, heir, signing, r.maxTokenLife))
}

// heirAtOnce lets the announced key activate now, because caches of the key set
// may know it already; without one it makes a key.
func (r *Ring) heirAtOnce(ctx context.Context, rest []storage.SigningKey, alg string, now time.Time) (storage.SigningKey, error) {
	i := heirAt(rest, alg, now)
	if i < 0 {
		return r.create(ctx, alg, 0)
	}
	heir := rest[i]
	heir.ActivatesAt = now
	return heir, r.update(ctx, []storage.SigningKey{heir})
}
