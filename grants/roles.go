package grants

import (
	"slices"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// AllowedRoles returns the roles among has that a token of the client may carry: all of
// them, or those in the client's MaximumRoles if it has any.
func AllowedRoles(c *storage.Client, has []string) []string {
	if len(c.MaximumRoles) == 0 {
		return has
	}
	return intersect(has, c.MaximumRoles)
}

// checkCeiling returns ErrInsufficientRoles if the client's MaximumRoles allow none of
// the requested roles. Handlers call it before they verify a credential.
func checkCeiling(c *storage.Client, requested []string) error {
	if len(requested) > 0 && len(AllowedRoles(c, requested)) == 0 {
		return fosite.ErrInvalidScope.WithWrap(ErrInsufficientRoles)
	}
	return nil
}

// GrantRoles returns the roles of a token for a user with the roles has. Requested roles
// that the user does not have are left out (OrderCloud). No requested roles means all.
// It fails with ErrInsufficientRoles if the user lacks one of the client's MinimumRoles,
// or if none of the requested roles remains.
func GrantRoles(c *storage.Client, has, requested []string) ([]string, error) {
	if len(intersect(c.MinimumRoles, has)) < len(c.MinimumRoles) {
		return nil, fosite.ErrInvalidGrant.WithWrap(ErrInsufficientRoles)
	}
	return selectRoles(c, has, requested)
}

// accountRoles is GrantRoles for a token that is scoped to the session's account. The
// token carries only roles of that membership, and may carry none. The user's own roles
// also count for the client's MinimumRoles.
func accountRoles(c *storage.Client, s *Session, requested []string) ([]string, error) {
	if err := checkMinimum(c, s); err != nil {
		return nil, err
	}
	return selectRoles(c, s.Member.Membership.Roles, requested)
}

// subjectRoles returns the roles of a token made from the session's subject token. In
// the same account they are no more than the subject token carries. In another account
// they are those of the membership there. If the subject token is narrowed, they are no
// more than it carries in any account. Otherwise a detour through another account would
// give back all roles.
func subjectRoles(c *storage.Client, s *Session, requested []string) ([]string, error) {
	if s.subject.Access && sameAccount(s.subject.Member, s.Member) {
		return narrowRoles(c, s, s.subject.Scope, requested)
	}
	if s.subject.Narrowed {
		if err := checkMinimum(c, s); err != nil {
			return nil, err
		}
		return selectRoles(c, intersect(rolesHere(s), s.subject.Scope), requested)
	}
	return accountRoles(c, s, requested)
}

// rolesHere returns the roles of the session's user in the session's account, or the
// user's own roles if there is no account.
func rolesHere(s *Session) []string {
	if s.Member != nil {
		return s.Member.Membership.Roles
	}
	return s.Principal.Roles
}

// sameAccount reports whether two memberships are in the same account, or both are nil.
func sameAccount(a, b *storage.Member) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Account.UID == b.Account.UID
}

// narrowRoles returns the roles of a token that continues another token: the granted
// roles that the user still has, or the requested ones among them. The client's
// MinimumRoles are compared with the roles of the user, not with the granted ones.
func narrowRoles(c *storage.Client, s *Session, granted, requested []string) ([]string, error) {
	if len(intersect(requested, granted)) < len(requested) {
		return nil, fosite.ErrInvalidScope.WithWrap(ErrScopeExceeded)
	}
	if err := checkMinimum(c, s); err != nil {
		return nil, err
	}
	return selectRoles(c, intersect(granted, rolesHere(s)), requested)
}

// checkMinimum returns ErrInsufficientRoles if the user lacks one of the client's
// MinimumRoles, counting the user's own roles and those in the session's account.
func checkMinimum(c *storage.Client, s *Session) error {
	has := s.Principal.Roles
	if s.Member != nil {
		has = slices.Concat(has, s.Member.Membership.Roles)
	}
	_, err := GrantRoles(c, has, nil)
	return err
}

// selectRoles is GrantRoles without the client's MinimumRoles.
func selectRoles(c *storage.Client, has, requested []string) ([]string, error) {
	granted := AllowedRoles(c, has)
	if len(requested) == 0 {
		return granted, nil
	}
	granted = intersect(granted, requested)
	if len(granted) == 0 {
		return nil, fosite.ErrInvalidScope.WithWrap(ErrInsufficientRoles)
	}
	return granted, nil
}

// intersect returns the members of a that are also in b, in a's order.
func intersect(a, b []string) []string {
	var both []string
	for _, role := range a {
		if slices.Contains(b, role) {
			both = append(both, role)
		}
	}
	return both
}
