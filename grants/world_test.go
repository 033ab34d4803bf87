package grants

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ory/fosite"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// world is a store, a clock, codes, hashes and tokens without any machinery.
// Codes and hashes are plain text, so that tests can read them.
type world struct {
	mu       sync.Mutex
	now      time.Time
	logins   map[storage.LoginKey]*storage.Principal
	profiles map[string]string // realm by profile
	members  map[string][]storage.Member
	families map[string]*storage.FamilyState
	renewals map[string]storage.VerificationCode // by login
	former   map[string][]string                 // hashes by login, newest first
	held     map[string]Held
	choices  map[string]Selection
	spent    map[string]bool
	minted   []AccessToken
	events   []storage.AuditEvent

	hashes, standIns, reads, writes, settled int

	sources      map[storage.LoginKey]*knownSource // by login and address
	notices      []storage.CodeRequest
	unknown      storage.Lockout // of names that nobody has
	mintErr      error
	beforeSettle func(*storage.Principal)
}

var start = time.Date(2030, 1, 2, 3, 4, 5, 678_900_000, time.UTC)

// newWorld has bob, who is a member of acme, with the password "Tr0ub4dor&3"
// and the live code "12345678", and shop, a client that serves him.
func newWorld(t *testing.T) (*world, *storage.Client) {
	t.Helper()
	w := &world{
		now: start, logins: map[storage.LoginKey]*storage.Principal{}, sources: map[storage.LoginKey]*knownSource{},
		profiles: map[string]string{"main": "r1", "second": "r1", "foreign": "r2"},
		members:  map[string][]storage.Member{}, families: map[string]*storage.FamilyState{},
		renewals: map[string]storage.VerificationCode{}, former: map[string][]string{},
		held: map[string]Held{}, choices: map[string]Selection{}, spent: map[string]bool{},
	}
	w.addUser("main", "bob")
	w.join("usr_bob", "acme", "Buy", "Approve")
	return w, &storage.Client{
		ID: "shop", Active: true, ProfileID: "main", AllowAnyBuyer: true,
		GrantTypes:     []string{GrantPassword, GrantClientCredentials, GrantRefreshToken, GrantAccountMember, GrantTokenExchange},
		Credentials:    storage.Credentials{OTP: true, Password: true},
		AccessTokenTTL: 10 * time.Minute, RefreshTokenTTL: time.Hour,
	}
}

func (w *world) addUser(profile, name string) *storage.Principal {
	p := &storage.Principal{
		Key:   storage.LoginKey{ProfileID: profile, UsernameKey: name},
		Known: true, Policy: lockout.DefaultPolicy(), Roles: []string{"Shopper"},
		User: storage.User{UID: "usr_" + name, Kind: storage.Buyer, Active: true},
		Login: storage.Login{
			ID: "lgn_" + profile + "_" + name, ProfileID: profile, Username: name, UserUID: "usr_" + name, Active: true,
			PasswordHash: "hash:Tr0ub4dor&3", PasswordSetAt: start.Add(-24 * time.Hour),
			Code: storage.Code{
				ID: "otc_" + name, Purpose: storage.PurposeSignIn, ExpiresAt: start.Add(10 * time.Minute),
				Digest: storage.Digest{Sum: []byte("12345678")},
			},
		},
	}
	w.logins[p.Key] = p
	return p
}

func (w *world) bob() *storage.Principal {
	return w.logins[storage.LoginKey{ProfileID: "main", UsernameKey: "bob"}]
}

func (w *world) join(userUID, account string, roles ...string) {
	w.members[userUID] = append(w.members[userUID], storage.Member{
		Membership: storage.Membership{AccountUID: "acc_" + account, UserUID: userUID, Roles: roles},
		Account:    storage.Account{UID: "acc_" + account, ID: account, Name: "The " + account, Active: true},
	})
}

func (w *world) clock() time.Time { return w.now }

// Record implements storage.Recorder.
func (w *world) Record(_ context.Context, e storage.AuditEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) outcomes() []string {
	var all []string
	for _, e := range w.events {
		all = append(all, e.Action+" "+e.Outcome)
	}
	return all
}

// knownSource is a source of a login.
type knownSource struct {
	storage.Source
	counter storage.Counter
}

func (w *world) Principal(_ context.Context, key storage.LoginKey) (storage.Principal, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if _, ok := w.profiles[key.ProfileID]; !ok {
		return storage.Principal{}, storage.ErrNotFound
	}
	p := w.login(key)
	if p == nil {
		return storage.Principal{Key: key, Policy: lockout.DefaultPolicy(), Lockout: w.unknown}, nil
	}
	return w.seenFrom(*p, key), nil
}

// login returns the login that the key means, wherever it is used.
func (w *world) login(key storage.LoginKey) *storage.Principal {
	key.Source = ""
	return w.logins[key]
}

// seenFrom is the login for whoever tries from the source of the key.
func (w *world) seenFrom(p storage.Principal, key storage.LoginKey) storage.Principal {
	p.Key = key
	if s := w.sources[key]; s != nil && key.Source != "" {
		p.Source, p.Lockout.Source = s.Source, s.counter
	}
	return p
}

func (w *world) RecordFailure(_ context.Context, p storage.Principal, next storage.Lockout, notice *storage.CodeRequest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	own := &w.unknown
	if login := w.login(p.Key); login != nil {
		own = &login.Lockout
	}
	if own.Version != p.Lockout.Version {
		return storage.ErrStale
	}
	if s := w.sources[p.Key]; s != nil && p.Source.ID != "" {
		s.counter = next.Source
	}
	next.Source, next.Version = storage.Counter{}, p.Lockout.Version+1
	*own = next
	if notice != nil {
		w.notices = append(w.notices, *notice)
	}
	return nil
}

func (w *world) SettleLogin(_ context.Context, s storage.Settlement) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, p := range w.logins {
		if p.Login.ID != s.LoginID {
			continue
		}
		if w.beforeSettle != nil {
			w.beforeSettle(p)
		}
		worth := p.Login.PasswordSetAt.Equal(s.PasswordSetAt)
		if s.CodeID != "" {
			worth = p.Login.Code.ID == s.CodeID && p.Login.Code.Live(s.Now)
		}
		known := w.sourceOf(key, s.SourceID)
		locked := p.Lockout.Locked(s.Now)
		switch {
		case known != nil:
			locked = known.counter.Locked(s.Now)
		case s.CodeID != "":
			locked = p.Lockout.Codes.Locked(s.Now)
		}
		if !worth || !p.Login.Active || locked {
			return storage.ErrRefused
		}
		w.take(p, s)
		return nil
	}
	return storage.ErrRefused
}

// take lets a settlement take effect. The caller holds the lock.
func (w *world) take(p *storage.Principal, s storage.Settlement) {
	if s.CodeID != "" {
		p.Login.Code.UsedAt = s.Now
	}
	w.settled++
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
		w.sources[key] = &knownSource{Source: *s.Remember}
	}
	if f := s.BeginFamily; f != nil {
		w.families[f.ID] = &storage.FamilyState{Family: *f}
	}
}

// sourceOf returns the known source of that id of the login.
func (w *world) sourceOf(login storage.LoginKey, id string) *knownSource {
	for key, s := range w.sources {
		if key.ProfileID == login.ProfileID && key.UsernameKey == login.UsernameKey && s.ID == id && id != "" {
			return s
		}
	}
	return nil
}

func (w *world) Members(_ context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error) {
	all := w.members[userUID]
	end := min(len(all), offset+limit)
	return storage.Page[storage.Member]{Items: slices.Clone(all[offset:end]), Total: len(all)}, nil
}

func (w *world) Member(_ context.Context, userUID, accountID string) (storage.Member, error) {
	for _, m := range w.members[userUID] {
		if m.Account.ID == accountID {
			return m, nil
		}
	}
	return storage.Member{}, storage.ErrNotFound
}

func (w *world) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	realm, ok := w.profiles[id]
	if !ok {
		return storage.PasswordProfile{}, storage.ErrNotFound
	}
	return storage.PasswordProfile{ID: id, RealmID: realm}, nil
}

func (w *world) Family(_ context.Context, id string) (storage.FamilyState, error) {
	state := w.families[id]
	if state == nil {
		return storage.FamilyState{}, storage.ErrNotFound
	}
	now := *state
	for _, p := range w.logins {
		if p.Login.ID == now.Family.LoginID {
			now.Principal = *p
			if s := w.sourceOf(p.Key, now.Family.SourceID); s != nil {
				now.Principal.Source, now.Principal.Lockout.Source = s.Source, s.counter
			}
		}
	}
	for _, m := range w.members[now.Family.UserUID] {
		if m.Account.UID == now.Family.AccountUID {
			now.Member = &m
		}
	}
	return now, nil
}

func (w *world) AdvanceFamily(_ context.Context, id string, from int64, now, idle time.Time) error {
	f := &w.families[id].Family
	if f.Generation != from {
		return storage.ErrStale
	}
	f.Generation, f.RotatedAt, f.IdleUntil = from+1, now, idle
	return nil
}

func (w *world) RevokeFamily(_ context.Context, id string, now time.Time) error {
	w.families[id].Family.RevokedAt = now
	return nil
}

func (w *world) VerificationCode(_ context.Context, loginID string) (storage.VerificationCode, error) {
	c, ok := w.renewals[loginID]
	if !ok {
		return c, storage.ErrNotFound
	}
	return c, nil
}

func (w *world) FormerPasswords(_ context.Context, loginID string, n int) ([]string, error) {
	return w.former[loginID][:min(n, len(w.former[loginID]))], nil
}

func (w *world) ChangePassword(_ context.Context, c storage.PasswordChange) error {
	for _, p := range w.logins {
		if p.Login.ID != c.LoginID {
			continue
		}
		if w.beforeSettle != nil {
			w.beforeSettle(p)
		}
		code := w.renewals[c.LoginID]
		if !p.Login.Active || c.CodeID != "" && (p.Lockout.Codes.Locked(c.Now) || code.ID != c.CodeID || !code.Live(c.Now)) {
			return storage.ErrRefused
		}
		delete(w.renewals, c.LoginID)
		p.Login.PasswordHash, p.Login.PasswordSetAt, p.Login.SessionsValidFrom = c.Hash, c.Now, c.Now
		p.Login.KeptSession = c.KeepSession
		w.former[c.LoginID] = append([]string{c.Hash}, w.former[c.LoginID]...)
		return nil
	}
	return storage.ErrRefused
}

// Match implements CodeMatcher.
func (w *world) Match(p storage.Principal, clientID string, purposes []storage.Purpose, presented string, now time.Time) bool {
	c := &p.Login.Code
	return c.Live(now) && string(c.Digest.Sum) == presented && slices.Contains(purposes, c.Purpose) &&
		(c.ClientID == "" || c.ClientID == clientID)
}

// MatchVerification implements VerificationMatcher.
func (w *world) MatchVerification(c storage.VerificationCode, clientID, presented string, now time.Time) bool {
	return c.Live(now) && string(c.Digest.Sum) == presented && (c.ClientID == "" || c.ClientID == clientID)
}

// Verify implements PasswordVerifier.
func (w *world) Verify(_ context.Context, encoded, password string) (ok, upgrade bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hashes++
	return encoded == "hash:"+password, false, nil
}

// StandIn implements PasswordVerifier.
func (w *world) StandIn(context.Context, string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.standIns++
	return nil
}

// Hash implements PasswordVerifier.
func (w *world) Hash(_ context.Context, password string) (string, error) {
	w.hashes++
	return "hash:" + password, nil
}

// Mint implements AccessTokens.
func (w *world) Mint(_ context.Context, t AccessToken) (string, error) {
	if w.mintErr != nil {
		return "", w.mintErr
	}
	w.minted = append(w.minted, t)
	return "token", nil
}

// Held implements HeldTokens.
func (w *world) Held(_ context.Context, c *storage.Client, token string) (Held, error) {
	h, ok := w.held[token]
	if token == "down" {
		return h, storage.ErrUnavailable
	}
	if !ok {
		return h, ErrHeldToken
	}
	return h, nil
}

// Selection implements HeldTokens.
func (w *world) Selection(_ context.Context, c *storage.Client, token string) (Held, error) {
	s, ok := w.choices[token]
	if !ok || s.Client.ID != c.ID {
		return Held{}, ErrHeldToken
	}
	return Held{Principal: *w.bob(), AMR: s.AMR, AuthTime: s.AuthTime, ExpiresAt: s.IssuedAt.Add(5 * time.Minute)}, nil
}

// Spend implements HeldTokens.
func (w *world) Spend(ctx context.Context, h Held, do func(context.Context) error) error {
	if w.spent[h.TokenID] {
		return ErrHeldToken
	}
	err := do(ctx)
	w.spent[h.TokenID] = err == nil
	return err
}

// MintSelection implements HeldTokens.
func (w *world) MintSelection(_ context.Context, s Selection) (string, time.Duration, error) {
	if w.mintErr != nil {
		return "", 0, w.mintErr
	}
	w.choices["choice"] = s
	return "choice", 5 * time.Minute, nil
}

// hold makes "held" an access token of bob's for that account; empty: none.
func (w *world) hold(account string, scope ...string) *Held {
	h := Held{
		Principal: *w.bob(), AMR: []string{"otp"}, AuthTime: start.Add(-time.Minute), Access: true, Scope: scope,
		FamilyID: "fam", ExpiresAt: start.Truncate(time.Second).Add(5 * time.Minute),
	}
	if m, err := w.Member(context.Background(), "usr_bob", account); err == nil {
		h.Member = &m
	}
	w.held["held"] = h
	return &h
}

func (w *world) authenticator(t *testing.T) *Authenticator {
	t.Helper()
	a, err := NewAuthenticator(AuthenticatorConfig{Store: w, Codes: w, Passwords: w, Recorder: w, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) accountMember(t *testing.T) *AccountMember {
	return &AccountMember{
		Authenticator: w.authenticator(t), Profiles: w, Members: w, Held: w,
		AccessTokens: w, RefreshTokens: refreshTokens(), Now: w.clock,
	}
}

func (w *world) exchange() *TokenExchange {
	return &TokenExchange{Held: w, Members: w, AccessTokens: w, Recorder: w, Now: w.clock}
}

// form makes a form of a space separated list of name=value.
func form(pairs string) url.Values {
	v := url.Values{}
	for _, pair := range strings.Fields(pairs) {
		name, value, _ := strings.Cut(pair, "=")
		v.Set(name, value)
	}
	return v
}

// ask sends a request through both phases of a handler. A public client is one
// with Public.
func ask(h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	return askFrom("", h, c, grantType, v)
}

// askFrom is ask from an address.
func askFrom(address string, h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	source, _ := netip.ParseAddr(address)
	r := fosite.NewAccessRequest(&Session{Source: source})
	r.Client, r.Form, r.GrantTypes = Client{c}, v, fosite.Arguments{grantType}
	r.SetRequestedScopes(fosite.RemoveEmpty(strings.Split(v.Get("scope"), "+")))
	if !h.CanHandleTokenEndpointRequest(context.Background(), r) {
		return nil, errors.New("the handler does not claim its own grant type")
	}
	if err := h.HandleTokenEndpointRequest(context.Background(), r); err != nil {
		return nil, err
	}
	w := fosite.NewAccessResponse()
	return w, h.PopulateTokenEndpointResponse(context.Background(), r, w)
}

// code is the RFC 6749 code that an error means to a foreign server.
func code(err error) string {
	var e *fosite.RFC6749Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorField
	}
	return "server_error"
}
