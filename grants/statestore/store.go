package statestore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// States is the store that a server brings. All replicas of the server share it.
type States interface {
	// Load returns the value of a key, or nil if it has none; an empty slice is a value. It returns what the last
	// successful Swap wrote, also if that ran on another replica.
	Load(ctx context.Context, key string) ([]byte, error)
	// Swap replaces values: all of them, or none. For a value past its Until, Load and Swap
	// must agree whether the key has it. If the present value of a key is not Change.Old, it
	// returns storage.ErrStale. When it returns nil, the values are durable. Two calls with
	// one key never both succeed with the same Old.
	Swap(ctx context.Context, changes ...Change) error
}

// Change replaces the value of one key.
type Change struct {
	Key   string    // at most MaxKeyBytes of ASCII letters, digits and . _ -; case matters
	Old   []byte    // the value that is replaced, compared byte by byte; nil: the key has none
	New   []byte    // JSON, never nil; returned byte by byte, without a limit of its length
	Until time.Time // the server may delete the value after that, and never before; zero: never
}

// MaxKeyBytes is the length of the longest key.
const MaxKeyBytes = 64

// User is a user of the server, as far as signing in needs it.
type User struct {
	ID string // is never changed or given to another user; the subject of tokens
	// Name is the name under which the failures, the lock and the code of the user are
	// stored, whichever name the user types. It is required if Config.User finds a user by
	// several names, such as a username and an e-mail address. Without it, each name would
	// allow the whole budget of guesses.
	//
	// Config.User must find the user by Name. It has the form of otp.NormalizeUsername. If
	// it changes, locks, codes and refresh tokens of the user end. Empty: the name that was
	// passed to Config.User.
	Name          string
	Email         string
	Phone         string
	PasswordHash  string    // in a format of signin.CheckEncoded; empty: the user has no permanent password
	PasswordSetAt time.Time // ends the refresh tokens of earlier sign-ins; zero: unknown
	Roles         []string  // the scopes that the user can be granted
	Inactive      bool      // may not sign in
}

// Config configures a Store. States and User are required.
type Config struct {
	States States
	// User returns the user with that name, or storage.ErrNotFound. The name is in the form
	// of otp.NormalizeUsername: NFKC, case-folded, trimmed. If your table has usernames in
	// another form, add a column with this form. See User.Name for users with several names.
	User func(ctx context.Context, name string) (User, error)
	// Member returns the membership of a user in an account by the UIDs of both, or
	// storage.ErrNotFound. Refresh tokens that are scoped to an account need it. nil: a
	// sign-in that begins one is an error.
	Member func(ctx context.Context, userID, accountUID string) (storage.Member, error)
	// Lockout is the policy for failed attempts; zero: lockout.DefaultPolicy.
	Lockout storage.LockoutPolicy
	Now     func() time.Time // nil: time.Now
}

// Store keeps sign-ins, codes, refresh token families and keys in a States. It is safe
// for concurrent use.
type Store struct {
	states States
	find   func(ctx context.Context, name string) (User, error)
	member func(ctx context.Context, userID, accountUID string) (storage.Member, error)
	policy storage.LockoutPolicy
	now    func() time.Time
}

// New returns a Store. It returns an error if a required field is missing, or if the
// policy allows too many guesses (lockout.ErrTooManyGuesses).
func New(cfg Config) (*Store, error) {
	if cfg.States == nil || cfg.User == nil {
		return nil, errors.New("statestore: Config.States and Config.User are required")
	}
	if cfg.Lockout == (storage.LockoutPolicy{}) {
		cfg.Lockout = lockout.DefaultPolicy()
	}
	if err := lockout.Check(cfg.Lockout); err != nil {
		return nil, fmt.Errorf("statestore: Config.Lockout: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{states: cfg.States, find: cfg.User, member: cfg.Member, policy: cfg.Lockout, now: cfg.Now}, nil
}

// entry is a value as it was loaded.
type entry[T any] struct {
	key   string
	old   []byte // as stored
	value T
}

// load reads and decodes the value of a key. The zero T stands for no value.
func load[T any](ctx context.Context, s *Store, key string) (entry[T], error) {
	e := entry[T]{key: key}
	old, err := s.states.Load(ctx, key)
	if err != nil {
		return e, unavailable("load "+key, err)
	}
	if old == nil {
		return e, nil
	}
	e.old = bytes.Clone(old)
	if err := json.Unmarshal(old, &e.value); err != nil {
		return e, fmt.Errorf("statestore: value of %s: %w", key, err)
	}
	return e, nil
}

// change returns the change that writes the value of the entry.
func (e *entry[T]) change(until time.Time) (Change, error) {
	text, err := json.Marshal(e.value)
	if err != nil {
		return Change{}, fmt.Errorf("statestore: value of %s: %w", e.key, err)
	}
	return Change{Key: e.key, Old: e.old, New: text, Until: until}, nil
}

// swap writes the entry, and further changes together with it.
func (e *entry[T]) swap(ctx context.Context, s *Store, until time.Time, more ...Change) error {
	first, err := e.change(until)
	if err != nil {
		return err
	}
	return unavailable("swap "+e.key, s.states.Swap(ctx, append([]Change{first}, more...)...))
}

// maxTries is the highest number of attempts at a change. Each storage.ErrStale means that
// another change of the same value succeeded meanwhile. So many of them in a row mean that
// Swap of the server's store does not work.
const maxTries = 1000

// repeat calls decide until it does not return storage.ErrStale, ctx ends, or maxTries are
// used up. Each call loads the values again.
func repeat(ctx context.Context, decide func() error) error {
	var err error
	for range maxTries {
		if err = decide(); !errors.Is(err, storage.ErrStale) {
			return err
		}
		if ctx.Err() != nil {
			return unavailable("repeat", ctx.Err())
		}
	}
	return fmt.Errorf("statestore: stale %d times: %w: %w", maxTries, storage.ErrUnavailable, err)
}

// unavailable marks an error of the server's store as storage.ErrUnavailable, unless it
// has a meaning already. So the answer is 503, and nothing was decided.
func unavailable(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrStale), errors.Is(err, storage.ErrUnavailable), errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("statestore: %s: %w", what, err)
	}
	return fmt.Errorf("statestore: %s: %w: %w", what, storage.ErrUnavailable, err)
}
