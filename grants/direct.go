package grants

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// directGrant is a grant that takes effect in the statement that reads the login. All that
// can fail is done before: the signing key is chosen, the refresh token is made. If signing
// the token fails nevertheless, the effect is undone.
type directGrant struct {
	mint         func(AccessToken) (string, error)
	family       *storage.TokenFamily // that begins with the sign-in; nil: none
	refreshToken string               // of the family
}

// maxAdmitted is the highest number of accounts of a client whose refresh tokens are used
// directly. They are an argument of the statement.
const maxAdmitted = 100

// prepareDirect returns a directGrant, or nil if the request must take two steps. Two steps
// are needed if the access tokens cannot be prepared, or if the session has a Confirm or
// Keep function. prepareDirect also returns nil if the preparation fails: the two steps
// first decide whether the credential is right, and then return the error.
func prepareDirect(ctx context.Context, tokens AccessTokens, c *storage.Client, s *Session) *directGrant {
	preparer, ok := tokens.(AccessTokenPreparer)
	if !ok || s.Confirm != nil || s.Keep != nil {
		return nil
	}
	mint, err := preparer.Prepare(ctx, c, s.Resources)
	if err != nil {
		return nil
	}
	return &directGrant{mint: mint}
}

// verifyDirect verifies an attempt and puts it into the session. A right one-time
// password takes effect at once if that is possible.
func (i issuer) verifyDirect(ctx context.Context, c *storage.Client, s *Session, at signin.Attempt, requested []string, clock func() time.Time) error {
	now := clock().UTC()
	var direct *directGrant
	if i.authenticator.CanRedeem() {
		direct = prepareDirect(ctx, i.accessTokens, c, s)
	}
	if direct != nil {
		var err error
		if direct.family, direct.refreshToken, err = i.refreshTokens.newFamily(AccessToken{
			Client: c, Principal: new(storage.Principal), AMR: []string{signin.AMROTP}, AuthTime: now,
			Resources: s.Resources, JKT: s.JKT, IssuedAt: now,
		}); err != nil {
			return err
		}
		at.Direct = &signin.Direct{
			RequestedRoles: requested, Family: direct.family, Now: now,
			Scope: func(roles []string) ([]string, error) { return GrantRoles(c, roles, requested) },
		}
	}
	signIn, err := i.authenticator.Verify(ctx, c, at)
	if err != nil {
		return err
	}
	if signIn.TookEffect() {
		s.direct = direct
	} else {
		now = clock().UTC()
	}
	s.begin(signIn, now)
	return nil
}

// directSignIn issues the token t of a sign-in that has taken effect: it mints, records the
// success and answers. If it cannot mint, it undoes the sign-in.
func (i issuer) directSignIn(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder, s *Session, t AccessToken) error {
	if s.direct.family != nil {
		t.FamilyID = s.direct.family.ID
		w.SetExtra("refresh_token", s.direct.refreshToken)
	}
	signed, err := s.direct.mint(t)
	if err != nil {
		err = errors.Join(err, i.authenticator.TakeBack(ctx, s.signIn))
		i.authenticator.Abandon(ctx, s.signIn)
		return err
	}
	if err := i.authenticator.Settle(ctx, s.signIn, nil); err != nil {
		return asGrantError(err)
	}
	respond(r, w, t, signed)
	return nil
}

// FamilyUser is implemented by a FamilyStore that can use a refresh token before it reads
// the family.
type FamilyUser interface {
	// UseFamily moves a family to the next generation if the case is an ordinary one, see
	// storage.FamilyUse. Otherwise it changes nothing and returns false. After true with
	// an error, the caller calls RestoreFamily.
	UseFamily(ctx context.Context, use storage.FamilyUse) (storage.FamilyState, bool, error)
	// RestoreFamily undoes UseFamily. f is the family that UseFamily returned.
	RestoreFamily(ctx context.Context, f storage.TokenFamily) error
}

// useDirectly uses the refresh token in the statement that reads its family, and reports
// whether it did. If not, the request takes two steps.
func (h *Refresh) useDirectly(ctx context.Context, c *storage.Client, s *Session, token RefreshToken, requested []string) (bool, error) {
	families, ok := h.Families.(FamilyUser)
	now, from := h.Now().UTC(), c.UnchangedSince()
	if !ok || !c.Active || c.ReuseRefreshTokens || len(c.MinimumRoles)+len(requested)+len(s.Resources) > 0 || s.JKT != "" ||
		len(c.AccountUIDs) > maxAdmitted || now.Before(from) {
		return false, nil
	}
	direct := prepareDirect(ctx, h.AccessTokens, c, s)
	if direct == nil {
		return false, nil
	}
	state, ok, err := families.UseFamily(ctx, storage.FamilyUse{
		FamilyID: token.FamilyID, Generation: token.Generation, SeedDigest: token.seedDigest(), ClientID: c.ID,
		Admission: c.Admission(), Methods: c.Credentials.Methods(), ValidFrom: from, IdleUntil: idleUntil(c, now), GraceFrom: now.Add(-h.Grace), Now: now,
	})
	if ok && err != nil {
		err = errors.Join(err, families.RestoreFamily(context.WithoutCancel(ctx), state.Family))
	}
	if !ok || err != nil {
		return false, err
	}
	s.direct = direct
	s.refreshed(token, &state)
	return true, nil
}

// answerDirectly mints the token of a refresh token that is used already, and answers. If
// it cannot mint, it undoes the use.
func (h *Refresh) answerDirectly(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder, s *Session, t AccessToken) error {
	next, err := h.RefreshTokens.At(s.refresh.token, s.refresh.family.Generation)
	var signed string
	if err == nil {
		signed, err = s.direct.mint(t)
	}
	if families, ok := h.Families.(FamilyUser); ok && err != nil {
		return errors.Join(err, families.RestoreFamily(context.WithoutCancel(ctx), s.refresh.family))
	}
	h.record(ctx, t.Client.ID, &s.Principal, "success")
	w.SetExtra("refresh_token", next)
	respond(r, w, t, signed)
	return nil
}
