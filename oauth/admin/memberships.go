package admin

import (
	"slices"

	"latchkey/storage"
)

// ChangeMembership decides whether the caller may make, change or end a
// membership. before is nil for a new one, after for one that ends. A caller who
// changes its roles needs those of both states. A membership whose roles stay
// takes nothing.
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

// NameMembershipRoles decides whether the caller may say which roles a membership has.
// It is asked in addition to ChangeMembership.
func (r *Rules) NameMembershipRoles(caller Caller) error {
	return caller.Require([]string{"SecurityProfileAdmin"})
}
