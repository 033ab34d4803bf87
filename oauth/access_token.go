package oauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	UserType string   `json:"usrtype"` // OrderCloud's .NET library throws without one
	Role     []string `json:"role,omitempty"`

	// Narrowed says that the token carries less than its user could have had.
	Narrowed bool `json:"narrowed,omitempty"`
	// Elevated are the roles that the user did not have: a message gave them. They
	// are not lost with what the user loses.
	Elevated []string `json:"elevated,omitempty"`
}

// session names the session that the token belongs to: its refresh family, the
// one of the token that it was made from, or itself.
func (c *accessClaims) session() string { return cmp.Or(c.SessionID, c.Session, c.ID) }

func (c *accessClaims) ref() storage.TokenRef {
	return storage.TokenRef{
		JTI: c.ID, FamilyID: c.SessionID, UserUID: c.UserID, LoginID: c.LoginID, AccountUID: c.AccountUID,
		SourceID: c.SourceID,
	}
}

// Mint implements grants.AccessTokens: it signs the token and does nothing
// else.
func (p *Provider) Mint(ctx context.Context, t grants.AccessToken) (string, error) {
	return p.mint(ctx, t, accessClaims{})
}

// mint is Mint for a token with further claims: Elevated, and UserType of a token
// without a user. A client that acts for itself is of the seller's side.
func (p *Provider) mint(ctx context.Context, t grants.AccessToken, claims accessClaims) (string, error) {
	aud, err := p.audienceOf(t.Client, t.Resources)
	if err != nil {
		return "", err
	}
	common, err := p.newClaims(aud, issuance{
		client: t.Client, principal: t.Principal, member: t.Member,
		amr: t.AMR, purpose: t.Purpose, authTime: t.AuthTime, sourceID: t.SourceID, issuedAt: t.IssuedAt, expiresAt: t.ExpiresAt,
	})
	if err != nil {
		return "", err
	}
	if t.FamilyID == "" {
		common.Session = t.SessionID
	}
	common.Scope, common.Confirmation = strings.Join(t.Scope, " "), confirm(t.JKT)
	claims.tokenClaims, claims.SessionID, claims.Client = common, t.FamilyID, t.Client.ID
	claims.Role, claims.Narrowed = t.Scope, t.Narrowed
	claims.UserType = cmp.Or(claims.UserType, string(storage.Admin))
	if u := t.Principal; u != nil {
		claims.UserID, claims.Username, claims.UserType = u.User.UID, u.Login.Username, string(u.User.Kind)
	}
	token, err := p.sign(ctx, p.signingAlg(t.Client), keys.TypeAccessToken, &claims)
	if err != nil {
		return "", fmt.Errorf("sign access token: %w", err)
	}
	return token, nil
}

// parse returns the claims of one of our unexpired access tokens, whatever
// resources it is for.
func (p *Provider) parse(token string) (*accessClaims, bool) {
	claims := new(accessClaims)
	err := p.parseFor(token, keys.TypeAccessToken, p.resources, claims, &claims.tokenClaims)
	return claims, err == nil
}

// parseOwn returns the claims of one that is for our own endpoints, at least among
// others.
func (p *Provider) parseOwn(token string) (*accessClaims, error) {
	claims, ok := p.parse(token)
	if !ok {
		return nil, ErrInvalidToken
	}
	if !slices.Contains(claims.Audience, p.cfg.Audience) {
		return nil, fmt.Errorf("%w: it is for other resources", ErrInvalidToken)
	}
	return claims, nil
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
