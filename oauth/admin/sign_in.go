package admin

import (
	"context"
	"slices"

	"latchkey/storage"
)

// ChangePasswordProfile decides whether the caller may change or delete the
// password profile: its codes, its lockout, its password rules and the logins in
// it. It takes the roles of all admin users who have a login there.
func (r *Rules) ChangePasswordProfile(ctx context.Context, caller Caller, id string) error {
	roles, err := r.store.AdminRolesOfPasswordProfile(ctx, id)
	if err != nil {
		return err
	}
	return caller.Require(roles)
}

// ChangeRealm decides whether the caller may change a realm. Mails of the server
// link to the redirect URIs, and everybody in the realm gets such mails, so
// another list of those takes FullAccess. The other settings concern account
// members only.
func (r *Rules) ChangeRealm(caller Caller, before, after storage.Realm) error {
	if slices.Equal(before.RedirectURIs, after.RedirectURIs) {
		return nil
	}
	return caller.Require([]string{RoleFullAccess})
}
