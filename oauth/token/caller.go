package token

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/oauth/admin"
	"latchkey/storage"
)

// RoleFullAccess is the role that includes all others.
const RoleFullAccess = admin.RoleFullAccess

// Refusals of a token. Other errors of Bearer and AccountHolder, such as
// storage.ErrUnavailable, mean that nothing was decided.
var (
	// ErrInvalidToken says that a token is not one of ours, is of another kind or for
	// another audience, has expired, or that its user or client may not use it now.
	// The wrapped detail is for the log.
	ErrInvalidToken = errors.New("the access token is invalid")
	// ErrNoToken says that the request has no token.
	ErrNoToken = fmt.Errorf("%w: none was sent", ErrInvalidToken)
	// ErrTokenRevoked says that a genuine token was ended before it expired.
	ErrTokenRevoked = fmt.Errorf("%w: revoked", ErrInvalidToken)
	// ErrInsufficientRoles says that a token is valid, but does not allow the
	// operation.
	ErrInsufficientRoles = errors.New("the access token lacks a role")
)

// Caller is the caller of a resource endpoint, according to its access token and the
// database.
type Caller struct {
	Client    *storage.Client
	Principal *storage.Principal // nil: the client itself
	Member    *storage.Member    // of the account the token is scoped to; nil: none

	Roles    []string // the token's
	Identity []string // scopes of OpenID Connect that the token carries
	AMR      []string // RFC 8176; empty: nobody signed in for it
	// Purpose is the purpose of the one-time password that the sign-in used. It is
	// empty if none was used, or one to sign in.
	Purpose storage.Purpose

	TokenID   string
	FamilyID  string // of the refresh token issued with it; may be empty
	SessionID string // of the session that the token belongs to
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time // of the sign-in; zero: none
}

// Has reports whether the token has at least one of the roles, or FullAccess. It
// returns true if there are no roles.
func (c *Caller) Has(roles ...string) bool {
	if len(roles) == 0 || slices.Contains(c.Roles, RoleFullAccess) {
		return true
	}
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(c.Roles, role) })
}

// SellerSide reports whether the caller belongs to the seller, who runs the
// marketplace: a client that acts for itself, or an admin user. A token that a client
// got without a secret has no roles and belongs to neither side. A token that is
// scoped to an account belongs to the account, because its roles are valid there only.
func (c *Caller) SellerSide() bool {
	if c.Member != nil {
		return false
	}
	if c.Principal != nil {
		return c.Principal.User.Kind == storage.Admin
	}
	return len(c.Roles) > 0
}

// Authority returns the caller in the form that the rules about changes use.
func (c *Caller) Authority() admin.Caller {
	authority := admin.Caller{ClientID: c.Client.ID, Roles: c.Roles, SellerSide: c.SellerSide()}
	if c.Principal != nil && !authority.SellerSide {
		authority.OwnRoles = c.Principal.Roles
	}
	return authority
}
