package wire

import "latchkey/storage"

// TypeMembership is the type of an account membership.
const TypeMembership = "account_membership"

// MembershipBody is a membership as it is sent. Roles is an extension of Latchkey.
type MembershipBody struct {
	Type     *string  `json:"type"`
	MemberID *string  `json:"account_member_id"` // cannot be changed
	Roles    []string `json:"roles"`             // absent: the roles stay
}

// Membership connects an account member with an account.
type Membership struct {
	ID            string                  `json:"id"`
	Type          string                  `json:"type"`
	MemberID      string                  `json:"account_member_id"`
	Roles         []string                `json:"roles"`
	Relationships MembershipRelationships `json:"relationships"`
	Meta          Timestamps              `json:"meta"`
	Links         *Links                  `json:"links,omitempty"` // in lists
}

// MembershipRelationships lead to the other end of a membership: to the member in
// the list of an account, to the account in the list of a member.
type MembershipRelationships struct {
	Member  *Relation `json:"account_member,omitempty"`
	Account *Relation `json:"account,omitempty"`
}

// MembershipPath returns the path of a membership.
func MembershipPath(d storage.MembershipDetail) string {
	return AccountPath(d.Account.ID) + "/account-memberships/" + d.Membership.ID
}

// Check returns an *InvalidError if a member is wrong, or required and absent.
func (b MembershipBody) Check(isNew bool) error {
	var c Check
	c.filled("account_member_id", b.MemberID, isNew)
	c.roles("roles", b.Roles)
	return c.Err()
}

// MembershipFromRecord returns a membership as it is shown.
func MembershipFromRecord(d storage.MembershipDetail) Membership {
	return Membership{
		ID: d.Membership.ID, Type: TypeMembership, MemberID: d.Membership.UserUID, Roles: orEmpty(d.Membership.Roles),
		Meta: timestamps(d.Membership.CreatedAt, d.Membership.UpdatedAt),
		Relationships: MembershipRelationships{
			Member: &Relation{Data: &Reference{ID: d.Membership.UserUID, Type: TypeMember}},
		},
	}
}

// ListedMembership returns a membership as the list of an account shows it. base is
// the address of the server.
func ListedMembership(d storage.MembershipDetail, base string) Membership {
	shown := MembershipFromRecord(d)
	shown.Links = &Links{Self: base + MembershipPath(d)}
	return shown
}

// MembershipOfMember returns a membership as the list of a member shows it.
func MembershipOfMember(d storage.MembershipDetail, base string) Membership {
	shown := ListedMembership(d, base)
	shown.Relationships = MembershipRelationships{Account: &Relation{Data: &Reference{ID: d.Account.ID, Type: TypeAccount}}}
	return shown
}
