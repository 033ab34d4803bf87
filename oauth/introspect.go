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
	"latchkey/storage"
)

// RoleIntrospect is the role that lets a client introspect tokens that were
// issued to others, as a resource server must.
const RoleIntrospect = admin.RoleIntrospect

// introspection is the answer about an active token (RFC 7662 §2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Exp       int64    `json:"exp,omitempty"`
	Iat       int64    `json:"iat,omitempty"`
	Nbf       int64    `json:"nbf,omitempty"`
	Sub       string   `json:"sub,omitempty"`
	Aud       audience `json:"aud,omitempty"`
	Iss       string   `json:"iss,omitempty"`
	Jti       string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`

	Cnf *confirmation `json:"cnf,omitempty"` // RFC 9449 §6.2

	AccountID       string   `json:"account_id,omitempty"`
	AccountName     string   `json:"account_name,omitempty"`
	AccountRoles    []string `json:"account_roles,omitempty"`
	AccountMemberID string   `json:"account_member_id,omitempty"`
}

// serveIntrospection is the introspection endpoint (RFC 7662). A token that
// the caller may not see looks like one that does not exist, and so does one
// that is no access token or refresh token: whoever asks is a resource server,
// which must not take it.
func (p *Provider) serveIntrospection(w http.ResponseWriter, r *http.Request) error {
	caller, token, err := p.tokenRequest(w, r)
	if err != nil {
		return err
	}
	if (grants.Client{Client: caller}).IsPublic() {
		return fmt.Errorf("%w: %w", client.ErrUnauthorized, client.ErrInvalid)
	}
	answer, err := p.introspect(r.Context(), caller, token)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// tokenRequest reads a request about a token: who asks and which token.
func (p *Provider) tokenRequest(w http.ResponseWriter, r *http.Request) (*storage.Client, string, error) {
	form, err := readForm(w, r)
	if err != nil {
		return nil, "", err
	}
	caller, err := p.clients.Authenticate(r, form)
	if errors.Is(err, client.ErrInvalid) || errors.Is(err, client.ErrInactive) {
		// 401 with either method (RFC 7662 §2.3). The 400 of the token endpoint is
		// for OrderCloud's clients, which use only that endpoint.
		err = fmt.Errorf("%w: %w", client.ErrUnauthorized, err)
	}
	if err != nil {
		return nil, "", err
	}
	token := form.Get("token")
	if token == "" {
		return nil, "", errTokenMissing
	}
	return caller, token, nil
}

func (p *Provider) introspect(ctx context.Context, caller *storage.Client, token string) (introspection, error) {
	if grants.IsRefreshToken(token) {
		return p.introspectRefreshToken(ctx, caller, token)
	}
	claims, ok := p.parse(token)
	if !ok || !sees(caller, claims) {
		return introspection{}, nil
	}
	holder, err := p.accessHolder(ctx, claims)
	if errors.Is(err, ErrInvalidToken) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: strings.Join(currentRoles(claims, holder), " "), ClientID: claims.ClientID, Username: claims.Username,
		TokenType: tokenTypeOf(claims), Cnf: claims.Confirmation, Exp: claims.ExpiresAt, Iat: claims.IssuedAt, Nbf: claims.NotBefore,
		Sub: claims.Subject, Aud: claims.Audience, Iss: claims.Issuer, Jti: claims.ID,
		AuthTime: claims.AuthTime, AMR: claims.AMR,
		AccountID: claims.AccountID, AccountName: claims.AccountName,
		AccountRoles: currentAccountRoles(claims, holder), AccountMemberID: claims.AccountMemberID,
	}, nil
}

// sees tells whether a client may learn of a token: its own client, whoever the
// token is for, and who has the role.
func sees(caller *storage.Client, t *accessClaims) bool {
	return strings.EqualFold(caller.ID, t.ClientID) || slices.ContainsFunc(t.Audience, func(name string) bool { return isResource(caller, name) }) ||
		slices.Contains(caller.Roles, RoleIntrospect)
}

// isResource tells whether a client stands for a resource: it has the name of
// that, or it can get no tokens and has the name among its resources. The
// resources of any other client are what it may ask tokens for, which is no
// reason to see those of others.
func isResource(c *storage.Client, name string) bool {
	return c.ID == name || len(c.GrantTypes) == 0 && slices.Contains(c.Resources, name)
}

// tokenTypeOf names the way in which a token is presented (RFC 7662 §2.2).
func tokenTypeOf(t *accessClaims) string {
	if t.bound() != "" {
		return "DPoP"
	}
	return "bearer"
}

// introspectRefreshToken answers about a refresh token, to its own client only.
func (p *Provider) introspectRefreshToken(ctx context.Context, caller *storage.Client, token string) (introspection, error) {
	parsed, state, err := p.family(ctx, token)
	if err != nil || state == nil || state.Family.ClientID != caller.ID {
		return introspection{}, err
	}
	f := &state.Family
	usable := parsed.Generation == f.Generation || caller.ReuseRefreshTokens
	if !usable || !grants.IsFamilyLive(caller, state, p.cfg.Now()) || belowFloor(caller, &state.Principal, state.Member) {
		return introspection{}, nil
	}
	answer := introspection{
		Active: true, Scope: strings.Join(currentScope(caller, state), " "), ClientID: f.ClientID, TokenType: "refresh_token",
		Username: state.Principal.Login.Username, Exp: f.ExpiresAt.Unix(), Iat: f.RotatedAt.Unix(),
		Sub: f.UserUID, Iss: p.cfg.Issuer, AuthTime: f.AuthTime.Unix(), AMR: f.AMR,
	}
	if m := state.Member; m != nil {
		answer.AccountID, answer.AccountName = m.Account.ID, m.Account.Name
		answer.AccountRoles, answer.AccountMemberID = m.Membership.Roles, m.Membership.UserUID
	}
	return answer, nil
}

// family returns the family of an authentic refresh token, or nil.
func (p *Provider) family(ctx context.Context, token string) (grants.RefreshToken, *storage.FamilyState, error) {
	parsed, err := p.refreshTokens.Parse(token)
	if err != nil {
		return parsed, nil, nil //nolint:nilerr // a token that is not ours is no failure
	}
	state, err := p.cfg.Families.Family(ctx, parsed.FamilyID)
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
