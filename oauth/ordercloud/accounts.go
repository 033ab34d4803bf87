package ordercloud

import (
	"net/http"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (a *API) buyerRoutes() []route {
	return accountRoutes(a, storage.Buyer, collection[wire.Buyer, storage.Account]{
		object: "Buyer", path: "/v1/buyers", param: "buyerID",
		admin: []string{"BuyerAdmin"}, reader: []string{"BuyerReader"},
		check: func(_ *call, b wire.Buyer, _ storage.Account) error { return b.Validate("").Err() },
		merge: func(_ *call, b wire.Buyer, r storage.Account) (storage.Account, error) { return b.ToRecord(r), nil },
		show:  func(_ *call, r storage.Account) wire.Buyer { return wire.BuyerFromRecord(r) },
		id:    func(b *wire.Buyer) *string { return &b.ID },
	})
}

func (a *API) supplierRoutes() []route {
	return accountRoutes(a, storage.Supplier, collection[wire.Supplier, storage.Account]{
		object: "Supplier", path: "/v1/suppliers", param: "supplierID",
		admin: []string{"SupplierAdmin"}, reader: []string{"SupplierReader"},
		check: func(_ *call, s wire.Supplier, _ storage.Account) error { return s.Validate("").Err() },
		merge: func(_ *call, s wire.Supplier, r storage.Account) (storage.Account, error) { return s.ToRecord(r), nil },
		show:  func(_ *call, r storage.Account) wire.Supplier { return wire.SupplierFromRecord(r) },
		id:    func(s *wire.Supplier) *string { return &s.ID },
	})
}

// accountRoutes completes the collection of the accounts of one kind. Their own
// users may look at the one they belong to.
func accountRoutes[W any](a *API, kind storage.UserKind, k collection[W, storage.Account]) []route {
	store := a.cfg.Stores.Accounts
	k.fields = text("ID", "Name").with("Active", "Active", otherField).
		with("DateCreated", "CreatedAt", timeField).with("xp", "XP", textField)
	k.search = []string{"ID", "Name"}
	k.list = func(c *call, q storage.Query) (storage.Page[storage.Account], error) {
		return store.ListAccounts(c.Context(), storage.DefaultRealmID, kind, q)
	}
	k.get = func(c *call, id string) (storage.Account, error) { return a.account(c, kind, id) }
	k.fresh = func(*call) (storage.Account, error) {
		uid, err := storage.NewID(a.cfg.Rand, storage.AccountPrefix)
		return storage.Account{UID: uid, RealmID: storage.DefaultRealmID, Kind: kind}, err
	}
	k.save = func(c *call, _ W, r storage.Account) (storage.Account, error) {
		return store.PutAccount(c.Context(), r)
	}
	k.remove = func(c *call, r storage.Account, version int64) error {
		return store.DeleteAccount(c.Context(), r.UID, version)
	}
	k.newID = a.newID
	k.stamp = func(r *storage.Account) *int64 { return &r.Version }
	routes := k.routes()
	for i, r := range routes {
		if r.Method == http.MethodGet && r.Path != k.path {
			routes[i].who = companyUsers
		}
	}
	return routes
}

// account finds a buyer or supplier. For a user of one it is always its own: the
// ID in the path, which admit has compared, may be another's by now.
func (a *API) account(c *call, kind storage.UserKind, id string) (storage.Account, error) {
	if !c.caller.SellerSide() {
		return a.cfg.Stores.Accounts.AccountByUID(c.Context(), c.caller.Principal.User.AccountUID)
	}
	return a.cfg.Stores.Accounts.Account(c.Context(), storage.DefaultRealmID, kind, id)
}

// newID returns an ID for an object that is created without one. It is a UUID,
// since the IDs of companies are shown below /v2 as well.
func (a *API) newID(*call) (string, error) { return storage.NewUUID(a.cfg.Rand) }
