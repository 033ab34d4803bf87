package grants

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

// AccessToken is the content of an access token to mint.
type AccessToken struct {
	Client    *storage.Client
	Principal *storage.Principal // nil: the client acts for itself
	Member    *storage.Member    // of the account that the token is scoped to; nil: none
	Scope     []string           // roles
	Identity  []string           // scopes of OpenID Connect that it carries beside roles
	AMR       []string
	Purpose   storage.Purpose // of the one-time password of the sign-in; empty: none, or to sign in
	AuthTime  time.Time       // of the sign-in; zero: there was none
	FamilyID  string          // of the refresh token issued with it; may be empty
	SessionID string          // of the subject token, if that has no family; empty: FamilyID, or a session of its own
	SourceID  string          // of the source of the sign-in; empty: unknown

	BrowserSession string // of the browser that the user signed in with; empty: none

	Resources []string  // its audience (RFC 8707); empty: the server's default
	JKT       string    // thumbprint of the key that it is bound to (RFC 9449 §6.1); empty: a bearer token
	Narrowed  bool      // Scope is less than the user could have; tokens made from it get no more
	IssuedAt  time.Time // UTC, as exact as the clock
	ExpiresAt time.Time // whole seconds, UTC
}

// AccessTokens writes access tokens.
type AccessTokens interface {
	// Mint signs an access token. It must have no other effect: the token may be
	// discarded.
	Mint(ctx context.Context, t AccessToken) (string, error)
}

// MintFunc is an adapter that lets a function be used as AccessTokens.
type MintFunc func(ctx context.Context, t AccessToken) (string, error)

// Mint implements AccessTokens.
func (f MintFunc) Mint(ctx context.Context, t AccessToken) (string, error) { return f(ctx, t) }

// Claims returns the claims of the token as a JWT (RFC 9068 §2.2). Its type is "at+jwt".
// audience is that of a token without Resources. The caller may add claims.
func (t AccessToken) Claims(issuer string, audience ...string) map[string]any {
	claims := map[string]any{
		"iss": issuer, "aud": audience, "jti": rand.Text(), "client_id": t.Client.ID, "sub": t.Client.ID,
		"scope": strings.Join(t.Scope, " "), "iat": t.IssuedAt.Unix(), "exp": t.ExpiresAt.Unix(),
	}
	if len(t.Resources) > 0 {
		claims["aud"] = t.Resources
	}
	if t.Principal != nil {
		claims["sub"], claims["amr"], claims["auth_time"] = t.Principal.User.UID, t.AMR, t.AuthTime.Unix()
	}
	if t.Member != nil {
		claims["account_id"], claims["account_roles"] = t.Member.Account.ID, t.Member.Membership.Roles
	}
	if t.JKT != "" {
		claims["cnf"] = map[string]string{"jkt": t.JKT}
	}
	return claims
}

// AccessTokenPreparer is implemented by AccessTokens that can do everything that may fail
// before the grant takes effect. The handlers then use a one-time password or refresh token
// in the same statement that reads its login. With other AccessTokens they take two steps.
type AccessTokenPreparer interface {
	// Prepare returns a function that signs an access token of the client for the
	// resources (RFC 8707). The function fails only for a token that no key could
	// sign.
	Prepare(ctx context.Context, c *storage.Client, resources []string) (func(AccessToken) (string, error), error)
}

// allScopes returns the scopes of OpenID Connect and the roles.
func (t *AccessToken) allScopes() []string { return slices.Concat(t.Identity, t.Scope) }

// tokenType returns the token_type of the response (RFC 6750 §4, RFC 9449 §5).
func (t *AccessToken) tokenType() string {
	if t.JKT != "" {
		return "DPoP"
	}
	return "bearer"
}
