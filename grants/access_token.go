package grants

import (
	"context"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// AccessToken is what an access token is to say.
type AccessToken struct {
	Client    *storage.Client
	Principal *storage.Principal // nil when the client acts for itself
	Scope     []string
	AMR       []string
	AuthTime  time.Time // zero when the client acts for itself
	FamilyID  string    // of the refresh token issued with it; may be empty
	IssuedAt  time.Time // whole seconds, UTC
	ExpiresAt time.Time // whole seconds, UTC
}

// AccessTokens writes access tokens. Mint must have no effect but its result:
// a token that is not handed out must be worth nothing to anybody.
type AccessTokens interface {
	Mint(ctx context.Context, t AccessToken) (string, error)
}

// tokenFor fills in what every grant says alike.
func tokenFor(c *storage.Client, s *Session, scope []string, now time.Time) AccessToken {
	t := AccessToken{Client: c, Scope: scope, AMR: s.AMR, AuthTime: s.AuthTime, IssuedAt: now.Truncate(time.Second)}
	t.ExpiresAt = t.IssuedAt.Add(c.AccessTokenTTL)
	if s.Principal.Known {
		t.Principal = &s.Principal
	}
	return t
}

// respond writes a minted token into fosite's answer. expires_in counts from
// the unrounded now, so a client never believes in a token longer than the
// token itself says (RFC 6749 §5.1).
func respond(r fosite.AccessRequester, w fosite.AccessResponder, t AccessToken, token string, now time.Time) {
	for _, role := range t.Scope {
		r.GrantScope(role)
	}
	w.SetAccessToken(token)
	w.SetTokenType("bearer")
	w.SetExpiresIn(t.ExpiresAt.Sub(now))
	if !sameSet(t.Scope, r.GetRequestedScopes()) {
		w.SetScopes(t.Scope)
	}
}

// sameSet tells whether two lists without duplicates have the same members.
func sameSet(a, b []string) bool {
	return len(a) == len(b) && len(intersect(a, b)) == len(a)
}
