package grants

import (
	"slices"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// AllowedRoles returns those of the roles that a token of the client may carry: all
// of them, or those within the client's ceiling if it has one.
func AllowedRoles(c *storage.Client, has []string) []string {
	if len(c.MaximumRoles) == 0 {
		return has
	}
	return intersect(has, c.MaximumRoles)
}

// checkCeiling refuses a scope of which no user gets anything through the client.
// It is asked before a credential is verified.
func checkCeiling(c *storage.Client, requested []string) error {
	if len(requested) > 0 && len(AllowedRoles(c, requested)) == 0 {
		return fosite.ErrInvalidScope.WithWrap(ErrInsufficientRoles)
	}
	return nil
}

// GrantRoles decides the roles of a token. Requested scope values that the
// user does not have are left out, not refused (OrderCloud); none requested
// means all. It fails with ErrInsufficientRoles if the user lacks a role that
// the client demands, or if nothing of what was requested remains.
func GrantRoles(c *storage.Client, has, requested []string) ([]string, error) {
	if len(intersect(c.MinimumRoles, has)) < len(c.MinimumRoles) {
		return nil, fosite.ErrInvalidGrant.WithWrap(ErrInsufficientRoles)
	}
	return selectRoles(c, has, requested)
}

// accountRoles is GrantRoles for a token scoped to the session's account: it
// carries roles of that membership only, while the client's minimum may also be
// met by what the user has elsewhere. A token without roles is fine.
func accountRoles(c *storage.Client, s *Session, requested []string) ([]string, error) {
	if err := checkMinimum(c, s); err != nil {
		return nil, err
	}
	return selectRoles(c, s.Member.Membership.Roles, requested)
}

// subjectRoles decides the roles of a token made from the session's held one: in
// the same account no more than that one carries, in another what the membership
// there gives. Of a narrowed one it is no more than that carries anywhere: else
// the way through another account would lead back to all roles.
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

// rolesHere are the roles that the user of the session has in its account, or
// without one by itself.
func rolesHere(s *Session) []string {
	if s.Member != nil {
		return s.Member.Membership.Roles
	}
	return s.Principal.Roles
}

// sameAccount tells whether two memberships are in one account, or both in
// none.
func sameAccount(a, b *storage.Member) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Account.UID == b.Account.UID
}

// narrowRoles decides the roles of a token that continues another: what that
// was granted and the user still has, or the requested part of it. The client's
// minimum is about what the user has, not about what was granted.
func narrowRoles(c *storage.Client, s *Session, granted, requested []string) ([]string, error) {
	if len(intersect(requested, granted)) < len(requested) {
		return nil, fosite.ErrInvalidScope.WithWrap(ErrScopeExceeded)
	}
	if err := checkMinimum(c, s); err != nil {
		return nil, err
	}
	return selectRoles(c, intersect(granted, rolesHere(s)), requested)
}

// checkMinimum answers ErrInsufficientRoles unless the user has every role that
// the client demands, by itself or in the session's account.
func checkMinimum(c *storage.Client, s *Session) error {
	has := s.Principal.Roles
	if s.Member != nil {
		has = slices.Concat(has, s.Member.Membership.Roles)
	}
	_, err := GrantRoles(c, has, nil)
	return err
}

// selectRoles is GrantRoles without the client's minimum.
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
