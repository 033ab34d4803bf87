package admin

import "context"

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
