package grants

import (
	"cmp"
	"context"
	"time"

	"github.com/ory/fosite"

	"latchkey/grants/signin"
	"latchkey/storage"
)

// tokenFor fills in what every grant says alike. A token counts as issued when
// what it is made from was read, so that a revocation in between ends it. One
// made from a held token keeps its family and ends with it at the latest: else
// whoever gets hold of one token could renew it for ever.
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

// issuer turns verified sign-ins into tokens.
type issuer struct {
	authenticator *signin.Authenticator
	accessTokens  AccessTokens
	refreshTokens *RefreshTokens
}

// signIn signs the token of the session's sign-in, begins its refresh family, if
// the client gets one, lets the sign-in take effect and answers.
func (i issuer) signIn(ctx context.Context, r fosite.AccessRequester, w fosite.AccessResponder, s *Session, t AccessToken) error {
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
	settle := func(ctx context.Context) error { return i.authenticator.Settle(ctx, s.signIn, family) }
	if s.spend != nil {
		err = s.spend(ctx, settle)
	} else {
		err = settle(ctx)
	}
	if err != nil {
		return asGrantError(err)
	}
	respond(r, w, t, signed)
	return nil
}

// answer signs a token that needs nothing else and answers.
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

// respond writes a minted token into fosite's answer. expires_in counts from
// the unrounded time of issue, so a client never believes in a token longer than
// the token itself says (RFC 6749 §5.1).
func respond(r fosite.AccessRequester, w fosite.AccessResponder, t AccessToken, token string) {
	for _, role := range t.Scope {
		r.GrantScope(role)
	}
	w.SetAccessToken(token)
	w.SetTokenType(t.tokenType())
	w.SetExpiresIn(t.ExpiresAt.Sub(t.IssuedAt))
	if !sameSet(t.Scope, r.GetRequestedScopes()) {
		w.SetScopes(t.Scope)
	}
	if t.Member != nil {
		w.SetExtra("account_id", t.Member.Account.ID)
		w.SetExtra("account_name", t.Member.Account.Name)
	}
}

// sameSet tells whether two lists without duplicates have the same members.
func sameSet(a, b []string) bool {
	return len(a) == len(b) && len(intersect(a, b)) == len(a)
}
