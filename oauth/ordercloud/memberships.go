package ordercloud

import (
	"errors"
	"net/http"
	"slices"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// memberships are the companies that a user of a buyer is a member of. Below /v2 they are
// the account memberships of an account member.
type memberships struct {
	standard[storage.MembershipDetail]
	of users // of buyers
}

func (a *API) membershipRoutes() []route {
	k := kind{
		object: "Membership", path: "/v1/buyers/{buyerID}/users/{userID}/memberships", param: "membershipID",
		admin: []string{"BuyerAdmin"}, reader: []string{"BuyerReader", "BuyerUserAdmin", "BuyerUserReader"},
		fields: text("ID").with("CompanyID", "Account.ID", textField).with("CompanyName", "Account.Name", textField).
			with("DateCreated", "CreatedAt", timeField),
		search: []string{"CompanyID", "CompanyName"}, sameID: equalID,
	}
	m := memberships{of: users{a, kind{object: "User"}, storage.Buyer}}
	return newCollection(k, m).routes()
}

func (m memberships) list(c *call, q storage.Query) (storage.Page[storage.MembershipDetail], error) {
	p, err := m.of.existing(c)
	if err != nil {
		return storage.Page[storage.MembershipDetail]{}, err
	}
	return m.of.cfg.Stores.Memberships.ListMemberships(c.Context(), storage.MembershipScope{UserUID: p.User.UID}, q)
}

func (m memberships) get(c *call, id string) (storage.MembershipDetail, error) {
	p, err := m.of.existing(c)
	if err != nil {
		return storage.MembershipDetail{}, err
	}
	d, err := m.of.cfg.Stores.Memberships.MembershipByID(c.Context(), id)
	if err == nil && d.User.UID != p.User.UID {
		err = storage.ErrNotFound
	}
	return d, err
}

func (m memberships) blank(c *call) (storage.MembershipDetail, error) {
	p, err := m.of.existing(c)
	return storage.MembershipDetail{User: p.User, Membership: storage.Membership{UserUID: p.User.UID, Version: storage.MustBeNew}}, err
}

func (m memberships) show(d storage.MembershipDetail) wire.Membership {
	return wire.MembershipFromRecord(d)
}

func (m memberships) id(w *wire.Membership) *string { return &w.ID }

func (m memberships) version(d storage.MembershipDetail) int64 { return d.Membership.Version }

func (m memberships) auditID(c *call, id string) string {
	return m.of.auditID(c, c.PathValue("userID")) + "/" + id
}

// apply returns d with the members of w. It applies the same rules as /v2.
func (m memberships) apply(c *call, w wire.Membership, d storage.MembershipDetail) (storage.MembershipDetail, error) {
	faults := w.Validate("")
	isNew := d.Membership.Version == storage.MustBeNew
	switch {
	case w.CompanyID == "" && isNew:
		faults.Add("CompanyID", "is required")
	case w.CompanyID != "" && !isNew && w.CompanyID != d.Account.ID:
		faults.Add("CompanyID", "cannot be changed")
	}
	if err := faults.Err(); err != nil {
		return d, err
	}
	var before *storage.Membership
	if !isNew {
		old := d.Membership
		before = &old
	} else {
		var err error
		if d.Account, err = m.of.account(c, storage.Buyer, w.CompanyID); errors.Is(err, storage.ErrNotFound) {
			err = notFound("Buyer", w.CompanyID)
		}
		if err != nil {
			return d, err
		}
		d.Membership.ID, d.Membership.AccountUID = w.ID, d.Account.UID
	}
	d.Membership.Roles = slices.Compact(slices.Sorted(slices.Values(w.Roles)))
	caller := c.caller.Authority()
	if before == nil && len(w.Roles) > 0 || before != nil && !slices.Equal(before.Roles, d.Membership.Roles) {
		if err := m.of.cfg.Rules.NameMembershipRoles(caller); err != nil {
			return d, err
		}
	}
	return d, m.of.cfg.Rules.ChangeMembership(caller, before, &d.Membership)
}

func (m memberships) save(c *call, _ wire.Membership, d storage.MembershipDetail) (_ storage.MembershipDetail, err error) {
	isNew := d.Membership.Version == storage.MustBeNew
	d.Membership, err = m.of.cfg.Stores.Memberships.PutMembership(c.Context(), d.Membership)
	if isNew && errors.Is(err, storage.ErrConflict) {
		err = refuse(http.StatusConflict, "IdExists", "The user is a member of the company already, or the ID is in use.")
	}
	return d, err
}

func (m memberships) remove(c *call, d storage.MembershipDetail) error {
	if err := m.of.cfg.Rules.ChangeMembership(c.caller.Authority(), &d.Membership, nil); err != nil {
		return err
	}
	return m.of.cfg.Stores.Memberships.DeleteMembership(c.Context(), d.Membership.ID, d.Membership.Version)
}
