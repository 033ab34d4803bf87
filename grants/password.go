package grants

import (
	"context"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// Password is the resource owner password credentials grant (RFC 6749 §4.3). The password
// may be a one-time password. See issuer.signIn for the order of its effects.
type Password struct {
	Authenticator *signin.Authenticator
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
	if err := checkCeiling(client, r.GetRequestedScopes()); err != nil {
		return err
	}
	attempt := signin.Attempt{
		ProfileID: client.ProfileID, Username: username, Secret: secret, Source: session.Source, Grant: GrantPassword,
		OTP: true, Password: true, Purposes: []storage.Purpose{storage.PurposeSignIn},
	}
	issue := issuer{h.Authenticator, h.AccessTokens, h.RefreshTokens}
	return asGrantError(issue.verifyDirect(ctx, client, session, attempt, r.GetRequestedScopes(), h.Now))
}

// PopulateTokenEndpointResponse mints the token, settles the sign-in and answers
// (RFC 6749 §5.1).
func (h *Password) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantPassword)
	if err != nil {
		return err
	}
	scope, err := GrantRoles(client, session.Principal.Roles, r.GetRequestedScopes())
	if err != nil {
		h.Authenticator.RecordOutcome(ctx, session.signIn, insufficientRoles)
		return err
	}
	issue := issuer{h.Authenticator, h.AccessTokens, h.RefreshTokens}
	return issue.signIn(ctx, r, w, session, tokenFor(client, session, scope, h.Now().UTC()))
}
