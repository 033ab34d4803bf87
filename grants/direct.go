package grants

import (
	"context"
	"errors"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// directGrant is a grant that takes effect in the statement that reads the login. All
// that can fail is done before: the signing key is chosen, the refresh token is made.
// If the token cannot be signed nevertheless, what took effect is taken back.
type directGrant struct {
	mint         func(AccessToken) (string, error)
	family       *storage.TokenFamily // that begins with the sign-in; nil: none
	refreshToken string               // of the family
}

// prepareDirect returns a directGrant, or nil if the request has to take two steps. It
// has if the access tokens cannot be prepared, or if the session has something else to
// confirm before the grant takes effect. An error of the preparation is left to the two
// steps, which decide first whether the credential is right.
func (i issuer) prepareDirect(ctx context.Context, c *storage.Client, s *Session) *directGrant {
	preparer, ok := i.accessTokens.(AccessTokenPreparer)
	if !ok || s.Confirm != nil {
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
		direct = i.prepareDirect(ctx, c, s)
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

// directSignIn issues the token t of a sign-in that has taken effect: it mints, records
// the success and answers. If it cannot mint, it takes the sign-in back.
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
