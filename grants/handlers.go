package grants

import (
	"context"
	"fmt"
	"reflect"

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
)

func (h *Password) missing() string {
	return firstNil(h, "Authenticator", "AccessTokens", "RefreshTokens", "Now")
}

func (h *ClientCredentials) missing() string { return firstNil(h, "Users", "AccessTokens", "Now") }

func (h *Refresh) missing() string {
	return firstNil(h, "Families", "AccessTokens", "RefreshTokens", "Recorder", "Now")
}

func (h *AccountMember) missing() string {
	return firstNil(h, "Authenticator", "Members", "AccessTokens", "RefreshTokens", "Now")
}

func (h *TokenExchange) missing() string {
	return firstNil(h, "SubjectTokens", "Members", "AccessTokens", "Recorder", "Now")
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
	{"token-exchange", GrantTokenExchange, "", &Session{}},
}

// checkHandlers returns an error for a handler of this package that has a missing field,
// and for two handlers that serve the same request.
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
		var first fosite.TokenEndpointHandler
		for _, h := range handlers {
			if !h.CanHandleTokenEndpointRequest(context.Background(), request) {
				continue
			}
			if first != nil {
				return fmt.Errorf("%T and %T both serve the grant %s, and fosite would run both; see OtherRefresh", first, h, p.what)
			}
			first = h
		}
	}
	return nil
}

// OtherRefresh returns a handler of the refresh token grant that leaves the refresh tokens
// of this package to Refresh. So a server can issue both kinds: its own, for example with
// authorization codes, and those of this package.
//
//	config.TokenEndpointHandlers.Append(refresh)                      // *Refresh
//	config.TokenEndpointHandlers.Append(grants.OtherRefresh(fositesOwn))
func OtherRefresh(h fosite.TokenEndpointHandler) fosite.TokenEndpointHandler { return &otherRefresh{h} }

type otherRefresh struct{ fosite.TokenEndpointHandler }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *otherRefresh) CanHandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) bool {
	_, ours := r.GetSession().(*Session)
	return !ours && !IsRefreshToken(r.GetRequestForm().Get("refresh_token")) && h.TokenEndpointHandler.CanHandleTokenEndpointRequest(ctx, r)
}

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (h *otherRefresh) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	return h.TokenEndpointHandler.PopulateTokenEndpointResponse(ctx, r, w)
}

// CheckClient returns an error, with the name of the field, if the grants of the client
// can never succeed: it has no id, is inactive, accepts no credential, or admits no user.
// Call it where the client is made. Otherwise its users are refused without a reason.
func CheckClient(c storage.Client) error {
	fault := func(reason string) error { return fmt.Errorf("client %q: %s", c.ID, reason) }
	users := c.HasGrant(GrantPassword) || c.HasGrant(GrantAccountMember)
	switch {
	case c.ID == "":
		return fault("ID is empty")
	case !c.Active:
		return fault("Active is false")
	case len(c.GrantTypes) == 0:
		return fault("GrantTypes is empty")
	case c.Credentials.OTP && !users:
		return fault(fmt.Sprintf("Credentials.OTP is set, but GrantTypes has neither %q nor %q", GrantPassword, GrantAccountMember))
	case users && !c.Credentials.OTP && !c.Credentials.Password:
		return fault("Credentials allows neither OTP nor Password")
	case users && !c.AllowAnyBuyer && !c.AllowAnySupplier && !c.AllowSeller && len(c.AccountUIDs) == 0:
		return fault("it admits no user: AllowAnyBuyer, AllowAnySupplier and AllowSeller are false, and AccountUIDs is empty")
	case c.HasGrant(GrantRefreshToken) && c.RefreshTokenTTL <= 0:
		return fault("GrantTypes has refresh_token, but RefreshTokenTTL is not above 0")
	}
	return nil
}
