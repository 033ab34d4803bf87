package grants

import (
	"cmp"
	"context"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// tokenFor returns the content of the token of a session, the same way for every grant. The
// issue time of a token that is made from a subject token is the time at which the subject
// token was read, so that a revocation in between also ends the new token. The new token
// keeps the family of the subject token and expires no later. Otherwise a stolen token
// could be renewed for ever.
func tokenFor(c *storage.Client, s *Session, scope []string, now time.Time) AccessToken {
	t := AccessToken{
		Client: c, Member: s.Member, Scope: scope, AMR: s.AMR, Purpose: s.Purpose, AuthTime: s.AuthTime,
		Resources: s.Resources, JKT: s.JKT, IssuedAt: now,
	}
	if !s.issuedAt.IsZero() {
		t.IssuedAt = s.issuedAt
	}
	t.ExpiresAt = t.IssuedAt.Truncate(time.Second).Add(cmp.Or(s.tokenLife, c.AccessTokenLife()))
	t.Narrowed = len(scope) < len(AllowedRoles(c, rolesHere(s)))
	if s.signIn != nil {
		t.SourceID = s.signIn.SourceID()
	}
	if s.subject != nil {
		t.SourceID = s.subject.SourceID
		t.FamilyID, t.SessionID = s.subject.FamilyID, s.subject.SessionID
		t.Narrowed = t.Narrowed || s.subject.Narrowed
		if end := s.subject.ExpiresAt; end.Before(t.ExpiresAt) {
			t.ExpiresAt = end
		}
	}
	if s.Principal.Known {
		t.Principal = &s.Principal
	}
	return t
}

// issuer issues the tokens of verified sign-ins.
type issuer struct {
	authenticator *signin.Authenticator
	accessTokens  AccessTokens
	refreshTokens *RefreshTokens
}

// signIn issues the token t of the session's sign-in, in this order: it mints the access
// token, confirms the grant, settles the sign-in, and answers. So a failure to mint does
// not use the code, and no token is handed out whose sign-in did not take effect. The
// refresh token family, if the client gets one, begins with the settlement.
func (i issuer) signIn(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder, s *Session, t AccessToken) error {
	if s.direct != nil {
		return i.directSignIn(ctx, r, w, s, t)
	}
	family, refreshToken, err := i.refreshTokens.newFamily(t)
	if family != nil {
		t.FamilyID = family.ID
		w.SetExtra("refresh_token", refreshToken)
	}
	var signed string
	if err == nil {
		signed, err = i.accessTokens.Mint(ctx, t)
	}
	if err == nil {
		err = s.confirm(ctx)
	}
	if err != nil {
		i.authenticator.Abandon(ctx, s.signIn)
		return err
	}
	respond(r, w, t, signed)
	return asGrantError(i.settle(ctx, w, s, family))
}

// settle lets a sign-in take effect. It does so in the transaction that uses up the
// selection token, or within Session.Keep for a one-time password. If the sign-in was not
// settled, it records that.
func (i issuer) settle(ctx context.Context, w fosite.AccessResponder, s *Session, family *storage.TokenFamily) error {
	settled := false
	settle := func(ctx context.Context) error {
		settled = true
		return i.authenticator.Settle(ctx, s.signIn, family)
	}
	var err error
	switch {
	case s.spend != nil:
		err = s.spend(ctx, settle)
	case s.Keep != nil && s.signIn.AMR == signin.AMROTP:
		err = s.Keep(ctx, w, settle)
	default:
		err = settle(ctx)
	}
	if !settled {
		i.authenticator.Abandon(ctx, s.signIn)
	}
	return err
}

// answer mints a token that has no sign-in to settle, confirms the grant and answers.
func answer(ctx context.Context, tokens AccessTokens, r fosite.AccessRequester, w fosite.AccessResponder, s *Session, t AccessToken) error {
	signed, err := tokens.Mint(ctx, t)
	if err != nil {
		return err
	}
	if err := s.confirm(ctx); err != nil {
		return err
	}
	respond(r, w, t, signed)
	return nil
}

// respond writes a minted token into fosite's response. expires_in counts from the exact
// time of issue, so it never ends after the exp of the token (RFC 6749 §5.1).
func respond(r fosite.AccessRequester, w fosite.AccessResponder, t AccessToken, token string) {
	for _, role := range t.Scope {
		r.GrantScope(role)
	}
	w.SetAccessToken(token)
	w.SetTokenType(t.tokenType())
	w.SetExpiresIn(t.ExpiresAt.Sub(t.IssuedAt))
	if !sameSet(t.allScopes(), r.GetRequestedScopes()) {
		w.SetScopes(t.allScopes())
	}
	if t.Member != nil {
		w.SetExtra("account_id", t.Member.Account.ID)
		w.SetExtra("account_name", t.Member.Account.Name)
	}
}

// sameSet reports whether two lists without duplicates have the same members.
func sameSet(a, b []string) bool {
	return len(a) == len(b) && len(intersect(a, b)) == len(a)
}
