package token

import (
	"context"
	"fmt"
	"time"

	"latchkey/keys"
	"latchkey/storage"
)

// logoutTokenLife is how long a logout token is valid, as OpenID Connect Back-Channel
// Logout 1.0 §2.4 recommends. It is signed for each attempt to deliver it.
const logoutTokenLife = 2 * time.Minute

// logoutEvent is the member of the claim events that makes a JWT a logout token (OpenID
// Connect Back-Channel Logout 1.0 §2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are the claims of a logout token (OpenID Connect Back-Channel Logout 1.0
// §2.4). It must not have a nonce.
type logoutClaims struct {
	Issuer    string              `json:"iss"`
	Subject   string              `json:"sub"`
	Audience  string              `json:"aud"`
	IssuedAt  int64               `json:"iat"`
	ExpiresAt int64               `json:"exp"`
	ID        string              `json:"jti"`
	Events    map[string]struct{} `json:"events"`
	SessionID string              `json:"sid"`
}

// Logout is the content of a logout token.
type Logout struct {
	ID        string // the same for each attempt, so that receivers recognize repetitions
	UserUID   string
	SessionID string
}

// MintLogout signs a logout token for the client. Its algorithm is that of the client's ID
// tokens (OpenID Connect Back-Channel Logout 1.0 §2.6).
func (is *Issuer) MintLogout(ctx context.Context, c *storage.Client, l Logout) (string, error) {
	alg := keys.RS256
	if c.IDTokenAlg != "" {
		alg = c.IDTokenAlg
	}
	now := is.cfg.Now()
	signed, err := is.sign(ctx, alg, keys.TypeLogoutToken, &logoutClaims{
		Issuer: is.cfg.Issuer, Subject: l.UserUID, Audience: c.ID, IssuedAt: now.Unix(), ExpiresAt: now.Add(logoutTokenLife).Unix(),
		ID: l.ID, Events: map[string]struct{}{logoutEvent: {}}, SessionID: l.SessionID,
	})
	if err != nil {
		return "", fmt.Errorf("sign logout token: %w", err)
	}
	return signed, nil
}
