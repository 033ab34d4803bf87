package grants

import (
	"context"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"latchkey/otp"
	"latchkey/storage"
)

// ContextUsers finds the user that a client acts as.
type ContextUsers interface {
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
}

// ClientCredentials is the client credentials grant (RFC 6749 §4.4). A client
// with a default context user acts as that user (OrderCloud); any other acts
// for itself with its own roles, which costs no statement.
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

// HandleTokenEndpointRequest finds out whom the client acts for.
func (h *ClientCredentials) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, session, err := requestOf(r, GrantClientCredentials)
	if err != nil {
		return err
	}
	switch {
	case r.GetClient().IsPublic():
		return fosite.ErrUnauthorizedClient.WithHint("Only a client with a secret may use client credentials.")
	case client.DefaultContextUser != "":
		return h.actAs(ctx, client, session)
	case client.RequiresContextUser:
		return fosite.ErrInvalidGrant.WithWrap(ErrContextUserRequired)
	}
	return nil
}

// actAs puts the client's default context user into the session.
func (h *ClientCredentials) actAs(ctx context.Context, c *storage.Client, s *Session) error {
	key := storage.LoginKey{ProfileID: c.ProfileID, UsernameKey: otp.NormalizeUsername(c.DefaultContextUser)}
	p, err := h.Users.Principal(ctx, key)
	if err != nil {
		return fmt.Errorf("read context user: %w", err)
	}
	if reason := c.Refusal(&p, h.Now()); reason != "" {
		return fosite.ErrInvalidGrant.WithWrap(fmt.Errorf("%w: %s", ErrContextUserRequired, reason))
	}
	s.Principal = p
	return nil
}

// PopulateTokenEndpointResponse signs the token and answers. There is no
// refresh token (RFC 6749 §4.4.3).
func (h *ClientCredentials) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantClientCredentials)
	if err != nil {
		return err
	}
	scope, err := GrantRoles(client, rolesOf(client, session), r.GetRequestedScopes())
	if err != nil {
		return err
	}
	now := h.Now().UTC()
	token := tokenFor(client, session, scope, now)
	signed, err := h.AccessTokens.Mint(ctx, token)
	if err != nil {
		return err
	}
	respond(r, w, token, signed, now)
	return nil
}

func rolesOf(c *storage.Client, s *Session) []string {
	if s.Principal.Known {
		return s.Principal.Roles
	}
	return c.Roles
}
