package wire

import (
	"errors"
	"time"

	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// PasswordProfile says how the users of API clients sign in. The resource is Latchkey's own.
// Security profiles can only make its rules stricter. An absent member has its default.
type PasswordProfile struct {
	ID               string
	Name             string
	UsernameFormat   *string // any (default) or email
	OneTimePasswords *bool   // whether users may ask for one-time passwords; default false

	CodeAlphabet        *string // crockford (default) or digits
	CodeLength          *int    // characters; default 8
	CodeDurationSeconds *int    // 30 to 600; default 600

	AllowedFailedAttempts         *int // failures in a row before the first lock; default 10
	LockoutDurationSeconds        *int // of the first lock, doubled by each further failure; 0: until an administrator unlocks; default 120
	MaximumLockoutDurationSeconds *int // of a lock that was doubled; default one day
	ForgetFailuresAfterSeconds    *int // without a failure or a lock; default one day

	MinimumCharacterCount    *int // less than 8 counts as 8
	UpperCaseRequired        *bool
	LowerCaseRequired        *bool
	NumericRequired          *bool
	SpecialCharacterRequired *bool
	MaxConsecutiveDupeChars  *int // 0: no limit
}

// Validate returns the faults of the profile, as found at path.
func (p PasswordProfile) Validate(path string) Faults {
	c := check{path: path}
	c.id("ID", p.ID)
	c.required("Name", p.Name)
	if p.UsernameFormat != nil {
		c.oneOf("UsernameFormat", *p.UsernameFormat, storage.UsernameAny, storage.UsernameEmail)
	}
	b := storage.BoundsOfPasswordProfile()
	for _, n := range []struct {
		field string
		value *int
		storage.Bounds
	}{
		{"CodeDurationSeconds", p.CodeDurationSeconds, b.CodeTTL},
		{"AllowedFailedAttempts", p.AllowedFailedAttempts, b.Threshold},
		{"LockoutDurationSeconds", p.LockoutDurationSeconds, b.Duration},
		{"MaximumLockoutDurationSeconds", p.MaximumLockoutDurationSeconds, b.MaxDuration},
		{"ForgetFailuresAfterSeconds", p.ForgetFailuresAfterSeconds, b.ForgetsAfter},
		{"MinimumCharacterCount", p.MinimumCharacterCount, b.MinLength},
		{"MaxConsecutiveDupeChars", p.MaxConsecutiveDupeChars, b.MaxRepeatedChars},
	} {
		c.between(n.field, n.value, n.Low, n.High)
	}
	if err := otp.CheckFormat(p.ToRecord(storage.PasswordProfile{}).Code); err != nil {
		c.fail("CodeLength", "%v", err)
	}
	return c.faults
}

// ToRecord returns base with the members of the profile. Absent ones have their defaults.
func (p PasswordProfile) ToRecord(base storage.PasswordProfile) storage.PasswordProfile {
	r := storage.NewPasswordProfile(base.ID, base.RealmID)
	r.Version, r.CreatedAt, r.UpdatedAt = base.Version, base.CreatedAt, base.UpdatedAt
	r.Name = p.Name
	surface.Overwrite(&r.UsernameFormat, p.UsernameFormat)
	surface.Overwrite(&r.OneTimeCodes, p.OneTimePasswords)
	surface.Overwrite(&r.Code.Alphabet, p.CodeAlphabet)
	surface.Overwrite(&r.Code.Length, p.CodeLength)
	surface.Overwrite(&r.CodeTTL, times(p.CodeDurationSeconds, time.Second))
	surface.Overwrite(&r.Lockout.Threshold, p.AllowedFailedAttempts)
	surface.Overwrite(&r.Lockout.Duration, times(p.LockoutDurationSeconds, time.Second))
	surface.Overwrite(&r.Lockout.MaxDuration, times(p.MaximumLockoutDurationSeconds, time.Second))
	surface.Overwrite(&r.Lockout.ForgetsAfter, times(p.ForgetFailuresAfterSeconds, time.Second))
	surface.Overwrite(&r.Rules.MinLength, p.MinimumCharacterCount)
	surface.Overwrite(&r.Rules.UpperCase, p.UpperCaseRequired)
	surface.Overwrite(&r.Rules.LowerCase, p.LowerCaseRequired)
	surface.Overwrite(&r.Rules.Digit, p.NumericRequired)
	surface.Overwrite(&r.Rules.Special, p.SpecialCharacterRequired)
	surface.Overwrite(&r.Rules.MaxRepeatedChars, p.MaxConsecutiveDupeChars)
	return r
}

// PasswordProfileFromRecord returns the profile as the wire shows it.
func PasswordProfileFromRecord(r storage.PasswordProfile) PasswordProfile {
	return PasswordProfile{
		ID: r.ID, Name: r.Name, UsernameFormat: &r.UsernameFormat, OneTimePasswords: &r.OneTimeCodes,
		CodeAlphabet: &r.Code.Alphabet, CodeLength: &r.Code.Length, CodeDurationSeconds: in(&r.CodeTTL, time.Second),
		AllowedFailedAttempts: &r.Lockout.Threshold, LockoutDurationSeconds: in(&r.Lockout.Duration, time.Second),
		MaximumLockoutDurationSeconds: in(&r.Lockout.MaxDuration, time.Second), ForgetFailuresAfterSeconds: in(&r.Lockout.ForgetsAfter, time.Second),
		MinimumCharacterCount: &r.Rules.MinLength, UpperCaseRequired: &r.Rules.UpperCase, LowerCaseRequired: &r.Rules.LowerCase,
		NumericRequired: &r.Rules.Digit, SpecialCharacterRequired: &r.Rules.Special, MaxConsecutiveDupeChars: &r.Rules.MaxRepeatedChars,
	}
}

// RiskFaults returns a fault if guesses at the profile's passwords or one-time passwords
// would succeed too often; see otp.CheckRisk.
func RiskFaults(r storage.PasswordProfile, guessCeiling float64) Faults {
	var c check
	err := otp.CheckRisk(r, guessCeiling)
	switch {
	case errors.Is(err, lockout.ErrTooManyGuesses):
		c.fail("AllowedFailedAttempts", "%v", err)
	case err != nil:
		c.fail("CodeLength", "%v", err)
	}
	return c.faults
}

// PasswordProfileExplanation says how many guesses a password profile allows, and how
// likely guesses at its one-time passwords succeed. Guesses are the sum of all counters,
// unless the name says otherwise.
type PasswordProfileExplanation struct {
	Profile              PasswordProfile
	Replicas             int
	Counters             int // of one login: one for unknown addresses, and one for each known address
	GuessesFirstHour     int
	GuessesFirstDay      int
	GuessesPerFurtherDay float64

	GuessesPerCounterAndDay int // at permanent passwords; must not exceed MaxGuessesPerCounter
	MaxGuessesPerCounter    int
	PasswordsAboveCeiling   bool

	OneTimePasswords *OneTimePasswordRisk // null: the profile has none
	Curve            []GuessPoint
}

// OneTimePasswordRisk is how likely guesses at one-time passwords succeed.
type OneTimePasswordRisk struct {
	Bits                 float64 // of a code
	OddsPerDay           float64 // that a guess at one login succeeds within the first day
	OddsFromUnknown      float64 // the part from addresses that the user never signed in from
	SuccessesPerMillion  float64 // on the first day, if a million logins are attacked
	YearsToOnePerMillion float64 // until one guess succeeds, if a million logins are attacked for good; 0: never
	GuessCeiling         float64 // highest OddsPerDay on one replica
	AboveCeiling         bool
}

// GuessPoint is how many guesses are possible up to a moment of an attack.
type GuessPoint struct {
	Seconds    int
	PerCounter int
	Guesses    int
	Odds       float64 // that one of them is the right one-time password
}

// ExplanationFromCore returns the explanation as the wire shows it.
func ExplanationFromCore(e otp.Explanation) PasswordProfileExplanation {
	w := PasswordProfileExplanation{
		Profile: PasswordProfileFromRecord(e.Profile), Replicas: e.Replicas, Counters: e.Counters,
		GuessesFirstHour: e.FirstHour(), GuessesFirstDay: e.FirstDay(), GuessesPerFurtherDay: e.LongRun(),
		GuessesPerCounterAndDay: e.Counter.FirstDay, MaxGuessesPerCounter: lockout.MaxGuessesPerDay, PasswordsAboveCeiling: e.PasswordsAboveCeiling,
	}
	if e.Profile.OneTimeCodes {
		w.OneTimePasswords = &OneTimePasswordRisk{
			Bits: e.Bits(), OddsPerDay: e.PerDay(), OddsFromUnknown: e.Stranger(), SuccessesPerMillion: e.PerMillion(),
			YearsToOnePerMillion: e.YearsToOne(), GuessCeiling: e.GuessCeiling, AboveCeiling: e.CodesAboveCeiling,
		}
	}
	for _, p := range e.Curve {
		w.Curve = append(w.Curve, GuessPoint{int(p.After / time.Second), p.Counter, p.All, p.Odds})
	}
	return w
}
