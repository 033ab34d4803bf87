package elasticpath

import (
	"net/http"

	"latchkey/oauth/admin"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// audience says who may call an operation.
type audience int

const (
	// sellers are clients that act for themselves and admin users. They need one of
	// the roles of the operation.
	sellers audience = iota
	// sellersAndMembers are sellers, and account members with their token in a header
	// of its own. The operation lets members reach only their own resources.
	sellersAndMembers
	// storefronts are all who have an access token.
	storefronts
	// anybody needs no token.
	anybody
)

// Roles of callers. The same roles open the same records below /v1.
var (
	changeAccounts = []string{"BuyerAdmin"}
	readAccounts   = []string{"BuyerAdmin", "BuyerReader"}
	changeUsers    = []string{"BuyerUserAdmin"}
	readUsers      = []string{"BuyerUserAdmin", "BuyerUserReader"}
	changeProfiles = []string{"SecurityProfileAdmin"}
	readProfiles   = []string{"SecurityProfileAdmin", "SecurityProfileReader"}
	changeSenders  = []string{"MessageSenderAdmin"}
	readSenders    = []string{"MessageSenderAdmin", "MessageSenderReader"}
)

// admit finds out who calls, and returns an error unless the caller is one of those
// to whom the operation is open.
func (c *call) admit(to audience, roles []string) (err error) {
	if to == anybody {
		return nil
	}
	if c.caller, err = c.cfg.Bearer.Authorize(c.Request); err != nil {
		return err
	}
	switch to {
	case anybody, storefronts:
		return nil
	case sellersAndMembers:
		if given := c.Header.Values(accountTokenHeader); len(given) > 0 {
			return c.admitMember(given)
		}
	case sellers:
		if len(c.Header.Values(accountTokenHeader)) > 0 { // the caller acts for a member, who may not do this
			return errForbidden
		}
	}
	if !c.caller.SellerSide() || !c.caller.Has(roles...) {
		return errForbidden
	}
	return nil
}

// admitMember finds out which account member calls. A bad token in the header is
// refused and not ignored: the sender means to have fewer rights than the access
// token gives.
func (c *call) admitMember(given []string) (err error) {
	if len(given) > 1 {
		return token.ErrInvalidToken
	}
	c.holder, err = c.cfg.Bearer.AccountHolder(c.Context(), given[0])
	return err
}

// isOwn reports whether the caller may see resources of the user. Members see only
// their own.
func (c *call) isOwn(userUID string) bool {
	return c.holder == nil || c.isSelf(userUID)
}

// isSelf reports whether the user is the member who calls.
func (c *call) isSelf(userUID string) bool {
	return c.holder != nil && c.holder.Principal.User.UID == userUID
}

// checkSelfManagement returns an error if a member calls whose realm does not let
// members manage themselves.
func (c *call) checkSelfManagement(realm storage.Realm) error {
	if c.holder == nil {
		return nil
	}
	return admin.ManageSelf(realm)
}

// checkManage returns an error unless the caller may change the user and its logins.
// A member finds only itself, so it may.
func (c *call) checkManage(u storage.User) error {
	if c.holder != nil {
		return nil
	}
	return c.cfg.Rules.ManageUser(c.Context(), c.caller.Authority(), u, nil)
}

var errSignInAgain = refuse(http.StatusForbidden,
	"a change of username, password or e-mail address takes a sign-in with the password, or with a one-time password token of the purpose reset_password")

// checkChangeCredentials returns an error if a member calls whose sign-in does not
// let it change its username, password or e-mail address.
func (c *call) checkChangeCredentials() error {
	if c.holder != nil && !c.holder.MayChangeCredentials() {
		return errSignInAgain
	}
	return nil
}
