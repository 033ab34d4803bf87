package signin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"
)

// HasherConfig limits how much a Hasher computes at a time.
type HasherConfig struct {
	// Concurrency is the number of slots. A hash with the current parameters
	// (19 MiB) takes one slot while it is computed. An imported hash that needs
	// more memory takes several. Default: one for each processor.
	Concurrency int
	// Queue is how many callers may wait for a slot. Default 1000.
	Queue int
	// MaxWait is how long a caller waits for a slot. Default: half of the time
	// until the deadline of its context, or 5 s without a deadline.
	MaxWait time.Duration
	// Rand is the source of salts. Default: crypto/rand.
	Rand io.Reader
}

// Hasher makes and verifies password hashes. Its memory and its queue are bounded, so
// that many passwords at once can neither exhaust the machine nor starve other work.
type Hasher struct {
	slots   *semaphore.Weighted
	size    int64 // number of slots
	waiting atomic.Int64
	queue   int64         // how many callers may wait
	maxWait time.Duration // 0: see waitLimit
	rand    io.Reader
	dummy   argon2Hash // compared instead of a hash that is absent or refused
	times   *verificationTimes
}

// NewHasher returns a Hasher, or an error if a limit is negative or Rand fails.
func NewHasher(cfg HasherConfig) (*Hasher, error) {
	if cfg.Concurrency < 0 || cfg.Queue < 0 || cfg.MaxWait < 0 {
		return nil, errors.New("password hasher: a limit is negative")
	}
	h := &Hasher{size: int64(cfg.Concurrency), queue: int64(cfg.Queue), maxWait: cfg.MaxWait, rand: cfg.Rand}
	if h.size == 0 {
		h.size = int64(runtime.GOMAXPROCS(0))
	}
	if h.queue == 0 {
		h.queue = 1000
	}
	if h.rand == nil {
		h.rand = rand.Reader
	}
	h.slots = semaphore.NewWeighted(h.size)
	h.times = newVerificationTimes(h.size)
	var err error
	h.dummy, err = h.newArgon2()
	return h, err
}

// Hash returns the argon2id hash of the password's normal form (Unicode NFKC, NIST SP
// 800-63B section 3.1.1.2) as a PHC string. It fails with ErrBusy if no slot is free in
// time, and with the error of ctx if that ends first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	fresh, err := h.newArgon2()
	if err != nil {
		return "", err
	}
	if err := h.acquire(ctx, 1); err != nil {
		return "", err
	}
	defer h.slots.Release(1)
	fresh.tag = fresh.compute(norm.NFKC.String(password))
	return fresh.String(), nil
}

// Verify reports whether password is the one of the encoded hash. If it is, upgrade
// reports whether the hash should be replaced by one from Hash. Verify compares the
// normal form of the password first. Imported hashes, and hashes from before passwords
// were normalized, may be of the bytes as typed, or of the form NFC or NFD. So Verify
// also compares those that differ.
//
// An empty encoded matches no password and costs as much as a hash from Hash. Errors:
// ErrHashRefused, at the same cost, for a hash that CheckEncoded refuses; ErrBusy if no
// slot is free in time; the error of ctx if that ends first.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error) {
	for i, form := range passwordForms(password) {
		ok, upgrade, err = h.verify(ctx, encoded, form)
		if ok {
			return true, upgrade || i > 0, nil
		}
		if err != nil && !errors.Is(err, ErrHashRefused) {
			break
		}
	}
	return false, false, err
}

// passwordForms returns the forms of a password that Verify compares: the normal
// form of Hash, the bytes as typed, and the forms in which other systems hash
// passwords, each once. A password in ASCII has one form.
func passwordForms(password string) []string {
	forms := []string{norm.NFKC.String(password)}
	for _, form := range []string{password, norm.NFC.String(password), norm.NFD.String(password)} {
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms
}

// verify is Verify for one form of a password.
func (h *Hasher) verify(ctx context.Context, encoded, password string) (ok, upgrade bool, err error) {
	var stored passwordHash = h.dummy
	var refused error
	if encoded != "" {
		if stored, refused = parseHash(encoded); refused != nil {
			stored = h.dummy
		}
	}
	weight, watch := min(stored.weight(), h.size), h.times.start(stored)
	if err := h.acquire(ctx, weight); err != nil {
		watch.end(err)
		return false, false, err
	}
	defer h.slots.Release(weight)
	watch.gotSlot()
	ok, err = stored.matches(password)
	watch.end(err)
	if _, ours := stored.(argon2Hash); !ok && !ours {
		_, _ = h.dummy.matches(password) // a cheap imported hash would show that the user exists
	}
	switch {
	case refused != nil:
		return false, false, refused
	case err != nil:
		return false, false, fmt.Errorf("verify password: %w", err)
	case encoded == "" || !ok:
		return false, false, nil
	}
	return true, !isCurrent(stored), nil
}

// Waiting returns how many callers wait for a slot.
func (h *Hasher) Waiting() int64 { return h.waiting.Load() }

// acquire waits for as many slots as weight.
func (h *Hasher) acquire(ctx context.Context, weight int64) error {
	if h.slots.TryAcquire(weight) {
		return nil
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > h.queue {
		return fmt.Errorf("password hashing: %w", ErrBusy)
	}
	wait := h.maxWait
	if wait == 0 {
		wait = waitLimit(ctx)
	}
	waitCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if err := h.slots.Acquire(waitCtx, weight); err != nil {
		if ctx.Err() == nil {
			err = ErrBusy
		}
		return fmt.Errorf("password hashing: %w", err)
	}
	return nil
}

// newArgon2 returns a hash with the current parameters, a new salt and no tag.
func (h *Hasher) newArgon2() (argon2Hash, error) {
	a := argon2Hash{memory: currentMemory, passes: currentPasses, lanes: currentLanes, salt: make([]byte, currentSalt), tagLen: currentTag}
	if _, err := io.ReadFull(h.rand, a.salt); err != nil {
		return argon2Hash{}, fmt.Errorf("salt of a password hash: %w", err)
	}
	return a, nil
}

// compute derives the tag of the password.
func (a argon2Hash) compute(password string) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.passes, a.memory, a.lanes, a.tagLen)
}
