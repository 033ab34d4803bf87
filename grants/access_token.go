package grants

import (
	"context"
	"time"

	"latchkey/storage"
)

// AccessToken is what an access token is to say.
type AccessToken struct {
	Client    *storage.Client
	Principal *storage.Principal // nil when the client acts for itself
	Member    *storage.Member    // of the account that the token is scoped to; nil: none
	Scope     []string
	AMR       []string
	Purpose   storage.Purpose // of the one-time password that its sign-in used; empty: none, or to sign in
	AuthTime  time.Time       // zero when the client acts for itself
	FamilyID  string          // of the refresh token issued with it; may be empty
	SessionID string          // of the token that it is made from, if that has no family; empty: its own or the family's
	SourceID  string          // of the known source that its user signed in from; may be empty
	Resources []string        // its audience (RFC 8707); empty: the server's default
	JKT       string          // thumbprint of the key that it is bound to (RFC 9449 §6.1); empty: a bearer token
	Narrowed  bool            // somebody asked for less than the user could have: what is made of it has no more
	IssuedAt  time.Time       // UTC, as exact as the clock
	ExpiresAt time.Time       // whole seconds, UTC
}

// AccessTokens writes access tokens. Mint must have no effect but its result:
// a token that is not handed out must be worth nothing to anybody.
type AccessTokens interface {
	Mint(ctx context.Context, t AccessToken) (string, error)
}

// tokenType is what an answer calls an access token (RFC 6750 §4, RFC 9449 §5).
func (t *AccessToken) tokenType() string {
	if t.JKT != "" {
		return "DPoP"
	}
	return "bearer"
}
