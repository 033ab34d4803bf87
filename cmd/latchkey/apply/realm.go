package apply

import (
	"time"

	"latchkey/oauth/ordercloud"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// Realm is an authentication realm in the words of /v2.
type Realm struct {
	ID               string            `json:"id"`
	Type             *string           `json:"type"`
	Name             *string           `json:"name"`
	PasswordProfiles []PasswordProfile `json:"password_profiles"`
}

// PasswordProfile is a password profile in the words of /v2. The members from
// CodeAlphabet on are extensions of Latchkey. Missing members keep the stored value.
type PasswordProfile struct {
	ID             string  `json:"id"`
	Type           *string `json:"type"`
	Name           *string `json:"name"`
	UsernameFormat *string `json:"username_format"`                // any (default) or email
	OneTimeCodes   *bool   `json:"enable_one_time_password_token"` // default false

	CodeAlphabet  *string `json:"code_alphabet"`    // crockford (default) or digits
	CodeLength    *int    `json:"code_length"`      // characters; default 8
	CodeTTL       *int    `json:"code_ttl_seconds"` // 30 to 600; default 600
	Threshold     *int    `json:"lockout_threshold"`
	Duration      *int    `json:"lockout_duration_seconds"` // 0: until an administrator unlocks
	MaxDuration   *int    `json:"lockout_max_duration_seconds"`
	ForgetsAfter  *int    `json:"lockout_forgets_after_seconds"`
	MinLength     *int    `json:"password_min_length"`
	UpperCase     *bool   `json:"password_upper_case"`
	LowerCase     *bool   `json:"password_lower_case"`
	Digit         *bool   `json:"password_digit"`
	Special       *bool   `json:"password_special"`
	MaxRepetition *int    `json:"password_max_repeated_characters"` // 0: no limit
}

// Membership is an account membership in the words of /v2. The member is a
// user of that account, a user whose ID occurs once in the document, or
// "account/user".
type Membership struct {
	Type      *string  `json:"type"`
	AccountID string   `json:"account_id"`
	MemberID  string   `json:"account_member_id"`
	Roles     []string `json:"roles"`
}

func (r Realm) validate(path string) ordercloud.Faults {
	v := shape{path: path, faults: ordercloud.CheckID(ordercloud.Join(path, "id"), r.ID)}
	v.kind(r.Type, "authentication-realm")
	for i, p := range r.PasswordProfiles {
		v.faults = append(v.faults, p.validate(ordercloud.Index(path+".password_profiles", i))...)
	}
	return v.faults
}

func (p PasswordProfile) validate(path string) ordercloud.Faults {
	v := shape{path: path, faults: ordercloud.CheckID(ordercloud.Join(path, "id"), p.ID)}
	v.kind(p.Type, "password_profile")
	if f := p.UsernameFormat; f != nil && *f != "any" && *f != "email" {
		v.fail("username_format", "must be one of any, email")
	}
	const year = 366 * 24 * 3600
	v.between("code_ttl_seconds", p.CodeTTL, 30, 600)
	v.between("lockout_threshold", p.Threshold, 1, 100)
	v.between("lockout_duration_seconds", p.Duration, 0, year)
	v.between("lockout_max_duration_seconds", p.MaxDuration, 1, year)
	v.between("lockout_forgets_after_seconds", p.ForgetsAfter, 60, year)
	v.between("password_min_length", p.MinLength, 1, 250)
	v.between("password_max_repeated_characters", p.MaxRepetition, 0, 250)
	return v.faults
}

func (m Membership) validate(path string) ordercloud.Faults {
	v := shape{path: path, faults: ordercloud.CheckID(ordercloud.Join(path, "account_id"), m.AccountID)}
	v.kind(m.Type, "account_membership")
	if m.MemberID == "" {
		v.fail("account_member_id", "is required")
	}
	v.faults = append(v.faults, ordercloud.CheckRoles(ordercloud.Join(path, "roles"), m.Roles)...)
	return v.faults
}

// shape collects the faults of an item in the words of /v2.
type shape struct {
	path   string
	faults ordercloud.Faults
}

func (v *shape) fail(field, format string, args ...any) {
	v.faults.Add(ordercloud.Join(v.path, field), format, args...)
}

func (v *shape) kind(kind *string, want string) {
	if kind != nil && *kind != want {
		v.fail("type", "must be %s, or absent", want)
	}
}

func (v *shape) between(field string, value *int, low, high int) {
	if value != nil && (*value < low || *value > high) {
		v.fail(field, "must be between %d and %d", low, high)
	}
}

// newProfile returns the password profile for an item without members.
func newProfile(id, realmID string) storage.PasswordProfile {
	return storage.PasswordProfile{
		ID: id, RealmID: realmID, Name: id, UsernameFormat: "any",
		Code: otp.DefaultFormat(), CodeTTL: 10 * time.Minute,
		Lockout: lockout.DefaultPolicy(), Rules: storage.PasswordRules{MinLength: 8},
	}
}

// toRecord returns base with the members that the item has.
func (p PasswordProfile) toRecord(base storage.PasswordProfile) storage.PasswordProfile {
	r := base
	take(&r.Name, p.Name)
	take(&r.UsernameFormat, p.UsernameFormat)
	take(&r.OneTimeCodes, p.OneTimeCodes)
	take(&r.Code.Alphabet, p.CodeAlphabet)
	take(&r.Code.Length, p.CodeLength)
	takeSeconds(&r.CodeTTL, p.CodeTTL)
	take(&r.Lockout.Threshold, p.Threshold)
	takeSeconds(&r.Lockout.Duration, p.Duration)
	takeSeconds(&r.Lockout.MaxDuration, p.MaxDuration)
	takeSeconds(&r.Lockout.ForgetsAfter, p.ForgetsAfter)
	take(&r.Rules.MinLength, p.MinLength)
	take(&r.Rules.UpperCase, p.UpperCase)
	take(&r.Rules.LowerCase, p.LowerCase)
	take(&r.Rules.Digit, p.Digit)
	take(&r.Rules.Special, p.Special)
	take(&r.Rules.MaxRepeatedChars, p.MaxRepetition)
	return r
}

func profileFromRecord(r storage.PasswordProfile) PasswordProfile {
	return PasswordProfile{
		ID: r.ID, Name: &r.Name, UsernameFormat: &r.UsernameFormat, OneTimeCodes: &r.OneTimeCodes,
		CodeAlphabet: &r.Code.Alphabet, CodeLength: &r.Code.Length, CodeTTL: seconds(r.CodeTTL),
		Threshold: &r.Lockout.Threshold, Duration: seconds(r.Lockout.Duration),
		MaxDuration: seconds(r.Lockout.MaxDuration), ForgetsAfter: seconds(r.Lockout.ForgetsAfter),
		MinLength: &r.Rules.MinLength, UpperCase: &r.Rules.UpperCase, LowerCase: &r.Rules.LowerCase,
		Digit: &r.Rules.Digit, Special: &r.Rules.Special, MaxRepetition: &r.Rules.MaxRepeatedChars,
	}
}

func take[T any](into, from *T) {
	if from != nil {
		*into = *from
	}
}

func takeSeconds(into *time.Duration, from *int) {
	if from != nil {
		*into = time.Duration(*from) * time.Second
	}
}

func seconds(d time.Duration) *int { return new(int(d / time.Second)) }
