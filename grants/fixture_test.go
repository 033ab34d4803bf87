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

// fixture is a store in memory. It also mints tokens, as plain text.
type fixture struct {
	*memstore.Store
	members map[string][]storage.Member
	held    map[string]SubjectToken
	choices map[string]SelectionToken
	spent   map[string]bool
	minted  []AccessToken
	mintErr error
}

// newFixture returns a fixture and the client shop. Bob is a member of the account acme, and
// the client admits him. His password is "Tr0ub4dor&3", and his live code "12345678".
func newFixture(t *testing.T) (*fixture, *storage.Client) {
	t.Helper()
	store, client := memstore.New()
	client.GrantTypes = []string{GrantPassword, GrantClientCredentials, GrantRefreshToken, GrantAccountMember, GrantTokenExchange}
	fx := &fixture{
		Store: store, members: map[string][]storage.Member{},
		held: map[string]SubjectToken{}, choices: map[string]SelectionToken{}, spent: map[string]bool{},
	}
	fx.join("usr_bob", "acme", "Buy", "Approve")
	return fx, client
}

func (fx *fixture) join(userUID, account string, roles ...string) {
	fx.members[userUID] = append(fx.members[userUID], storage.Member{
		Membership: storage.Membership{AccountUID: "acc_" + account, UserUID: userUID, Roles: roles},
		Account:    storage.Account{UID: "acc_" + account, ID: account, Name: "The " + account, Active: true},
	})
}

func (fx *fixture) Members(_ context.Context, userUID string, offset, limit int) (storage.Page[storage.Member], error) {
	all := fx.members[userUID]
	end := min(len(all), offset+limit)
	return storage.Page[storage.Member]{Items: slices.Clone(all[offset:end]), Total: len(all)}, nil
}

func (fx *fixture) Member(_ context.Context, userUID, accountID string) (storage.Member, error) {
	for _, m := range fx.members[userUID] {
		if m.Account.ID == accountID {
			return m, nil
		}
	}
	return storage.Member{}, storage.ErrNotFound
}

func (fx *fixture) Family(_ context.Context, id string) (storage.FamilyState, error) {
	state := fx.Families[id]
	if state == nil {
		return storage.FamilyState{}, storage.ErrNotFound
	}
	now := *state
	for _, p := range fx.Logins {
		if p.Login.ID == now.Family.LoginID {
			now.Principal = *p
			if s := fx.SourceOf(p.Key, now.Family.SourceID); s != nil {
				now.Principal.Source, now.Principal.Lockout.Source = s.Source, s.Counter
			}
		}
	}
	for _, m := range fx.members[now.Family.UserUID] {
		if m.Account.UID == now.Family.AccountUID {
			now.Member = &m
		}
	}
	return now, nil
}

func (fx *fixture) AdvanceFamily(_ context.Context, id string, next storage.FamilyAdvance) error {
	f := &fx.Families[id].Family
	if f.Generation != next.From {
		return storage.ErrStale
	}
	f.Generation, f.RotatedAt, f.IdleUntil, f.Rotations = next.From+1, next.Now, next.IdleUntil, next.Rotations
	return nil
}

func (fx *fixture) RevokeFamily(_ context.Context, id string, now time.Time) error {
	fx.Families[id].Family.RevokedAt = now
	return nil
}

// Mint implements AccessTokens.
func (fx *fixture) Mint(_ context.Context, t AccessToken) (string, error) {
	if fx.mintErr != nil {
		return "", fx.mintErr
	}
	fx.minted = append(fx.minted, t)
	return "token", nil
}

// VerifySubject implements SubjectTokens.
func (fx *fixture) VerifySubject(_ context.Context, c *storage.Client, token string) (SubjectToken, error) {
	h, ok := fx.held[token]
	if token == "down" {
		return h, storage.ErrUnavailable
	}
	if !ok {
		return h, ErrSubjectToken
	}
	return h, nil
}

// VerifySelection implements SubjectTokens.
func (fx *fixture) VerifySelection(_ context.Context, c *storage.Client, token string) (SubjectToken, error) {
	s, ok := fx.choices[token]
	if !ok || s.Client.ID != c.ID {
		return SubjectToken{}, ErrSubjectToken
	}
	return SubjectToken{Principal: *fx.Bob(), AMR: s.AMR, AuthTime: s.AuthTime, ExpiresAt: s.IssuedAt.Add(5 * time.Minute)}, nil
}

// SpendSelection implements SubjectTokens.
func (fx *fixture) SpendSelection(ctx context.Context, h SubjectToken, do func(context.Context) error) error {
	if fx.spent[h.TokenID] {
		return ErrSubjectToken
	}
	err := do(ctx)
	fx.spent[h.TokenID] = err == nil
	return err
}

// MintSelection implements SubjectTokens.
func (fx *fixture) MintSelection(_ context.Context, s SelectionToken) (string, time.Duration, error) {
	if fx.mintErr != nil {
		return "", 0, fx.mintErr
	}
	fx.choices["choice"] = s
	return "choice", 5 * time.Minute, nil
}

// hold makes "held" an access token of Bob for that account. Without an account it has none.
func (fx *fixture) hold(account string, scope ...string) *SubjectToken {
	h := SubjectToken{
		Principal: *fx.Bob(), AMR: []string{"otp"}, AuthTime: start.Add(-time.Minute), Access: true, Scope: scope,
		FamilyID: "fam", ExpiresAt: start.Truncate(time.Second).Add(5 * time.Minute),
	}
	if m, err := fx.Member(context.Background(), "usr_bob", account); err == nil {
		h.Member = &m
	}
	fx.held["held"] = h
	return &h
}

func (fx *fixture) authenticator(t *testing.T) *signin.Authenticator {
	t.Helper()
	a, err := signin.NewAuthenticator(signin.AuthenticatorConfig{Store: fx, Codes: fx, Passwords: fx, Recorder: fx, Now: fx.Clock})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (fx *fixture) accountMember(t *testing.T) *AccountMember {
	return &AccountMember{
		Authenticator: fx.authenticator(t), Profiles: fx, Members: fx, SubjectTokens: fx,
		AccessTokens: fx, RefreshTokens: refreshTokens(), Now: fx.Clock,
	}
}

func (fx *fixture) exchange() *TokenExchange {
	return &TokenExchange{SubjectTokens: fx, Members: fx, AccessTokens: fx, Recorder: fx, Now: fx.Clock}
}

// form parses a list of name=value pairs with spaces between them.
func form(pairs string) url.Values {
	v := url.Values{}
	for _, pair := range strings.Fields(pairs) {
		name, value, _ := strings.Cut(pair, "=")
		v.Set(name, value)
	}
	return v
}

// ask runs both phases of a handler for a request.
func ask(h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	return askFrom("", h, c, grantType, v)
}

// askFrom is ask for a user with that address.
func askFrom(address string, h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	source, _ := netip.ParseAddr(address)
	return askIn(&Session{Source: source}, h, c, grantType, v)
}

// askIn is ask with a session of the server.
func askIn(s *Session, h fosite.TokenEndpointHandler, c *storage.Client, grantType string, v url.Values) (*fosite.AccessResponse, error) {
	r := fosite.NewAccessRequest(s)
	r.Client, r.Form, r.GrantTypes = Client{c}, v, fosite.Arguments{grantType}
	r.SetRequestedScopes(fosite.RemoveEmpty(strings.Split(v.Get("scope"), "+")))
	if !h.CanHandleTokenEndpointRequest(context.Background(), r) {
		return nil, errors.New("the handler refuses its own grant type")
	}
	if err := h.HandleTokenEndpointRequest(context.Background(), r); err != nil {
		return nil, err
	}
	response := fosite.NewAccessResponse()
	return response, h.PopulateTokenEndpointResponse(context.Background(), r, response)
}

// code returns the error code of RFC 6749 that fosite answers for an error.
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
