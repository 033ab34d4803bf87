package grants

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// ownHandler is a handler of this package.
type ownHandler interface {
	fosite.TokenEndpointHandler
	// missing returns the name of a required field that is nil, or "".
	missing() string
}

var (
	_ ownHandler = (*Password)(nil)
	_ ownHandler = (*ClientCredentials)(nil)
	_ ownHandler = (*Refresh)(nil)
	_ ownHandler = (*AccountMember)(nil)
	_ ownHandler = (*TokenExchange)(nil)
	_ ownHandler = (*AuthorizationCode)(nil)
)

func (h *Password) missing() string {
	return firstNil(h, "Authenticator", "AccessTokens", "RefreshTokens", "Now")
}

func (h *ClientCredentials) missing() string { return firstNil(h, "Users", "AccessTokens", "Now") }

func (h *Refresh) missing() string {
	return firstNil(h, "Families", "AccessTokens", "RefreshTokens", "Now")
}

func (h *AccountMember) missing() string {
	return firstNil(h, "Authenticator", "Members", "AccessTokens", "RefreshTokens", "Now")
}

func (h *TokenExchange) missing() string {
	return firstNil(h, "SubjectTokens", "Members", "AccessTokens", "Recorder", "Now")
}

func (h *AuthorizationCode) missing() string {
	return firstNil(h, "Store", "Codes", "AccessTokens", "RefreshTokens", "Recorder", "Now")
}

// firstNil returns the first of the fields of the struct that h points to which is nil.
func firstNil(h any, fields ...string) string {
	v := reflect.ValueOf(h).Elem()
	for _, name := range fields {
		if v.FieldByName(name).IsNil() {
			return name
		}
	}
	return ""
}

// probes are requests of which only one handler may serve each.
var probes = []struct {
	what    string
	grant   string
	token   string // refresh_token
	session fosite.Session
}{
	{"password", GrantPassword, "", &Session{}},
	{"client_credentials", GrantClientCredentials, "", &Session{}},
	{"refresh_token with a token of package grants", GrantRefreshToken, refreshPrefix, &Session{}},
	{"refresh_token with another token", GrantRefreshToken, "x", &fosite.DefaultSession{}},
	{"account-member", GrantAccountMember, "", &Session{}},
	{"authorization_code", GrantAuthorizationCode, "", &Session{}},
	{"token-exchange", GrantTokenExchange, "", &Session{}},
}

// checkHandlers returns an error for a handler of this package that has a missing field,
// and for a request that such a handler and another one both serve.
func checkHandlers(handlers fosite.TokenEndpointHandlers) error {
	for _, h := range handlers {
		own, ok := h.(ownHandler)
		if !ok {
			continue
		}
		if field := own.missing(); field != "" {
			return fmt.Errorf("the field %s of %T is missing", field, h)
		}
	}
	for _, p := range probes {
		request := fosite.NewAccessRequest(p.session)
		request.GrantTypes = fosite.Arguments{p.grant}
		request.Form.Set("refresh_token", p.token)
		var serving []fosite.TokenEndpointHandler
		ours := false
		for _, h := range handlers {
			if h.CanHandleTokenEndpointRequest(context.Background(), request) {
				_, own := h.(ownHandler)
				serving, ours = append(serving, h), ours || own
			}
		}
		if ours && len(serving) > 1 {
			return fmt.Errorf("%T and %T both serve the grant %s, and fosite would run both; see OtherRefresh", serving[0], serving[1], p.what)
		}
	}
	return nil
}

// OtherRefresh returns one handler for all other handlers of the refresh token grant. It
// leaves the refresh tokens of this package to Refresh. So a server can issue both kinds:
// its own, for example with authorization codes, and those of this package.
//
//	config.TokenEndpointHandlers = append(config.TokenEndpointHandlers, refresh, grants.OtherRefresh(fositesOwn))
func OtherRefresh(handlers ...fosite.TokenEndpointHandler) fosite.TokenEndpointHandler {
	return otherRefresh(handlers)
}

type otherRefresh []fosite.TokenEndpointHandler

// CanSkipClientAuth implements fosite.TokenEndpointHandler.
func (o otherRefresh) CanSkipClientAuth(ctx context.Context, r fosite.AccessRequester) bool {
	return !slices.ContainsFunc(o, func(h fosite.TokenEndpointHandler) bool { return !h.CanSkipClientAuth(ctx, r) })
}

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (o otherRefresh) CanHandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) bool {
	_, ours := r.GetSession().(*Session)
	return !ours && !IsRefreshToken(r.GetRequestForm().Get("refresh_token")) &&
		slices.ContainsFunc(o, func(h fosite.TokenEndpointHandler) bool { return h.CanHandleTokenEndpointRequest(ctx, r) })
}

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (o otherRefresh) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	return o.each(ctx, r, func(h fosite.TokenEndpointHandler) error { return h.HandleTokenEndpointRequest(ctx, r) })
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (o otherRefresh) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	return o.each(ctx, r, func(h fosite.TokenEndpointHandler) error { return h.PopulateTokenEndpointResponse(ctx, r, w) })
}

// each runs one phase of the handlers that serve the request.
func (o otherRefresh) each(ctx context.Context, r fosite.AccessRequester, phase func(fosite.TokenEndpointHandler) error) error {
	if !o.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	served := false
	for _, h := range o {
		if !h.CanHandleTokenEndpointRequest(ctx, r) {
			continue
		}
		if err := phase(h); err == nil {
			served = true
		} else if !errors.Is(err, fosite.ErrUnknownRequest) {
			return err
		}
	}
	if !served {
		return fosite.ErrUnknownRequest
	}
	return nil
}

// NewClient returns the client for a fosite server that keeps its clients as records of
// package storage. Its errors are those of CheckClient.
func NewClient(c storage.Client) (Client, error) {
	if err := CheckClient(c); err != nil {
		return Client{}, fmt.Errorf("grants: %w", err)
	}
	return Client{&c}, nil
}

// CheckClient returns an error, with the name of the field, if the grants of the client
// can never succeed: it has no id, is inactive, accepts no credential, or admits no user.
// Call it where the client is made. Otherwise its users are refused without a reason.
func CheckClient(c storage.Client) error {
	fault := func(reason string) error { return fmt.Errorf("client %q: %s", c.ID, reason) }
	users := c.HasGrant(GrantPassword) || c.HasGrant(GrantAccountMember) || c.HasGrant(GrantAuthorizationCode)
	switch {
	case c.ID == "":
		return fault("ID is empty")
	case !c.Active:
		return fault("Active is false")
	case len(c.GrantTypes) == 0:
		return fault("GrantTypes is empty")
	case c.Credentials.OTP && !users:
		return fault(fmt.Sprintf("Credentials.OTP is set, but GrantTypes has none of %q, %q and %q", GrantPassword, GrantAccountMember, GrantAuthorizationCode))
	case users && !c.Credentials.OTP && !c.Credentials.Password:
		return fault("Credentials allows neither OTP nor Password")
	case users && !c.AllowAnyBuyer && !c.AllowAnySupplier && !c.AllowSeller && len(c.AccountUIDs) == 0:
		return fault("it admits no user: AllowAnyBuyer, AllowAnySupplier and AllowSeller are false, and AccountUIDs is empty")
	case c.HasGrant(GrantRefreshToken) && c.RefreshTokenTTL <= 0:
		return fault("GrantTypes has refresh_token, but RefreshTokenTTL is not above 0")
	}
	return nil
}
