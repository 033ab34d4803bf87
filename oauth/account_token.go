package oauth

import (
	"context"
	"fmt"
	"time"

	"latchkey/storage"
)

// accountClaims are the claims of an account management authentication token
// (Elastic Path). Its scope is the account's id.
type accountClaims struct {
	tokenClaims
	RealmID        string                 `json:"realm_id"`
	StoreID        string                 `json:"store_id"`
	SelfManagement storage.SelfManagement `json:"account_member_self_management"`
	Ancestors      string                 `json:"ancestors"` // of the account: none
}

func (c *accountClaims) ref() storage.TokenRef {
	return storage.TokenRef{JTI: c.ID, UserUID: c.Subject, LoginID: c.LoginID, AccountUID: c.AccountUID}
}

// AccountTokenRequest is what an account management authentication token is to
// say.
type AccountTokenRequest struct {
	Client    *storage.Client // through which the member signed in
	Principal *storage.Principal
	Member    storage.Member
	Realm     storage.Realm
	StoreID   string
	AMR       []string  // RFC 8176
	AuthTime  time.Time // of the sign-in
	IssuedAt  time.Time // UTC, not rounded
	ExpiresAt time.Time // whole seconds, UTC
}

// AccountHolder is who presents an account management authentication token.
type AccountHolder struct {
	Client    *storage.Client
	Principal *storage.Principal
	Member    *storage.Member // of the account the token is scoped to
	RealmID   string
	AMR       []string
	TokenID   string
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
}

// MintAccountToken signs an account management authentication token and does
// nothing else. No access token is ever taken in its place, nor it in the place
// of one: they differ in typ and audience.
func (p *Provider) MintAccountToken(ctx context.Context, r AccountTokenRequest) (string, error) {
	common, err := p.newClaims(p.accountAudience(), issuance{
		client: r.Client, principal: r.Principal, member: &r.Member,
		amr: r.AMR, authTime: r.AuthTime, issuedAt: r.IssuedAt, expiresAt: r.ExpiresAt,
	})
	if err != nil {
		return "", err
	}
	common.Scope = r.Member.Account.ID
	token, err := p.sign(ctx, p.signingAlg(r.Client), typeAccountToken, &accountClaims{
		tokenClaims: common, RealmID: r.Realm.ID, StoreID: r.StoreID, SelfManagement: r.Realm.SelfManagement,
	})
	if err != nil {
		return "", fmt.Errorf("sign account token: %w", err)
	}
	return token, nil
}

// AccountHolder returns who presents an account management authentication
// token. What Bearer demands of an access token holds for it as well. Errors:
// ErrInvalidToken, ErrTokenRevoked, and those of the stores.
func (p *Provider) AccountHolder(ctx context.Context, token string) (*AccountHolder, error) {
	claims := new(accountClaims)
	if err := p.parseFor(token, typeAccountToken, p.accountAudience(), claims, &claims.tokenClaims); err != nil {
		return nil, err
	}
	ref := claims.ref()
	if ref.UserUID == "" || ref.LoginID == "" || ref.AccountUID == "" {
		return nil, fmt.Errorf("%w: no user, login or account", ErrInvalidToken)
	}
	h, err := p.holder(ctx, ref, &claims.tokenClaims)
	if err != nil {
		return nil, err
	}
	return &AccountHolder{
		Client: h.client, Principal: h.principal, Member: h.member, RealmID: claims.RealmID,
		AMR: claims.AMR, TokenID: claims.ID,
		IssuedAt: claims.issued(), ExpiresAt: claims.expires(), AuthTime: claims.authenticated(),
	}, nil
}

func (p *Provider) accountAudience() string { return p.base + "/v2" }
