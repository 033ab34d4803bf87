package storage

import (
	"errors"
	"fmt"
)

// What a store answers when it does not do what it was asked. Wrapped errors
// carry the detail; callers compare with errors.Is.
var (
	// ErrNotFound says that there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrConflict says that a record with that identity exists already.
	ErrConflict = errors.New("record exists already")
	// ErrUsernameTaken is the ErrConflict of a login whose name another login of
	// the profile has.
	ErrUsernameTaken = fmt.Errorf("username taken: %w", ErrConflict)
	// ErrTooMany says that there are as many records of that kind as there may
	// be.
	ErrTooMany = errors.New("no room for another record")
	// ErrStale says that the record changed since the caller read it.
	ErrStale = errors.New("record changed meanwhile")
	// ErrRefused says that a settlement found the login locked or disabled, or
	// the code no longer live, at the moment it was to take effect.
	ErrRefused = errors.New("refused at settlement")
	// ErrUnavailable says that the database cannot be asked now. Nothing was
	// decided and nothing was written, so the caller may try again.
	ErrUnavailable = errors.New("storage unavailable")
)

// MustBeNew is the Version of a record that is to be written only if there is
// none of its identity yet; else the store answers ErrConflict.
const MustBeNew int64 = -1
