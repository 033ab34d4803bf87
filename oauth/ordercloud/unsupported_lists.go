package ordercloud

import (
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// unsupportedLists are lists of resources that OrderCloud has and Latchkey does not.
// OrderCloud's clients read them on their way to resources that exist.
type unsupportedLists struct{ *API }

func (a unsupportedLists) routes() []route {
	group, member := wire.List[wire.UserGroup]{}, wire.List[wire.UserGroupAssignment]{}
	own := []string{"UserGroupAdmin", "BuyerUserAdmin", "UserGroupReader", "BuyerUserReader"}
	supplier := []string{"SupplierUserGroupAdmin", "SupplierUserAdmin", "SupplierUserGroupReader", "SupplierUserReader"}
	admin := []string{"AdminUserGroupAdmin", "AdminUserAdmin", "AdminUserGroupReader", "AdminUserReader"}
	locale := []string{"LocaleAdmin", "LocaleReader"}
	impersonation := []string{"BuyerImpersonation", "BuyerUserAdmin", "BuyerUserReader"}
	return []route{
		emptyList("/v1/me/usergroups", group, everyUser, nil, emptyPage[wire.UserGroup]),
		emptyList("/v1/buyers/{buyerID}/usergroups", group, companyUsers, own, inCompany[wire.UserGroup](a.API, storage.Buyer)),
		emptyList("/v1/buyers/{buyerID}/usergroups/assignments", member, companyUsers, own, inCompany[wire.UserGroupAssignment](a.API, storage.Buyer)),
		emptyList("/v1/suppliers/{supplierID}/usergroups", group, companyUsers, supplier, inCompany[wire.UserGroup](a.API, storage.Supplier)),
		emptyList("/v1/suppliers/{supplierID}/usergroups/assignments", member, companyUsers, supplier,
			inCompany[wire.UserGroupAssignment](a.API, storage.Supplier)),
		emptyList("/v1/usergroups", group, sellers, admin, emptyPage[wire.UserGroup]),
		emptyList("/v1/usergroups/assignments", member, sellers, admin, emptyPage[wire.UserGroupAssignment]),
		emptyList("/v1/locales", wire.List[wire.Locale]{}, sellers, locale, emptyPage[wire.Locale]),
		emptyList("/v1/locales/assignments", wire.List[wire.LocaleAssignment]{}, sellers, locale, emptyPage[wire.LocaleAssignment]),
		emptyList("/v1/impersonationconfig", wire.List[wire.ImpersonationConfig]{}, sellers, impersonation, emptyPage[wire.ImpersonationConfig]),
	}
}

// emptyList returns the route of one of these lists.
func emptyList(path string, page any, who audience, roles []string, serve func(*call) (surface.Answer, error)) route {
	object := strings.TrimPrefix(path, "/v1/")
	o := openapi.Operation{
		Method: http.MethodGet, Path: path, ID: operationID(object, "List"), Tag: "NotKept", Summary: "List what is not kept here: nothing",
		Roles: roles, Query: listParameters(), Answers: map[int]any{http.StatusOK: page}, Refuses: []int{400, 403},
	}
	if strings.Contains(path, "{") {
		o.Refuses = append(o.Refuses, http.StatusNotFound)
	}
	return route{Operation: o, who: who, serve: serve}
}

// inCompany answers with an empty page, or 404 if the buyer or supplier in the path does not
// exist.
func inCompany[W any](a *API, of storage.UserKind) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		if _, err := (users{API: a, of: of}).company(c); err != nil {
			return surface.Answer{}, err
		}
		return emptyPage[W](c)
	}
}

// emptyPage answers a page without items. The parameters of lists are checked like
// those of other lists.
func emptyPage[W any](c *call) (surface.Answer, error) {
	return emptyPageOf[W](c, text("ID", "Name"))
}

func emptyPageOf[W any](c *call, f fields) (surface.Answer, error) {
	q, err := c.query(f, f.names())
	if err != nil {
		return surface.Answer{}, err
	}
	none, err := queryInMemory[W](q, nil, nil)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, none, func(w W) W { return w })
}
