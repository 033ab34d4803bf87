package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

const day = 24 * time.Hour

// SecurityProfile is OrderCloud's named set of roles.
type SecurityProfile struct {
	ID                  string
	Name                string
	Roles               []string
	CustomRoles         []string
	PasswordConfig      *PasswordConfig
	IsExternalRoleGroup bool // read only
}

// PasswordConfig has stricter rules for the logins of the holders of the profile.
// An absent member leaves the rule of the password profile.
type PasswordConfig struct {
	LimitPasswordReuse       *int // how many former passwords may not come back, 0 to 24
	MaxConsecutiveDupeChars  *int // how many equal characters may follow each other; 0: no limit
	MaximumPasswordAge       *int // days after which a password must be changed, 0 to 3650; 0: never
	MinimumPasswordAge       *int // minutes before which a password may not be changed again
	AllowedFailedAttempts    *int // failures in a row before the first lock, 1 to 100
	LockoutDuration          *int // minutes of the first lock; 0: until an administrator unlocks
	UpperCaseRequired        bool
	LowerCaseRequired        bool
	SpecialCharacterRequired bool
	NumericRequired          bool
	MinimumCharacterCount    *int // least length of a password, 0 to 250
}

// SecurityProfileAssignment gives the profile to a user, to the users of a buyer or
// supplier or, without any of these, to all admin users.
type SecurityProfileAssignment struct {
	SecurityProfileID string
	BuyerID           *string
	SupplierID        *string
	UserID            *string // of that buyer or supplier; otherwise an admin user
	UserGroupID       *string // not supported, refused
}

// Validate returns the faults of the assignment, as found at path.
func (a SecurityProfileAssignment) Validate(path string) Faults {
	c := check{path: path}
	c.id("SecurityProfileID", a.SecurityProfileID)
	c.party(a.BuyerID, a.SupplierID)
	c.reference("UserID", a.UserID)
	c.noGroups(a.UserGroupID)
	return c.faults
}

// Validate returns every fault of the profile, as found at path.
func (p SecurityProfile) Validate(path string) Faults {
	c := check{path: path}
	c.id("ID", p.ID)
	c.required("Name", p.Name)
	c.roles("Roles", p.Roles)
	c.roles("CustomRoles", p.CustomRoles)
	if p.PasswordConfig != nil {
		c.faults = append(c.faults, p.PasswordConfig.validate(Join(path, "PasswordConfig"))...)
	}
	return c.faults
}

func (p PasswordConfig) validate(path string) Faults {
	c := check{path: path}
	c.between("AllowedFailedAttempts", p.AllowedFailedAttempts, 1, 100)
	c.between("LockoutDuration", p.LockoutDuration, 0, 525600)
	c.between("MinimumCharacterCount", p.MinimumCharacterCount, 0, 250)
	c.between("MaxConsecutiveDupeChars", p.MaxConsecutiveDupeChars, 0, 250)
	c.between("LimitPasswordReuse", p.LimitPasswordReuse, 0, 24)
	c.between("MaximumPasswordAge", p.MaximumPasswordAge, 0, 3650)
	c.between("MinimumPasswordAge", p.MinimumPasswordAge, 0, 525600)
	if c.faults == nil {
		if err := lockout.Check(p.lockout()); err != nil {
			c.fail("AllowedFailedAttempts", "%v", err)
		}
	}
	return c.faults
}

// lockout returns the lockout policy of the config. Absent members have their
// defaults.
func (p PasswordConfig) lockout() storage.LockoutPolicy {
	policy := lockout.DefaultPolicy()
	policy.Threshold = surface.ValueOr(p.AllowedFailedAttempts, policy.Threshold)
	if p.LockoutDuration != nil {
		policy.Duration = time.Duration(*p.LockoutDuration) * time.Minute
	}
	return policy
}

// ToRecord returns base with the members of the profile.
func (p SecurityProfile) ToRecord(base storage.SecurityProfile) storage.SecurityProfile {
	r := base
	r.ID, r.Name = p.ID, p.Name
	r.Roles = surface.SortedSet(p.Roles, p.CustomRoles)
	r.Password = storage.PasswordPolicy{}
	if p.PasswordConfig != nil {
		r.Password = p.PasswordConfig.toRecord()
	}
	return r
}

func (p PasswordConfig) toRecord() storage.PasswordPolicy {
	r := storage.PasswordPolicy{
		AllowedFailedAttempts: p.AllowedFailedAttempts,
		MinimumCharacterCount: p.MinimumCharacterCount,
		MaxConsecutiveDupes:   p.MaxConsecutiveDupeChars,
		UpperCaseRequired:     p.UpperCaseRequired,
		LowerCaseRequired:     p.LowerCaseRequired,
		SpecialRequired:       p.SpecialCharacterRequired,
		NumericRequired:       p.NumericRequired,
		LimitPasswordReuse:    p.LimitPasswordReuse,
		LockoutDuration:       times(p.LockoutDuration, time.Minute),
		MaximumPasswordAge:    times(p.MaximumPasswordAge, day),
		MinimumPasswordAge:    times(p.MinimumPasswordAge, time.Minute),
	}
	return r
}

// times returns a number of units as a duration; in returns the number again.
func times(n *int, unit time.Duration) *time.Duration {
	if n == nil {
		return nil
	}
	return new(time.Duration(*n) * unit)
}

func in(d *time.Duration, unit time.Duration) *int {
	if d == nil {
		return nil
	}
	return new(int(*d / unit))
}

// SecurityProfileFromRecord returns the profile as the wire shows it.
func SecurityProfileFromRecord(r storage.SecurityProfile) SecurityProfile {
	p := SecurityProfile{ID: r.ID, Name: r.Name}
	p.Roles, p.CustomRoles = splitRoles(r.Roles)
	if r.Password == (storage.PasswordPolicy{}) {
		return p
	}
	p.PasswordConfig = &PasswordConfig{
		AllowedFailedAttempts:    r.Password.AllowedFailedAttempts,
		MinimumCharacterCount:    r.Password.MinimumCharacterCount,
		MaxConsecutiveDupeChars:  r.Password.MaxConsecutiveDupes,
		UpperCaseRequired:        r.Password.UpperCaseRequired,
		LowerCaseRequired:        r.Password.LowerCaseRequired,
		SpecialCharacterRequired: r.Password.SpecialRequired,
		NumericRequired:          r.Password.NumericRequired,
		LimitPasswordReuse:       r.Password.LimitPasswordReuse,
		LockoutDuration:          in(r.Password.LockoutDuration, time.Minute),
		MaximumPasswordAge:       in(r.Password.MaximumPasswordAge, day),
		MinimumPasswordAge:       in(r.Password.MinimumPasswordAge, time.Minute),
	}
	return p
}
