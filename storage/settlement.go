package storage

import "time"

// Settlement is a successful attempt that is to take effect. It does so only
// if, at that moment, the login is active and not locked and what was presented
// is still worth something: the code is live, or the password unchanged; then the
// code is used, the failures are cleared, the better hash is stored, the source
// is known and the family begins, all or nothing.
//
// Which lock counts: of an attempt from a known source the source's own, else
// for a code the one that guesses at codes made, and for a password the login's.
// A lock that did not count stays, with its failures.
type Settlement struct {
	LoginID  string
	SourceID string  // of the known source that the attempt came from; empty: unknown
	Remember *Source // is known from now on, without failures; nil: nothing is written of sources
	CodeID   string  // empty: the permanent password was presented
	NewHash  string  // empty: keep the stored hash
	OldHash  string  // what NewHash replaces

	// PasswordSetAt is the login's, as it was when the permanent password was
	// verified. Without CodeID the settlement is refused if the password was
	// changed since.
	PasswordSetAt time.Time

	// Resumed says that nothing was verified anew, but that a sign-in which
	// took effect before goes on: then the failures since stay counted.
	Resumed bool

	BeginFamily *TokenFamily // nil: no refresh token
	Now         time.Time
}

// PasswordChange is a new permanent password that is to take effect. It does
// so only if the login is active and, with Code, not locked and the code live;
// then older refresh families and access tokens of the login are dead except
// those of KeepSession, its one-time password and its verification code are used
// up, and its failures are cleared, all or nothing.
type PasswordChange struct {
	LoginID string
	Hash    string
	Keep    int    // former hashes to remember, the replaced one included
	CodeID  string // the verification code that allows it; empty: somebody else did
	Now     time.Time

	// SourceID is of the known source that the code was presented from, whose own
	// lock counts then (see Settlement); empty: unknown.
	SourceID string

	// KeepSession is the session of the user that sets its own password, the only
	// one that goes on; empty: all sessions end.
	KeepSession string
}
