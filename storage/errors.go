package storage

import (
	"errors"
	"fmt"
)

// The errors of stores. Stores wrap them to add detail; compare with errors.Is.
var (
	// ErrNotFound says that there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrConflict says that a record with that identity exists already.
	ErrConflict = errors.New("record exists already")
	// ErrUsernameTaken says that another login of the profile has the username. It
	// wraps ErrConflict.
	ErrUsernameTaken = fmt.Errorf("username taken: %w", ErrConflict)
	// ErrTooMany says that the highest number of records of that kind is reached.
	ErrTooMany = errors.New("no room for another record")
	// ErrStale says that the record changed since the caller read it.
	ErrStale = errors.New("record changed meanwhile")
	// ErrRefused says that a settlement found the login locked or disabled, or
	// the code no longer live, at the moment it was to take effect.
	ErrRefused = errors.New("refused at settlement")
	// ErrUnavailable says that the database cannot be reached now. Nothing was
	// decided and nothing was written, so the caller may try again.
	ErrUnavailable = errors.New("storage unavailable")
)

// MustBeNew is the Version of a record that is written only if no record has its
// ID yet. Otherwise the store returns ErrConflict.
const MustBeNew int64 = -1
