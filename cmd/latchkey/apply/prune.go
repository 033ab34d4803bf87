package apply

import (
	"context"
	"slices"
	"strings"

	"latchkey/storage"
)

// prune plans to delete the records that the document does not name, of each list that
// the document has. The default realm and the default password profile stay, and so do
// all other realms and every user's membership in its own account.
func (p *plan) prune(ctx context.Context, doc Document) error {
	if p.Prune == nil {
		return nil
	}
	for _, part := range []func() error{
		func() error { return p.pruneMemberships(ctx, doc) },
		func() error { return p.pruneSenders(ctx, doc) },
		func() error { return p.pruneClients(ctx, doc) },
		func() error { return p.pruneSecurityProfiles(ctx, doc) },
		func() error { return p.pruneUsers(ctx, storage.Admin, doc.AdminUsers != nil, doc.namedUsers()) },
		func() error { return p.pruneUsers(ctx, storage.Buyer, true, doc.namedUsers()) },
		func() error { return p.pruneUsers(ctx, storage.Supplier, true, doc.namedUsers()) },
		func() error { return p.pruneAccounts(ctx, storage.Buyer, doc.Buyers != nil, doc.namedAccounts()) },
		func() error { return p.pruneAccounts(ctx, storage.Supplier, doc.Suppliers != nil, doc.namedAccounts()) },
		func() error { return p.prunePasswordProfiles(ctx, doc) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// remove plans a deletion.
func (p *plan) remove(kind, id string, do func(ctx context.Context) error) {
	p.result.Changes = append(p.result.Changes, Change{Action: Delete, Kind: kind, ID: id})
	p.write(do)
}

// namedAccounts returns the buyers and suppliers of the document by accountKey.
func (d *Document) namedAccounts() map[string]bool {
	named := map[string]bool{}
	for _, b := range d.Buyers {
		named[accountKey(storage.Buyer, b.ID)] = true
	}
	for _, s := range d.Suppliers {
		named[accountKey(storage.Supplier, s.ID)] = true
	}
	return named
}

// namedUsers returns the users of the document, by the accountKey of their account. An
// account is absent if the document does not list its users.
func (d *Document) namedUsers() map[string][]string {
	named := map[string][]string{}
	add := func(kind storage.UserKind, account string, users []User) {
		if users == nil {
			return
		}
		ids := []string{}
		for _, u := range users {
			ids = append(ids, u.ID)
		}
		named[accountKey(kind, account)] = ids
	}
	add(storage.Admin, "", d.AdminUsers)
	for _, b := range d.Buyers {
		add(storage.Buyer, b.ID, b.Users)
	}
	for _, s := range d.Suppliers {
		add(storage.Supplier, s.ID, s.Users)
	}
	return named
}

func (p *plan) pruneAccounts(ctx context.Context, kind storage.UserKind, listed bool, named map[string]bool) error {
	if !listed {
		return nil
	}
	label := map[storage.UserKind]string{storage.Buyer: "Buyer", storage.Supplier: "Supplier"}[kind]
	return eachListed(ctx, p.accountsOf(kind), func(a storage.Account) {
		if !named[accountKey(kind, a.ID)] {
			p.remove(label, a.ID, func(ctx context.Context) error { return p.Prune.DeleteAccount(ctx, a.UID, 0) })
		}
	})
}

func (p *plan) accountsOf(kind storage.UserKind) lists[storage.Account] {
	return func(ctx context.Context, q storage.Query) (storage.Page[storage.Account], error) {
		return p.Prune.ListAccounts(ctx, storage.DefaultRealmID, kind, q)
	}
}

// pruneUsers prunes the users of one kind. Users of a deleted account are deleted with the
// account.
func (p *plan) pruneUsers(ctx context.Context, kind storage.UserKind, listed bool, named map[string][]string) error {
	if !listed {
		return nil
	}
	accounts := map[string]string{"": ""} // IDs by UID
	if kind != storage.Admin {
		if err := eachListed(ctx, p.accountsOf(kind), func(a storage.Account) { accounts[a.UID] = a.ID }); err != nil {
			return err
		}
	}
	list := func(ctx context.Context, q storage.Query) (storage.Page[storage.UserLogin], error) {
		return p.Prune.ListUsers(ctx, storage.UserScope{RealmID: storage.DefaultRealmID, Kind: kind}, q)
	}
	return eachListed(ctx, list, func(u storage.UserLogin) {
		account, known := accounts[u.User.AccountUID]
		ids, listed := named[accountKey(kind, account)]
		if !known || !listed || slices.Contains(ids, u.User.ID) {
			return
		}
		label, id := "User", account+"/"+u.User.ID
		if kind == storage.Admin {
			label, id = "AdminUser", u.User.ID
		}
		p.remove(label, id, func(ctx context.Context) error { return p.Prune.DeleteUser(ctx, u.User.UID, 0) })
	})
}

func (p *plan) pruneClients(ctx context.Context, doc Document) error {
	if doc.ApiClients == nil {
		return nil
	}
	return eachListed(ctx, p.Prune.ListClients, func(c storage.Client) {
		if !slices.ContainsFunc(doc.ApiClients, func(item ApiClient) bool { return strings.EqualFold(item.ID, c.ID) }) {
			p.remove("ApiClient", c.ID, func(ctx context.Context) error { return p.Prune.DeleteClient(ctx, c.ID, 0) })
		}
	})
}

func (p *plan) pruneSenders(ctx context.Context, doc Document) error {
	if doc.MessageSenders == nil {
		return nil
	}
	return eachListed(ctx, p.Prune.ListSenders, func(s storage.Sender) {
		if !slices.ContainsFunc(doc.MessageSenders, func(item MessageSender) bool { return item.ID == s.ID }) {
			p.remove("MessageSender", s.ID, func(ctx context.Context) error { return p.Prune.DeleteSender(ctx, s.ID, 0) })
		}
	})
}

func (p *plan) pruneSecurityProfiles(ctx context.Context, doc Document) error {
	if doc.SecurityProfiles == nil {
		return nil
	}
	return eachListed(ctx, p.Prune.ListSecurityProfiles, func(s storage.SecurityProfile) {
		if !slices.ContainsFunc(doc.SecurityProfiles, func(item SecurityProfile) bool { return item.ID == s.ID }) {
			p.remove("SecurityProfile", s.ID, func(ctx context.Context) error { return p.Prune.DeleteSecurityProfile(ctx, s.ID, 0) })
		}
	})
}

// prunePasswordProfiles prunes the password profiles of the realms that the document names.
func (p *plan) prunePasswordProfiles(ctx context.Context, doc Document) error {
	for _, realm := range doc.Realms {
		if realm.PasswordProfiles == nil {
			continue
		}
		list := func(ctx context.Context, q storage.Query) (storage.Page[storage.PasswordProfile], error) {
			return p.Prune.ListPasswordProfiles(ctx, storage.RealmID(realm.ID), q)
		}
		err := eachListed(ctx, list, func(s storage.PasswordProfile) {
			named := func(item PasswordProfile) bool { return storage.PasswordProfileID(item.ID) == s.ID }
			if s.ID != storage.DefaultProfileID && !slices.ContainsFunc(realm.PasswordProfiles, named) {
				p.remove("password_profile", s.ID, func(ctx context.Context) error { return p.Prune.DeletePasswordProfile(ctx, s.ID, 0) })
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pruneMemberships compares the document with the memberships as an export writes them.
func (p *plan) pruneMemberships(ctx context.Context, doc Document) error {
	if doc.Memberships == nil {
		return nil
	}
	e := exporter{store: p.Prune}
	if err := e.memberships(ctx); err != nil {
		return err
	}
	for i, m := range e.doc.Memberships {
		named := func(item Membership) bool {
			_, id, _ := strings.Cut(m.MemberID, "/")
			return item.AccountID == m.AccountID && (item.MemberID == m.MemberID || item.MemberID == id)
		}
		d := e.details[i]
		if d.User.AccountUID == d.Account.UID || slices.ContainsFunc(doc.Memberships, named) {
			continue
		}
		p.remove("account_membership", m.AccountID+"/"+m.MemberID, func(ctx context.Context) error {
			return p.Prune.DeleteMembership(ctx, d.Membership.ID, 0)
		})
	}
	return nil
}

// lists is a List method of a store.
type lists[R any] = func(ctx context.Context, q storage.Query) (storage.Page[R], error)

// listPage is how many records are read at a time.
const listPage = 1000

// eachListed calls do with all records of a list.
func eachListed[R any](ctx context.Context, list lists[R], do func(R)) error {
	q := storage.Query{Limit: listPage}
	for {
		page, err := list(ctx, q)
		if err != nil {
			return err
		}
		for _, record := range page.Items {
			do(record)
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}
