package storage

import "time"

// PasswordProfile holds the settings of the logins of a realm.
type PasswordProfile struct {
	ID             string
	RealmID        string
	Name           string
	OneTimeCodes   bool   // users may ask for one-time passwords
	UsernameFormat string // UsernameAny or UsernameEmail
	Code           CodeFormat
	CodeTTL        time.Duration // at most ten minutes
	Lockout        LockoutPolicy
	Rules          PasswordRules

	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// The values of PasswordProfile.UsernameFormat.
const (
	UsernameAny   = "any"
	UsernameEmail = "email"
)

// NewPasswordProfile returns a password profile with the default settings: codes of
// eight characters that live ten minutes, a lock of two minutes after ten failures,
// passwords of at least eight characters. It has no name, and its users cannot ask
// for one-time passwords.
func NewPasswordProfile(id, realmID string) PasswordProfile {
	return PasswordProfile{
		ID: id, RealmID: realmID, UsernameFormat: UsernameAny,
		Code: CodeFormat{Alphabet: "crockford", Length: 8}, CodeTTL: 10 * time.Minute,
		Lockout: LockoutPolicy{
			Threshold: 10, Duration: 2 * time.Minute,
			MaxDuration: 24 * time.Hour, ForgetsAfter: 24 * time.Hour,
		},
		Rules: PasswordRules{MinLength: 8},
	}
}

// Bounds are the lowest and the highest value of a number.
type Bounds struct{ Low, High int }

// PasswordProfileBounds are the bounds of the numbers of a password profile. Times are in
// seconds. The length of codes depends on what guesses the profile allows.
type PasswordProfileBounds struct {
	CodeTTL, Threshold, Duration, MaxDuration, ForgetsAfter, MinLength, MaxRepeatedChars Bounds
}

// BoundsOfPasswordProfile returns the bounds that every surface enforces.
func BoundsOfPasswordProfile() PasswordProfileBounds {
	const secondsInYear = 366 * 24 * 3600
	return PasswordProfileBounds{
		CodeTTL: Bounds{30, 600}, Threshold: Bounds{1, 100}, Duration: Bounds{0, secondsInYear},
		MaxDuration: Bounds{1, secondsInYear}, ForgetsAfter: Bounds{60, secondsInYear},
		MinLength: Bounds{1, 250}, MaxRepeatedChars: Bounds{0, 250},
	}
}

// CodeFormat is the format of one-time passwords.
type CodeFormat struct {
	Alphabet string // "crockford" or "digits"
	Length   int    // characters
}

// LockoutPolicy limits the failed attempts at a login.
type LockoutPolicy struct {
	Threshold    int           // failures in a row before the first lock
	Duration     time.Duration // of the first lock; each further failure doubles it. 0: until an administrator unlocks
	MaxDuration  time.Duration // longest lock that the doubling gives; 0: 24 hours
	ForgetsAfter time.Duration // time without a failure after which failures no longer count; 0: they always count
}

// Tightened returns, for each field, the stricter value of the policy and of a
// security profile's policy. Fewer failures and a longer lock are stricter; a
// duration of 0 (until an administrator unlocks) is the longest. A limit below one
// attempt is ignored.
func (p LockoutPolicy) Tightened(by PasswordPolicy) LockoutPolicy {
	if n := by.AllowedFailedAttempts; n != nil && *n >= 1 {
		p.Threshold = min(max(p.Threshold, 1), *n)
	}
	if d := by.LockoutDuration; d != nil && p.Duration > 0 && (*d <= 0 || *d > p.Duration) {
		p.Duration = *d
	}
	return p
}

// PasswordRules are the requirements for a new permanent password.
type PasswordRules struct {
	MinLength        int
	UpperCase        bool
	LowerCase        bool
	Digit            bool
	Special          bool
	MaxRepeatedChars int // 0: no limit

	// The following are set by security profiles only; see Tightened.
	MaxAge  time.Duration // after which a password must be changed; 0: never
	MinAge  time.Duration // before which it may not be changed again; 0: at any time
	History int           // how many former passwords may not come back
}

// Tightened returns, for each field, the stricter value of the rules and of a
// security profile's policy.
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

// WithMinLength returns the rules with a minimum length of at least n characters.
func (r PasswordRules) WithMinLength(n int) PasswordRules {
	r.MinLength = max(r.MinLength, n)
	return r
}

// lower returns the smaller of two limits. 0 means no limit.
func lower[N int | time.Duration](a, b N) N {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

// number returns the value that p points to, and 0 for nil.
func number[N int | time.Duration](p *N) N {
	if p == nil {
		return 0
	}
	return *p
}
