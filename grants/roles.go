package grants

import (
	"slices"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// entitled returns the roles a holder may carry through the client: what it
// has, cut at the client's ceiling.
func entitled(c *storage.Client, has []string) []string {
	if len(c.MaximumRoles) == 0 {
		return has
	}
	return intersect(has, c.MaximumRoles)
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

// selectRoles is GrantRoles without the client's minimum.
func selectRoles(c *storage.Client, has, requested []string) ([]string, error) {
	granted := entitled(c, has)
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
