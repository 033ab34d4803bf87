package admin

import (
	"context"
	"slices"

	"latchkey/storage"
)

// ManageUser decides whether the caller may change, unlock or delete a user and
// its logins, or end its sessions: whoever sets a password or an e-mail address
// can become that user.
//
// Admin users take a caller who has all of their roles. The seller side manages
// the users of all companies. A user of a company manages those of its own
// company whose roles it has itself; companyRoles are those roles, nil if they
// are not known.
func (r *Rules) ManageUser(ctx context.Context, caller Caller, u storage.User, companyRoles []string) error {
	if u.Kind == storage.Admin {
		roles, err := r.store.AdminRoles(ctx, u.UID)
		if err != nil {
			return err
		}
		return untold(caller.Require(roles))
	}
	if caller.SellerSide || slices.Contains(caller.Roles, RoleFullAccess) {
		return nil
	}
	own := Caller{Roles: union(caller.Roles, caller.OwnRoles)}
	if companyRoles == nil {
		return &Denied{Has: own.Roles}
	}
	return untold(Caller{Roles: own.Roles}.Require(companyRoles))
}

// CreateUser decides whether the caller may make a user: of an admin user it
// needs the roles that every admin user has.
func (r *Rules) CreateUser(ctx context.Context, caller Caller, kind storage.UserKind) error {
	if kind != storage.Admin {
		return nil
	}
	roles, err := r.store.RolesOfParty(ctx, storage.KindParty(storage.Admin))
	if err != nil {
		return err
	}
	return untold(caller.Require(roles))
}

// untold does not tell a caller the roles of another user.
func untold(err error) error {
	if denied, ok := err.(*Denied); ok { //nolint:errorlint // Require wraps nothing
		return &Denied{Has: denied.Has}
	}
	return err
}
