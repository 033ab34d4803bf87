package token

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"latchkey/storage"
)

// MaxAccountTokenTTL is the longest life of an account management
// authentication token: as long as the keys that verify them are published.
const MaxAccountTokenTTL = 31 * 24 * time.Hour

// accountClaims are the claims of an account management authentication token
// (Elastic Path). Its scope is the account's id.
type accountClaims struct {
	Claims
	RealmID        string                 `json:"realm_id"`
	StoreID        string                 `json:"store_id"`
	SelfManagement storage.SelfManagement `json:"account_member_self_management"`
	Ancestors      string                 `json:"ancestors"` // of the account: none

	// Origin is the id of the first token of the sign-in from which this one was
	// renewed. Revocation uses it, so that one revocation ends all renewals.
	Origin string `json:"origin,omitempty"`
}

// lineage returns the id by which the token is revoked.
func (c *accountClaims) lineage() string { return cmp.Or(c.Origin, c.ID) }

// session identifies the session of the token: the sign-in, which gives a token for
// each account.
func (c *accountClaims) session() string { return cmp.Or(c.Session, c.lineage()) }

func (c *accountClaims) ref() storage.TokenRef {
	return storage.TokenRef{JTI: c.lineage(), UserUID: c.Subject, LoginID: c.LoginID, AccountUID: c.AccountUID, SourceID: c.SourceID}
}

// AccountTokenRequest holds the values of a new account management authentication
// token.
type AccountTokenRequest struct {
	AccountSession
	Member    storage.Member
	Realm     storage.Realm
	StoreID   string
	ExpiresAt time.Time // whole seconds, UTC; see AccountSession.TokenExpiry
}

// AccountHolder is the member who presents an account management authentication token.
type AccountHolder struct {
	Client    *storage.Client
	Principal *storage.Principal
	Member    *storage.Member // of the account the token is scoped to
	RealmID   string
	AMR       []string
	Purpose   storage.Purpose // of the one-time password that the sign-in used; empty: none, or to sign in
	SessionID string          // of the sign-in
	TokenID   string
	SourceID  string // address of the sign-in; may be empty
	Origin    string // id of the first token that it was renewed from; its own if a sign-in gave it
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time
}

// MintAccountToken signs an account management authentication token and writes
// nothing. It cannot be used as an access token, nor an access token as this one,
// because they differ in typ and audience.
func (is *Issuer) MintAccountToken(ctx context.Context, r AccountTokenRequest) (string, error) {
	common, err := is.newClaims(Audience{is.accountAudience()}, issuance{
		client: r.Client, principal: r.Principal, member: &r.Member,
		amr: r.AMR, purpose: r.Purpose, session: r.SessionID, authTime: r.AuthTime, sourceID: r.SourceID, issuedAt: r.IssuedAt, expiresAt: r.ExpiresAt,
	})
	if err != nil {
		return "", err
	}
	common.Scope = r.Member.Account.ID
	token, err := is.sign(ctx, is.signingAlg(r.Client), typeAccountToken, &accountClaims{
		Claims: common, RealmID: storage.RealmUUID(r.Realm.ID), StoreID: r.StoreID, SelfManagement: r.Realm.SelfManagement,
		Origin: r.Origin,
	})
	if err != nil {
		return "", fmt.Errorf("sign account token: %w", err)
	}
	return token, nil
}

// AccountHolder returns the member who presents an account management authentication
// token. The conditions of Bearer for access tokens also hold for it. Errors:
// ErrInvalidToken, ErrTokenRevoked, and those of the stores.
func (v *Verifier) AccountHolder(ctx context.Context, token string) (*AccountHolder, error) {
	claims := new(accountClaims)
	if err := v.parseFor(token, typeAccountToken, []string{v.accountAudience()}, claims, &claims.Claims); err != nil {
		return nil, err
	}
	ref := claims.ref()
	if ref.UserUID == "" || ref.LoginID == "" || ref.AccountUID == "" {
		return nil, fmt.Errorf("%w: no user, login or account", ErrInvalidToken)
	}
	h, err := v.holder(ctx, ref, claims.session(), &claims.Claims)
	if err != nil {
		return nil, err
	}
	return &AccountHolder{
		Client: h.Client, Principal: h.Principal, Member: h.Member, RealmID: claims.RealmID,
		AMR: claims.AMR, Purpose: claims.Purpose, SessionID: claims.session(), SourceID: claims.SourceID, TokenID: claims.ID, Origin: claims.lineage(),
		IssuedAt: claims.issued(), ExpiresAt: claims.expires(), AuthTime: claims.authenticated(),
	}, nil
}

func (is *Issuer) accountAudience() string { return is.base + "/v2" }
