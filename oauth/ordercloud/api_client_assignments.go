package ordercloud

import (
	"net/http"
	"slices"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// apiClientAssignments admit users of buyers and suppliers to API clients.
type apiClientAssignments struct{ *API }

func (a apiClientAssignments) routes() []route {
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
	all := []route{{Operation: list, serve: a.list}, {Operation: create, serve: a.save}}
	for _, of := range []struct {
		company, parameter string
		kind               storage.UserKind
	}{{"buyers", "buyerID", storage.Buyer}, {"suppliers", "supplierID", storage.Supplier}} {
		for i, under := range []string{"/ApiClients/Assignments/", "/apiclients/assignments/"} { // OrderCloud's spelling, and that of the other paths
			all = append(all, route{alias: i > 0, serve: a.delete, Operation: openapi.Operation{
				Method: http.MethodDelete, Path: "/v1/" + of.company + "/{" + of.parameter + "}" + under + "{apiClientID}",
				ID: "apiclients.assignments.Delete" + objectType(of.kind), Tag: "ApiClientAssignment",
				Summary: "Withdraw a client from a " + string(of.kind), Roles: admin,
				Answers: map[int]any{http.StatusNoContent: nil}, Refuses: []int{404},
			}})
		}
	}
	return all
}

func (a apiClientAssignments) list(c *call) (surface.Answer, error) {
	f := text("ApiClientID", "BuyerID", "SupplierID")
	q, err := c.query(f, []string{"ApiClientID", "BuyerID", "SupplierID"})
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
	found, err := queryInMemory(q, all, func(w wire.ApiClientAssignment, field string) string {
		return map[string]string{
			"ApiClientID": w.ApiClientID, "BuyerID": surface.ValueOr(w.BuyerID, ""), "SupplierID": surface.ValueOr(w.SupplierID, ""),
		}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, func(w wire.ApiClientAssignment) wire.ApiClientAssignment { return w })
}

func (a apiClientAssignments) save(c *call) (surface.Answer, error) {
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
	return a.change(c, w, "created", func(have []string, uid string) ([]string, error) {
		return surface.SortedSet(have, []string{uid}), nil
	})
}

func (a apiClientAssignments) delete(c *call) (surface.Answer, error) {
	w := wire.ApiClientAssignment{
		ApiClientID: c.PathValue("apiClientID"), BuyerID: surface.Optional(c.PathValue("buyerID")), SupplierID: surface.Optional(c.PathValue("supplierID")),
	}
	return a.change(c, w, "deleted", func(have []string, uid string) ([]string, error) {
		if !slices.Contains(have, uid) {
			return nil, notFound("ApiClientAssignment", w.ApiClientID)
		}
		return without(have, uid), nil
	})
}

func (a apiClientAssignments) change(c *call, w wire.ApiClientAssignment, verb string, change func(have []string, uid string) ([]string, error)) (surface.Answer, error) {
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
