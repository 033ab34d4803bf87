package storage

import "time"

// FamilyUse uses the current refresh token of a family in one statement, before the family
// is read: the family moves to the next generation. A store does that only in the ordinary
// case: the token is the current one and not bound to a key, a resource or an account;
// family, login, user and account are good and not locked, and the client admits the user
// and allows the credential of the sign-in.
// In every other case it changes nothing. A store may be stricter, but never more lenient
// than grants.IsFamilyLive.
type FamilyUse struct {
	FamilyID   string
	Generation int64  // of the presented token
	SeedDigest []byte // of the presented token
	ClientID   string
	Admission  Admission // by the client
	Methods    []string  // of sign-ins that the client allows (RFC 8176 §2)
	ValidFrom  time.Time // families that began earlier may have ended
	IdleUntil  time.Time // of the family from now on; zero: no idle limit
	GraceFrom  time.Time // rotations before that are forgotten; see TokenFamily.Advance
	Now        time.Time
}
