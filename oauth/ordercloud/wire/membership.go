package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Membership says that a user is a member of a company, with roles that the user has there
// only. It is the account membership of /v2. The resource is Latchkey's own.
type Membership struct {
	ID          string // read only
	CompanyID   string // ID of the buyer
	Roles       []string
	CompanyName string // read only, as are those that follow
	Own         bool   // the company is the user's own
	DateCreated *time.Time
}

// Validate returns every fault of the membership, as found at path.
func (m Membership) Validate(path string) Faults {
	c := check{path: path}
	c.id("CompanyID", m.CompanyID)
	c.roles("Roles", m.Roles)
	return c.faults
}

// MembershipFromRecord returns the membership as /v1 shows it.
func MembershipFromRecord(d storage.MembershipDetail) Membership {
	return Membership{
		ID: d.Membership.ID, CompanyID: d.Account.ID, CompanyName: d.Account.Name, Roles: surface.OrEmpty(d.Membership.Roles),
		Own: d.Account.UID == d.User.AccountUID, DateCreated: surface.Optional(d.Membership.CreatedAt),
	}
}
