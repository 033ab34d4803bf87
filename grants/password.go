package grants

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// Password is the resource owner password credentials grant (RFC 6749 §4.3),
// whose password may be a one-time password. It signs the access token before
// the attempt settles, so a failed signature burns no code, and hands it out
// only if the settlement took effect.
type Password struct {
	Authenticator *Authenticator
	AccessTokens  AccessTokens
	RefreshTokens *RefreshTokens
	Now           func() time.Time
}

var _ fosite.TokenEndpointHandler = (*Password)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *Password) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *Password) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(GrantPassword)
}

// HandleTokenEndpointRequest verifies the credentials (RFC 6749 §4.3.2).
func (h *Password) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, session, err := requestOf(r, GrantPassword)
	if err != nil {
		return err
	}
	form := r.GetRequestForm()
	username, secret := form.Get("username"), form.Get("password")
	form.Del("password")
	if username == "" || secret == "" {
		return fosite.ErrInvalidRequest.WithWrap(ErrCredentialsMissing)
	}
	signIn, err := h.Authenticator.Verify(ctx, client, username, secret)
	if err != nil {
		return asGrantError(err)
	}
	session.signIn = signIn
	session.Principal = signIn.Principal
	session.AMR = []string{signIn.AMR}
	session.AuthTime = h.Now().UTC()
	return nil
}

// PopulateTokenEndpointResponse signs the token, settles the attempt and
// answers (RFC 6749 §5.1).
func (h *Password) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantPassword)
	if err != nil {
		return err
	}
	scope, err := GrantRoles(client, session.Principal.Roles, r.GetRequestedScopes())
	if err != nil {
		h.Authenticator.recordUnused(ctx, session.signIn)
		return err
	}
	now := h.Now().UTC()
	family, refreshToken, err := h.begin(client, session, scope, now)
	if err != nil {
		return err
	}
	token := tokenFor(client, session, scope, now)
	if family != nil {
		token.FamilyID = family.ID
		w.SetExtra("refresh_token", refreshToken)
	}
	signed, err := h.AccessTokens.Mint(ctx, token)
	if err != nil {
		return err
	}
	if err := h.Authenticator.Settle(ctx, session.signIn, family); err != nil {
		return asGrantError(err)
	}
	respond(r, w, token, signed, now)
	return nil
}

// begin makes the refresh family of a sign-in, if the client gets one.
func (h *Password) begin(c *storage.Client, s *Session, scope []string, now time.Time) (*storage.TokenFamily, string, error) {
	if c.RefreshTokenTTL <= 0 || !c.HasGrant(GrantRefreshToken) {
		return nil, "", nil
	}
	return h.RefreshTokens.Begin(storage.TokenFamily{
		ClientID: c.ID, UserUID: s.Principal.User.UID, LoginID: s.Principal.Login.ID,
		Scope: scope, AMR: s.AMR, AuthTime: s.AuthTime,
		RotatedAt: now, CreatedAt: now,
		ExpiresAt: now.Add(c.RefreshTokenTTL), IdleUntil: idleUntil(c, now),
	})
}

// asGrantError dresses a refusal in its RFC 6749 §5.2 code; what is not a
// refusal passes unchanged.
func asGrantError(err error) error {
	if errors.Is(err, ErrCredentials) || errors.Is(err, ErrRefreshToken) {
		return fosite.ErrInvalidGrant.WithWrap(err)
	}
	return err
}
