package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

// RoleFullAccess is the role that stands for every other.
const RoleFullAccess = "FullAccess"

// Why a resource endpoint refuses a token. What else Bearer and AccountHolder
// return, storage.ErrUnavailable say, means that nothing was decided.
var (
	// ErrInvalidToken says that a token is none of ours, is of another kind or
	// for another audience, has expired, or that whom it stands for is not let
	// in now. The detail is for the log.
	ErrInvalidToken = errors.New("the access token is invalid")
	// ErrNoToken says that none was sent.
	ErrNoToken = fmt.Errorf("%w: none was sent", ErrInvalidToken)
	// ErrTokenRevoked says that a genuine token was ended before its time.
	ErrTokenRevoked = fmt.Errorf("%w: revoked", ErrInvalidToken)
	// ErrInsufficientRoles says that a token is good, but not for this.
	ErrInsufficientRoles = errors.New("the access token lacks a role")
)

// Caller is who calls a resource endpoint, as its access token and the database
// know it.
type Caller struct {
	Client    *storage.Client
	Principal *storage.Principal // nil: the client itself
	Member    *storage.Member    // of the account the token is scoped to; nil: none

	Roles []string // the token's
	AMR   []string // RFC 8176; empty: nobody signed in for it

	TokenID   string
	FamilyID  string // of the refresh token issued with it; may be empty
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time // of the sign-in; zero: none
}

// Has tells whether the token carries one of the roles, or the one that stands
// for all. Without roles the answer is yes.
func (c *Caller) Has(roles ...string) bool {
	if len(roles) == 0 || slices.Contains(c.Roles, RoleFullAccess) {
		return true
	}
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(c.Roles, role) })
}

// SellerSide tells whether the caller is on the side of who runs the
// marketplace: a client that acts for itself, or an admin user. A token that a
// client got without a secret has no roles and is on nobody's side, and one that
// is scoped to an account is on that account's: its roles are good there only.
func (c *Caller) SellerSide() bool {
	if c.Member != nil {
		return false
	}
	if c.Principal != nil {
		return c.Principal.User.Kind == storage.Admin
	}
	return len(c.Roles) > 0
}

// Bearer returns who presents an access token, in one statement. The token must
// be an unexpired access token of ours for our audience, not revoked, itself or
// with its family, and not older than what ends its user's tokens; its client
// must be active, its user pass the gate and, if it is scoped to an account,
// still be a member of that.
//
// Errors: ErrInvalidToken, ErrTokenRevoked, and those of the stores.
func (p *Provider) Bearer(ctx context.Context, token string) (*Caller, error) {
	claims, ok := p.parse(token)
	if !ok {
		return nil, ErrInvalidToken
	}
	holder, err := p.holder(ctx, claims.ref(), &claims.tokenClaims)
	if err != nil {
		return nil, err
	}
	return &Caller{
		Client: holder.client, Principal: holder.principal, Member: holder.member,
		Roles: claims.Role, AMR: claims.AMR,
		TokenID: claims.ID, FamilyID: claims.SessionID,
		IssuedAt: claims.issued(), ExpiresAt: claims.expires(), AuthTime: claims.authenticated(),
	}, nil
}

// BearerToken returns the token of a request's one Authorization header
// (RFC 6750 §2.1). It is not ok without one, with several, and with another
// scheme or nothing behind it.
func BearerToken(h http.Header) (token string, ok bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", false
	}
	return token, true
}

// Challenge returns the WWW-Authenticate header of a resource endpoint that
// refuses with 401, or with 403 for ErrInsufficientRoles (RFC 6750 §3). To a
// request without a token, ErrNoToken or a nil error, it tells none (§3.1).
func Challenge(err error) string {
	const scheme = `Bearer realm="latchkey"`
	switch {
	case errors.Is(err, ErrNoToken):
		return scheme
	case errors.Is(err, ErrInsufficientRoles):
		return scheme + `, error="insufficient_scope", error_description="The access token lacks a role."`
	case errors.Is(err, ErrTokenRevoked):
		return scheme + `, error="invalid_token", error_description="The access token was revoked."`
	case errors.Is(err, ErrInvalidToken):
		return scheme + `, error="invalid_token", error_description="The access token is invalid or expired."`
	}
	return scheme
}
