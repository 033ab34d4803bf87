package wire

import (
	"errors"

	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// TypeProfile is the type of a password profile.
const TypeProfile = "password_profile"

// ProfileFields are the members of a password profile that can be written. The
// members from CodeAlphabet on are extensions of Latchkey. An absent member keeps
// its value, or has the default in a new profile.
type ProfileFields struct {
	Name           *string `json:"name"`                           // required for a new profile
	UsernameFormat *string `json:"username_format"`                // any (default) or email
	OneTimeCodes   *bool   `json:"enable_one_time_password_token"` // default false

	CodeAlphabet  *string `json:"code_alphabet,omitempty"`                 // crockford (default) or digits
	CodeLength    *int    `json:"code_length,omitempty"`                   // characters; default 8
	CodeTTL       *int    `json:"code_ttl_seconds,omitempty"`              // 30 to 600; default 600
	Threshold     *int    `json:"lockout_threshold,omitempty"`             // failures in a row before the first lock, 1 to 100; default 10
	Duration      *int    `json:"lockout_duration_seconds,omitempty"`      // of the first lock, doubled by each further failure; 0: until an administrator unlocks; default 120
	MaxDuration   *int    `json:"lockout_max_duration_seconds,omitempty"`  // of a lock that was doubled; default one day
	ForgetsAfter  *int    `json:"lockout_forgets_after_seconds,omitempty"` // without a failure or a lock, until failures are forgotten; default one day
	MinLength     *int    `json:"password_min_length,omitempty"`           // characters, 1 to 250; less than 8 counts as 8
	UpperCase     *bool   `json:"password_upper_case,omitempty"`
	LowerCase     *bool   `json:"password_lower_case,omitempty"`
	Digit         *bool   `json:"password_digit,omitempty"`
	Special       *bool   `json:"password_special,omitempty"`
	MaxRepetition *int    `json:"password_max_repeated_characters,omitempty"` // 0: no limit
}

// ProfileBody is a password profile as it is sent.
type ProfileBody struct {
	Type *string `json:"type"`
	ProfileFields
}

// PasswordProfile is a password profile.
type PasswordProfile struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	ProfileFields
	Meta  Times  `json:"meta"`
	Links *Links `json:"links,omitempty"` // in lists
}

// ProfilePath returns the path of a password profile.
func ProfilePath(p storage.PasswordProfile) string {
	return RealmPath(p.RealmID) + "/password-profiles/" + storage.PasswordProfileUUID(p.ID)
}

// NumberBounds are the bounds of a number among the members of a body.
type NumberBounds struct {
	Field string
	Value *int // nil: absent
	storage.Bounds
}

// NumberBounds returns the numbers of a password profile with their bounds. The
// length of codes has none of its own; see ProfileFault.
func (f ProfileFields) NumberBounds() []NumberBounds {
	b := storage.BoundsOfPasswordProfile()
	return []NumberBounds{
		{"code_ttl_seconds", f.CodeTTL, b.CodeTTL},
		{"lockout_threshold", f.Threshold, b.Threshold},
		{"lockout_duration_seconds", f.Duration, b.Duration},
		{"lockout_max_duration_seconds", f.MaxDuration, b.MaxDuration},
		{"lockout_forgets_after_seconds", f.ForgetsAfter, b.ForgetsAfter},
		{"password_min_length", f.MinLength, b.MinLength},
		{"password_max_repeated_characters", f.MaxRepetition, b.MaxRepeatedChars},
	}
}

// UsernameFormats returns the values of username_format.
func UsernameFormats() []string { return []string{storage.UsernameAny, storage.UsernameEmail} }

// Check returns an *InvalidError if a member is wrong, or required and absent.
func (f ProfileFields) Check(isNew bool) error {
	var c Check
	c.filled("name", f.Name, isNew)
	c.oneOf("username_format", f.UsernameFormat, UsernameFormats()...)
	for _, n := range f.NumberBounds() {
		c.Between(n.Field, n.Value, n.Low, n.High)
	}
	return c.Err()
}

// ToRecord returns the record with the members that were sent.
func (f ProfileFields) ToRecord(r storage.PasswordProfile) storage.PasswordProfile {
	surface.Overwrite(&r.Name, f.Name)
	surface.Overwrite(&r.UsernameFormat, f.UsernameFormat)
	surface.Overwrite(&r.OneTimeCodes, f.OneTimeCodes)
	surface.Overwrite(&r.Code.Alphabet, f.CodeAlphabet)
	surface.Overwrite(&r.Code.Length, f.CodeLength)
	takeSeconds(&r.CodeTTL, f.CodeTTL)
	surface.Overwrite(&r.Lockout.Threshold, f.Threshold)
	takeSeconds(&r.Lockout.Duration, f.Duration)
	takeSeconds(&r.Lockout.MaxDuration, f.MaxDuration)
	takeSeconds(&r.Lockout.ForgetsAfter, f.ForgetsAfter)
	surface.Overwrite(&r.Rules.MinLength, f.MinLength)
	surface.Overwrite(&r.Rules.UpperCase, f.UpperCase)
	surface.Overwrite(&r.Rules.LowerCase, f.LowerCase)
	surface.Overwrite(&r.Rules.Digit, f.Digit)
	surface.Overwrite(&r.Rules.Special, f.Special)
	surface.Overwrite(&r.Rules.MaxRepeatedChars, f.MaxRepetition)
	return r
}

// ProfileFault says which member of a password profile makes its codes or passwords
// too easy to guess.
type ProfileFault struct {
	Field string
	Rule  string // format or guess_ceiling
	Err   error  // of package otp or lockout
}

// InvalidError returns the fault in the words of /v2. The risk of a guess is
// explained with its figures.
func (f ProfileFault) InvalidError() *InvalidError {
	detail := failure(f.Field, f.Rule)
	if f.Rule == ruleGuessCeiling {
		detail += " " + f.Err.Error()
	}
	return &InvalidError{Details: []string{detail}}
}

const ruleGuessCeiling = "guess_ceiling"

// ProfileFaults returns the faults of a record that the members of a body led to.
// guessCeiling is that of otp.CheckRisk; 0: its default.
func ProfileFaults(r storage.PasswordProfile, guessCeiling float64) []ProfileFault {
	var faults []ProfileFault
	if err := otp.CheckFormat(r.Code); err != nil {
		faults = append(faults, ProfileFault{"code_length", "format", err})
	}
	if err := otp.CheckRisk(r, guessCeiling); err != nil {
		field := "code_length"
		if errors.Is(err, lockout.ErrTooManyGuesses) {
			field = "lockout_threshold"
		}
		faults = append(faults, ProfileFault{field, ruleGuessCeiling, err})
	}
	return faults
}

// ProfileFromRecord returns a password profile as administrators see it.
func ProfileFromRecord(r storage.PasswordProfile) PasswordProfile {
	return PasswordProfile{
		ID: storage.PasswordProfileUUID(r.ID), Type: TypeProfile, Meta: times(r.CreatedAt, r.UpdatedAt),
		ProfileFields: ProfileFieldsFromRecord(r),
	}
}

// PublicProfile returns a password profile as storefronts see it. Anybody can get
// the token of a storefront, so it does not say how many guesses are allowed.
func PublicProfile(r storage.PasswordProfile) PasswordProfile {
	shown := ProfileFromRecord(r)
	shown.ProfileFields = ProfileFields{Name: &r.Name, UsernameFormat: &r.UsernameFormat, OneTimeCodes: &r.OneTimeCodes}
	return shown
}

// ProfileFieldsFromRecord returns the members of a password profile that can be
// written.
func ProfileFieldsFromRecord(r storage.PasswordProfile) ProfileFields {
	return ProfileFields{
		Name: &r.Name, UsernameFormat: &r.UsernameFormat, OneTimeCodes: &r.OneTimeCodes,
		CodeAlphabet: &r.Code.Alphabet, CodeLength: &r.Code.Length, CodeTTL: seconds(r.CodeTTL),
		Threshold: &r.Lockout.Threshold, Duration: seconds(r.Lockout.Duration),
		MaxDuration: seconds(r.Lockout.MaxDuration), ForgetsAfter: seconds(r.Lockout.ForgetsAfter),
		MinLength: &r.Rules.MinLength, UpperCase: &r.Rules.UpperCase, LowerCase: &r.Rules.LowerCase,
		Digit: &r.Rules.Digit, Special: &r.Rules.Special, MaxRepetition: &r.Rules.MaxRepeatedChars,
	}
}
