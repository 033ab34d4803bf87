package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	elasticpathwire "latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// Export returns the stored records as a document without secrets, in the order of
// their IDs. Applied to the same database it changes nothing. omitted says what the
// document cannot have.
func Export(ctx context.Context, store RecordStore) (doc Document, omitted []string, err error) {
	e := exporter{store: store}
	for _, part := range []func(context.Context) error{
		e.realms, e.accounts, e.users, e.securityProfiles, e.clients, e.senders, e.memberships,
	} {
		if err := part(ctx); err != nil {
			return Document{}, nil, err
		}
	}
	return e.doc, e.omitted, nil
}

// exporter reads all records. Later parts need what the earlier ones read.
type exporter struct {
	store    RecordStore
	doc      Document
	details  []storage.MembershipDetail // of doc.Memberships
	omitted  []string
	profiles map[string]bool            // IDs of the password profiles of the default realm
	byUID    map[string]storage.Account // buyers and suppliers
	userIDs  map[string]storage.User    // the users of the document, by UID
}

func (e *exporter) omit(format string, args ...any) {
	e.omitted = append(e.omitted, fmt.Sprintf(format, args...))
}

func (e *exporter) realms(ctx context.Context) error {
	e.doc.Realms, e.profiles = []Realm{}, map[string]bool{}
	var realms []storage.Realm
	if err := eachListed(ctx, e.store.ListRealms, func(r storage.Realm) { realms = append(realms, r) }); err != nil {
		return err
	}
	for _, r := range realms {
		item := Realm{ID: r.ID, Name: &r.Name, PasswordProfiles: []PasswordProfile{}}
		list := func(ctx context.Context, q storage.Query) (storage.Page[storage.PasswordProfile], error) {
			return e.store.ListPasswordProfiles(ctx, r.ID, q)
		}
		err := eachListed(ctx, list, func(p storage.PasswordProfile) {
			e.profiles[p.ID] = e.profiles[p.ID] || r.ID == storage.DefaultRealmID
			item.PasswordProfiles = append(item.PasswordProfiles, PasswordProfile{
				ID: p.ID, ProfileBody: elasticpathwire.ProfileBody{ProfileFields: elasticpathwire.ProfileFieldsFromRecord(p)},
			})
		})
		if err != nil {
			return err
		}
		e.doc.Realms = append(e.doc.Realms, item)
	}
	return nil
}

func (e *exporter) accounts(ctx context.Context) error {
	e.doc.Buyers, e.doc.Suppliers, e.byUID = []Buyer{}, []Supplier{}, map[string]storage.Account{}
	for _, kind := range []storage.UserKind{storage.Buyer, storage.Supplier} {
		list := func(ctx context.Context, q storage.Query) (storage.Page[storage.Account], error) {
			return e.store.ListAccounts(ctx, storage.DefaultRealmID, kind, q)
		}
		err := eachListed(ctx, list, func(a storage.Account) {
			e.byUID[a.UID] = a
			if kind == storage.Buyer {
				b := Buyer{Buyer: wire.BuyerFromRecord(a), Users: []User{}}
				b.DateCreated = nil
				e.doc.Buyers = append(e.doc.Buyers, b)
				return
			}
			s := Supplier{Supplier: wire.SupplierFromRecord(a), Users: []User{}}
			s.DateCreated = nil
			e.doc.Suppliers = append(e.doc.Suppliers, s)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) users(ctx context.Context) error {
	e.doc.AdminUsers, e.userIDs = []User{}, map[string]storage.User{}
	lists := map[string]*[]User{accountKey(storage.Admin, ""): &e.doc.AdminUsers}
	for i := range e.doc.Buyers {
		lists[accountKey(storage.Buyer, e.doc.Buyers[i].ID)] = &e.doc.Buyers[i].Users
	}
	for i := range e.doc.Suppliers {
		lists[accountKey(storage.Supplier, e.doc.Suppliers[i].ID)] = &e.doc.Suppliers[i].Users
	}
	list := func(ctx context.Context, q storage.Query) (storage.Page[storage.UserLogin], error) {
		return e.store.ListUsers(ctx, storage.UserScope{}, q)
	}
	return eachListed(ctx, list, func(u storage.UserLogin) {
		into, known := lists[accountKey(u.User.Kind, e.byUID[u.User.AccountUID].ID)]
		switch {
		case u.User.RealmID != storage.DefaultRealmID || !known:
			e.omit("user %s: it belongs to realm %s", u.User.ID, u.User.RealmID)
		case u.Login.ID == "" || !e.profiles[u.Login.ProfileID]:
			e.omit("user %s: it has no login in the default realm", u.User.ID)
		default:
			e.userIDs[u.User.UID] = u.User
			item := User{User: wire.UserFromRecord(u.User, u.Login, ""), Locale: u.User.Locale}
			item.DateCreated, item.LastActive, item.PasswordLastSetDate, item.FailedLoginAttempts = nil, nil, nil, 0
			*into = append(*into, item)
		}
	})
}

// partyOf returns the members of an assignment to an account.
func (e *exporter) partyOf(uid string) (buyer, supplier *string, ok bool) {
	a, ok := e.byUID[uid]
	switch {
	case !ok:
		return nil, nil, false
	case a.Kind == storage.Supplier:
		return nil, &a.ID, true
	}
	return &a.ID, nil, true
}

func (e *exporter) securityProfiles(ctx context.Context) error {
	e.doc.SecurityProfiles = []SecurityProfile{}
	assigned := map[string][]wire.SecurityProfileAssignment{}
	err := eachListed(ctx, e.store.ListProfileAssignments, func(a storage.ProfileAssignment) {
		var item wire.SecurityProfileAssignment
		var ok bool
		kind, uid, _ := strings.Cut(string(a.Party), ":")
		switch kind {
		case "user":
			var u storage.User
			if u, ok = e.userIDs[uid]; ok {
				item.UserID = &u.ID
				if u.AccountUID != "" {
					item.BuyerID, item.SupplierID, ok = e.partyOf(u.AccountUID)
				}
			}
		case "account":
			item.BuyerID, item.SupplierID, ok = e.partyOf(uid)
		default:
			ok = a.Party == storage.KindParty(storage.Admin)
		}
		if !ok {
			e.omit("security profile %s: its assignment to %s", a.ProfileID, a.Party)
			return
		}
		assigned[a.ProfileID] = append(assigned[a.ProfileID], item)
	})
	if err != nil {
		return err
	}
	return eachListed(ctx, e.store.ListSecurityProfiles, func(p storage.SecurityProfile) {
		item := SecurityProfile{SecurityProfile: wire.SecurityProfileFromRecord(p), Assignments: assigned[p.ID]}
		if item.Assignments == nil {
			item.Assignments = []wire.SecurityProfileAssignment{}
		}
		slices.SortFunc(item.Assignments, func(a, b wire.SecurityProfileAssignment) int {
			return strings.Compare(assignmentKey(a.BuyerID, a.SupplierID, a.UserID), assignmentKey(b.BuyerID, b.SupplierID, b.UserID))
		})
		e.doc.SecurityProfiles = append(e.doc.SecurityProfiles, item)
	})
}

func assignmentKey(parts ...*string) string {
	var key strings.Builder
	for _, part := range parts {
		if part != nil {
			key.WriteString(*part)
		}
		key.WriteByte(0)
	}
	return key.String()
}

// assignedParty is a buyer or a supplier to which something is assigned.
type assignedParty struct{ buyer, supplier *string }

// partiesOf returns the accounts that the document names, in the order of their IDs.
func (e *exporter) partiesOf(accountUIDs []string) (parties []assignedParty) {
	for _, uid := range accountUIDs {
		if buyer, supplier, ok := e.partyOf(uid); ok {
			parties = append(parties, assignedParty{buyer, supplier})
		}
	}
	slices.SortFunc(parties, func(a, b assignedParty) int {
		return strings.Compare(assignmentKey(a.buyer, a.supplier), assignmentKey(b.buyer, b.supplier))
	})
	return parties
}

func (e *exporter) clients(ctx context.Context) error {
	e.doc.ApiClients = []ApiClient{}
	return eachListed(ctx, e.store.ListClients, func(c storage.Client) {
		item := ApiClient{ApiClient: wire.ApiClientFromRecord(c), Public: &c.Public, Roles: sorted(c.Roles), Assignments: []wire.ApiClientAssignment{}}
		if c.ProfileID == storage.DefaultProfileID {
			item.PasswordProfileID = nil
		}
		for _, p := range e.partiesOf(c.AccountUIDs) {
			item.Assignments = append(item.Assignments, wire.ApiClientAssignment{BuyerID: p.buyer, SupplierID: p.supplier})
		}
		e.doc.ApiClients = append(e.doc.ApiClients, item)
	})
}

func (e *exporter) senders(ctx context.Context) error {
	e.doc.MessageSenders = []MessageSender{}
	return eachListed(ctx, e.store.ListSenders, func(s storage.Sender) {
		item := MessageSender{MessageSender: wire.MessageSenderFromRecord(s), Assignments: []wire.MessageSenderAssignment{}}
		if item.MessageSender.SMTP != nil {
			item.SMTP = &SMTP{SMTP: *item.MessageSender.SMTP}
		}
		if s.DeliveryConfig != "" {
			e.omit("delivery config %s of message sender %s: make it first in another database", s.DeliveryConfig, s.ID)
		}
		if s.AllowSeller {
			item.Assignments = append(item.Assignments, wire.MessageSenderAssignment{})
		}
		for _, p := range e.partiesOf(s.AccountUIDs) {
			item.Assignments = append(item.Assignments, wire.MessageSenderAssignment{BuyerID: p.buyer, SupplierID: p.supplier})
		}
		e.doc.MessageSenders = append(e.doc.MessageSenders, item)
	})
}

// memberships reads the memberships. It leaves out the membership that every user has in its
// own account, unless it has roles. It does not need the results of the other methods.
func (e *exporter) memberships(ctx context.Context) error {
	var found []storage.MembershipDetail
	ids := map[string]int{} // of accounts, and of users without one
	list := func(ctx context.Context, q storage.Query) (storage.Page[storage.MembershipDetail], error) {
		return e.store.ListMemberships(ctx, storage.MembershipScope{}, q)
	}
	err := eachListed(ctx, list, func(m storage.MembershipDetail) {
		if m.Account.UID != m.User.AccountUID || len(m.Membership.Roles) > 0 {
			found = append(found, m)
		}
	})
	if err != nil {
		return err
	}
	homes := map[string]string{}
	for _, kind := range []storage.UserKind{storage.Buyer, storage.Supplier} {
		list := func(ctx context.Context, q storage.Query) (storage.Page[storage.Account], error) {
			return e.store.ListAccounts(ctx, storage.DefaultRealmID, kind, q)
		}
		if err := eachListed(ctx, list, func(a storage.Account) { homes[a.UID] = a.ID; ids[a.ID]++ }); err != nil {
			return err
		}
	}
	slices.SortFunc(found, func(a, b storage.MembershipDetail) int {
		return strings.Compare(a.Account.ID+"\x00"+homes[a.User.AccountUID]+"/"+a.User.ID, b.Account.ID+"\x00"+homes[b.User.AccountUID]+"/"+b.User.ID)
	})
	e.doc.Memberships = []Membership{}
	for _, m := range found {
		home := homes[m.User.AccountUID]
		if ids[m.Account.ID] != 1 || ids[home] != 1 {
			e.omit("membership of user %s in account %s: the ID of an account is not unique", m.User.ID, m.Account.ID)
			continue
		}
		e.details = append(e.details, m)
		e.doc.Memberships = append(e.doc.Memberships, Membership{
			AccountID: m.Account.ID, MemberID: home + "/" + m.User.ID, Roles: sorted(m.Membership.Roles),
		})
	}
	return nil
}
