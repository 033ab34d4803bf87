package admin

import (
	"context"
	"slices"

	"latchkey/storage"
)

// ManageUser returns nil if the caller may change, unlock or delete a user and its
// logins, or end its sessions. A caller that sets a password or an e-mail address can
// sign in as that user.
//
// For an admin user the caller needs all of the user's roles. The seller side manages
// the users of all companies. A user of a company manages users of its own company if
// it has all of their roles. companyRoles are the roles of the managed user, nil if
// they are not known.
func (r *Rules) ManageUser(ctx context.Context, caller Caller, u storage.User, companyRoles []string) error {
	if u.Kind == storage.Admin {
		roles, err := r.store.AdminRoles(ctx, u.UID)
		if err != nil {
			return err
		}
		return withoutRoles(caller.Require(roles))
	}
	if caller.SellerSide || slices.Contains(caller.Roles, RoleFullAccess) {
		return nil
	}
	own := Caller{Roles: union(caller.Roles, caller.OwnRoles)}
	if companyRoles == nil {
		return &Denied{Has: own.Roles}
	}
	return withoutRoles(Caller{Roles: own.Roles}.Require(companyRoles))
}

// CreateUser returns nil if the caller may make a user. For an admin user the caller
// needs the roles that every admin user has.
func (r *Rules) CreateUser(ctx context.Context, caller Caller, kind storage.UserKind) error {
	if kind != storage.Admin {
		return nil
	}
	roles, err := r.store.RolesOfParty(ctx, storage.KindParty(storage.Admin))
	if err != nil {
		return err
	}
	return withoutRoles(caller.Require(roles))
}

// withoutRoles removes the roles of another user from a refusal.
func withoutRoles(err error) error {
	if denied, ok := err.(*Denied); ok { //nolint:errorlint // Require wraps nothing
		return &Denied{Has: denied.Has}
	}
	return err
}
