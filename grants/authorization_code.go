package grants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// AuthorizationStore is the part of a store that the authorization code grant needs.
type AuthorizationStore interface {
	// Authorization reads an authorization with its user, or returns storage.ErrNotFound.
	Authorization(ctx context.Context, id string) (storage.AuthorizationState, error)
	// RedeemAuthorization uses an authorization code and begins the token family, or returns
	// storage.ErrRefused and changes nothing.
	RedeemAuthorization(ctx context.Context, use storage.AuthorizationUse) error
	// RevokeFamily revokes a family for good.
	RevokeFamily(ctx context.Context, id string, now time.Time) error
}

// AuthorizationCode is the authorization code grant (RFC 6749 §4.1.3) with PKCE
// (RFC 7636) for every client.
//
// Nothing is changed before the client, the redirect URI and the code verifier are known
// to be right. So nobody who has only seen a code can use it up. A second use with
// everything right ends the tokens of the first use (RFC 6749 §4.1.2): all tokens of a
// code belong to a token family, which then is revoked. The client gets the refresh token
// of the family if it may have refresh tokens; a third-party client also needs the scope
// offline_access. AuthorizeHandler issues codes at the authorization endpoint of another
// fosite server.
//
// Parameters: code, code_verifier, and redirect_uri if the authorization request had it.
type AuthorizationCode struct {
	Store         AuthorizationStore
	Codes         *AuthorizationCodes
	AccessTokens  AccessTokens
	IDTokens      IDTokens // nil: there are no ID tokens
	RefreshTokens *RefreshTokens
	Recorder      storage.Recorder
	Now           func() time.Time
}

var _ fosite.TokenEndpointHandler = (*AuthorizationCode)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *AuthorizationCode) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool {
	return false
}

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *AuthorizationCode) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(GrantAuthorizationCode)
}

// presentedCode is what a token request presents.
type presentedCode struct {
	id, secret, verifier, redirectURI string
	jkt                               string // thumbprint of the proven key
}

// HandleTokenEndpointRequest verifies the code.
func (h *AuthorizationCode) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	client, session, err := requestOf(r, GrantAuthorizationCode)
	if err != nil {
		return err
	}
	form := r.GetRequestForm()
	code, verifier, redirectURI := form.Get("code"), form.Get("code_verifier"), form.Get("redirect_uri")
	form.Del("code")
	form.Del("code_verifier")
	if code == "" {
		return malformed("The parameter code is missing.")
	}
	id, secret, ok := h.Codes.parse(code)
	if !ok {
		return asGrantError(ErrAuthorizationCode)
	}
	now := h.Now().UTC()
	presented := presentedCode{id, secret, verifier, redirectURI, session.JKT}
	state, err := h.liveAuthorization(ctx, client, presented, now)
	if err != nil {
		return asGrantError(err)
	}
	a := &state.Authorization
	if err := session.narrowAudience(a.Resources); err != nil {
		return err
	}
	session.authorization, session.presentedCode, session.issuedAt = a, presented, now
	session.Principal, session.AMR, session.Purpose, session.AuthTime = state.Principal, a.AMR, a.Purpose, a.AuthTime
	if a.AccountUID != state.Principal.User.AccountUID { // a token for the user's own company is not scoped to it
		session.Member = state.Member
	}
	return nil
}

// liveAuthorization reads the authorization of a code. It returns ErrAuthorizationCode if
// the client may not use the code now. The second use of a code revokes the tokens of the
// first one.
func (h *AuthorizationCode) liveAuthorization(ctx context.Context, c *storage.Client, code presentedCode, now time.Time) (storage.AuthorizationState, error) {
	state, err := h.Store.Authorization(ctx, code.id)
	if errors.Is(err, storage.ErrNotFound) {
		return state, ErrAuthorizationCode
	}
	if err != nil {
		return state, fmt.Errorf("read authorization: %w", err)
	}
	a := &state.Authorization
	if !h.Codes.belongs(a, code.secret) || a.ClientID != c.ID || a.RedirectURI != code.redirectURI || !verifies(code.verifier, a.Challenge) {
		h.record(ctx, c.ID, &state.Principal, "wrong_code")
		return state, ErrAuthorizationCode
	}
	if err := checkKey(a.JKT, code.jkt, ErrAuthorizationCode); err != nil {
		h.record(ctx, c.ID, &state.Principal, "key not proven")
		return state, err
	}
	if !a.UsedAt.IsZero() {
		if err := h.Store.RevokeFamily(ctx, a.FamilyID, now); err != nil {
			return state, fmt.Errorf("revoke tokens of a code: %w", err)
		}
		h.record(ctx, c.ID, &state.Principal, "reused code, family revoked")
		return state, ErrAuthorizationCode
	}
	if !isAuthorizationLive(c, &state, now) {
		h.record(ctx, c.ID, &state.Principal, "ended_code")
		return state, ErrAuthorizationCode
	}
	return state, nil
}

// isAuthorizationLive reports whether an unused code is good at the time now, by the same
// rules as IsFamilyLive.
func isAuthorizationLive(c *storage.Client, state *storage.AuthorizationState, now time.Time) bool {
	a, p := &state.Authorization, &state.Principal
	switch {
	case !now.Before(a.ExpiresAt), state.SessionEnded:
		return false
	case a.CreatedAt.Before(storage.TokensValidFrom(c, p, state.Member, a.AMR)), a.AuthTime.Before(p.Login.SessionsValidFrom):
		return false
	case a.AccountUID != "" && a.AccountUID != p.User.AccountUID && (state.Member == nil || !state.Member.Account.Active):
		return false
	}
	return c.SessionRefusal(p, a.AMR, now) == ""
}

// PopulateTokenEndpointResponse mints the tokens, uses the code and answers (RFC 6749
// §4.1.4, OpenID Connect Core 1.0 §3.1.3.3).
func (h *AuthorizationCode) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantAuthorizationCode)
	if err != nil {
		return err
	}
	a := session.authorization
	identity, requested := SplitScope(a.Scope)
	has := rolesHere(session)
	roles, err := AuthorizedRoles(client, has, identity, requested)
	if err != nil {
		h.record(ctx, client.ID, &session.Principal, insufficientRoles)
		return err
	}
	token := tokenFor(client, session, roles, session.issuedAt)
	token.Identity, token.SourceID, token.BrowserSession = identity, a.SourceID, a.SessionID
	family, refreshToken, err := h.family(token)
	if err != nil {
		return err
	}
	token.FamilyID = family.ID
	signed, idToken, err := h.mint(ctx, token, a)
	if err != nil {
		return err
	}
	if err := session.confirm(ctx); err != nil {
		return err
	}
	if err := h.redeem(ctx, client, session, family); err != nil {
		return asGrantError(err)
	}
	h.record(ctx, client.ID, &session.Principal, "success")
	if refreshToken != "" {
		w.SetExtra("refresh_token", refreshToken)
	}
	if idToken != "" {
		w.SetExtra("id_token", idToken)
	}
	respond(r, w, token, signed)
	w.SetScopes(token.allScopes())
	return nil
}

// family returns the family of the tokens of a code, and its refresh token unless the
// client gets none. Then the family ends with the access token.
func (h *AuthorizationCode) family(t AccessToken) (*storage.TokenFamily, string, error) {
	refreshes := !t.Client.ThirdParty || slices.Contains(t.Identity, ScopeOfflineAccess)
	if refreshes {
		if family, refreshToken, err := h.RefreshTokens.newFamily(t); family != nil || err != nil {
			return family, refreshToken, err
		}
	}
	family, _, err := h.RefreshTokens.Begin(familyOf(t, t.ExpiresAt))
	return family, "", err
}

// mint signs the access token and, if the scope openid was requested, the ID token.
func (h *AuthorizationCode) mint(ctx context.Context, t AccessToken, a *storage.Authorization) (access, id string, err error) {
	if access, err = h.AccessTokens.Mint(ctx, t); err != nil || h.IDTokens == nil || !slices.Contains(t.Identity, ScopeOpenID) {
		return access, "", err
	}
	id, err = h.IDTokens.MintID(ctx, IDToken{
		Client: t.Client, Principal: t.Principal, SessionID: a.SessionID, Nonce: a.Nonce, AMR: t.AMR, AuthTime: t.AuthTime,
		AccessToken: access, IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt,
	})
	return access, id, err
}

// redeem uses the code. A code that was used since it was read is a second use.
func (h *AuthorizationCode) redeem(ctx context.Context, c *storage.Client, s *Session, family *storage.TokenFamily) error {
	err := h.Store.RedeemAuthorization(ctx, storage.AuthorizationUse{ID: s.authorization.ID, Family: family, Now: h.Now().UTC()})
	if errors.Is(err, storage.ErrRefused) {
		if _, err := h.liveAuthorization(ctx, c, s.presentedCode, h.Now().UTC()); err != nil {
			return err
		}
		return ErrAuthorizationCode
	}
	if err != nil {
		return fmt.Errorf("redeem authorization code: %w", err)
	}
	return nil
}

func (h *AuthorizationCode) record(ctx context.Context, clientID string, p *storage.Principal, outcome string) {
	h.Recorder.Record(ctx, storage.AuditEvent{
		Time: h.Now().UTC(), Action: "code.exchanged", Outcome: outcome, ClientID: clientID,
		UserUID: p.User.UID, Username: p.Login.Username,
	})
}
