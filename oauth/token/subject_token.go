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
		held, err := v.held(ctx, c, access.ref(), access.session(), &access.Claims)
		held.Access, held.Scope, held.FamilyID = true, access.Role, access.SessionID
		held.Narrowed, held.Resources = access.Narrowed, access.Audience
		return held, err
	}
	claims := new(accountClaims)
	if err := v.parseFor(token, typeAccountToken, []string{v.accountAudience()}, claims, &claims.Claims); err != nil {
		return grants.SubjectToken{}, asHeldTokenError(err)
	}
	if claims.AccountUID == "" {
		return grants.SubjectToken{}, fmt.Errorf("%w: it is of no account", grants.ErrSubjectToken)
	}
	return v.held(ctx, c, claims.ref(), claims.session(), &claims.Claims)
}

// held returns what a verified token of the client's stands for. A token of no
// user stands for no sign-in.
func (v *Verifier) held(ctx context.Context, c *storage.Client, ref storage.TokenRef, session string, t *Claims) (grants.SubjectToken, error) {
	if !strings.EqualFold(t.ClientID, c.ID) {
		return grants.SubjectToken{}, fmt.Errorf("%w: issued to another client", grants.ErrSubjectToken)
	}
	if ref.UserUID == "" || ref.LoginID == "" {
		return grants.SubjectToken{}, fmt.Errorf("%w: it is of no user", grants.ErrSubjectToken)
	}
	h, err := v.holder(ctx, ref, session, t)
	if err != nil {
		return grants.SubjectToken{}, asHeldTokenError(err)
	}
	return grants.SubjectToken{
		Principal: *h.Principal, Member: h.Member,
		AMR: t.AMR, Purpose: t.Purpose, SessionID: session, AuthTime: t.authenticated(), SourceID: t.SourceID, TokenID: t.ID,
		JKT: t.Bound(), IssuedAt: t.issued(), ExpiresAt: t.expires(),
	}, nil
}

// asHeldTokenError turns a refusal into the grants' word for it; what is not a
// refusal passes unchanged.
func asHeldTokenError(err error) error {
	if errors.Is(err, ErrInvalidToken) {
		return fmt.Errorf("%w: %w", grants.ErrSubjectToken, err)
	}
	return err
}
