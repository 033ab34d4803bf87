package admin

import (
	"slices"
	"strings"
)

// RoleFullAccess is the role that stands for every other.
const RoleFullAccess = "FullAccess"

// RoleIntrospect lets its holder introspect the tokens of all clients.
const RoleIntrospect = "TokenIntrospection"

// Caller is who asks for a change.
type Caller struct {
	ClientID   string   // of the client through which it calls
	Roles      []string // of the access token, as far as they are still held
	SellerSide bool     // an admin user, or a client that acts for itself
	OwnRoles   []string // all roles of a company's user, whatever its token carries
}

// Has reports whether the caller has the role, or the one that stands for all.
func (c Caller) Has(role string) bool {
	return slices.Contains(c.Roles, RoleFullAccess) || slices.Contains(c.Roles, role)
}

// Beyond returns those of the roles that the caller does not have, sorted.
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
	Missing []string // roles that the caller lacks; nil: not told
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
