package storage

import (
	"encoding/json"
	"time"
)

// UserKind says whether a user belongs to a buyer, to a supplier or to the seller.
type UserKind string

// The kinds of user, by their OrderCloud names.
const (
	Buyer    UserKind = "buyer"
	Supplier UserKind = "supplier"
	Admin    UserKind = "admin"
)

// User is a person.
type User struct {
	UID        string // generated, never changed or reused; the subject of tokens
	RealmID    string
	Kind       UserKind
	AccountUID string // the buyer or supplier it belongs to; empty for admin users
	ID         string // in the vendor dialects; unique in its account
	Name       string // full name; empty: FirstName and LastName
	FirstName  string
	MiddleName string
	LastName   string
	Email      string
	EmailKey   string // otp.NormalizeUsername(Email)
	// VerifiedEmail is the EmailKey that is known to be the user's, because a code that was
	// mailed there was used, or because an administrator said so. Empty: the address is not
	// verified. A store clears it when the address changes.
	VerifiedEmail string
	Phone         string
	Active        bool
	Locale        string
	XP            json.RawMessage

	TermsAccepted   time.Time // of the site, as an administrator or the user says; zero: not
	TokensValidFrom time.Time // tokens issued earlier are revoked
	ValidFrom       time.Time // tokens and codes issued earlier have ended; set when the user is deactivated and activated

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// EmailVerified reports whether the present address is known to be the user's.
func (u *User) EmailVerified() bool { return u.EmailKey != "" && u.VerifiedEmail == u.EmailKey }

// NewUser is a user that is created in one transaction with its login, account and
// invitation. A user of an account becomes a member of it as well.
type NewUser struct {
	User       User
	Login      *Login       // with the hash of its password, if it has one
	Account    *Account     // a new account that the user becomes a member of; nil: none
	Invitation *CodeRequest // of type MessageNewUserInvitation; nil: none is sent
}

// Login is a username in a password profile with which a user signs in. It
// contains its lockout state and its current one-time password, so that one
// conditional update can decide an attempt.
type Login struct {
	ID                string
	ProfileID         string
	Username          string // as typed when it was created
	UsernameKey       string // otp.NormalizeUsername(Username); unique in the profile
	UserUID           string
	Active            bool
	PasswordHash      string // PHC or crypt format; empty: no permanent password
	PasswordSetAt     time.Time
	LastActiveAt      time.Time // last sign-in; zero: none
	SessionsValidFrom time.Time // sessions that began earlier have ended
	KeptSession       string    // the one earlier session that goes on, because it set the password; empty: none
	Lockout           Lockout
	Code              Code

	Version              int64 // rises when an administrator or the user changes the login; attempts do not change it
	CreatedAt, UpdatedAt time.Time
}

// Lockout is the failure state of a login. Unknown usernames have one too, so that
// answers for them are the same.
type Lockout struct {
	Failures      int // failed attempts from all sources
	LastFailureAt time.Time
	LockedUntil   time.Time
	Codes         Counter   // failed attempts while a one-time password was live
	Source        Counter   // failed attempts from Principal.Source; zero for an unknown source
	NotifiedAt    time.Time // when the user was last notified of a lock
	Version       int64     // rises with each change; a failure settles against the version it saw
}

// Locked reports whether the login is locked at the time now for unknown sources.
func (l Lockout) Locked(now time.Time) bool { return now.Before(l.LockedUntil) }

// Counter counts failed attempts and holds the lock that they caused.
type Counter struct {
	Failures      int
	LastFailureAt time.Time
	LockedUntil   time.Time
}

// Locked reports whether the attempts that the counter counts are locked out at
// the time now.
func (c Counter) Locked(now time.Time) bool { return now.Before(c.LockedUntil) }

// PartiesOf returns the parties that a user belongs to: those of its kind, of its account,
// if it has one, and of the user itself, if it has a UID already.
func PartiesOf(u User) []Party {
	parties := []Party{KindParty(u.Kind)}
	if u.AccountUID != "" {
		parties = append(parties, AccountParty(u.AccountUID))
	}
	if u.UID != "" {
		parties = append(parties, UserParty(u.UID))
	}
	return parties
}
