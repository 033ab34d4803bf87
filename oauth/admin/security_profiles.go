package admin

import (
	"context"
	"strings"

	"latchkey/storage"
)

// ChangeSecurityProfile decides whether the caller may make, change or delete a
// security profile. before is nil for a new one, after for one that is deleted.
// The caller needs the roles that it gives in both states. If it governs
// passwords in either state, the caller also needs the roles of the admin users
// who have it.
func (r *Rules) ChangeSecurityProfile(ctx context.Context, caller Caller, before, after *storage.SecurityProfile) error {
	governs := false
	for _, state := range []*storage.SecurityProfile{before, after} {
		if state == nil {
			continue
		}
		if err := caller.Require(state.Roles); err != nil {
			return err
		}
		governs = governs || governsPasswords(*state)
	}
	if before == nil || !governs { // nobody has a new one
		return nil
	}
	roles, all, err := r.store.AdminRolesOfSecurityProfile(ctx, before.ID)
	if err != nil {
		return err
	}
	if all {
		roles = append(roles, RoleFullAccess)
	}
	return caller.Require(roles)
}

// AssignSecurityProfile decides whether the caller may give a security profile to
// a party or take it away. The caller needs the roles of the profile. If the
// profile governs passwords, the caller also needs the roles of an admin user
// whom it is for, and FullAccess if it is for all admin users, those to come
// included.
func (r *Rules) AssignSecurityProfile(ctx context.Context, caller Caller, p storage.SecurityProfile, party storage.Party) error {
	if err := caller.Require(p.Roles); err != nil || !governsPasswords(p) {
		return err
	}
	if party == storage.KindParty(storage.Admin) {
		return caller.Require([]string{RoleFullAccess})
	}
	uid, single := strings.CutPrefix(string(party), string(storage.UserParty("")))
	if !single {
		return nil
	}
	roles, err := r.store.AdminRoles(ctx, uid)
	if err != nil {
		return err
	}
	return caller.Require(roles)
}

// governsPasswords reports whether the profile changes how its holders sign in.
func governsPasswords(p storage.SecurityProfile) bool {
	return p.Password != (storage.PasswordPolicy{})
}
