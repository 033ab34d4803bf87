package token

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/oauth/admin"
	"latchkey/storage"
)

// RoleFullAccess is the role that stands for every other.
const RoleFullAccess = admin.RoleFullAccess

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
	// Purpose is that of the one-time password that the sign-in used; empty: none,
	// or to sign in.
	Purpose storage.Purpose

	TokenID   string
	FamilyID  string // of the refresh token issued with it; may be empty
	SessionID string // of the session that the token belongs to
	IssuedAt  time.Time
	ExpiresAt time.Time
	AuthTime  time.Time // of the sign-in; zero: none
}

// Has reports whether the token carries one of the roles, or the one that stands
// for all. Without roles the answer is yes.
func (c *Caller) Has(roles ...string) bool {
	if len(roles) == 0 || slices.Contains(c.Roles, RoleFullAccess) {
		return true
	}
	return slices.ContainsFunc(roles, func(role string) bool { return slices.Contains(c.Roles, role) })
}

// SellerSide reports whether the caller is on the side of who runs the
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

// Authority returns the caller as the rules about changes know it.
func (c *Caller) Authority() admin.Caller {
	authority := admin.Caller{ClientID: c.Client.ID, Roles: c.Roles, SellerSide: c.SellerSide()}
	if c.Principal != nil && !authority.SellerSide {
		authority.OwnRoles = c.Principal.Roles
	}
	return authority
}
