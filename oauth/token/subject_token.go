package token

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"latchkey/grants"
	"latchkey/storage"
)

// VerifySubject implements grants.SubjectTokens.
func (v *Verifier) VerifySubject(ctx context.Context, c *storage.Client, token string) (grants.SubjectToken, error) {
	if access, ok := v.ParseAccess(token); ok {
		subject, err := v.subject(ctx, c, access.ref(), access.session(), &access.Claims)
		subject.Access, subject.Scope, subject.FamilyID = true, access.Role, access.SessionID
		subject.Narrowed, subject.Resources = access.Narrowed, access.Audience
		return subject, err
	}
	claims := new(accountClaims)
	if err := v.parseFor(token, typeAccountToken, []string{v.accountAudience()}, claims, &claims.Claims); err != nil {
		return grants.SubjectToken{}, asSubjectTokenError(err)
	}
	if claims.AccountUID == "" {
		return grants.SubjectToken{}, fmt.Errorf("%w: it is of no account", grants.ErrSubjectToken)
	}
	return v.subject(ctx, c, claims.ref(), claims.session(), &claims.Claims)
}

// subject returns the subject of a verified token. The client must be that of the token,
// and the token must be of a user.
func (v *Verifier) subject(ctx context.Context, c *storage.Client, ref storage.TokenRef, session string, t *Claims) (grants.SubjectToken, error) {
	if !strings.EqualFold(t.ClientID, c.ID) {
		return grants.SubjectToken{}, fmt.Errorf("%w: issued to another client", grants.ErrSubjectToken)
	}
	if ref.UserUID == "" || ref.LoginID == "" {
		return grants.SubjectToken{}, fmt.Errorf("%w: it is of no user", grants.ErrSubjectToken)
	}
	h, err := v.holder(ctx, ref, session, t)
	if err != nil {
		return grants.SubjectToken{}, asSubjectTokenError(err)
	}
	return grants.SubjectToken{
		Principal: *h.Principal, Member: h.Member,
		AMR: t.AMR, Purpose: t.Purpose, SessionID: session, AuthTime: t.authenticated(), SourceID: t.SourceID, TokenID: t.ID,
		JKT: t.Bound(), IssuedAt: t.issued(), ExpiresAt: t.expires(),
	}, nil
}

// asSubjectTokenError turns a refusal into grants.ErrSubjectToken. It returns other
// errors unchanged.
func asSubjectTokenError(err error) error {
	if errors.Is(err, ErrInvalidToken) {
		return fmt.Errorf("%w: %w", grants.ErrSubjectToken, err)
	}
	return err
}
