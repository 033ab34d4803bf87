package storage

import (
	"encoding/json"
	"time"
)

// DefaultRealmID and DefaultProfileID name the realm and the password profile
// that every new database has.
const (
	DefaultRealmID   = "default"
	DefaultProfileID = "default"
)

// Realm is a namespace of users (OrderCloud: marketplace; Elastic Path:
// authentication realm).
type Realm struct {
	ID   string
	Name string

	// The settings of sign-ins by account members (Elastic Path: account
	// authentication settings).
	SelfSignup        bool           // whoever comes may make a login
	AutoCreateAccount bool           // each new member gets an account of its own
	SelfManagement    SelfManagement // what a member may change about itself
	AccountTokenTTL   time.Duration  // of account-member tokens; 0: a day

	RedirectURIs         []string
	DuplicateEmailPolicy string // "allowed", "api_only" or "disallowed"; kept for the dialect

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// SelfManagement is what an account member may change about itself with an
// account-member token.
type SelfManagement string

// The settings of SelfManagement, by their Elastic Path names.
const (
	SelfManagementDisabled SelfManagement = "disabled"
	SelfManagementUpdate   SelfManagement = "update_only"
)

// PasswordProfile says how a login of a realm works.
type PasswordProfile struct {
	ID             string
	RealmID        string
	Name           string
	OneTimeCodes   bool   // users may ask for one-time passwords
	UsernameFormat string // "any" or "email"
	Code           CodeFormat
	CodeTTL        time.Duration // at most ten minutes
	Lockout        LockoutPolicy
	Rules          PasswordRules

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// CodeFormat is the shape of a one-time password.
type CodeFormat struct {
	Alphabet string // "crockford" or "digits"
	Length   int    // characters
}

// LockoutPolicy limits the guesses a login allows.
type LockoutPolicy struct {
	Threshold    int           // failures in a row before the first lock
	Duration     time.Duration // of the first lock; each further failure doubles it. 0: until an administrator unlocks
	MaxDuration  time.Duration // ceiling of the doubling
	ForgetsAfter time.Duration // quiet time after which failures no longer count
}

// Tightened returns the stricter of the policy and a security profile's, field
// by field: fewer failures and the longer lock, where 0 (until somebody
// unlocks) is the longest. A limit of less than one attempt is ignored.
func (p LockoutPolicy) Tightened(by PasswordPolicy) LockoutPolicy {
	if n := by.AllowedFailedAttempts; n != nil && *n >= 1 {
		p.Threshold = min(max(p.Threshold, 1), *n)
	}
	if d := by.LockoutDuration; d != nil && p.Duration > 0 && (*d <= 0 || *d > p.Duration) {
		p.Duration = *d
	}
	return p
}

// PasswordRules are what a new permanent password must satisfy.
type PasswordRules struct {
	MinLength        int
	UpperCase        bool
	LowerCase        bool
	Digit            bool
	Special          bool
	MaxRepeatedChars int // 0: no limit

	// These come from security profiles only; see Tightened.
	MaxAge  time.Duration // after which a password must be changed; 0: never
	MinAge  time.Duration // before which it may not be changed again; 0: at any time
	History int           // how many former passwords may not come back
}

// Tightened returns the stricter of the rules and a security profile's, field
// by field.
func (r PasswordRules) Tightened(by PasswordPolicy) PasswordRules {
	r.MinLength = max(r.MinLength, number(by.MinimumCharacterCount))
	r.UpperCase = r.UpperCase || by.UpperCaseRequired
	r.LowerCase = r.LowerCase || by.LowerCaseRequired
	r.Digit = r.Digit || by.NumericRequired
	r.Special = r.Special || by.SpecialRequired
	r.MaxRepeatedChars = lower(r.MaxRepeatedChars, number(by.MaxConsecutiveDupes))
	r.MaxAge = lower(r.MaxAge, number(by.MaximumPasswordAge))
	r.MinAge = max(r.MinAge, number(by.MinimumPasswordAge))
	r.History = max(r.History, number(by.LimitPasswordReuse))
	return r
}

// lower returns the smaller of two limits, where 0 is no limit.
func lower[N int | time.Duration](a, b N) N {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

func number[N int | time.Duration](p *N) N {
	if p == nil {
		return 0
	}
	return *p
}

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

// Account is an organisation: a buyer or a supplier.
type Account struct {
	UID     string // internal, generated
	RealmID string
	Kind    UserKind // Buyer or Supplier
	ID      string   // in the dialects; unique for its kind
	Name    string
	Active  bool
	XP      json.RawMessage

	LegalName      string
	RegistrationID string
	ExternalRef    string
	ParentUID      string // of the account it is part of; empty: none

	ValidFrom time.Time // as User.ValidFrom, for its users and members

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Membership makes a user a member of an account, with roles there. A user who
// belongs to an account is a member of it from the start.
type Membership struct {
	ID         string // in the dialects
	AccountUID string
	UserUID    string
	Roles      []string

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Member is a membership with its account: what an account-member token is
// scoped to.
type Member struct {
	Membership Membership
	Account    Account
}

// SecurityProfile is a named set of roles with the password policy of those
// who hold it.
type SecurityProfile struct {
	ID       string
	RealmID  string
	Name     string
	Roles    []string // standard and custom together
	Password PasswordPolicy

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// PasswordPolicy tightens the profile's lockout and password rules for the
// holders of a security profile; of several the strictest value of each field
// counts. A nil field leaves the profile's value.
type PasswordPolicy struct {
	AllowedFailedAttempts *int           `json:",omitempty"`
	LockoutDuration       *time.Duration `json:",omitempty"` // 0: until an administrator unlocks
	MinimumCharacterCount *int           `json:",omitempty"`
	MaxConsecutiveDupes   *int           `json:",omitempty"`
	LimitPasswordReuse    *int           `json:",omitempty"`
	MaximumPasswordAge    *time.Duration `json:",omitempty"`
	MinimumPasswordAge    *time.Duration `json:",omitempty"`
	UpperCaseRequired     bool           `json:",omitempty"`
	LowerCaseRequired     bool           `json:",omitempty"`
	SpecialRequired       bool           `json:",omitempty"`
	NumericRequired       bool           `json:",omitempty"`
}

// Party is who a security profile is assigned to: a user, an account with all
// its users, or all users of a kind. Build one with the functions below.
type Party string

// UserParty is one user.
func UserParty(uid string) Party { return Party("user:" + uid) }

// AccountParty is all users of an account.
func AccountParty(uid string) Party { return Party("account:" + uid) }

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

// KindParty is all users of a kind.
func KindParty(kind UserKind) Party { return Party("kind:" + string(kind)) }
