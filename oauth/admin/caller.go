package admin

import (
	"slices"
	"strings"
)

// RoleFullAccess is the role that includes all others.
const RoleFullAccess = "FullAccess"

// RoleIntrospect lets its holder introspect the tokens of all clients.
const RoleIntrospect = "TokenIntrospection"

// Caller is the person or client that wants to change something.
type Caller struct {
	ClientID   string   // of the client through which it calls
	Roles      []string // of the access token, if the caller still has them
	SellerSide bool     // an admin user, or a client that acts for itself
	OwnRoles   []string // all roles of a company's user, whatever roles its token has
}

// Has reports whether the caller has the role, or FullAccess.
func (c Caller) Has(role string) bool {
	return slices.Contains(c.Roles, RoleFullAccess) || slices.Contains(c.Roles, role)
}

// Beyond returns the roles, sorted, that the caller does not have.
func (c Caller) Beyond(roles []string) []string {
	return slices.DeleteFunc(union(roles), c.Has)
}

// Require returns a *Denied that names the roles which the caller lacks, or nil
// if the caller has all of them.
func (c Caller) Require(roles ...[]string) error {
	missing := c.Beyond(slices.Concat(roles...))
	if len(missing) == 0 {
		return nil
	}
	return &Denied{Missing: missing, Has: c.Roles}
}

// Denied says that a caller may not make a change.
type Denied struct {
	Missing []string // roles that the caller lacks; nil: not disclosed
	Has     []string // roles that the caller has
}

// Error implements error.
func (d *Denied) Error() string {
	return "the change takes roles that the caller does not have: " + strings.Join(d.Missing, " ")
}

// union returns the members of all lists, sorted and without duplicates.
func union(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
