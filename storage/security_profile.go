package storage

import "time"

// SecurityProfile is a named set of roles with a password policy for the users that
// it is assigned to.
type SecurityProfile struct {
	ID       string
	RealmID  string
	Name     string
	Roles    []string // standard and custom together
	Password PasswordPolicy

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// PasswordPolicy tightens the lockout policy and the password rules of the password
// profile for users with the security profile. With several security profiles, the
// strictest value of each field applies. A nil field changes nothing.
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

// Party identifies the users that a security profile is assigned to: one user, all
// users of an account, or all users of a kind. Make one with UserParty,
// AccountParty or KindParty.
type Party string

// UserParty returns the Party of one user.
func UserParty(uid string) Party { return Party("user:" + uid) }

// AccountParty returns the Party of all users of an account.
func AccountParty(uid string) Party { return Party("account:" + uid) }

// KindParty returns the Party of all users of a kind.
func KindParty(kind UserKind) Party { return Party("kind:" + string(kind)) }
