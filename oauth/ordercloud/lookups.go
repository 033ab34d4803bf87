package ordercloud

import (
	"errors"
	"slices"

	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

func (a *API) clientOf(c *call, id string) (storage.Client, error) {
	found, err := a.cfg.Stores.Clients.Client(c.Context(), id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound("ApiClient", id)
	}
	return found, err
}

// account returns a buyer or supplier. For a user of a company it always returns the user's
// own, by its UID: since admit compared the ID, another company may have got that ID.
func (a *API) account(c *call, kind storage.UserKind, id string) (storage.Account, error) {
	if !c.caller.SellerSide() {
		return a.cfg.Stores.Accounts.AccountByUID(c.Context(), c.caller.Principal.User.AccountUID)
	}
	return a.cfg.Stores.Accounts.Account(c.Context(), storage.DefaultRealmID, kind, id)
}

// maxLookup is how many accounts or users are looked for at once.
const maxLookup = 400

// accountsByUID returns the accounts with the UIDs, by UID. A UID without an account is left
// out.
func (a *API) accountsByUID(c *call, uids []string) (map[string]storage.Account, error) {
	accounts := map[string]storage.Account{}
	for some := range slices.Chunk(surface.SortedSet(uids), maxLookup) {
		found, err := a.cfg.Stores.Accounts.ListAccounts(c.Context(), storage.DefaultRealmID, "", withUIDs(some))
		if err != nil {
			return nil, err
		}
		for _, account := range found.Items {
			accounts[account.UID] = account
		}
	}
	return accounts, nil
}

func withUIDs(uids []string) storage.Query {
	condition := storage.Condition{Fields: []string{"UID"}}
	for _, uid := range uids {
		condition.Tests = append(condition.Tests, storage.Test{Op: storage.OpEqual, Value: uid})
	}
	return storage.Query{Where: []storage.Condition{condition}, Limit: len(uids)}
}

// party returns the buyer or supplier of an assignment, or a zero account if the assignment
// names neither.
func (a *API) party(c *call, buyerID, supplierID *string) (storage.Account, error) {
	kind, id := storage.Buyer, buyerID
	if supplierID != nil {
		kind, id = storage.Supplier, supplierID
	}
	if id == nil {
		return storage.Account{}, nil
	}
	found, err := a.cfg.Stores.Accounts.Account(c.Context(), storage.DefaultRealmID, kind, *id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(objectType(kind), *id)
	}
	return found, err
}

// partyIDs returns the ID of an account in the member that assignments have for its kind.
func partyIDs(account storage.Account) (buyerID, supplierID *string) {
	switch account.Kind {
	case storage.Buyer:
		buyerID = &account.ID
	case storage.Supplier:
		supplierID = &account.ID
	case storage.Admin: // accounts are buyers or suppliers
	}
	return buyerID, supplierID
}

// queryID returns the ID that a parameter names, or nil for none.
func (c *call) queryID(name string) *string { return surface.Optional(c.values.Get(name)) }

func partyParameters() []openapi.Parameter {
	return []openapi.Parameter{
		{Name: "buyerID", About: "Buyer whose assignment is meant"},
		{Name: "supplierID", About: "Supplier whose assignment is meant"},
	}
}

// groupParameter selects by a user group. There are none here, so a list that it
// selects from is empty.
func groupParameter() openapi.Parameter {
	return openapi.Parameter{Name: "userGroupID", About: "User group; there are none, so nothing is found"}
}

// matchesNothing is a condition that no record meets.
func matchesNothing(field string) storage.Condition {
	return equals(field, noRecord)
}

// noRecord is a value that no identifier has, because identifiers have no spaces.
const noRecord = "no record"

// without returns the list without one element. It copies the list, which may be shared.
func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(other string) bool { return other == one })
}

// sender finds a sender of this dialect.
func (a *API) sender(c *call, id string) (storage.Sender, error) {
	found, err := a.cfg.Stores.Senders.Sender(c.Context(), id)
	if err == nil && found.Dialect != storage.OrderCloudDialect {
		return storage.Sender{}, storage.ErrNotFound
	}
	return found, err
}

func equals(field, value string) storage.Condition {
	return storage.Condition{Fields: []string{field}, Tests: []storage.Test{{Op: storage.OpEqual, Value: value}}}
}

// objectType names the resource that stands for accounts of the kind.
func objectType(kind storage.UserKind) string {
	if kind == storage.Supplier {
		return "Supplier"
	}
	return "Buyer"
}

// userObject returns the name of the type of a user in errors and audit events.
func userObject(kind storage.UserKind) string {
	switch kind {
	case storage.Supplier:
		return "SupplierUser"
	case storage.Admin:
		return "AdminUser"
	case storage.Buyer:
	}
	return "User"
}
