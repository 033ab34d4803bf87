package elasticpath

import (
	"context"
	"net/http"

	"latchkey/oauth/token"
	"latchkey/storage"
)

// Bearer tells who presents a token, and makes tokens; *token.Verifier is one.
type Bearer interface {
	// Authorize returns who sends a request, after its Authorization header.
	Authorize(r *http.Request) (*token.Caller, error)
	// AccountHolder returns who presents an account management authentication
	// token.
	AccountHolder(ctx context.Context, token string) (*token.AccountHolder, error)
}

// admit finds out who calls and whether the route is for them.
func (a *API) admit(c *call, r route) (err error) {
	if r.who == anybody {
		return nil
	}
	if c.caller, err = a.cfg.Bearer.Authorize(c.Request); err != nil {
		return err
	}
	switch r.who {
	case anybody, storefronts:
		return nil
	case sellersAndMembers:
		if given := c.Header.Values(accountTokenHeader); len(given) > 0 {
			return c.admitMember(given)
		}
	case sellers:
		if len(c.Header.Values(accountTokenHeader)) > 0 { // who calls for a member may do what that may
			return errForbidden
		}
	}
	if !c.caller.SellerSide() || !c.caller.Has(r.Roles...) {
		return errForbidden
	}
	return nil
}

// admitMember finds out which account member calls. A header with another token
// than an account member's is refused rather than ignored, since whoever sends
// it wants less than the access token allows.
func (c *call) admitMember(given []string) (err error) {
	if len(given) > 1 {
		return token.ErrInvalidToken
	}
	c.holder, err = c.api.cfg.Bearer.AccountHolder(c.Context(), given[0])
	return err
}

// isOwn reports whether the caller may reach what belongs to the user: members
// only reach what is their own.
func (c *call) isOwn(userUID string) bool {
	return c.holder == nil || c.holder.Principal.User.UID == userUID
}

var errSignInAgain = refuse(http.StatusForbidden,
	"a change of username, password or e-mail address takes a sign-in with the password, or with a one-time password token of the purpose reset_password")

// mayChangeCredentials refuses a member whose sign-in does not allow to change
// what it signs in with or is reached by. Others are let through.
func (c *call) mayChangeCredentials() error {
	if c.holder != nil && !c.holder.MayChangeCredentials() {
		return errSignInAgain
	}
	return nil
}

// mayManage decides whether the caller may change the user or how it signs in. A
// member changes itself only; see userOf.
func (c *call) mayManage(u storage.User) error {
	if c.holder != nil {
		return nil
	}
	return c.api.cfg.Rules.ManageUser(c.Context(), c.caller.Authority(), u, nil)
}

// mayManageItself refuses a member whose realm does not let members change
// themselves. Others are let through.
func (c *call) mayManageItself(realm storage.Realm) error {
	if c.holder != nil && realm.SelfManagement != storage.SelfManagementUpdate {
		return errForbidden
	}
	return nil
}
