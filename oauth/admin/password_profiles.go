package admin

import "context"

// ChangePasswordProfile returns nil if the caller may change or delete the password
// profile: its codes, lockout and password rules, and its logins. The caller needs the
// roles of all admin users who have a login there.
func (r *Rules) ChangePasswordProfile(ctx context.Context, caller Caller, id string) error {
	roles, err := r.store.AdminRolesOfPasswordProfile(ctx, id)
	if err != nil {
		return err
	}
	return caller.Require(roles)
}
