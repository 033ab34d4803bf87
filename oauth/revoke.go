package oauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

// serveRevocation is the revocation endpoint (RFC 7009). A refresh token takes
// its family and with it the family's access tokens along. A 200 means that
// the revocation is written down.
func (p *Provider) serveRevocation(w http.ResponseWriter, r *http.Request) error {
	caller, token, err := p.tokenRequest(w, r)
	if err != nil {
		return err
	}
	if err := p.revoke(r.Context(), caller, token); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// revoke ends a token of the caller's. The type is told by the token itself,
// so a wrong token_type_hint does no harm; an unknown token is as good as
// revoked (RFC 7009 §2.2).
func (p *Provider) revoke(ctx context.Context, caller *storage.Client, token string) error {
	if grants.IsRefreshToken(token) {
		return p.revokeRefreshToken(ctx, caller, token)
	}
	claims, mark := p.claimsOf(token)
	if claims == nil {
		return nil
	}
	if !strings.EqualFold(claims.ClientID, caller.ID) {
		return errForeignToken
	}
	if err := p.cfg.Tokens.RevokeToken(ctx, mark.id, mark.until); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	p.recordRevocation(ctx, caller, claims.user())
	return nil
}

// mark is what a revocation writes down, and how long it must be remembered:
// until the token has expired by all clocks.
type mark struct {
	id    string
	until time.Time
}

// claimsOf returns the claims of an unexpired token of ours of any kind, and
// what ends it; nil: it is none. The mark of an account management token ends
// all that were renewed from the same one as well, any of which may have been
// made this very moment.
func (p *Provider) claimsOf(token string) (*tokenClaims, mark) {
	if claims, ok := p.parse(token); ok {
		return &claims.tokenClaims, mark{claims.ID, claims.expires().Add(clockSkew)}
	}
	account := new(accountClaims)
	if p.parseFor(token, typeAccountToken, []string{p.accountAudience()}, account, &account.tokenClaims) == nil {
		return &account.tokenClaims, mark{account.lineage(), p.cfg.Now().UTC().Add(MaxAccountTokenTTL + clockSkew)}
	}
	choice := new(selectionClaims)
	if p.parseFor(token, typeSelectionToken, []string{p.selectionAudience()}, choice, &choice.tokenClaims) == nil {
		return &choice.tokenClaims, mark{choice.ID, choice.expires().Add(clockSkew)}
	}
	return nil, mark{}
}

func (p *Provider) revokeRefreshToken(ctx context.Context, caller *storage.Client, token string) error {
	parsed, state, err := p.family(ctx, token)
	if err != nil || state == nil {
		return err
	}
	if state.Family.ClientID != caller.ID {
		return errForeignToken
	}
	if err := p.cfg.Families.RevokeFamily(ctx, parsed.FamilyID, p.cfg.Now()); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	p.recordRevocation(ctx, caller, state.Family.UserUID)
	return nil
}

func (p *Provider) recordRevocation(ctx context.Context, caller *storage.Client, userUID string) {
	p.cfg.Recorder.Record(ctx, storage.AuditEvent{
		Time: p.cfg.Now().UTC(), Action: "token.revoked", Outcome: "success", ClientID: caller.ID, UserUID: userUID,
	})
}
