// Package memstore is a store in memory for the tests of grants and
// grants/signin. It also checks codes and password hashes. Both are plain text, so
// that tests can read them.
package memstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// Start is the time of a new store's clock.
var Start = time.Date(2030, 1, 2, 3, 4, 5, 678_900_000, time.UTC)

// The credentials of Bob.
const (
	RightCode     = "12345678"
	RightPassword = "Tr0ub4dor&3"
)

// Store keeps logins in memory. Tests change its fields between requests.
type Store struct {
	mu sync.Mutex

	Now      time.Time
	Logins   map[storage.LoginKey]*storage.Principal
	Sources  map[storage.LoginKey]*KnownSource   // by login and address
	Unknown  storage.Lockout                     // of unknown names
	Profiles map[string]string                   // realm by profile
	Renewals map[string]storage.VerificationCode // by login
	Former   map[string][]string                 // hashes by login, newest first
	Families map[string]*storage.FamilyState
	Events   []storage.AuditEvent
	Notices  []storage.CodeRequest

	// Counts of calls.
	Hashes, Decoys, Reads, Writes, Settled int

	// BeforeSettle changes a login right before a sign-in or a new password
	// takes effect; nil: it stays as it is.
	BeforeSettle func(*storage.Principal)
}

// New returns a store with the user Bob, who has RightPassword and the live code
// RightCode, and a client that serves him. The client has no grants.
func New() (*Store, *storage.Client) {
	m := &Store{
		Now: Start, Logins: map[storage.LoginKey]*storage.Principal{}, Sources: map[storage.LoginKey]*KnownSource{},
		Profiles: map[string]string{"main": "r1", "second": "r1", "foreign": "r2"},
		Renewals: map[string]storage.VerificationCode{}, Former: map[string][]string{},
		Families: map[string]*storage.FamilyState{},
	}
	m.AddUser("main", "bob")
	return m, &storage.Client{
		ID: "shop", Active: true, ProfileID: "main", AllowAnyBuyer: true,
		Credentials:    storage.Credentials{OTP: true, Password: true},
		AccessTokenTTL: 10 * time.Minute, RefreshTokenTTL: time.Hour,
	}
}

// Clock returns the store's time.
func (m *Store) Clock() time.Time { return m.Now }

// Bob returns the login of Bob.
func (m *Store) Bob() *storage.Principal {
	return m.Logins[storage.LoginKey{ProfileID: "main", UsernameKey: "bob"}]
}

// AddUser makes a login like that of Bob.
func (m *Store) AddUser(profile, name string) *storage.Principal {
	p := &storage.Principal{
		Key:   storage.LoginKey{ProfileID: profile, UsernameKey: name},
		Known: true, Policy: lockout.DefaultPolicy(), Roles: []string{"Shopper"},
		User: storage.User{UID: "usr_" + name, Kind: storage.Buyer, Active: true},
		Login: storage.Login{
			ID: "lgn_" + profile + "_" + name, ProfileID: profile, Username: name, UserUID: "usr_" + name, Active: true,
			PasswordHash: "hash:Tr0ub4dor&3", PasswordSetAt: Start.Add(-24 * time.Hour),
			Code: storage.Code{
				ID: "otc_" + name, Purpose: storage.PurposeSignIn, ExpiresAt: Start.Add(10 * time.Minute),
				Digest: storage.Digest{Sum: []byte("12345678")},
			},
		},
	}
	m.Logins[p.Key] = p
	return p
}

// Record implements storage.Recorder.
func (m *Store) Record(_ context.Context, e storage.AuditEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Events = append(m.Events, e)
}

// Outcomes lists the recorded events, each as action and outcome.
func (m *Store) Outcomes() []string {
	var all []string
	for _, e := range m.Events {
		all = append(all, e.Action+" "+e.Outcome)
	}
	return all
}

// KnownSource is a known source of a login, with its counter of failures.
type KnownSource struct {
	storage.Source
	Counter storage.Counter
}

// Principal implements signin.Store.
func (m *Store) Principal(_ context.Context, key storage.LoginKey) (storage.Principal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Reads++
	if _, ok := m.Profiles[key.ProfileID]; !ok {
		return storage.Principal{}, storage.ErrNotFound
	}
	p := m.login(key)
	if p == nil {
		return storage.Principal{Key: key, Policy: lockout.DefaultPolicy(), Lockout: m.Unknown}, nil
	}
	return m.seenFrom(*p, key), nil
}

// login returns the login of the key, whatever the source of the key.
func (m *Store) login(key storage.LoginKey) *storage.Principal {
	key.Source = ""
	return m.Logins[key]
}

// seenFrom returns the login as it is for an attempt from the source of the key.
func (m *Store) seenFrom(p storage.Principal, key storage.LoginKey) storage.Principal {
	p.Key = key
	if s := m.Sources[key]; s != nil && key.Source != "" {
		p.Source, p.Lockout.Source = s.Source, s.Counter
	}
	return p
}

// RecordFailure implements signin.Store.
func (m *Store) RecordFailure(_ context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Writes++
	own := &m.Unknown
	if login := m.login(p.Key); login != nil {
		own = &login.Lockout
	}
	if own.Version != p.Lockout.Version {
		return storage.ErrStale
	}
	if s := m.Sources[p.Key]; s != nil && p.Source.ID != "" {
		s.Counter = next.Source
	}
	next.Source, next.Version = storage.Counter{}, p.Lockout.Version+1
	*own = next
	if notice != nil {
		m.Notices = append(m.Notices, *notice)
	}
	return nil
}

// SettleLogin implements signin.Store.
func (m *Store) SettleLogin(_ context.Context, s storage.Settlement) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, p := range m.Logins {
		if p.Login.ID != s.LoginID {
			continue
		}
		if m.BeforeSettle != nil {
			m.BeforeSettle(p)
		}
		worth := p.Login.PasswordSetAt.Equal(s.PasswordSetAt)
		if s.CodeID != "" {
			worth = p.Login.Code.ID == s.CodeID && p.Login.Code.Live(s.Now)
		}
		known := m.SourceOf(key, s.SourceID)
		locked := p.Lockout.Locked(s.Now)
		switch {
		case known != nil:
			locked = known.Counter.Locked(s.Now)
		case s.CodeID != "":
			locked = p.Lockout.Codes.Locked(s.Now)
		}
		if !worth || !p.Login.Active || locked {
			return storage.ErrRefused
		}
		m.take(p, s)
		return nil
	}
	return storage.ErrRefused
}

// take lets a settlement take effect. The caller holds the lock.
func (m *Store) take(p *storage.Principal, s storage.Settlement) {
	if s.CodeID != "" {
		p.Login.Code.UsedAt = s.Now
	}
	m.Settled++
	l := &p.Lockout
	if !s.Resumed {
		l.Version++
	}
	if !s.Resumed && !l.Locked(s.Now) {
		l.Failures, l.LastFailureAt, l.LockedUntil = 0, time.Time{}, time.Time{}
	}
	if !s.Resumed && !l.Codes.Locked(s.Now) {
		l.Codes = storage.Counter{}
	}
	if s.Remember != nil {
		key := p.Key
		key.Source = s.Remember.Address
		m.Sources[key] = &KnownSource{Source: *s.Remember}
	}
	if f := s.BeginFamily; f != nil {
		m.Families[f.ID] = &storage.FamilyState{Family: *f}
	}
}

// SourceOf returns the known source of the login with that id; nil: none.
func (m *Store) SourceOf(login storage.LoginKey, id string) *KnownSource {
	for key, s := range m.Sources {
		if key.ProfileID == login.ProfileID && key.UsernameKey == login.UsernameKey && s.ID == id && id != "" {
			return s
		}
	}
	return nil
}

// VerificationCode implements signin.PasswordStore.
func (m *Store) VerificationCode(_ context.Context, loginID string) (storage.VerificationCode, error) {
	c, ok := m.Renewals[loginID]
	if !ok {
		return c, storage.ErrNotFound
	}
	return c, nil
}

// FormerPasswords implements signin.PasswordStore.
func (m *Store) FormerPasswords(_ context.Context, loginID string, n int) ([]string, error) {
	return m.Former[loginID][:min(n, len(m.Former[loginID]))], nil
}

// ChangePassword implements signin.PasswordStore.
func (m *Store) ChangePassword(_ context.Context, c storage.PasswordChange) error {
	for _, p := range m.Logins {
		if p.Login.ID != c.LoginID {
			continue
		}
		if m.BeforeSettle != nil {
			m.BeforeSettle(p)
		}
		code := m.Renewals[c.LoginID]
		if !p.Login.Active || c.CodeID != "" && (p.Lockout.Codes.Locked(c.Now) || code.ID != c.CodeID || !code.Live(c.Now)) {
			return storage.ErrRefused
		}
		delete(m.Renewals, c.LoginID)
		p.Login.PasswordHash, p.Login.PasswordSetAt, p.Login.SessionsValidFrom = c.Hash, c.Now, c.Now
		p.Login.KeptSession = c.KeepSession
		m.Former[c.LoginID] = append([]string{c.Hash}, m.Former[c.LoginID]...)
		return nil
	}
	return storage.ErrRefused
}

// Match implements signin.CodeMatcher.
func (m *Store) Match(p storage.Principal, clientID string, purposes []storage.Purpose, presented string, now time.Time) bool {
	c := &p.Login.Code
	return c.Live(now) && string(c.Digest.Sum) == presented && slices.Contains(purposes, c.Purpose) &&
		(c.ClientID == "" || c.ClientID == clientID)
}

// MatchVerification implements signin.VerificationMatcher.
func (m *Store) MatchVerification(c storage.VerificationCode, clientID, presented string, now time.Time) bool {
	return c.Live(now) && string(c.Digest.Sum) == presented && (c.ClientID == "" || c.ClientID == clientID)
}

// Verify implements signin.PasswordVerifier.
func (m *Store) Verify(_ context.Context, encoded, password string) (ok, upgrade bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Hashes++
	return encoded == "hash:"+password, false, nil
}

// DecoyVerify implements signin.PasswordVerifier.
func (m *Store) DecoyVerify(context.Context, string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Decoys++
	return nil
}

// Hash implements signin.PasswordVerifier.
func (m *Store) Hash(_ context.Context, password string) (string, error) {
	m.Hashes++
	return "hash:" + password, nil
}

// PasswordProfile implements signin.PasswordStore.
func (m *Store) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	realm, ok := m.Profiles[id]
	if !ok {
		return storage.PasswordProfile{}, storage.ErrNotFound
	}
	return storage.PasswordProfile{ID: id, RealmID: realm}, nil
}

// NewCode gives Bob another one-time password, which is RightCode again.
func (m *Store) NewCode(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Bob().Login.Code = storage.Code{
		ID: id, Purpose: storage.PurposeSignIn, ExpiresAt: m.Now.Add(10 * time.Minute), Digest: storage.Digest{Sum: []byte(RightCode)},
	}
}
