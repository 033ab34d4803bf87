package oauth

import "slices"

// rolesNow returns those of a token's roles that are worth something still: what
// whoever it stands for has at this moment, in the token's account if it has
// one, and what it was given besides by the sender of a message. A role that was
// withdrawn ends here at once, though the token goes on; a role that was added
// needs a new token.
func rolesNow(c *accessClaims, h *holder) []string {
	has := h.client.Roles
	switch {
	case h.member != nil:
		has = h.member.Membership.Roles
	case h.principal != nil:
		has = h.principal.Roles
	}
	if slices.Contains(has, RoleFullAccess) {
		return c.Role
	}
	return slices.DeleteFunc(slices.Clone(c.Role), func(role string) bool {
		return !slices.Contains(has, role) && !slices.Contains(c.Elevated, role)
	})
}

// beyond returns the members of roles that are not in has.
func beyond(roles, has []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(role string) bool { return slices.Contains(has, role) })
}

// accountRolesNow is rolesNow for the roles in the token's account.
func accountRolesNow(c *accessClaims, h *holder) []string {
	if h.member == nil {
		return nil
	}
	return beyond(c.AccountRoles, beyond(c.AccountRoles, h.member.Membership.Roles))
}
