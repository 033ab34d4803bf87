package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey/keys"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// user is a row of this server's own table. It does not depend on Latchkey.
type user struct {
	Email        string
	PasswordHash string // in a format of signin.Hasher; empty: no password
	Roles        []string
	Accounts     map[string][]string // roles by account
}

// profileID is the only password profile.
const profileID = "default"

// store keeps all records in memory. Its lock does what transactions do in a database: a
// method makes all of its changes or none.
type store struct {
	sendCode func(username, code string)
	sealer   *keys.Sealer
	now      func() time.Time

	mu       sync.Mutex
	clients  map[string]client
	users    map[string]*user  // by username
	logins   map[string]*login // by username, including unknown usernames
	requests []*queuedRequest
	signing  []storage.SigningKey
	peppers  []storage.Pepper
}

// login is the sign-in state of a username.
type login struct {
	lockout storage.Lockout // without a source
	sources []source
	code    storage.Code
}

// source is an address that a login has signed in from.
type source struct {
	storage.Source
	failures storage.Counter
}

// queuedRequest is a request for a code with its lease.
type queuedRequest struct {
	storage.CodeRequest
	leaseUntil time.Time
}

func newStore(sealer *keys.Sealer, sendCode func(username, code string), now func() time.Time) *store {
	return &store{
		sendCode: sendCode, sealer: sealer, now: now,
		clients: map[string]client{}, users: map[string]*user{}, logins: map[string]*login{},
	}
}

// state returns the login of a username. An unknown username has a login as well, so that
// guesses are counted for it in the same way. A real store deletes such logins after a while.
func (s *store) state(name string) *login {
	if s.logins[name] == nil {
		s.logins[name] = &login{}
	}
	return s.logins[name]
}

// principal returns all that a decision about a username needs.
func (s *store) principal(name string) storage.Principal {
	state := s.state(name)
	p := storage.Principal{
		Key: storage.LoginKey{ProfileID: profileID, UsernameKey: name}, Lockout: state.lockout, Policy: lockout.DefaultPolicy(),
	}
	u := s.users[name]
	if u == nil {
		return p
	}
	p.Known, p.Roles = true, slices.Clone(u.Roles)
	p.User = storage.User{UID: uidOf(name), Kind: storage.Buyer, Email: u.Email, EmailKey: otp.NormalizeUsername(u.Email), Active: true}
	p.Login = storage.Login{
		ID: loginPrefix + name, ProfileID: profileID, Username: name, UsernameKey: name, UserUID: p.User.UID, Active: true,
		PasswordHash: u.PasswordHash, Code: state.code,
	}
	return p
}

const (
	loginPrefix = "lgn_"
	userPrefix  = "usr_"
)

func uidOf(name string) string { return userPrefix + name }

// Principal implements signin.Store. The source of the key is known if the login has
// signed in from there.
func (s *store) Principal(_ context.Context, key storage.LoginKey) (storage.Principal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.principal(key.UsernameKey)
	p.Key = key
	for _, known := range s.state(key.UsernameKey).sources {
		if p.Known && key.Source != "" && known.Address == key.Source {
			p.Source, p.Lockout.Source = known.Source, known.failures
		}
	}
	return p, nil
}

// RecordFailure implements signin.Store. Two failures at the same time are both
// counted: the second one finds another version, and the caller decides it again.
func (s *store) RecordFailure(_ context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state(p.Key.UsernameKey)
	if state.lockout.Version != p.Lockout.Version {
		return storage.ErrStale
	}
	if at := state.sourceIndex(p.Source.ID); at >= 0 {
		state.sources[at].failures = next.Source
	}
	state.lockout = next
	state.lockout.Source, state.lockout.Version = storage.Counter{}, p.Lockout.Version+1
	if notice != nil {
		s.requests = append(s.requests, &queuedRequest{CodeRequest: *notice})
	}
	return nil
}

// sourceIndex returns the index of the source with the id, or -1.
func (l *login) sourceIndex(id string) int {
	return slices.IndexFunc(l.sources, func(known source) bool { return id != "" && known.ID == id })
}

// SettleLogin implements signin.Store. A code is used once, even if it is presented
// several times at once. No attempt succeeds while the lock that applies to it is in force.
func (s *store) SettleLogin(_ context.Context, x storage.Settlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(x.LoginID, loginPrefix)
	u, state := s.users[name], s.logins[name]
	if u == nil || state == nil || state.locked(x) {
		return storage.ErrRefused
	}
	if x.CodeID != "" {
		if state.code.ID != x.CodeID || !state.code.Live(x.Now) {
			return storage.ErrRefused
		}
		state.code.UsedAt = x.Now
	}
	if x.NewHash != "" && u.PasswordHash == x.OldHash {
		u.PasswordHash = x.NewHash
	}
	if !x.Resumed {
		state.clearFailures(x)
	}
	return nil
}

// locked reports whether the lock that applies to the settlement is in force.
func (l *login) locked(x storage.Settlement) bool {
	if at := l.sourceIndex(x.SourceID); at >= 0 {
		return l.sources[at].failures.Locked(x.Now)
	}
	if x.CodeID != "" {
		return l.lockout.Codes.Locked(x.Now)
	}
	return l.lockout.Locked(x.Now)
}

// clearFailures clears the counters that are not locked, and remembers the source of the
// sign-in.
func (l *login) clearFailures(x storage.Settlement) {
	if !l.lockout.Locked(x.Now) {
		l.lockout.Failures, l.lockout.LastFailureAt, l.lockout.LockedUntil = 0, time.Time{}, time.Time{}
	}
	if !l.lockout.Codes.Locked(x.Now) {
		l.lockout.Codes = storage.Counter{}
	}
	l.lockout.Version++
	if at := l.sourceIndex(x.SourceID); at >= 0 {
		l.sources[at].failures = storage.Counter{}
	}
	if x.Remember != nil {
		l.remember(*x.Remember)
	}
}

// remember makes a source known. It keeps the most recent ones.
func (l *login) remember(from storage.Source) {
	at := slices.IndexFunc(l.sources, func(known source) bool { return known.Address == from.Address })
	if at >= 0 {
		from.ID = l.sources[at].ID // tokens contain the id already
		l.sources[at] = source{Source: from}
		return
	}
	l.sources = append(l.sources, source{Source: from})
	slices.SortFunc(l.sources, func(a, b source) int { return b.SeenAt.Compare(a.SeenAt) })
	l.sources = l.sources[:min(len(l.sources), storage.MaxSources)]
}

// Members implements grants.MemberStore.
func (s *store) Members(_ context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := strings.TrimPrefix(userUID, userPrefix)
	var page storage.Page[storage.Member]
	if u := s.users[name]; u != nil {
		for _, account := range slices.Sorted(maps.Keys(u.Accounts)) {
			page.Items = append(page.Items, memberOf(account, userUID, u.Accounts[account]))
		}
	}
	page.Total = len(page.Items)
	page.Items = page.Items[min(offset, page.Total):min(offset+limit, page.Total)]
	return page, nil
}

// Member implements grants.MemberStore.
func (s *store) Member(_ context.Context, userUID, accountID string) (storage.Member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[strings.TrimPrefix(userUID, userPrefix)]; u != nil {
		if roles, ok := u.Accounts[accountID]; ok {
			return memberOf(accountID, userUID, roles), nil
		}
	}
	return storage.Member{}, storage.ErrNotFound
}

func memberOf(account, userUID string, roles []string) storage.Member {
	return storage.Member{
		Membership: storage.Membership{AccountUID: "acc_" + account, UserUID: userUID, Roles: slices.Clone(roles)},
		Account:    storage.Account{UID: "acc_" + account, ID: account, Name: account, Active: true},
	}
}
