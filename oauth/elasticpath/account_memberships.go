package elasticpath

import (
	"errors"
	"net/http"
	"slices"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var (
	membershipList = byTime(map[string]filterable{"account_member_id": {record: "UserUID", ops: "eq like"}})
	nonMemberList  = byTime(map[string]filterable{
		"email": {record: "Email", ops: textOps, fold: true},
		"name":  {record: "Name", ops: textOps, fold: true},
	}, "name", "email").withID("UID")
)

// memberships is the resource account membership.
type memberships struct{}

func (memberships) kind() string { return wire.TypeMembership }

func (memberships) find(c *call) (storage.MembershipDetail, error) {
	account, err := accounts{}.find(c)
	if err != nil {
		return storage.MembershipDetail{}, err
	}
	id, ok := c.id("membership")
	if !ok {
		return storage.MembershipDetail{}, notFound("account membership")
	}
	d, err := c.cfg.Memberships.MembershipByID(c.Context(), id)
	if err == nil && (d.Membership.AccountUID != account.UID || !c.isOwn(d.Membership.UserUID)) {
		err = storage.ErrNotFound
	}
	return d, orNotFound(err, "account membership")
}

func (memberships) show(_ *call, d storage.MembershipDetail) (any, string, error) {
	return wire.MembershipFromRecord(d), wire.MembershipPath(d), nil
}

func (memberships) key(d storage.MembershipDetail) (string, int64) {
	return d.Membership.ID, d.Membership.Version
}

func (memberships) put(c *call, d storage.MembershipDetail) (_ storage.MembershipDetail, err error) {
	d.Membership, err = c.cfg.Memberships.PutMembership(c.Context(), d.Membership)
	return d, err
}

// listAccountMemberships lists the memberships of an account. A member sees only its
// own.
func listAccountMemberships(c *call) (surface.Answer, error) {
	account, err := accounts{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	included := &wire.Included{}
	fetch := func(q storage.Query) (storage.Page[storage.MembershipDetail], error) {
		if c.holder != nil {
			q.Where = append(q.Where, equals("UserUID", c.holder.Principal.User.UID))
		}
		return c.cfg.Memberships.ListMemberships(c.Context(), storage.MembershipScope{AccountUID: account.UID}, q)
	}
	done, err := list(c, membershipList, fetch, func(d storage.MembershipDetail) (wire.Membership, error) {
		included.Members = append(included.Members, wire.ListedMember(d.User, c.base))
		return wire.ListedMembership(d, c.base), nil
	})
	if err == nil && c.includes(wire.TypeMember) {
		done = withIncluded[wire.Membership](done, included)
	}
	return done, err
}

// listMemberMemberships lists the memberships of an account member.
func listMemberMemberships(c *call) (surface.Answer, error) {
	u, err := findMember(c)
	if err != nil {
		return surface.Answer{}, err
	}
	included, known, wanted := &wire.Included{}, accountCache{}, c.includes(wire.TypeAccount)
	fetch := func(q storage.Query) (storage.Page[storage.MembershipDetail], error) {
		return c.cfg.Memberships.ListMemberships(c.Context(), storage.MembershipScope{UserUID: u.UID}, q)
	}
	done, err := list(c, membershipList, fetch, func(d storage.MembershipDetail) (wire.Membership, error) {
		if wanted {
			account, err := listedAccount(c, d.Account, known)
			if err != nil {
				return wire.Membership{}, err
			}
			included.Accounts = append(included.Accounts, account)
		}
		return wire.MembershipOfMember(d, c.base), nil
	})
	if err == nil && wanted {
		done = withIncluded[wire.Membership](done, included)
	}
	return done, err
}

// listNonMembers lists the account members who are not members of an account.
func listNonMembers(c *call) (surface.Answer, error) {
	account, err := accounts{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	fetch := func(q storage.Query) (storage.Page[storage.User], error) {
		return c.cfg.Memberships.ListNonMembers(c.Context(), wire.SettingsRealm, account.UID, q)
	}
	return list(c, nonMemberList, fetch, func(u storage.User) (wire.AccountMember, error) {
		return wire.ListedMember(u, c.base), nil
	})
}

// readMembership reads a membership, and refuses roles from a caller who may not name
// any.
func readMembership(c *call, isNew bool) (body wire.MembershipBody, err error) {
	if _, err := c.read(&body, wire.TypeMembership); err != nil {
		return body, err
	}
	if err := body.Check(isNew); err != nil {
		return body, err
	}
	if body.Roles != nil {
		err = c.cfg.Rules.NameMembershipRoles(c.caller.Authority())
	}
	slices.Sort(body.Roles)
	body.Roles = slices.Compact(body.Roles)
	return body, err
}

func postMembership(c *call) (surface.Answer, error) {
	account, err := accounts{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	body, err := readMembership(c, true)
	if err != nil {
		return surface.Answer{}, err
	}
	u, err := memberByID(c, *body.MemberID)
	if err != nil {
		return surface.Answer{}, err
	}
	id, err := c.newID()
	if err != nil {
		return surface.Answer{}, err
	}
	fresh := storage.Membership{ID: id, AccountUID: account.UID, UserUID: u.UID, Roles: body.Roles, Version: storage.MustBeNew}
	if err := c.cfg.Rules.ChangeMembership(c.caller.Authority(), nil, &fresh); err != nil {
		return surface.Answer{}, err
	}
	stored, err := c.cfg.Memberships.PutMembership(c.Context(), fresh)
	if errors.Is(err, storage.ErrConflict) {
		return surface.Answer{}, refuse(http.StatusConflict, "account membership with the given account id and account member id already exists")
	}
	if err != nil {
		return surface.Answer{}, err
	}
	return created(c, memberships{}, storage.MembershipDetail{Membership: stored, Account: account, User: u})
}

func getMembership(c *call) (surface.Answer, error) {
	d, err := memberships{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	done, err := answer(c, memberships{}, http.StatusOK, d)
	if shown, ok := done.Body.(wire.Document[any]); ok && c.includes(wire.TypeMember) {
		shown.Included = &wire.Included{Members: []wire.AccountMember{wire.ListedMember(d.User, c.base)}}
		done.Body = shown
	}
	return done, err
}

func putMembership(c *call) (surface.Answer, error) {
	body, err := readMembership(c, false)
	if err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, memberships{}, func(d storage.MembershipDetail) (storage.MembershipDetail, error) {
		old := d.Membership
		if body.MemberID != nil && *body.MemberID != d.User.UID {
			return d, errConstraint
		}
		if body.Roles != nil {
			d.Membership.Roles = body.Roles
		}
		return d, c.cfg.Rules.ChangeMembership(c.caller.Authority(), &old, &d.Membership)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return updated(c, memberships{}, before, stored)
}

func deleteMembership(c *call) (surface.Answer, error) {
	check := func(d storage.MembershipDetail) error {
		return c.cfg.Rules.ChangeMembership(c.caller.Authority(), &d.Membership, nil)
	}
	return remove(c, memberships{}, "account membership", check, func(d storage.MembershipDetail, version int64) error {
		return c.cfg.Memberships.DeleteMembership(c.Context(), d.Membership.ID, version)
	})
}
