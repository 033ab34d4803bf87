package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/storage"
)

// RoleIntrospect is the role that lets a client introspect tokens that were
// issued to others, as a resource server must.
const RoleIntrospect = "TokenIntrospection"

// clockSkew is how far the clocks of replicas may be apart before a token of
// one is too early for another (RFC 7519 §4.1.5: no more than a few minutes).
const clockSkew = 5 * time.Minute

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
	Aud       string   `json:"aud,omitempty"`
	Iss       string   `json:"iss,omitempty"`
	Jti       string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`
}

// serveIntrospection is the introspection endpoint (RFC 7662). A token that
// the caller may not see looks like one that does not exist.
func (p *Provider) serveIntrospection(w http.ResponseWriter, r *http.Request) error {
	caller, token, err := p.tokenRequest(w, r)
	if err != nil {
		return err
	}
	if (grants.Client{Client: caller}).IsPublic() {
		return errInvalidClientHeader
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
	client, err := p.authenticateClient(r, form)
	if errors.Is(err, errInvalidClient) {
		// 401 whichever way it tried (RFC 7662 §2.3); 400 is for OrderCloud's
		// clients, who know the token endpoint only.
		err = errInvalidClientHeader
	}
	if err != nil {
		return nil, "", err
	}
	token := form.Get("token")
	if token == "" {
		return nil, "", errTokenMissing
	}
	return client, token, nil
}

func (p *Provider) introspect(ctx context.Context, caller *storage.Client, token string) (introspection, error) {
	if grants.IsRefreshToken(token) {
		return p.introspectRefreshToken(ctx, caller, token)
	}
	claims, ok := p.parse(token)
	if !ok || !sees(caller, claims.ClientID) {
		return introspection{}, nil
	}
	if active, err := p.active(ctx, claims); err != nil || !active {
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: claims.Scope, ClientID: claims.ClientID, Username: claims.Username,
		TokenType: "bearer", Exp: claims.ExpiresAt, Iat: claims.IssuedAt, Nbf: claims.NotBefore,
		Sub: claims.Subject, Aud: claims.Audience, Iss: claims.Issuer, Jti: claims.ID,
		AuthTime: claims.AuthTime, AMR: claims.AMR,
	}, nil
}

// sees tells whether a client may learn of a token issued to that client.
func sees(caller *storage.Client, clientID string) bool {
	return strings.EqualFold(caller.ID, clientID) || slices.Contains(caller.Roles, RoleIntrospect)
}

// parse returns the claims of one of our unexpired access tokens.
func (p *Provider) parse(token string) (*accessClaims, bool) {
	claims := new(accessClaims)
	err := p.cfg.Ring.Parse(token, keys.TypeAccessToken, claims, p.cfg.Issuer)
	return claims, err == nil
}

// active tells whether nothing ended the token before its time: neither it nor
// its family were revoked, its client is active, and its user, if it has one,
// passes the gate.
func (p *Provider) active(ctx context.Context, t *accessClaims) (bool, error) {
	if t.NotBefore > p.cfg.Now().Add(clockSkew).Unix() {
		return false, nil
	}
	client, err := p.cfg.Clients.Client(ctx, t.ClientID)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read client: %w", err)
	}
	standing, err := p.cfg.Tokens.TokenStanding(ctx, t.ID, t.SessionID, t.UserID, t.LoginID)
	if err != nil {
		return false, fmt.Errorf("read token standing: %w", err)
	}
	if standing.Revoked || standing.FamilyRevoked || !client.Active {
		return false, nil
	}
	if t.UserID == "" {
		return true, nil
	}
	user := &standing.Principal
	return client.Refusal(user, p.cfg.Now()) == "" && !t.outdated(user), nil
}

// outdated tells whether the token is older than a revocation of the user's
// tokens, or its sign-in older than the end of the login's sessions. Tokens know
// the time by the second. A token without a sign-in counts from its issue.
func (c *accessClaims) outdated(u *storage.Principal) bool {
	signedIn := c.AuthTime
	if signedIn == 0 {
		signedIn = c.IssuedAt
	}
	return c.IssuedAt < u.User.TokensValidFrom.Unix() || signedIn < u.Login.SessionsValidFrom.Unix()
}

// introspectRefreshToken answers about a refresh token, to its own client only.
func (p *Provider) introspectRefreshToken(ctx context.Context, caller *storage.Client, token string) (introspection, error) {
	parsed, state, err := p.family(ctx, token)
	if err != nil || state == nil || state.Family.ClientID != caller.ID {
		return introspection{}, err
	}
	f := &state.Family
	usable := parsed.Generation == f.Generation || caller.ReuseRefreshTokens
	if !usable || !grants.Stands(caller, state, p.cfg.Now()) {
		return introspection{}, nil
	}
	return introspection{
		Active: true, Scope: strings.Join(f.Scope, " "), ClientID: f.ClientID, TokenType: "refresh_token",
		Username: state.Principal.Login.Username, Exp: f.ExpiresAt.Unix(), Iat: f.RotatedAt.Unix(),
		Sub: f.UserUID, Iss: p.cfg.Issuer, AuthTime: f.AuthTime.Unix(), AMR: f.AMR,
	}, nil
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
	if !parsed.Of(&state.Family) {
		return parsed, nil, nil
	}
	return parsed, &state, nil
}
