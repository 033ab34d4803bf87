package gormstore

import (
	"context"

	"latchkey/storage"
)

type passwordProfileRow struct {
	ID              string    `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	RealmID         string    `gorm:"column:realm_id" list:"RealmID"`
	Name            string    `gorm:"column:name" list:"Name"`
	OneTimeCodes    bool      `gorm:"column:one_time_codes" list:"OneTimeCodes"`
	UsernameFormat  string    `gorm:"column:username_format" list:"UsernameFormat"`
	CodeAlphabet    string    `gorm:"column:code_alphabet"`
	CodeLength      int       `gorm:"column:code_length"`
	CodeTTL         int64     `gorm:"column:code_ttl" list:"CodeTTL,duration"`
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

func (r *policyRow) policy() storage.LockoutPolicy {
	return storage.LockoutPolicy{
		Threshold: r.Threshold, Duration: span(r.Duration),
		MaxDuration: span(r.MaxDuration), ForgetsAfter: span(r.ForgetsAfter),
	}
}

func (*passwordProfileRow) TableName() string { return "password_profiles" }
func (r *passwordProfileRow) stamp() *stamps  { return &r.Meta }

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

// PasswordProfile reads a password profile, from memory where possible, or
// returns storage.ErrNotFound.
func (s *Store) PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error) {
	return cached(ctx, s, &s.cache.profiles, id, func() (storage.PasswordProfile, error) {
		row, err := first[passwordProfileRow](ctx, s, "password profile", "id = ?", id)
		return row.record(), err
	})
}

// PutPasswordProfile inserts or updates a password profile and returns it as
// stored. An outdated Version is storage.ErrStale, an unknown realm
// storage.ErrNotFound.
func (s *Store) PutPasswordProfile(ctx context.Context, p storage.PasswordProfile) (storage.PasswordProfile, error) {
	row := passwordProfileRowOf(p)
	if err := s.changed(ctx, put(ctx, s, "put password profile", &row), configChange{passwordProfileChanged, row.ID}); err != nil {
		return storage.PasswordProfile{}, err
	}
	return row.record(), nil
}
