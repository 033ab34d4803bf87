package elasticpath

import (
	"errors"
	"net/http"
	"slices"

	"latchkey/storage"
)

const typeMembership = "account_membership"

// roleGiver may say which roles a membership has.
const roleGiver = "SecurityProfileAdmin"

// MembershipBody is a membership as it is sent. Roles are Latchkey's own.
type MembershipBody struct {
	Type     *string  `json:"type"`
	MemberID *string  `json:"account_member_id"` // cannot be changed
	Roles    []string `json:"roles"`             // what is left out stays
}

// Membership makes an account member one of an account.
type Membership struct {
	ID            string                  `json:"id"`
	Type          string                  `json:"type"`
	MemberID      string                  `json:"account_member_id"`
	Roles         []string                `json:"roles"`
	Relationships MembershipRelationships `json:"relationships"`
	Meta          Timestamps              `json:"meta"`
	Links         *Links                  `json:"links,omitempty"` // in lists
}

// MembershipRelationships lead to the other end of a membership: the member
// below an account, the account below a member.
type MembershipRelationships struct {
	Member  *Relation `json:"account_member,omitempty"`
	Account *Relation `json:"account,omitempty"`
}

var (
	membershipList = byTime(map[string]filterable{"account_member_id": {record: "UserUID", ops: "eq like"}})
	strangerList   = byTime(map[string]filterable{
		"email": {record: "Email", ops: peopleOps, fold: true},
		"name":  {record: "Name", ops: peopleOps, fold: true},
	}, "name", "email").withID("UID")
)

func membershipPath(d storage.MembershipDetail) string {
	return accountPath(d.Account.ID) + "/account-memberships/" + d.Membership.ID
}

func (a *API) membership(d storage.MembershipDetail) Membership {
	roles := slices.Clone(d.Membership.Roles)
	if roles == nil {
		roles = []string{}
	}
	return Membership{
		ID: d.Membership.ID, Type: typeMembership, MemberID: d.Membership.UserUID, Roles: roles,
		Meta: timestamps(d.Membership.CreatedAt, d.Membership.UpdatedAt),
		Relationships: MembershipRelationships{
			Member: &Relation{Data: &Reference{ID: d.Membership.UserUID, Type: typeMember}},
		},
	}
}

func (a *API) membershipReply(status int, d storage.MembershipDetail) reply {
	return a.document(status, a.membership(d), membershipPath(d), d.Membership.Version)
}

// listAccountMemberships lists the memberships of an account. A member sees its
// own among them.
func (a *API) listAccountMemberships(c *call) (reply, error) {
	account, err := a.accountOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := membershipList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	if c.holder != nil {
		q.Where = append(q.Where, equals("UserUID", c.holder.Principal.User.UID))
	}
	found, err := a.cfg.Memberships.ListMemberships(c.Context(), storage.MembershipScope{AccountUID: account.UID}, q)
	if err != nil {
		return reply{}, err
	}
	shown := listOf(c, q, found, a.listedMembership)
	if c.includes(typeMember) {
		included := &Included{}
		for _, d := range found.Items {
			included.Members = append(included.Members, a.listedMember(d.User))
		}
		shown = withIncluded[Membership](shown, included)
	}
	return shown, nil
}

func (a *API) listedMembership(d storage.MembershipDetail) Membership {
	shown := a.membership(d)
	shown.Links = &Links{Self: a.base + membershipPath(d)}
	return shown
}

func withIncluded[T any](r reply, included *Included) reply {
	if list, ok := r.body.(List[T]); ok {
		list.Included = included
		r.body = list
	}
	return r
}

// listMemberMemberships lists the memberships of an account member.
func (a *API) listMemberMemberships(c *call) (reply, error) {
	u, err := a.memberOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := membershipList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	found, err := a.cfg.Memberships.ListMemberships(c.Context(), storage.MembershipScope{UserUID: u.UID}, q)
	if err != nil {
		return reply{}, err
	}
	shown := listOf(c, q, found, func(d storage.MembershipDetail) Membership {
		item := a.listedMembership(d)
		item.Relationships = MembershipRelationships{Account: &Relation{Data: &Reference{ID: d.Account.ID, Type: typeAccount}}}
		return item
	})
	if !c.includes(typeAccount) {
		return shown, nil
	}
	included, err := a.accountsOf(c, found.Items)
	return withIncluded[Membership](shown, included), err
}

func (a *API) accountsOf(c *call, memberships []storage.MembershipDetail) (*Included, error) {
	included, known := &Included{}, family{}
	for _, d := range memberships {
		shown, err := a.account(c, d.Account, known)
		if err != nil {
			return nil, err
		}
		shown.Links = &Links{Self: a.base + accountPath(d.Account.ID)}
		included.Accounts = append(included.Accounts, shown)
	}
	return included, nil
}

func (a *API) listStrangers(c *call) (reply, error) {
	account, err := a.accountOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := strangerList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	found, err := a.cfg.Memberships.ListNonMembers(c.Context(), settingsRealm, account.UID, q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, a.listedMember), nil
}

// readMembership reads a membership. Whoever may not give roles may not name
// any.
func (c *call) readMembership(isNew bool) (MembershipBody, error) {
	var body MembershipBody
	if _, err := c.read(&body, typeMembership); err != nil {
		return body, err
	}
	var check check
	check.filled("account_member_id", body.MemberID, isNew)
	check.roles("roles", body.Roles)
	if err := check.err(); err != nil {
		return body, err
	}
	if body.Roles != nil && !c.caller.Has(roleGiver) {
		return body, errForbidden
	}
	slices.Sort(body.Roles)
	body.Roles = slices.Compact(body.Roles)
	return body, nil
}

func (a *API) postMembership(c *call) (reply, error) {
	account, err := a.accountOf(c)
	if err != nil {
		return reply{}, err
	}
	body, err := c.readMembership(true)
	if err != nil {
		return reply{}, err
	}
	u, err := a.memberByID(c, *body.MemberID)
	if err != nil {
		return reply{}, err
	}
	id, err := a.newID()
	if err != nil {
		return reply{}, err
	}
	fresh := storage.Membership{ID: id, AccountUID: account.UID, UserUID: u.UID, Roles: body.Roles, Version: storage.MustBeNew}
	if err := a.cfg.Rules.ChangeMembership(c.caller.Authority(), nil, &fresh); err != nil {
		return reply{}, err
	}
	stored, err := a.cfg.Memberships.PutMembership(c.Context(), fresh)
	if errors.Is(err, storage.ErrConflict) {
		return reply{}, refuse(http.StatusConflict, "account membership with the given account id and account member id already exists")
	}
	if err != nil {
		return reply{}, err
	}
	done := a.membershipReply(http.StatusCreated, storage.MembershipDetail{Membership: stored, Account: account, User: u}).changedFrom(nil)
	a.record(c, typeMembership, "created", id, done.changed...)
	return done, nil
}

func (a *API) getMembership(c *call) (reply, error) {
	d, err := a.membershipOf(c)
	if err != nil {
		return reply{}, err
	}
	shown := a.membershipReply(http.StatusOK, d)
	if document, ok := shown.body.(Document[any]); ok && c.includes(typeMember) {
		document.Included = &Included{Members: []AccountMember{a.listedMember(d.User)}}
		shown.body = document
	}
	return shown, nil
}

func (a *API) putMembership(c *call) (reply, error) {
	body, err := c.readMembership(false)
	if err != nil {
		return reply{}, err
	}
	var before storage.MembershipDetail
	d, err := rewrite(c,
		func() (storage.MembershipDetail, error) { return a.membershipOf(c) },
		func(d storage.MembershipDetail) int64 { return d.Membership.Version },
		func(d storage.MembershipDetail) (storage.MembershipDetail, error) {
			before = d
			if body.MemberID != nil && *body.MemberID != d.User.UID {
				return d, errConstraint
			}
			if body.Roles != nil {
				d.Membership.Roles = body.Roles
			}
			return d, a.cfg.Rules.ChangeMembership(c.caller.Authority(), &before.Membership, &d.Membership)
		},
		func(d storage.MembershipDetail) (_ storage.MembershipDetail, err error) {
			d.Membership, err = a.cfg.Memberships.PutMembership(c.Context(), d.Membership)
			return d, err
		})
	if err != nil {
		return reply{}, err
	}
	done := a.membershipReply(http.StatusOK, d).changedFrom(a.membership(before))
	a.record(c, typeMembership, "updated", d.Membership.ID, done.changed...)
	return done, nil
}

func (a *API) deleteMembership(c *call) (reply, error) {
	wanted, err := c.wantsVersion()
	if err != nil {
		return reply{}, err
	}
	d, err := a.membershipOf(c)
	if err == nil && wanted != 0 && wanted != d.Membership.Version {
		err = errStale
	}
	if err == nil {
		err = a.cfg.Rules.ChangeMembership(c.caller.Authority(), &d.Membership, nil)
	}
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Memberships.DeleteMembership(c.Context(), d.Membership.AccountUID, d.Membership.UserUID); err != nil {
		return reply{}, orNotFound(err, "account membership")
	}
	a.record(c, typeMembership, "deleted", d.Membership.ID)
	return reply{status: http.StatusNoContent}, nil
}

// membershipOf returns the membership that the path names.
func (a *API) membershipOf(c *call) (storage.MembershipDetail, error) {
	account, err := a.accountOf(c)
	if err != nil {
		return storage.MembershipDetail{}, err
	}
	id, ok := c.id("membership")
	if !ok {
		return storage.MembershipDetail{}, notFound("account membership")
	}
	d, err := a.cfg.Memberships.MembershipByID(c.Context(), id)
	if err == nil && (d.Membership.AccountUID != account.UID || !c.isOwn(d.Membership.UserUID)) {
		err = storage.ErrNotFound
	}
	return d, orNotFound(err, "account membership")
}
