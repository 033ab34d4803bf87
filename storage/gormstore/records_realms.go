package gormstore

import (
	"cmp"
	"context"

	"latchkey/storage"
)

type realmRow struct {
	ID                string `gorm:"column:id;primaryKey"`
	Name              string `gorm:"column:name"`
	SelfSignup        bool   `gorm:"column:self_signup"`
	AutoCreateAccount bool   `gorm:"column:auto_create_account"`
	SelfManagement    string `gorm:"column:self_management"`
	AccountTokenTTL   int64  `gorm:"column:account_token_ttl"`
	RedirectURIs      string `gorm:"column:redirect_uris"`
	DuplicateEmails   string `gorm:"column:duplicate_email_policy"`
	Meta              stamps `gorm:"embedded"`
}

func (*realmRow) TableName() string                  { return "realms" }
func (r *realmRow) stamp() *stamps                   { return &r.Meta }
func (r *realmRow) identity() (column, value string) { return "id", r.ID }
func (*realmRow) settable() columns {
	return "name self_signup auto_create_account self_management account_token_ttl redirect_uris duplicate_email_policy"
}

// realmRowOf gives what is empty the value that a new realm has.
func realmRowOf(r storage.Realm) realmRow {
	return realmRow{
		ID: r.ID, Name: r.Name, SelfSignup: r.SelfSignup, AutoCreateAccount: r.AutoCreateAccount,
		SelfManagement:  string(cmp.Or(r.SelfManagement, storage.SelfManagementDisabled)),
		AccountTokenTTL: r.AccountTokenTTL.Microseconds(), RedirectURIs: words(r.RedirectURIs),
		DuplicateEmails: cmp.Or(r.DuplicateEmailPolicy, "allowed"),
		Meta:            stamps{Version: r.Version, Created: micros(r.CreatedAt)},
	}
}

func (r *realmRow) record() storage.Realm {
	return storage.Realm{
		ID: r.ID, Name: r.Name, SelfSignup: r.SelfSignup, AutoCreateAccount: r.AutoCreateAccount,
		SelfManagement:  storage.SelfManagement(r.SelfManagement),
		AccountTokenTTL: span(r.AccountTokenTTL), RedirectURIs: list(r.RedirectURIs),
		DuplicateEmailPolicy: r.DuplicateEmails,
		Version:              r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

type passwordProfileRow struct {
	ID              string    `gorm:"column:id;primaryKey"`
	RealmID         string    `gorm:"column:realm_id"`
	Name            string    `gorm:"column:name"`
	OneTimeCodes    bool      `gorm:"column:one_time_codes"`
	UsernameFormat  string    `gorm:"column:username_format"`
	CodeAlphabet    string    `gorm:"column:code_alphabet"`
	CodeLength      int       `gorm:"column:code_length"`
	CodeTTL         int64     `gorm:"column:code_ttl"`
	Lock            policyRow `gorm:"embedded"`
	RuleMinLength   int       `gorm:"column:rule_min_length"`
	RuleUpperCase   bool      `gorm:"column:rule_upper_case"`
	RuleLowerCase   bool      `gorm:"column:rule_lower_case"`
	RuleDigit       bool      `gorm:"column:rule_digit"`
	RuleSpecial     bool      `gorm:"column:rule_special"`
	RuleMaxRepeated int       `gorm:"column:rule_max_repeated"`
	Meta            stamps    `gorm:"embedded"`
}

// policyRow is the lockout policy of a password profile.
type policyRow struct {
	Threshold    int   `gorm:"column:lock_threshold"`
	Duration     int64 `gorm:"column:lock_duration"`
	MaxDuration  int64 `gorm:"column:lock_max_duration"`
	ForgetsAfter int64 `gorm:"column:lock_forgets_after"`
}

const policyColumns columns = "lock_threshold lock_duration lock_max_duration lock_forgets_after"

func (r *policyRow) policy() storage.LockoutPolicy {
	return storage.LockoutPolicy{
		Threshold: r.Threshold, Duration: span(r.Duration),
		MaxDuration: span(r.MaxDuration), ForgetsAfter: span(r.ForgetsAfter),
	}
}

func (*passwordProfileRow) TableName() string                  { return "password_profiles" }
func (r *passwordProfileRow) stamp() *stamps                   { return &r.Meta }
func (r *passwordProfileRow) identity() (column, value string) { return "id", r.ID }
func (*passwordProfileRow) settable() columns {
	return `realm_id name one_time_codes username_format code_alphabet code_length code_ttl ` + policyColumns + `
		rule_min_length rule_upper_case rule_lower_case rule_digit rule_special rule_max_repeated`
}

func passwordProfileRowOf(p storage.PasswordProfile) passwordProfileRow {
	return passwordProfileRow{
		ID: p.ID, RealmID: p.RealmID, Name: p.Name,
		OneTimeCodes: p.OneTimeCodes, UsernameFormat: p.UsernameFormat,
		CodeAlphabet: p.Code.Alphabet, CodeLength: p.Code.Length, CodeTTL: p.CodeTTL.Microseconds(),
		Lock: policyRow{
			Threshold: p.Lockout.Threshold, Duration: p.Lockout.Duration.Microseconds(),
			MaxDuration:  p.Lockout.MaxDuration.Microseconds(),
			ForgetsAfter: p.Lockout.ForgetsAfter.Microseconds(),
		},
		RuleMinLength: p.Rules.MinLength, RuleUpperCase: p.Rules.UpperCase,
		RuleLowerCase: p.Rules.LowerCase, RuleDigit: p.Rules.Digit,
		RuleSpecial: p.Rules.Special, RuleMaxRepeated: p.Rules.MaxRepeatedChars,
		Meta: stamps{Version: p.Version, Created: micros(p.CreatedAt)},
	}
}

func (r *passwordProfileRow) record() storage.PasswordProfile {
	return storage.PasswordProfile{
		ID: r.ID, RealmID: r.RealmID, Name: r.Name,
		OneTimeCodes: r.OneTimeCodes, UsernameFormat: r.UsernameFormat,
		Code:    storage.CodeFormat{Alphabet: r.CodeAlphabet, Length: r.CodeLength},
		CodeTTL: span(r.CodeTTL), Lockout: r.Lock.policy(),
		Rules: storage.PasswordRules{
			MinLength: r.RuleMinLength, UpperCase: r.RuleUpperCase, LowerCase: r.RuleLowerCase,
			Digit: r.RuleDigit, Special: r.RuleSpecial, MaxRepeatedChars: r.RuleMaxRepeated,
		},
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

// Realm reads a realm or answers storage.ErrNotFound.
func (s *Store) Realm(ctx context.Context, id string) (storage.Realm, error) {
	row, err := find[realmRow](ctx, s, "realm", id)
	return row.record(), err
}

// PutRealm inserts or updates a realm and returns it as stored, with an empty
// SelfManagement as storage.SelfManagementDisabled and an empty
// DuplicateEmailPolicy as "allowed". With a Version other than 0 and than the
// stored one it answers storage.ErrStale.
func (s *Store) PutRealm(ctx context.Context, r storage.Realm) (storage.Realm, error) {
	row := realmRowOf(r)
	if err := s.changed(ctx, put(ctx, s, "put realm", &row)); err != nil {
		return storage.Realm{}, err
	}
	return row.record(), nil
}

// PasswordProfile reads a password profile, from memory where possible, or
// answers storage.ErrNotFound.
func (s *Store) PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error) {
	return cached(ctx, s, &s.cache.profiles, id, func() (storage.PasswordProfile, error) {
		row, err := find[passwordProfileRow](ctx, s, "password profile", id)
		return row.record(), err
	})
}

// PutPasswordProfile inserts or updates a password profile and returns it as
// stored. An outdated Version is storage.ErrStale, an unknown realm
// storage.ErrNotFound.
func (s *Store) PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error) {
	row := passwordProfileRowOf(p)
	if err := s.changed(ctx, put(ctx, s, "put password profile", &row)); err != nil {
		return storage.PasswordProfile{}, err
	}
	return row.record(), nil
}
