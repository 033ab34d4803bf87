package oauth

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"latchkey/grants"
	"latchkey/storage"
)

// serveRevocation is the revocation endpoint (RFC 7009). Revoking a refresh token ends
// its family and the access tokens of the family. The answer 200 means that the
// revocation is stored.
func (e *Endpoints) serveRevocation(w http.ResponseWriter, r *http.Request) error {
	caller, token, err := e.tokenRequest(w, r)
	if err != nil {
		return err
	}
	if err := e.revoke(r.Context(), caller, token); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	return nil
}

// revoke ends a token of the caller. The token itself shows its type, so a wrong
// token_type_hint is harmless. An unknown token counts as revoked (RFC 7009 §2.2).
func (e *Endpoints) revoke(ctx context.Context, caller *storage.Client, token string) error {
	if grants.IsRefreshToken(token) {
		return e.revokeRefreshToken(ctx, caller, token)
	}
	claims, mark := e.tokens.Revocable(token)
	if claims == nil {
		return nil
	}
	if !strings.EqualFold(claims.ClientID, caller.ID) {
		return grants.ErrForeignToken
	}
	if err := e.cfg.Tokens.RevokeToken(ctx, mark.ID, mark.Until); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	e.recordRevocation(ctx, caller, claims.User())
	return nil
}

func (e *Endpoints) revokeRefreshToken(ctx context.Context, caller *storage.Client, token string) error {
	parsed, state, err := e.family(ctx, token)
	if err != nil || state == nil {
		return err
	}
	if state.Family.ClientID != caller.ID {
		return grants.ErrForeignToken
	}
	if err := e.cfg.Families.RevokeFamily(ctx, parsed.FamilyID, e.cfg.Now()); err != nil {
		return fmt.Errorf("revoke refresh family: %w", err)
	}
	e.recordRevocation(ctx, caller, state.Family.UserUID)
	return nil
}

func (e *Endpoints) recordRevocation(ctx context.Context, caller *storage.Client, userUID string) {
	e.cfg.Recorder.Record(ctx, storage.AuditEvent{
		Time: e.cfg.Now().UTC(), Action: "token.revoked", Outcome: "success", ClientID: caller.ID, UserUID: userUID,
	})
}
