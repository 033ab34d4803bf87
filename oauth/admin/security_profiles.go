package admin

import (
	"context"
	"strings"

	"latchkey/storage"
)

// ChangeSecurityProfile returns nil if the caller may make, change or delete a
// security profile. before is nil for a new one, after is nil for one that is deleted.
// The caller needs the roles of the profile in both states. If the profile governs
// passwords in either state, the caller also needs the roles of the admin users who
// have it.
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

// AssignSecurityProfile returns nil if the caller may give a security profile to a
// party or take it away. The caller needs the roles of the profile. If the profile
// governs passwords, the caller also needs the roles of the admin user that it is
// assigned to. For all admin users, future ones included, the caller needs FullAccess.
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

// governsPasswords reports whether the profile changes how its users sign in.
func governsPasswords(p storage.SecurityProfile) bool {
	return p.Password != (storage.PasswordPolicy{})
}
