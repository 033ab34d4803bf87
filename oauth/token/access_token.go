package token

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

// AccessClaims are the claims of an access token: the common ones and those
// that OrderCloud's client libraries read.
type AccessClaims struct {
	Claims
	SessionID string `json:"sid,omitempty"` // the refresh family

	Username string   `json:"usr,omitempty"`
	Client   string   `json:"cid"`
	UserID   string   `json:"u,omitempty"`
	UserType string   `json:"usrtype"` // OrderCloud's .NET library throws without one
	Role     []string `json:"role,omitempty"`

	// Narrowed says that the token has fewer roles than its user could have had.
	Narrowed bool `json:"narrowed,omitempty"`
	// Elevated are roles that a message added and that the user does not have. They
	// stay when the user loses roles.
	Elevated []string `json:"elevated,omitempty"`
}

// session identifies the session of the token: its refresh family, the session of the
// token that it was made from, or the token itself.
func (c *AccessClaims) session() string { return cmp.Or(c.SessionID, c.Session, c.ID) }

func (c *AccessClaims) ref() storage.TokenRef {
	return storage.TokenRef{
		JTI: c.ID, FamilyID: c.SessionID, UserUID: c.UserID, LoginID: c.LoginID, AccountUID: c.AccountUID,
		SourceID: c.SourceID,
	}
}

// Mint implements grants.AccessTokens. It signs the token and writes nothing.
func (is *Issuer) Mint(ctx context.Context, t grants.AccessToken) (string, error) {
	return is.mint(ctx, t, AccessClaims{})
}

// MintAnonymous signs a token without a user for a client that has only named itself.
// Its usrtype is that of anonymous shoppers.
func (is *Issuer) MintAnonymous(ctx context.Context, t grants.AccessToken) (string, error) {
	return is.mint(ctx, t, AccessClaims{UserType: string(storage.Buyer)})
}

// mint signs a token that can have further claims: Elevated, and UserType for a token
// without a user. A client that acts for itself belongs to the seller.
func (is *Issuer) mint(ctx context.Context, t grants.AccessToken, claims AccessClaims) (string, error) {
	sign, err := is.prepare(ctx, t.Client, t.Resources)
	if err != nil {
		return "", err
	}
	return sign(t, claims)
}

// Prepare implements grants.AccessTokenPreparer.
func (is *Issuer) Prepare(ctx context.Context, c *storage.Client, resources []string) (func(grants.AccessToken) (string, error), error) {
	sign, err := is.prepare(ctx, c, resources)
	if err != nil {
		return nil, err
	}
	return func(t grants.AccessToken) (string, error) { return sign(t, AccessClaims{}) }, nil
}

// prepare chooses the audience, the id and the key of an access token. The function that
// it returns signs the token, with further claims as mint.
func (is *Issuer) prepare(
	ctx context.Context, c *storage.Client, resources []string,
) (func(grants.AccessToken, AccessClaims) (string, error), error) {
	aud, err := is.audienceOf(c, resources)
	if err != nil {
		return nil, err
	}
	id, err := storage.NewID(is.cfg.Rand, "")
	if err != nil {
		return nil, err
	}
	sign, err := is.signer(ctx, is.signingAlg(c), keys.TypeAccessToken)
	if err != nil {
		return nil, fmt.Errorf("sign access token: %w", err)
	}
	return func(t grants.AccessToken, claims AccessClaims) (string, error) {
		is.setAccessClaims(&claims, aud, id, t)
		token, err := sign(&claims)
		if err != nil {
			return "", fmt.Errorf("sign access token: %w", err)
		}
		return token, nil
	}, nil
}

// setAccessClaims sets the claims of the access token t.
func (is *Issuer) setAccessClaims(claims *AccessClaims, aud Audience, id string, t grants.AccessToken) {
	common := is.claims(aud, id, issuance{
		client: t.Client, principal: t.Principal, member: t.Member,
		amr: t.AMR, purpose: t.Purpose, authTime: t.AuthTime, sourceID: t.SourceID, issuedAt: t.IssuedAt, expiresAt: t.ExpiresAt,
	})
	if t.FamilyID == "" {
		common.Session = t.SessionID
	}
	common.Scope, common.Confirmation = strings.Join(slices.Concat(t.Identity, t.Scope), " "), confirm(t.JKT)
	claims.Claims, claims.SessionID, claims.Client = common, t.FamilyID, t.Client.ID
	claims.Role, claims.Narrowed = t.Scope, t.Narrowed
	claims.UserType = cmp.Or(claims.UserType, string(storage.Admin))
	if u := t.Principal; u != nil {
		claims.UserID, claims.Username, claims.UserType = u.User.UID, u.Login.Username, string(u.User.Kind)
	}
}

// ParseAccess returns the claims of one of our unexpired access tokens, whatever
// resources it is for.
func (is *Issuer) ParseAccess(token string) (*AccessClaims, bool) {
	claims := new(AccessClaims)
	err := is.parseFor(token, keys.TypeAccessToken, is.resources, claims, &claims.Claims)
	return claims, err == nil
}

// parseOwn returns the claims of an access token that is for our own endpoints, at
// least among others.
func (is *Issuer) parseOwn(token string) (*AccessClaims, error) {
	claims, ok := is.ParseAccess(token)
	if !ok {
		return nil, ErrInvalidToken
	}
	if !slices.Contains(claims.Audience, is.cfg.Audience) {
		return nil, fmt.Errorf("%w: it is for other resources", ErrInvalidToken)
	}
	return claims, nil
}

// sign signs the claims. A client may use an algorithm whose first key was stored
// after the last reload of the ring. Then the keys are read again.
func (is *Issuer) sign(ctx context.Context, alg, typ string, claims any) (string, error) {
	sign, err := is.signer(ctx, alg, typ)
	if err != nil {
		return "", err
	}
	return sign(claims)
}

// signer is sign in two steps; see keys.Ring.Signer.
func (is *Issuer) signer(ctx context.Context, alg, typ string) (func(claims any) (string, error), error) {
	sign, err := is.cfg.Ring.Signer(alg, typ)
	if !errors.Is(err, keys.ErrNoKey) {
		return sign, err
	}
	if err := is.cfg.Ring.Reload(ctx); err != nil {
		return nil, err
	}
	return is.cfg.Ring.Signer(alg, typ)
}

func (is *Issuer) signingAlg(c *storage.Client) string {
	if c.SigningAlg != "" {
		return c.SigningAlg
	}
	return is.cfg.SigningAlg
}
