package ordercloud

import (
	"errors"
	"net/http"
	"slices"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// maxLookup is how many accounts or users are looked for at once.
const maxLookup = 400

// accountsByUID finds those of the accounts that exist.
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

// party finds the buyer or supplier of an assignment; without either the
// account is zero.
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

// partyIDs are an account's ID as an assignment shows it.
func partyIDs(account storage.Account) (buyerID, supplierID *string) {
	switch account.Kind {
	case storage.Buyer:
		buyerID = &account.ID
	case storage.Supplier:
		supplierID = &account.ID
	case storage.Admin: // no account is
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

// noRecord is the value of no field: identifiers have no space.
const noRecord = "no record"

// clientAssignmentRoutes admit users of buyers and suppliers to clients.
func (a *API) clientAssignmentRoutes() []route {
	const path = "/v1/apiclients/assignments"
	admin := []string{"ApiClientAdmin"}
	list := openapi.Operation{
		Method: http.MethodGet, Path: path, ID: "apiclients.assignments.List", Tag: "ApiClientAssignment",
		Summary: "List the assignments of clients to buyers and suppliers", Roles: []string{"ApiClientAdmin", "ApiClientReader"},
		Query: listParameters(), Answers: map[int]any{http.StatusOK: wire.List[wire.ApiClientAssignment]{}}, Refuses: []int{400},
	}
	create := openapi.Operation{
		Method: http.MethodPost, Path: path, ID: "apiclients.assignments.Save", Tag: "ApiClientAssignment",
		Summary: "Admit the users of a buyer or supplier to a client", Roles: admin,
		Body: wire.ApiClientAssignment{}, Answers: map[int]any{http.StatusNoContent: nil}, Refuses: []int{400, 404},
	}
	all := []route{{Operation: list, serve: a.listClientAssignments}, {Operation: create, serve: a.assignClient}}
	for _, of := range []struct {
		company, parameter string
		kind               storage.UserKind
	}{{"buyers", "buyerID", storage.Buyer}, {"suppliers", "supplierID", storage.Supplier}} {
		for i, under := range []string{"/ApiClients/Assignments/", "/apiclients/assignments/"} { // the vendor's spelling, and the sane one
			all = append(all, route{alias: i > 0, serve: a.unassignClient, Operation: openapi.Operation{
				Method: http.MethodDelete, Path: "/v1/" + of.company + "/{" + of.parameter + "}" + under + "{apiClientID}",
				ID: "apiclients.assignments.Delete" + objectType(of.kind), Tag: "ApiClientAssignment",
				Summary: "Withdraw a client from a " + string(of.kind), Roles: admin,
				Answers: map[int]any{http.StatusNoContent: nil}, Refuses: []int{404},
			}})
		}
	}
	return all
}

func (a *API) listClientAssignments(c *call) (surface.Answer, error) {
	f := text("ApiClientID", "BuyerID", "SupplierID")
	q, page, err := c.query(f, []string{"ApiClientID", "BuyerID", "SupplierID"})
	if err != nil {
		return surface.Answer{}, err
	}
	clients, err := a.cfg.Stores.Clients.Clients(c.Context())
	if err != nil {
		return surface.Answer{}, err
	}
	var uids []string
	for i := range clients {
		uids = append(uids, clients[i].AccountUIDs...)
	}
	accounts, err := a.accountsByUID(c, uids)
	if err != nil {
		return surface.Answer{}, err
	}
	var all []wire.ApiClientAssignment
	for i := range clients {
		for _, uid := range clients[i].AccountUIDs {
			if account, ok := accounts[uid]; ok {
				w := wire.ApiClientAssignment{ApiClientID: clients[i].ID}
				w.BuyerID, w.SupplierID = partyIDs(account)
				all = append(all, w)
			}
		}
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "ApiClientID"}, {Field: "BuyerID"}, {Field: "SupplierID"}}
	}
	found := ask(q, all, func(w wire.ApiClientAssignment, field string) string {
		return map[string]string{
			"ApiClientID": w.ApiClientID, "BuyerID": surface.ValueOr(w.BuyerID, ""), "SupplierID": surface.ValueOr(w.SupplierID, ""),
		}[field]
	})
	return listOf(page, q, found, func(w wire.ApiClientAssignment) wire.ApiClientAssignment { return w }), nil
}

func (a *API) assignClient(c *call) (surface.Answer, error) {
	var w wire.ApiClientAssignment
	if err := c.readExactly(&w); err != nil {
		return surface.Answer{}, err
	}
	faults := w.Validate("")
	if w.ApiClientID == "" {
		faults.Add("ApiClientID", "is required")
	}
	if err := faults.Err(); err != nil {
		return surface.Answer{}, err
	}
	return a.changeClientAccounts(c, w, "created", func(have []string, uid string) ([]string, error) {
		return surface.SortedSet(have, []string{uid}), nil
	})
}

func (a *API) unassignClient(c *call) (surface.Answer, error) {
	w := wire.ApiClientAssignment{
		ApiClientID: c.PathValue("apiClientID"), BuyerID: surface.Optional(c.PathValue("buyerID")), SupplierID: surface.Optional(c.PathValue("supplierID")),
	}
	return a.changeClientAccounts(c, w, "deleted", func(have []string, uid string) ([]string, error) {
		if !slices.Contains(have, uid) {
			return nil, notFound("ApiClientAssignment", w.ApiClientID)
		}
		return without(have, uid), nil
	})
}

// without returns a copy of the list, which may be shared.
func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(other string) bool { return other == one })
}

func (a *API) changeClientAccounts(c *call, w wire.ApiClientAssignment, verb string, change func(have []string, uid string) ([]string, error)) (surface.Answer, error) {
	var company storage.Account
	err := c.rewriteInTx(func(c *call) (err error) {
		if company, err = a.party(c, w.BuyerID, w.SupplierID); err != nil {
			return err
		}
		client, err := a.clientOf(c, w.ApiClientID)
		if err != nil {
			return err
		}
		before := client
		if client.AccountUIDs, err = change(client.AccountUIDs, company.UID); err != nil {
			return err
		}
		if err := a.cfg.Rules.ChangeClient(c.Context(), c.caller.Authority(), &before, &client); err != nil {
			return err
		}
		_, err = a.cfg.Stores.Clients.PutClient(c.Context(), client)
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "apiclientassignment."+verb, "ApiClient/"+w.ApiClientID+"/"+objectType(company.Kind)+"/"+company.ID)
	return surface.Answer{Status: http.StatusNoContent}, nil
}
