package storage

import (
	"encoding/json"
	"time"
)

// UserKind says which of the three parties a user belongs to.
type UserKind string

// The kinds of user, by their OrderCloud names.
const (
	Buyer    UserKind = "buyer"
	Supplier UserKind = "supplier"
	Admin    UserKind = "admin"
)

// User is a person.
type User struct {
	UID        string // internal, generated, stable, never reused: the subject of tokens
	RealmID    string
	Kind       UserKind
	AccountUID string // the buyer or supplier it belongs to; empty for admin users
	ID         string // in the dialects; unique in its account
	Name       string // in full; empty: FirstName and LastName
	FirstName  string
	MiddleName string
	LastName   string
	Email      string
	EmailKey   string // otp.NormalizeUsername(Email)
	Phone      string
	Active     bool
	Locale     string
	XP         json.RawMessage

	TokensValidFrom time.Time // tokens issued earlier are revoked
	ValidFrom       time.Time // tokens and codes issued earlier are ended: since the user was last switched off or on

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// NewUser is a user who comes into being together with what goes with it, all
// of it or nothing. A user of an account becomes a member of it as well.
type NewUser struct {
	User       User
	Login      *Login       // with the hash of its password, if it has one
	Account    *Account     // of its own, which it becomes a member of
	Invitation *CodeRequest // of type MessageNewUserInvitation; nil: nobody is told
}

// Login is a name in a password profile with which a user signs in. It carries
// its lockout state and its current one-time code, so that one conditional
// update can decide an attempt.
type Login struct {
	ID                string
	ProfileID         string
	Username          string // as typed when it was created
	UsernameKey       string // otp.NormalizeUsername(Username); unique in the profile
	UserUID           string
	Active            bool
	PasswordHash      string // PHC or crypt format; empty: no permanent password
	PasswordSetAt     time.Time
	SessionsValidFrom time.Time // sessions begun earlier are dead
	KeptSession       string    // the one of them that goes on: it has set the password; empty: none
	Lockout           Lockout
	Code              Code

	Version              int64 // of the administrator's view; attempts do not change it
	CreatedAt, UpdatedAt time.Time
}

// Lockout is the failure state of a login, as an attempt sees it. Names that
// nobody has carry one too, so that they answer alike.
type Lockout struct {
	Failures      int // of all guesses, wherever they came from
	LastFailureAt time.Time
	LockedUntil   time.Time
	Codes         Counter   // of those that were made while a one-time password was live
	Source        Counter   // of those from Principal.Source; zero where that is not known
	NotifiedAt    time.Time // when the user was last told of a lock
	Version       int64     // rises with each change; a failure settles against the version it saw
}

// Locked tells whether the login is locked at the time now, for all who try
// from a source that is not known.
func (l Lockout) Locked(now time.Time) bool { return now.Before(l.LockedUntil) }

// Counter counts failures, and says what they lead to.
type Counter struct {
	Failures      int
	LastFailureAt time.Time
	LockedUntil   time.Time
}

// Locked tells whether no attempt that the counter is about may succeed at the
// time now.
func (c Counter) Locked(now time.Time) bool { return now.Before(c.LockedUntil) }

// PartiesOf are the parties that a user is of: its kind, its account, if it has
// one, and itself, if it has a UID already.
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
