package ordercloud

import (
	"maps"
	"net/http"
	"strconv"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// userSearch finds users of all companies, and admin users.
type userSearch struct{ *API }

func (a userSearch) route() route {
	var roles []string
	for _, kind := range []storage.UserKind{storage.Buyer, storage.Supplier, storage.Admin} {
		roles = append(roles, rolesToFind(kind)...)
	}
	return route{serve: a.search, Operation: openapi.Operation{
		Method: http.MethodGet, Path: "/v1/users", ID: "users.Search", Tag: "FoundUser", Roles: roles,
		Summary: "Find users of all companies, and admin users, by the beginning of a name",
		Query: []openapi.Parameter{
			{Name: "search", About: "Text that the field of searchOn begins with, ignoring letter case; an asterisk stands for any text"},
			{Name: "searchOn", About: storage.SearchUsername + " (default), " + storage.SearchEmail + " or " + storage.SearchLastName + "; users are sorted by it"},
			{Name: "pageKey", About: "NextPageKey of the page before, with the same search"},
			{Name: "pageSize", About: "Items on a page, 1 to " + strconv.Itoa(maxPageSize), Type: "integer"},
		},
		Answers: map[int]any{http.StatusOK: wire.List[wire.FoundUser]{}}, Refuses: []int{400},
	}}
}

// rolesToFind returns the roles with which a caller may read users of the kind.
func rolesToFind(kind storage.UserKind) []string {
	switch kind {
	case storage.Supplier:
		return []string{"SupplierUserAdmin", "SupplierUserReader"}
	case storage.Admin:
		return []string{"AdminUserAdmin", "AdminUserReader"}
	case storage.Buyer:
	}
	return []string{"BuyerUserAdmin", "BuyerUserReader"}
}

// search finds users of the kinds that the caller may read.
func (a userSearch) search(c *call) (surface.Answer, error) {
	if !plain(c.values) {
		return surface.Answer{}, wire.Faults{{Path: "search", Problem: "has control characters"}}
	}
	page := *c // without the parameters that other lists read in another way
	page.values = maps.Clone(c.values)
	page.values.Del("search")
	page.values.Del("searchOn")
	q, err := page.query(fields{}, nil)
	if err != nil {
		return surface.Answer{}, err
	}
	find := storage.UserSearch{
		RealmID: storage.DefaultRealmID, Kinds: kindsFound(c.caller), Field: c.values.Get("searchOn"), Prefix: c.values.Get("search"),
		After: q.After, Limit: q.Limit,
	}
	switch find.Field {
	case "":
		find.Field = storage.SearchUsername
	case storage.SearchUsername, storage.SearchEmail, storage.SearchLastName:
	default:
		return surface.Answer{}, unknownField("searchOn", find.Field, text(storage.SearchUsername, storage.SearchEmail, storage.SearchLastName))
	}
	found, err := a.cfg.Stores.UserSearch.SearchUsers(c.Context(), find)
	if err != nil {
		return surface.Answer{}, err
	}
	var uids []string
	for i := range found.Items {
		if uid := found.Items[i].User.AccountUID; uid != "" {
			uids = append(uids, uid)
		}
	}
	companies, err := a.accountsByUID(c, uids)
	if err != nil {
		return surface.Answer{}, err
	}
	now := a.cfg.Now()
	return listOf(&page, q, found, func(u storage.UserLogin) wire.FoundUser {
		return wire.FoundUserFromRecord(u, companies[u.User.AccountUID].ID, now)
	})
}

// kindsFound returns the kinds of users that the caller may read.
func kindsFound(caller *token.Caller) (kinds []storage.UserKind) {
	for _, kind := range []storage.UserKind{storage.Buyer, storage.Supplier, storage.Admin} {
		if caller.Has(rolesToFind(kind)...) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}
