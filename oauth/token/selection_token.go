package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

// selectionTokenTTL is how long a user may take to choose an account.
const selectionTokenTTL = 5 * time.Minute

var _ grants.SubjectTokens = (*Verifier)(nil)

// selectionClaims are the claims of a token with which a user chooses an account. Only the
// token endpoint and the revocation endpoint accept it.
type selectionClaims struct{ Claims }

func (c *selectionClaims) ref() storage.TokenRef {
	return storage.TokenRef{JTI: c.ID, UserUID: c.Subject, LoginID: c.LoginID, SourceID: c.SourceID}
}

// MintSelection implements grants.SubjectTokens. Times in tokens are whole seconds, so
// the expiry is rounded up.
func (is *Issuer) MintSelection(ctx context.Context, s grants.SelectionToken) (string, time.Duration, error) {
	common, err := is.newClaims(Audience{is.selectionAudience()}, issuance{
		client: s.Client, principal: s.Principal, amr: s.AMR, purpose: s.Purpose, authTime: s.AuthTime, sourceID: s.SourceID,
		issuedAt: s.IssuedAt, expiresAt: s.IssuedAt.Truncate(time.Second).Add(selectionTokenTTL + time.Second),
	})
	if err != nil {
		return "", 0, err
	}
	common.Confirmation = confirm(s.JKT)
	token, err := is.sign(ctx, is.signingAlg(s.Client), typeSelectionToken, &selectionClaims{common})
	if err != nil {
		return "", 0, fmt.Errorf("sign selection token: %w", err)
	}
	return token, selectionTokenTTL, nil
}

// VerifySelection implements grants.SubjectTokens.
func (v *Verifier) VerifySelection(ctx context.Context, c *storage.Client, token string) (grants.SubjectToken, error) {
	claims := new(selectionClaims)
	if err := v.parseFor(token, typeSelectionToken, []string{v.selectionAudience()}, claims, &claims.Claims); err != nil {
		return grants.SubjectToken{}, asSubjectTokenError(err)
	}
	return v.subject(ctx, c, claims.ref(), claims.ID, &claims.Claims)
}

// SpendSelection implements grants.SubjectTokens. Parallel requests with one token
// wait here until the first of them has committed or failed. The spent id is stored
// until the token has expired on every replica.
func (v *Verifier) SpendSelection(ctx context.Context, h grants.SubjectToken, do func(context.Context) error) error {
	id := sha256.Sum256([]byte(typeSelectionToken + "\x00" + v.cfg.Issuer + "\x00" + h.TokenID))
	err := v.cfg.Tokens.InTx(ctx, func(ctx context.Context) error {
		if err := v.cfg.Tokens.SpendID(ctx, id[:], h.ExpiresAt.Add(clockSkew)); err != nil {
			return err
		}
		return do(ctx)
	})
	if errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("%w: it was used before", grants.ErrSubjectToken)
	}
	return err
}

func (is *Issuer) selectionAudience() string { return is.cfg.TokenEndpoint }
