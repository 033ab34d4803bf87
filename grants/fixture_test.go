package grants

import (
	"context"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/internal/memstore"
	"latchkey/grants/signin"
	"latchkey/storage"
)

const rightPassword = memstore.RightPassword

var start = memstore.Start

// world is a store, a clock, codes, hashes and tokens without any machinery.
type world struct {
	*memstore.Store
	members map[string][]storage.Member
	held    map[string]SubjectToken
	choices map[string]SelectionToken
	spent   map[string]bool
	minted  []AccessToken
	mintErr error
}

// newWorld has bob, who is a member of acme, with the password "Tr0ub4dor&3"
// and the live code "12345678", and shop, a client that serves him.
func newWorld(t *testing.T) (*world, *storage.Client) {
	t.Helper()
	store, client := memstore.New()
	client.GrantTypes = []string{GrantPassword, GrantClientCredentials, GrantRefreshToken, GrantAccountMember, GrantTokenExchange}
	w := &world{
		Store: store, members: map[string][]storage.Member{},
		held: map[string]SubjectToken{}, choices: map[string]SelectionToken{}, spent: map[string]bool{},
	}
	w.join("usr_bob", "acme", "Buy", "Approve")
	return w, client
}

func (w *world) join(userUID, account string, roles ...string) {
	w.members[userUID] = append(w.members[userUID], storage.Member{
		Membership: storage.Membership{AccountUID: "acc_" + account, UserUID: userUID, Roles: roles},
		Account:    storage.Account{UID: "acc_" + account, ID: account, Name: "The " + account, Active: true},
	})
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

func (w *world) Family(_ context.Context, id string) (storage.FamilyState, error) {
	state := w.Families[id]
	if state == nil {
		return storage.FamilyState{}, storage.ErrNotFound
	}
	now := *state
	for _, p := range w.Logins {
		if p.Login.ID == now.Family.LoginID {
			now.Principal = *p
			if s := w.SourceOf(p.Key, now.Family.SourceID); s != nil {
				now.Principal.Source, now.Principal.Lockout.Source = s.Source, s.Counter
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
	f := &w.Families[id].Family
	if f.Generation != from {
		return storage.ErrStale
	}
	f.Generation, f.RotatedAt, f.IdleUntil = from+1, now, idle
	return nil
}

func (w *world) RevokeFamily(_ context.Context, id string, now time.Time) error {
	w.Families[id].Family.RevokedAt = now
	return nil
}

// Mint implements AccessTokens.
func (w *world) Mint(_ context.Context, t AccessToken) (string, error) {
	if w.mintErr != nil {
		return "", w.mintErr
	}
	w.minted = append(w.minted, t)
	return "token", nil
}

// SubjectToken implements SubjectTokens.
func (w *world) VerifySubject(_ context.Context, c *storage.Client, token string) (SubjectToken, error) {
	h, ok := w.held[token]
	if token == "down" {
		return h, storage.ErrUnavailable
	}
	if !ok {
		return h, ErrSubjectToken
	}
	return h, nil
}

// Selection implements SubjectTokens.
func (w *world) VerifySelection(_ context.Context, c *storage.Client, token string) (SubjectToken, error) {
	s, ok := w.choices[token]
	if !ok || s.Client.ID != c.ID {
		return SubjectToken{}, ErrSubjectToken
	}
	return SubjectToken{Principal: *w.Bob(), AMR: s.AMR, AuthTime: s.AuthTime, ExpiresAt: s.IssuedAt.Add(5 * time.Minute)}, nil
}

// Spend implements SubjectTokens.
func (w *world) SpendSelection(ctx context.Context, h SubjectToken, do func(context.Context) error) error {
	if w.spent[h.TokenID] {
		return ErrSubjectToken
	}
	err := do(ctx)
	w.spent[h.TokenID] = err == nil
	return err
}

// MintSelection implements SubjectTokens.
func (w *world) MintSelection(_ context.Context, s SelectionToken) (string, time.Duration, error) {
	if w.mintErr != nil {
		return "", 0, w.mintErr
	}
	w.choices["choice"] = s
	return "choice", 5 * time.Minute, nil
}

// hold makes "held" an access token of bob's for that account; empty: none.
func (w *world) hold(account string, scope ...string) *SubjectToken {
	h := SubjectToken{
		Principal: *w.Bob(), AMR: []string{"otp"}, AuthTime: start.Add(-time.Minute), Access: true, Scope: scope,
		FamilyID: "fam", ExpiresAt: start.Truncate(time.Second).Add(5 * time.Minute),
	}
	if m, err := w.Member(context.Background(), "usr_bob", account); err == nil {
		h.Member = &m
	}
	w.held["held"] = h
	return &h
}

func (w *world) authenticator(t *testing.T) *signin.Authenticator {
	t.Helper()
	a, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: w, Codes: w, Passwords: w, Recorder: w, Now: w.Clock})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (w *world) accountMember(t *testing.T) *AccountMember {
	return &AccountMember{
		Authenticator: w.authenticator(t), Profiles: w, Members: w, SubjectTokens: w,
		AccessTokens: w, RefreshTokens: refreshTokens(), Now: w.Clock,
	}
}

func (w *world) exchange() *TokenExchange {
	return &TokenExchange{SubjectTokens: w, Members: w, AccessTokens: w, Recorder: w, Now: w.Clock}
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
