package token

import "time"

// Mark is the record of a revocation.
type Mark struct {
	ID    string
	Until time.Time // when the token has expired on every replica
}

// Revocable returns the claims of an unexpired token of any of our kinds, and the mark
// that ends it. The claims are nil for any other text. The mark of an account
// management token ends all tokens that were renewed from the same first token,
// because a client may hold any of them.
func (is *Issuer) Revocable(token string) (*Claims, Mark) {
	if claims, ok := is.ParseAccess(token); ok {
		return &claims.Claims, Mark{claims.ID, claims.expires().Add(clockSkew)}
	}
	account := new(accountClaims)
	if is.parseFor(token, typeAccountToken, []string{is.accountAudience()}, account, &account.Claims) == nil {
		return &account.Claims, Mark{account.lineage(), is.cfg.Now().UTC().Add(MaxAccountTokenTTL + clockSkew)}
	}
	choice := new(selectionClaims)
	if is.parseFor(token, typeSelectionToken, []string{is.selectionAudience()}, choice, &choice.Claims) == nil {
		return &choice.Claims, Mark{choice.ID, choice.expires().Add(clockSkew)}
	}
	return nil, Mark{}
}
