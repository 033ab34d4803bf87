package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"latchkey/grants"
	"latchkey/keys"
	"latchkey/storage"
)

// accessClaims are the claims of an access token: the common ones and those
// that OrderCloud's client libraries read.
type accessClaims struct {
	tokenClaims
	SessionID string `json:"sid,omitempty"` // the refresh family

	Username string   `json:"usr,omitempty"`
	Client   string   `json:"cid"`
	UserID   string   `json:"u,omitempty"`
	UserType string   `json:"usrtype,omitempty"`
	Role     []string `json:"role,omitempty"`

	// Narrowed says that the token carries less than its user could have had.
	Narrowed bool `json:"narrowed,omitempty"`
}

func (c *accessClaims) ref() storage.TokenRef {
	return storage.TokenRef{
		JTI: c.ID, FamilyID: c.SessionID, UserUID: c.UserID, LoginID: c.LoginID, AccountUID: c.AccountUID,
	}
}

// Mint implements grants.AccessTokens: it signs the token and does nothing
// else.
func (p *Provider) Mint(ctx context.Context, t grants.AccessToken) (string, error) {
	common, err := p.newClaims(p.cfg.Audience, issuance{
		client: t.Client, principal: t.Principal, member: t.Member,
		amr: t.AMR, authTime: t.AuthTime, issuedAt: t.IssuedAt, expiresAt: t.ExpiresAt,
	})
	if err != nil {
		return "", err
	}
	common.Scope = strings.Join(t.Scope, " ")
	claims := accessClaims{tokenClaims: common, SessionID: t.FamilyID, Client: t.Client.ID, Role: t.Scope, Narrowed: t.Narrowed}
	if u := t.Principal; u != nil {
		claims.UserID, claims.Username, claims.UserType = u.User.UID, u.Login.Username, string(u.User.Kind)
	}
	token, err := p.sign(ctx, p.signingAlg(t.Client), keys.TypeAccessToken, &claims)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return token, nil
}

// parse returns the claims of one of our unexpired access tokens.
func (p *Provider) parse(token string) (*accessClaims, bool) {
	claims := new(accessClaims)
	err := p.parseFor(token, keys.TypeAccessToken, p.cfg.Audience, claims, &claims.tokenClaims)
	return claims, err == nil
}

// sign signs the claims. A client may be heard of before the first key of its
// algorithm is, which was stored earlier; then the keys are read again.
func (p *Provider) sign(ctx context.Context, alg, typ string, claims any) (string, error) {
	token, err := p.cfg.Ring.Sign(alg, typ, claims)
	if !errors.Is(err, keys.ErrNoKey) {
		return token, err
	}
	if err := p.cfg.Ring.Reload(ctx); err != nil {
		return "", err
	}
	return p.cfg.Ring.Sign(alg, typ, claims)
}

func (p *Provider) signingAlg(c *storage.Client) string {
	if c.SigningAlg != "" {
		return c.SigningAlg
	}
	return p.cfg.SigningAlg
}
