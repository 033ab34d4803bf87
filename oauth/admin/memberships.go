package admin

import (
	"slices"

	"latchkey/storage"
)

// ChangeMembership returns nil if the caller may make, change or end a membership.
// before is nil for a new one, after is nil for one that ends. A change of its roles
// needs the roles of both states. A change that keeps the roles needs none.
func (r *Rules) ChangeMembership(caller Caller, before, after *storage.Membership) error {
	had, has := rolesOf(before), rolesOf(after)
	if slices.Equal(had, has) {
		return nil
	}
	return caller.Require(had, has)
}

func rolesOf(m *storage.Membership) []string {
	if m == nil {
		return nil
	}
	return union(m.Roles)
}

// NameMembershipRoles returns nil if the caller may say which roles a membership has.
// Callers check it in addition to ChangeMembership.
func (r *Rules) NameMembershipRoles(caller Caller) error {
	return caller.Require([]string{"SecurityProfileAdmin"})
}
