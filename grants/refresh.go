package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// FamilyStore is the part of a store that the refresh grant needs.
type FamilyStore interface {
	// Family reads a refresh token family and its user, or returns storage.ErrNotFound.
	Family(ctx context.Context, id string) (storage.FamilyState, error)
	// AdvanceFamily moves a family that is not revoked from the generation next.From
	// to the following one. It returns storage.ErrStale if the family has another
	// generation.
	AdvanceFamily(ctx context.Context, id string, next storage.FamilyAdvance) error
	// RevokeFamily revokes a family for good.
	RevokeFamily(ctx context.Context, id string, now time.Time) error
}

// Refresh is the refresh token grant (RFC 6749 §6) with rotation and reuse detection
// (RFC 9700 §4.14.2). For a grace period a replaced token gets the current one as its
// answer, so that parallel refreshes, lost answers and delayed requests do not end a
// session, however often the token has been replaced since. After that, the use of the
// token revokes the family.
type Refresh struct {
	Families      FamilyStore
	AccessTokens  AccessTokens
	RefreshTokens *RefreshTokens
	Grace         time.Duration    // how long a replaced token stays good; 0: not at all
	Recorder      storage.Recorder // nil: events are discarded
	Now           func() time.Time
}

var _ fosite.TokenEndpointHandler = (*Refresh)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *Refresh) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *Refresh) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	_, ours := r.GetSession().(*Session)
	return r.GetGrantTypes().ExactOne(GrantRefreshToken) && (ours || IsRefreshToken(r.GetRequestForm().Get("refresh_token")))
}

// HandleTokenEndpointRequest verifies the refresh token.
func (h *Refresh) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest // see OtherRefresh
	}
	client, session, err := requestOf(r, GrantRefreshToken)
	if err != nil {
		return err
	}
	form := r.GetRequestForm()
	presented := form.Get("refresh_token")
	form.Del("refresh_token")
	if presented == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter 'refresh_token' is missing.")
	}
	token, err := h.RefreshTokens.Parse(presented)
	if err != nil {
		return asGrantError(err)
	}
	if done, err := h.useDirectly(ctx, client, session, token, r.GetRequestedScopes()); done || err != nil {
		return asGrantError(err)
	}
	state, err := h.liveFamily(ctx, client, token, session.JKT)
	if err != nil {
		return asGrantError(err)
	}
	if err := session.narrowAudience(state.Family.Resources); err != nil {
		return err
	}
	session.refreshed(token, &state)
	return nil
}

// refreshed puts the verified refresh token and its family into the session.
func (s *Session) refreshed(token RefreshToken, state *storage.FamilyState) {
	s.refresh = &refresh{token: token, family: state.Family, jkt: s.JKT}
	s.Principal, s.Member = state.Principal, state.Member
	s.AMR, s.Purpose, s.AuthTime = state.Family.AMR, state.Family.Purpose, state.Family.AuthTime
}

// liveFamily reads the family of the token. It returns ErrRefreshToken if the client may
// not use the token now. The reuse of a token revokes its family only if the token
// belongs to the client, and the request proves the key that the family is bound to.
func (h *Refresh) liveFamily(ctx context.Context, c *storage.Client, token RefreshToken, jkt string) (storage.FamilyState, error) {
	state, err := h.Families.Family(ctx, token.FamilyID)
	if errors.Is(err, storage.ErrNotFound) {
		return state, ErrRefreshToken
	}
	if err != nil {
		return state, fmt.Errorf("read refresh family: %w", err)
	}
	if !token.BelongsTo(&state.Family) || state.Family.ClientID != c.ID {
		return state, ErrRefreshToken
	}
	if err := checkKey(state.Family.JKT, jkt, ErrRefreshToken); err != nil {
		h.record(ctx, c.ID, &state.Principal, "key not proven")
		return state, err
	}
	now := h.Now()
	switch {
	case !h.isCurrent(c, &state.Family, token, now):
		return state, h.revokeReused(ctx, &state, now)
	case !IsFamilyLive(c, &state, now):
		return state, ErrRefreshToken
	}
	return state, nil
}

// isCurrent reports whether the token's generation may be used.
func (h *Refresh) isCurrent(c *storage.Client, f *storage.TokenFamily, token RefreshToken, now time.Time) bool {
	if token.Generation == f.Generation || c.ReuseRefreshTokens {
		return true
	}
	return token.Generation < f.Generation && now.Before(f.ReplacedAt(token.Generation).Add(h.Grace))
}

// revokeReused revokes the family of a reused token and returns ErrRefreshToken.
func (h *Refresh) revokeReused(ctx context.Context, state *storage.FamilyState, now time.Time) error {
	if err := h.Families.RevokeFamily(ctx, state.Family.ID, now); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	h.record(ctx, state.Family.ClientID, &state.Principal, "reused token, family revoked")
	return ErrRefreshToken
}

// IsFamilyLive reports whether the tokens of a refresh token family are good at the time
// now. The family must not be revoked or expired, and not older than a password change
// or another event that ended the tokens of its user. The client must still admit the
// user and allow the credential of the sign-in. If the family is scoped to an account,
// the user must still be a member.
func IsFamilyLive(c *storage.Client, state *storage.FamilyState, now time.Time) bool {
	f, p := &state.Family, &state.Principal
	switch {
	case !f.RevokedAt.IsZero(), !now.Before(f.ExpiresAt):
		return false
	case !f.IdleUntil.IsZero() && !now.Before(f.IdleUntil):
		return false
	case f.CreatedAt.Before(c.RefreshTokensValidFrom()):
		return false
	case f.CreatedAt.Before(p.Login.SessionsValidFrom) && f.ID != p.Login.KeptSession, f.CreatedAt.Before(storage.TokensValidFrom(c, p, state.Member, f.AMR)):
		return false
	case f.AccountUID != "" && (state.Member == nil || !state.Member.Account.Active):
		return false
	}
	return c.SessionRefusal(p, f.AMR, now) == ""
}

// PopulateTokenEndpointResponse mints the access token, advances the family and answers
// (RFC 6749 §6).
func (h *Refresh) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	if !h.CanHandleTokenEndpointRequest(ctx, r) {
		return fosite.ErrUnknownRequest
	}
	client, session, err := requestOf(r, GrantRefreshToken)
	if err != nil {
		return err
	}
	identity, roles, err := refreshedScope(client, session, &session.refresh.family, r.GetRequestedScopes())
	if err != nil {
		return err
	}
	now := h.Now().UTC()
	token := tokenFor(client, session, roles, now)
	token.Identity = identity
	token.FamilyID, token.SourceID = session.refresh.family.ID, session.refresh.family.SourceID
	if session.direct != nil {
		return h.answerDirectly(ctx, r, w, session, token)
	}
	signed, err := h.AccessTokens.Mint(ctx, token)
	if err != nil {
		return err
	}
	if err := session.confirm(ctx); err != nil {
		return err
	}
	next, err := h.advance(ctx, client, session.refresh, now)
	if err != nil {
		return asGrantError(err)
	}
	h.record(ctx, client.ID, &session.Principal, "success")
	w.SetExtra("refresh_token", next)
	respond(r, w, token, signed)
	return nil
}

// advance rotates the family, if this use rotates it, and returns the refresh token for
// the answer.
func (h *Refresh) advance(ctx context.Context, c *storage.Client, r *refresh, now time.Time) (string, error) {
	if c.ReuseRefreshTokens {
		return h.reuse(ctx, c, r, now)
	}
	if r.token.Generation < r.family.Generation {
		return h.RefreshTokens.At(r.token, r.family.Generation)
	}
	err := h.Families.AdvanceFamily(ctx, r.family.ID, r.family.Advance(now, idleUntil(c, now), h.Grace))
	if errors.Is(err, storage.ErrStale) {
		return h.overtaken(ctx, c, r)
	}
	if err != nil {
		return "", fmt.Errorf("rotate refresh token: %w", err)
	}
	return h.RefreshTokens.At(r.token, r.family.Generation+1)
}

// overtaken returns the refresh token for a request that lost the race to rotate the
// family: the same as for the winner, if the family is still live.
func (h *Refresh) overtaken(ctx context.Context, c *storage.Client, r *refresh) (string, error) {
	state, err := h.liveFamily(ctx, c, r.token, r.jkt)
	if err != nil {
		return "", err
	}
	return h.RefreshTokens.At(r.token, state.Family.Generation)
}

// reuse returns the refresh token that was presented. If the client has an idle limit,
// the use extends it. If a parallel request has extended it, that is enough.
func (h *Refresh) reuse(ctx context.Context, c *storage.Client, r *refresh, now time.Time) (string, error) {
	if c.RefreshIdleTTL > 0 {
		err := h.Families.AdvanceFamily(ctx, r.family.ID, r.family.Advance(now, idleUntil(c, now), h.Grace))
		if err != nil && !errors.Is(err, storage.ErrStale) {
			return "", fmt.Errorf("extend refresh family: %w", err)
		}
	}
	return h.RefreshTokens.At(r.token, r.token.Generation)
}

// Revoke ends the family of a refresh token (RFC 7009 §2). An unknown token counts as
// revoked. It returns ErrForeignToken if the token was issued to another client.
func (h *Refresh) Revoke(ctx context.Context, clientID, token string) error {
	parsed, err := h.RefreshTokens.Parse(token)
	if err != nil {
		return nil //nolint:nilerr // RFC 7009 §2.2
	}
	state, err := h.Families.Family(ctx, parsed.FamilyID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !parsed.BelongsTo(&state.Family) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read refresh family: %w", err)
	}
	if state.Family.ClientID != clientID {
		return ErrForeignToken
	}
	if err := h.Families.RevokeFamily(ctx, parsed.FamilyID, h.Now()); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	h.record(ctx, clientID, &state.Principal, "revoked")
	return nil
}

func (h *Refresh) record(ctx context.Context, clientID string, p *storage.Principal, outcome string) {
	if h.Recorder == nil {
		return
	}
	h.Recorder.Record(ctx, storage.AuditEvent{
		Time: h.Now().UTC(), Action: "refresh", Outcome: outcome, ClientID: clientID,
		UserUID: p.User.UID, Username: p.Login.Username,
	})
}
