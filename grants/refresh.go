package grants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// FamilyStore is what the refresh grant asks of a store.
type FamilyStore interface {
	// Family reads a family and its user, or answers storage.ErrNotFound.
	Family(ctx context.Context, id string) (storage.FamilyState, error)
	// AdvanceFamily moves a live family from one generation to the next, or
	// answers storage.ErrStale.
	AdvanceFamily(ctx context.Context, id string, from int64, now, idleUntil time.Time) error
	// RevokeFamily ends a family for good.
	RevokeFamily(ctx context.Context, id string, now time.Time) error
}

// Refresh is the refresh token grant (RFC 6749 §6) with rotation and reuse
// detection (RFC 9700 §4.14.2). The token before the current one is answered
// with the current one for a grace period, so parallel refreshes and lost
// answers never end a session; after it, or for any older token, its use ends
// the family.
type Refresh struct {
	Families      FamilyStore
	AccessTokens  AccessTokens
	RefreshTokens *RefreshTokens
	Grace         time.Duration
	Recorder      storage.Recorder
	Now           func() time.Time
}

var _ fosite.TokenEndpointHandler = (*Refresh)(nil)

// CanSkipClientAuth implements fosite.TokenEndpointHandler: never.
func (h *Refresh) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h *Refresh) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(GrantRefreshToken)
}

// HandleTokenEndpointRequest verifies the refresh token.
func (h *Refresh) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
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
	state, err := h.liveFamily(ctx, client, token, session.JKT)
	if err != nil {
		return asGrantError(err)
	}
	if err := session.narrowAudience(state.Family.Resources); err != nil {
		return err
	}
	session.refresh = &refresh{token: token, family: state.Family, jkt: session.JKT}
	session.Principal = state.Principal
	session.Member = state.Member
	session.AMR, session.Purpose = state.Family.AMR, state.Family.Purpose
	session.AuthTime = state.Family.AuthTime
	return nil
}

// live reads the token's family and answers ErrRefreshToken unless the token
// may be used by the client now. Only a token that is authentic and the
// client's own can end its family by being used again, and of one that is bound
// to a key, only who has that key.
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

// current tells whether the token's generation may be used.
func (h *Refresh) isCurrent(c *storage.Client, f *storage.TokenFamily, token RefreshToken, now time.Time) bool {
	if token.Generation == f.Generation || c.ReuseRefreshTokens {
		return true
	}
	return token.Generation == f.Generation-1 && now.Before(f.RotatedAt.Add(h.Grace))
}

// end revokes the family of a token that was used again too late.
func (h *Refresh) revokeReused(ctx context.Context, state *storage.FamilyState, now time.Time) error {
	if err := h.Families.RevokeFamily(ctx, state.Family.ID, now); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	h.record(ctx, state.Family.ClientID, &state.Principal, "reused token, family revoked")
	return ErrRefreshToken
}

// IsFamilyLive tells whether a refresh family still stands: not revoked, not expired,
// not older than a password change or what else ended its tokens, its user
// admitted by the gate and, if it is scoped to an account, a member of that.
func IsFamilyLive(c *storage.Client, state *storage.FamilyState, now time.Time) bool {
	f, p := &state.Family, &state.Principal
	switch {
	case !f.RevokedAt.IsZero(), !now.Before(f.ExpiresAt):
		return false
	case !f.IdleUntil.IsZero() && !now.Before(f.IdleUntil):
		return false
	case f.CreatedAt.Before(p.Login.SessionsValidFrom) && f.ID != p.Login.KeptSession, f.CreatedAt.Before(storage.TokensValidFrom(c, p, state.Member)):
		return false
	case f.AccountUID != "" && (state.Member == nil || !state.Member.Account.Active):
		return false
	}
	return c.Refusal(p, now) == ""
}

// PopulateTokenEndpointResponse signs the access token, advances the family
// and answers (RFC 6749 §6).
func (h *Refresh) PopulateTokenEndpointResponse(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder) error {
	client, session, err := requestOf(r, GrantRefreshToken)
	if err != nil {
		return err
	}
	scope, err := narrowRoles(client, session, session.refresh.family.Scope, r.GetRequestedScopes())
	if err != nil {
		return err
	}
	now := h.Now().UTC()
	token := tokenFor(client, session, scope, now)
	token.FamilyID, token.SourceID = session.refresh.family.ID, session.refresh.family.SourceID
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

// advance rotates the family, if this use rotates it, and returns the refresh
// token to answer with.
func (h *Refresh) advance(ctx context.Context, c *storage.Client, r *refresh, now time.Time) (string, error) {
	if c.ReuseRefreshTokens {
		return h.reuse(ctx, c, r, now)
	}
	if r.token.Generation < r.family.Generation {
		return h.RefreshTokens.At(r.token, r.family.Generation)
	}
	err := h.Families.AdvanceFamily(ctx, r.family.ID, r.family.Generation, now, idleUntil(c, now))
	if errors.Is(err, storage.ErrStale) {
		return h.overtaken(ctx, c, r)
	}
	if err != nil {
		return "", fmt.Errorf("rotate refresh token: %w", err)
	}
	return h.RefreshTokens.At(r.token, r.family.Generation+1)
}

// overtaken answers a refresh that lost the race to rotate: it gets what the
// winner got, if the family still stands.
func (h *Refresh) overtaken(ctx context.Context, c *storage.Client, r *refresh) (string, error) {
	state, err := h.liveFamily(ctx, c, r.token, r.jkt)
	if err != nil {
		return "", err
	}
	return h.RefreshTokens.At(r.token, state.Family.Generation)
}

// reuse answers with the token that was presented. With an idle limit the use
// is written down; losing the race to write it is as good as winning.
func (h *Refresh) reuse(ctx context.Context, c *storage.Client, r *refresh, now time.Time) (string, error) {
	if c.RefreshIdleTTL > 0 {
		err := h.Families.AdvanceFamily(ctx, r.family.ID, r.family.Generation, now, idleUntil(c, now))
		if err != nil && !errors.Is(err, storage.ErrStale) {
			return "", fmt.Errorf("extend refresh family: %w", err)
		}
	}
	return h.RefreshTokens.At(r.token, r.token.Generation)
}

func (h *Refresh) record(ctx context.Context, clientID string, p *storage.Principal, outcome string) {
	h.Recorder.Record(ctx, storage.AuditEvent{
		Time: h.Now().UTC(), Action: "refresh", Outcome: outcome, ClientID: clientID,
		UserUID: p.User.UID, Username: p.Login.Username,
	})
}
