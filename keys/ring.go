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

// Errors of a Ring.
var (
	// ErrNoKey: no key of the algorithm can sign now.
	ErrNoKey = errors.New("no signing key")
	// ErrUnknownKey: no key of that kid verifies now. It never existed, is gone,
	// or was revoked.
	ErrUnknownKey = errors.New("unknown key")
	// ErrUnsupportedAlg: the server does not sign with the algorithm.
	ErrUnsupportedAlg = errors.New("unsupported signing algorithm")
)

// KeyStore keeps signing keys.
type KeyStore interface {
	// SigningKeys returns all keys, gone and revoked ones included.
	SigningKeys(context.Context) ([]storage.SigningKey, error)
	// ChangeSigningKeys makes the whole change or none of it. The store must
	// admit at most one key that is not revoked for each Predecessor of an
	// algorithm. It returns storage.ErrConflict for a second one and for a KID
	// that exists, and storage.ErrNotFound for an unknown KID to update. An
	// update stores times only. A RevokedAt that is set stays as it is, so that
	// a rotation cannot undo the revocation of another process.
	ChangeSigningKeys(context.Context, storage.SigningKeyChange) error
}

// RingConfig says how a Ring works. Store and Sealer are required.
type RingConfig struct {
	Store  KeyStore
	Sealer *Sealer
	// Algs are the JWS algorithms that must have a key; the first is the
	// default. Empty: ES256 and RS256.
	Algs []string
	// PublishAhead is how long a key is announced before it signs. Caches may keep the key
	// set for at most PublishAhead, minus the time that a replica takes to notice a change,
	// minus the difference of clocks. 0: DefaultPublishAhead.
	PublishAhead time.Duration
	// MaxTokenLife is how long a retired key stays published. It must be the
	// longest life of a token plus the difference of clocks. 0:
	// DefaultMaxTokenLife.
	MaxTokenLife time.Duration
	// RotateAfter is how long a key signs before its successor takes over, if
	// Maintain is called often enough. 0: keys rotate only by Rotate.
	RotateAfter time.Duration
	// ReadOnly: the ring changes nothing in the store, so an algorithm without a
	// key gets none.
	ReadOnly bool
	// External are keys whose private halves are elsewhere.
	External []ExternalKey
	Now      func() time.Time // nil: time.Now
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

// KeyInfo describes a key for administrators. It contains no private key.
type KeyInfo struct {
	KID         string
	Alg         string
	State       State
	CreatedAt   time.Time
	ActivatesAt time.Time
	RetiresAt   time.Time // zero: no successor announced
	GoneAt      time.Time // zero: no successor announced
	RevokedAt   time.Time // zero: not revoked
	External    bool      // not in the store; see ExternalKey
}

// Ring holds the signing keys. Reading takes no lock: it looks at a snapshot
// that Reload replaces as a whole. Safe for concurrent use.
type Ring struct {
	store        KeyStore
	sealer       *Sealer
	algs         []string
	publishAhead time.Duration
	maxTokenLife time.Duration
	rotateAfter  time.Duration
	readOnly     bool
	external     externalKeys
	now          func() time.Time
	random       io.Reader
	parser       *jwt.Parser

	changing  sync.Mutex // held while reading records into a new snapshot
	deletable []string   // kids of keys whose records can be deleted
	current   atomic.Pointer[snapshot]
}

// NewRing loads the keys. Unless the ring is ReadOnly, it makes the first key of each
// algorithm that has none, which is active at once. If several processes do so at
// once, the store admits one key and all of them use it. Errors: those of the store
// and of the sealer, ErrUnsupportedAlg, and faults of an external key.
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
	case cfg.PublishAhead < 0, cfg.MaxTokenLife < 0, cfg.RotateAfter < 0:
		return nil, errors.New("negative duration")
	}
	r := &Ring{
		store:        cfg.Store,
		sealer:       cfg.Sealer,
		publishAhead: cmp.Or(cfg.PublishAhead, DefaultPublishAhead),
		maxTokenLife: cmp.Or(cfg.MaxTokenLife, DefaultMaxTokenLife),
		rotateAfter:  cfg.RotateAfter,
		readOnly:     cfg.ReadOnly,
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
	if r.external, err = newExternalKeys(cfg.External); err != nil {
		return nil, err
	}
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
		if _, err := signingMethodOf(alg); err != nil {
			return nil, err
		}
		if !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	return algs, nil
}

// start loads the keys and makes the missing ones, see NewRing.
func (r *Ring) start(ctx context.Context) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	if err := r.reload(ctx); err != nil {
		return err
	}
	if r.readOnly {
		return nil
	}
	for _, alg := range r.algs {
		if err := r.ensure(ctx, alg); err != nil {
			return err
		}
	}
	return nil
}

// instant returns the current time in the precision of the store.
func (r *Ring) instant() time.Time { return r.now().UTC().Truncate(time.Microsecond) }

// Reload reads the keys again, so that changes of other processes take effect. If
// it fails, the keys that were known before stay in use.
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
	next, err := newSnapshot(records, r.current.Load(), r.sealer, r.external, r.now())
	if err != nil {
		return err
	}
	r.deletable = deletable(records, r.now(), r.maxTokenLife)
	r.current.Store(next)
	return nil
}

// SigningKey returns the key that signs with the algorithm now ("": the default
// algorithm), or ErrNoKey.
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

// SigningSince returns the time since which the key of each algorithm signs. External keys
// are left out.
func (r *Ring) SigningSince() map[string]time.Time {
	current, now, since := r.current.Load(), r.now(), map[string]time.Time{}
	for alg := range current.groups {
		if e := current.signer(alg, now); e != nil && !e.external {
			since[alg] = e.record.ActivatesAt
		}
	}
	return since
}

// List returns all keys as the store has them now, oldest first, and then the
// external keys.
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
		if infos[i].State == StateActive && r.external.signer(record.Alg, now) != nil {
			infos[i].State = StateAnnounced // published, and does not sign
		}
	}
	return append(infos, r.external.infos(now)...), nil
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
