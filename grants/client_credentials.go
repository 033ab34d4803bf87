package grants

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// ContextUsers reads the user that a client acts as.
type ContextUsers interface {
	// Principal reads a login by its key; see signin.Store.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
}

// ClientCredentials is the client credentials grant (RFC 6749 §4.4). A client with a
// default context user acts as that user (OrderCloud). Any other client acts for itself
// with its own roles, and needs no database statement.
//
// A public client can be allowed to act as its context user without a secret
// (OrderCloud's anonymous shopping). Then anybody can act as that user. So the user must
// be a buyer, and the reason of a refusal is not shown.
type ClientCredentials struct {
	Users        ContextUsers
	AccessTokens AccessTokens
	Now          func() time.Time
}

var _ fosite.TokenEndpointHandler = (*ClientCredentials)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *ClientCredentials) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool {
	return false
}

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *ClientCredentials) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(GrantClientCredentials)
}

// HandleTokenEndpointRequest puts the user that the client acts as into the session.
func (h *ClientCredentials) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, session, err := requestOf(r, GrantClientCredentials)
	if err != nil {
		return err
	}
	switch {
	case r.GetClient().IsPublic():
		return h.anonymous(ctx, client, session)
	case client.DefaultContextUser != "":
		return h.actAs(ctx, client, session)
	case client.RequiresContextUser:
		return fosite.ErrInvalidGrant.WithWrap(ErrContextUserRequired)
	}
	return nil
}

// actAs puts the client's default context user into the session.
func (h *ClientCredentials) actAs(ctx context.Context, c *storage.Client, s *Session) error {
	key := signin.LoginKey(c.ProfileID, c.DefaultContextUser, netip.Addr{})
	p, err := h.Users.Principal(ctx, key)
	if err != nil {
		return fmt.Errorf("read context user: %w", err)
	}
	if reason := c.Refusal(&p, h.Now()); reason != "" {
		return fosite.ErrInvalidGrant.WithWrap(fmt.Errorf("%w: %s", contextUserError(reason), reason))
	}
	s.Principal = p
	return nil
}

// contextUserError returns the error for the reason why the context user is refused.
func contextUserError(reason string) error {
	switch reason {
	case storage.RefusedUserInactive, storage.RefusedLoginInactive:
		return ErrUserInactive
	case storage.RefusedAccountInactive:
		return ErrCompanyInactive
	case storage.RefusedLocked:
		return ErrLockedOut
	}
	return ErrContextUserRequired
}

// anonymous puts the context user of a public client into the session.
func (h *ClientCredentials) anonymous(ctx context.Context, c *storage.Client, s *Session) error {
	if !c.AnonymousBuyer || c.DefaultContextUser == "" {
		return fosite.ErrUnauthorizedClient.WithHint("Only a client with a secret may use client credentials.")
	}
	err := h.actAs(ctx, c, s)
	if errors.Is(err, fosite.ErrInvalidGrant) || err == nil && s.Principal.User.Kind != storage.Buyer {
		return fosite.ErrInvalidGrant.WithWrap(ErrContextUserRequired)
	}
	s.tokenLife = c.AnonymousTokenTTL
	return err
}

// PopulateTokenEndpointResponse mints the token and answers. There is no refresh token
// (RFC 6749 §4.4.3).
func (h *ClientCredentials) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantClientCredentials)
	if err != nil {
		return err
	}
	scope, err := GrantRoles(client, rolesOf(client, session), r.GetRequestedScopes())
	if err != nil {
		return err
	}
	return answer(ctx, h.AccessTokens, r, w, session, tokenFor(client, session, scope, h.Now().UTC()))
}

// rolesOf returns the roles of the user in the session, or the client's own.
func rolesOf(c *storage.Client, s *Session) []string {
	if s.Principal.Known {
		return s.Principal.Roles
	}
	return c.Roles
}
