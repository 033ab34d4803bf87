package storage

import "time"

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

// KindParty is all users of a kind.
func KindParty(kind UserKind) Party { return Party("kind:" + string(kind)) }
