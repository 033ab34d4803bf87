package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/otp"
	"latchkey/storage"
)

// messageTokenTTL is how long the token lives that a message carries for its
// recipient.
const messageTokenTTL = 10 * time.Minute

// accessClaims are the claims of an access token: those of RFC 9068 §2.2 and
// those that OrderCloud's client libraries read.
type accessClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ID        string   `json:"jti"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"` // the refresh family
	LoginID   string   `json:"login_id,omitempty"`

	Username string   `json:"usr,omitempty"`
	Client   string   `json:"cid"`
	UserID   string   `json:"u,omitempty"`
	UserType string   `json:"usrtype,omitempty"`
	Role     []string `json:"role,omitempty"`
}

var _ jwt.Claims = (*accessClaims)(nil)

// GetExpirationTime implements jwt.Claims.
func (c *accessClaims) GetExpirationTime() (*jwt.NumericDate, error) { return date(c.ExpiresAt), nil }

// GetIssuedAt implements jwt.Claims.
func (c *accessClaims) GetIssuedAt() (*jwt.NumericDate, error) { return date(c.IssuedAt), nil }

// GetNotBefore implements jwt.Claims. It is nil, so that a replica whose clock
// is behind knows a fresh token of another one: else it would call it inactive,
// and take its revocation for that of an unknown token.
func (c *accessClaims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer implements jwt.Claims.
func (c *accessClaims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c *accessClaims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements jwt.Claims.
func (c *accessClaims) GetAudience() (jwt.ClaimStrings, error) {
	return jwt.ClaimStrings{c.Audience}, nil
}

func date(seconds int64) *jwt.NumericDate {
	if seconds == 0 {
		return nil
	}
	return jwt.NewNumericDate(time.Unix(seconds, 0))
}

// Mint implements grants.AccessTokens: it signs the token and does nothing
// else.
func (p *Provider) Mint(ctx context.Context, t grants.AccessToken) (string, error) {
	id, err := storage.NewID(p.cfg.Rand, "")
	if err != nil {
		return "", err
	}
	claims := accessClaims{
		Issuer: p.cfg.Issuer, Audience: p.cfg.Audience, ID: id,
		Subject: t.Client.ID, ClientID: t.Client.ID, Client: t.Client.ID,
		IssuedAt: t.IssuedAt.Unix(), NotBefore: t.IssuedAt.Unix(), ExpiresAt: t.ExpiresAt.Unix(),
		Scope: strings.Join(t.Scope, " "), Role: t.Scope,
		AMR: t.AMR, SessionID: t.FamilyID,
	}
	if !t.AuthTime.IsZero() {
		claims.AuthTime = t.AuthTime.Unix()
	}
	if u := t.Principal; u != nil {
		claims.Subject, claims.UserID = u.User.UID, u.User.UID
		claims.LoginID, claims.Username, claims.UserType = u.Login.ID, u.Login.Username, string(u.User.Kind)
	}
	token, err := p.sign(ctx, p.signingAlg(t.Client), &claims)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return token, nil
}

// sign signs the claims. A client may be heard of before the first key of its
// algorithm is, which was stored earlier; then the keys are read again.
func (p *Provider) sign(ctx context.Context, alg string, claims *accessClaims) (string, error) {
	token, err := p.cfg.Ring.Sign(alg, keys.TypeAccessToken, claims)
	if !errors.Is(err, keys.ErrNoKey) {
		return token, err
	}
	if err := p.cfg.Ring.Reload(ctx); err != nil {
		return "", err
	}
	return p.cfg.Ring.Sign(alg, keys.TypeAccessToken, claims)
}

func (p *Provider) signingAlg(c *storage.Client) string {
	if c.SigningAlg != "" {
		return c.SigningAlg
	}
	return p.cfg.SigningAlg
}

// Recipient reads the user that a message is for and returns it with a
// short-lived access token that has its roles and the sender's elevated ones
// (OrderCloud: UserToken). The token is no sign-in: it has neither amr nor
// auth_time.
//
// Parameters: clientID through which the message was asked for; username of
// the recipient; elevated roles to add. Errors: storage.ErrNotFound if the
// client is gone or does not admit the user any more, and those of the store.
func (p *Provider) Recipient(ctx context.Context, clientID, username string, elevated []string) (storage.Principal, string, error) {
	client, err := p.cfg.Clients.Client(ctx, clientID)
	if err != nil {
		return storage.Principal{}, "", fmt.Errorf("read client: %w", err)
	}
	user, err := p.cfg.SignIns.Principal(ctx, storage.LoginKey{
		ProfileID: client.ProfileID, UsernameKey: otp.NormalizeUsername(username),
	})
	if err != nil {
		return user, "", fmt.Errorf("read user: %w", err)
	}
	now := p.cfg.Now().UTC().Truncate(time.Second)
	if reason := client.Refusal(&user, now); reason != "" {
		return user, "", fmt.Errorf("recipient: %w: %s", storage.ErrNotFound, reason)
	}
	token, err := p.Mint(ctx, grants.AccessToken{
		Client: &client, Principal: &user,
		Scope:    union(user.Roles, elevated),
		IssuedAt: now, ExpiresAt: now.Add(messageTokenTTL),
	})
	return user, token, err
}

// union returns the members of a, then those of b that are not in a.
func union(a, b []string) []string {
	all := append([]string(nil), a...)
	seen := make(map[string]bool, len(a))
	for _, s := range a {
		seen[s] = true
	}
	for _, s := range b {
		if !seen[s] {
			all = append(all, s)
		}
	}
	return all
}
