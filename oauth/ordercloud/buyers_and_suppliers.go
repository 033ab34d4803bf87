package ordercloud

import (
	"net/http"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// accounts are the buyers or the suppliers. W is the shape of one.
type accounts[W any] struct {
	*API
	standard[storage.Account]
	kind     storage.UserKind
	shapeID  func(*W) *string
	fromWire func(W, storage.Account) (storage.Account, error)
	toWire   func(storage.Account) W
}

func (a *API) buyerRoutes() []route {
	return accounts[wire.Buyer]{
		API: a, kind: storage.Buyer,
		shapeID: func(b *wire.Buyer) *string { return &b.ID },
		fromWire: func(b wire.Buyer, r storage.Account) (storage.Account, error) {
			return b.ToRecord(r), b.Validate("").Err()
		},
		toWire: wire.BuyerFromRecord,
	}.routes(kind{
		object: "Buyer", path: "/v1/buyers", param: "buyerID",
		admin: []string{"BuyerAdmin"}, reader: []string{"BuyerReader"},
	})
}

func (a *API) supplierRoutes() []route {
	return accounts[wire.Supplier]{
		API: a, kind: storage.Supplier,
		shapeID: func(s *wire.Supplier) *string { return &s.ID },
		fromWire: func(s wire.Supplier, r storage.Account) (storage.Account, error) {
			return s.ToRecord(r), s.Validate("").Err()
		},
		toWire: wire.SupplierFromRecord,
	}.routes(kind{
		object: "Supplier", path: "/v1/suppliers", param: "supplierID",
		admin: []string{"SupplierAdmin"}, reader: []string{"SupplierReader"},
	})
}

// routes returns the operations of buyers or suppliers. Their own users may read
// the one they belong to.
func (a accounts[W]) routes(k kind) []route {
	k.fields = text("ID", "Name").with("Active", "Active", otherField).
		with("DateCreated", "CreatedAt", timeField).with("xp", "XP", textField)
	k.search = []string{"ID", "Name"}
	routes := newCollection(k, a).routes()
	for i, r := range routes {
		if r.Method == http.MethodGet && r.Path != k.path {
			routes[i].who = companyUsers
		}
	}
	return routes
}

func (a accounts[W]) list(c *call, q storage.Query) (storage.Page[storage.Account], error) {
	return a.cfg.Stores.Accounts.ListAccounts(c.Context(), storage.DefaultRealmID, a.kind, q)
}

func (a accounts[W]) get(c *call, id string) (storage.Account, error) {
	return a.account(c, a.kind, id)
}

func (a accounts[W]) show(r storage.Account) W { return a.toWire(r) }

func (a accounts[W]) id(w *W) *string { return a.shapeID(w) }

func (a accounts[W]) version(r storage.Account) int64 { return r.Version }

func (a accounts[W]) blank(*call) (storage.Account, error) {
	uid, err := storage.NewID(a.cfg.Rand, storage.AccountPrefix)
	return storage.Account{UID: uid, RealmID: storage.DefaultRealmID, Kind: a.kind, Version: storage.MustBeNew}, err
}

func (a accounts[W]) apply(_ *call, w W, r storage.Account) (storage.Account, error) {
	return a.fromWire(w, r)
}

func (a accounts[W]) save(c *call, _ W, r storage.Account) (storage.Account, error) {
	return a.cfg.Stores.Accounts.PutAccount(c.Context(), r)
}

func (a accounts[W]) remove(c *call, r storage.Account) error {
	return a.cfg.Stores.Accounts.DeleteAccount(c.Context(), r.UID, r.Version)
}
