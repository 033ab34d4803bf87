package storage

import "time"

// Settlement lets a verified attempt take effect, in one transaction. The store
// refuses it with ErrRefused unless the login is active and not locked at that
// moment and the credential is still valid: the code is live, or the password is
// unchanged. Otherwise it uses up the code, clears the failures, stores the new
// hash, remembers the source, begins the token family and the session, and issues the
// authorization code.
//
// For an attempt from a known source, the lock of that source counts. Otherwise
// the lock for guesses at codes counts for a code, and the lock of the login for a
// password. The other locks and their failures stay.
type Settlement struct {
	LoginID  string
	SourceID string  // ID of the known source that the attempt came from; empty: unknown
	Remember *Source // source that is known from now on, without failures; nil: sources do not change
	CodeID   string  // the presented code; empty: the permanent password was presented
	// VerifyEmail is the address, as User.EmailKey, that the code was mailed to. If the
	// user still has it, it is User.VerifiedEmail from now on. Empty: it stays.
	VerifyEmail string
	NewHash     string // empty: keep the stored hash
	OldHash     string // what NewHash replaces

	// PasswordSetAt is Login.PasswordSetAt when the permanent password was verified.
	// Without CodeID, the settlement is refused if the password was changed since.
	PasswordSetAt time.Time

	// Resumed says that an earlier sign-in goes on and no credential was presented.
	// Then the failures are not cleared.
	Resumed bool

	BeginFamily *TokenFamily // nil: no refresh token

	// BeginSession is the session of the browser that begins. A session with that ID of
	// the same login that has not ended is renewed: it gets the new secret. nil: none.
	BeginSession *Session
	Authorize    *Authorization // code that is issued; nil: none
	Now          time.Time
}

// PasswordChange sets a new permanent password in one transaction. The store
// refuses it with ErrRefused unless the login is active and, with CodeID, not
// locked and the code live. Otherwise it ends older refresh families and access
// tokens of the login except those of KeepSession, uses up the one-time password
// and the verification code, and clears the failures.
type PasswordChange struct {
	LoginID string
	Hash    string
	Keep    int    // number of former hashes to keep, the replaced one included
	CodeID  string // the verification code that allows the change; empty: it is allowed otherwise
	Now     time.Time

	// SourceID is the ID of the known source that the code was presented from. Then
	// the lock of that source counts; see Settlement. Empty: unknown.
	SourceID string

	// KeepSession is the session in which users change their own password. It is the
	// only one that goes on. Empty: all sessions end.
	KeepSession string
}
