package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"latchkey/grants"
	"latchkey/oauth/admin"
	"latchkey/oauth/client"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// RoleIntrospect is the role with which a client may introspect tokens of other
// clients. Resource servers need it.
const RoleIntrospect = admin.RoleIntrospect

// introspection is the answer about an active token (RFC 7662 §2.2).
type introspection struct {
	Active    bool           `json:"active"`
	Scope     string         `json:"scope,omitempty"`
	ClientID  string         `json:"client_id,omitempty"`
	Username  string         `json:"username,omitempty"`
	TokenType string         `json:"token_type,omitempty"`
	Exp       int64          `json:"exp,omitempty"`
	Iat       int64          `json:"iat,omitempty"`
	Nbf       int64          `json:"nbf,omitempty"`
	Sub       string         `json:"sub,omitempty"`
	Aud       token.Audience `json:"aud,omitempty"`
	Iss       string         `json:"iss,omitempty"`
	Jti       string         `json:"jti,omitempty"`
	AuthTime  int64          `json:"auth_time,omitempty"`
	AMR       []string       `json:"amr,omitempty"`

	Cnf *token.Confirmation `json:"cnf,omitempty"` // RFC 9449 §6.2

	AccountID       string   `json:"account_id,omitempty"`
	AccountName     string   `json:"account_name,omitempty"`
	AccountRoles    []string `json:"account_roles,omitempty"`
	AccountMemberID string   `json:"account_member_id,omitempty"`
}

// serveIntrospection is the introspection endpoint (RFC 7662). A token that the caller
// may not see gets the answer for a token that does not exist. So does every token
// that is not an access or refresh token, because a resource server must not accept
// it.
func (e *Endpoints) serveIntrospection(w http.ResponseWriter, r *http.Request) error {
	caller, presented, err := e.tokenRequest(w, r)
	if err != nil {
		return err
	}
	if (grants.Client{Client: caller}).IsPublic() {
		return fmt.Errorf("%w: %w", client.ErrUnauthorized, client.ErrInvalid)
	}
	answer, err := e.introspect(r.Context(), caller, presented)
	if err != nil {
		return err
	}
	surface.WriteOAuthJSON(w, http.StatusOK, answer)
	return nil
}

// tokenRequest reads a request about a token: the caller and the token.
func (e *Endpoints) tokenRequest(w http.ResponseWriter, r *http.Request) (*storage.Client, string, error) {
	form, err := grants.ReadTokenForm(w, r)
	if err != nil {
		return nil, "", err
	}
	caller, err := e.clients.Authenticate(r, form)
	if errors.Is(err, client.ErrInvalid) || errors.Is(err, client.ErrInactive) {
		// 401 with either method (RFC 7662 §2.3). The 400 of the token endpoint is
		// for OrderCloud's clients, which use only that endpoint.
		err = fmt.Errorf("%w: %w", client.ErrUnauthorized, err)
	}
	if err != nil {
		return nil, "", err
	}
	presented := form.Get("token")
	if presented == "" {
		return nil, "", errTokenMissing
	}
	return caller, presented, nil
}

func (e *Endpoints) introspect(ctx context.Context, caller *storage.Client, presented string) (introspection, error) {
	if grants.IsRefreshToken(presented) {
		return e.introspectRefreshToken(ctx, caller, presented)
	}
	claims, ok := e.tokens.ParseAccess(presented)
	if !ok || !sees(caller, claims) {
		return introspection{}, nil
	}
	holder, err := e.tokens.AccessHolder(ctx, claims)
	if errors.Is(err, token.ErrInvalidToken) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: strings.Join(slices.Concat(claims.Identity(), token.CurrentRoles(claims, holder)), " "), ClientID: claims.ClientID, Username: claims.Username,
		TokenType: tokenTypeOf(claims), Cnf: claims.Confirmation, Exp: claims.ExpiresAt, Iat: claims.IssuedAt, Nbf: claims.NotBefore,
		Sub: claims.Subject, Aud: claims.Audience, Iss: claims.Issuer, Jti: claims.ID,
		AuthTime: claims.AuthTime, AMR: claims.AMR,
		AccountID: claims.AccountID, AccountName: claims.AccountName,
		AccountRoles: token.CurrentAccountRoles(claims, holder), AccountMemberID: claims.AccountMemberID,
	}, nil
}

// sees reports whether a client may learn of a token: the token's own client, a
// resource that the token is for, or a client with RoleIntrospect.
func sees(caller *storage.Client, t *token.AccessClaims) bool {
	return strings.EqualFold(caller.ID, t.ClientID) || slices.ContainsFunc(t.Audience, func(name string) bool { return isResource(caller, name) }) ||
		slices.Contains(caller.Roles, RoleIntrospect)
}

// isResource reports whether a client stands for a resource: its id is the name of
// the resource, or it has no grant type and lists the resource. A client with grant
// types lists the resources that it may ask tokens for. That does not entitle it to
// see the tokens of other clients.
func isResource(c *storage.Client, name string) bool {
	return c.ID == name || len(c.GrantTypes) == 0 && slices.Contains(c.Resources, name)
}

// tokenTypeOf returns the scheme with which a token is presented (RFC 7662 §2.2).
func tokenTypeOf(t *token.AccessClaims) string {
	if t.Bound() != "" {
		return "DPoP"
	}
	return "bearer"
}

// introspectRefreshToken introspects a refresh token. Only its own client sees it.
func (e *Endpoints) introspectRefreshToken(ctx context.Context, caller *storage.Client, presented string) (introspection, error) {
	parsed, state, err := e.family(ctx, presented)
	if err != nil || state == nil || state.Family.ClientID != caller.ID {
		return introspection{}, err
	}
	f := &state.Family
	usable := parsed.Generation == f.Generation || caller.ReuseRefreshTokens
	if !usable || !grants.IsFamilyLive(caller, state, e.cfg.Now()) || token.BelowFloor(caller, &state.Principal, state.Member) {
		return introspection{}, nil
	}
	answer := introspection{
		Active: true, Scope: strings.Join(token.CurrentScope(caller, state), " "), ClientID: f.ClientID, TokenType: "refresh_token",
		Username: state.Principal.Login.Username, Exp: f.ExpiresAt.Unix(), Iat: f.RotatedAt.Unix(),
		Sub: f.UserUID, Iss: e.cfg.Issuer, AuthTime: f.AuthTime.Unix(), AMR: f.AMR,
	}
	if m := state.Member; m != nil {
		answer.AccountID, answer.AccountName = m.Account.ID, m.Account.Name
		answer.AccountRoles, answer.AccountMemberID = m.Membership.Roles, m.Membership.UserUID
	}
	return answer, nil
}

// family returns the family of an authentic refresh token, or nil.
func (e *Endpoints) family(ctx context.Context, presented string) (grants.RefreshToken, *storage.FamilyState, error) {
	parsed, err := e.refreshTokens.Parse(presented)
	if err != nil {
		return parsed, nil, nil //nolint:nilerr // a token that is not ours is no failure
	}
	state, err := e.cfg.Families.Family(ctx, parsed.FamilyID)
	if errors.Is(err, storage.ErrNotFound) {
		return parsed, nil, nil
	}
	if err != nil {
		return parsed, nil, fmt.Errorf("read refresh family: %w", err)
	}
	if !parsed.BelongsTo(&state.Family) {
		return parsed, nil, nil
	}
	return parsed, &state, nil
}
