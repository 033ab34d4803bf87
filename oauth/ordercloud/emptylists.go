package ordercloud

import (
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// UserGroup is a group of a company's users or of admin users. There are none here.
type UserGroup struct{ ID, Name string }

// UserGroupAssignment puts a user into a group. There are none here.
type UserGroupAssignment struct{ UserGroupID, UserID string }

// Locale is a language and a currency. There are none here.
type Locale struct{ ID, Currency, Language string }

// LocaleAssignment gives a locale to a buyer or to a user group. There are none
// here.
type LocaleAssignment struct{ LocaleID, BuyerID, UserGroupID string }

// ImpersonationConfig lets users act as users of a buyer. There are none here.
type ImpersonationConfig struct{ ID, ImpersonationBuyerID string }

// emptyListRoutes are lists of what OrderCloud has and Latchkey does not: its
// clients read them on their way to what exists.
func (a *API) emptyListRoutes() []route {
	group, member := List[UserGroup]{}, List[UserGroupAssignment]{}
	own := []string{"UserGroupAdmin", "BuyerUserAdmin", "UserGroupReader", "BuyerUserReader"}
	supplier := []string{"SupplierUserGroupAdmin", "SupplierUserAdmin", "SupplierUserGroupReader", "SupplierUserReader"}
	admin := []string{"AdminUserGroupAdmin", "AdminUserAdmin", "AdminUserGroupReader", "AdminUserReader"}
	locale := []string{"LocaleAdmin", "LocaleReader"}
	impersonation := []string{"BuyerImpersonation", "BuyerUserAdmin", "BuyerUserReader"}
	return []route{
		emptyList("/v1/me/usergroups", group, everyUser, nil, emptyPage[UserGroup]),
		emptyList("/v1/buyers/{buyerID}/usergroups", group, companyUsers, own, inCompany[UserGroup](a, storage.Buyer)),
		emptyList("/v1/buyers/{buyerID}/usergroups/assignments", member, companyUsers, own, inCompany[UserGroupAssignment](a, storage.Buyer)),
		emptyList("/v1/suppliers/{supplierID}/usergroups", group, companyUsers, supplier, inCompany[UserGroup](a, storage.Supplier)),
		emptyList("/v1/suppliers/{supplierID}/usergroups/assignments", member, companyUsers, supplier,
			inCompany[UserGroupAssignment](a, storage.Supplier)),
		emptyList("/v1/usergroups", group, sellers, admin, emptyPage[UserGroup]),
		emptyList("/v1/usergroups/assignments", member, sellers, admin, emptyPage[UserGroupAssignment]),
		emptyList("/v1/locales", List[Locale]{}, sellers, locale, emptyPage[Locale]),
		emptyList("/v1/locales/assignments", List[LocaleAssignment]{}, sellers, locale, emptyPage[LocaleAssignment]),
		emptyList("/v1/impersonationconfig", List[ImpersonationConfig]{}, sellers, impersonation, emptyPage[ImpersonationConfig]),
	}
}

// emptyList describes one of them.
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

// inCompany answers an empty page for the buyer or supplier in the path.
func inCompany[W any](a *API, kind storage.UserKind) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		if _, err := (users{api: a, kind: kind}).company(c); err != nil {
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
	q, page, err := c.query(f, f.names())
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(page, q, storage.Page[W]{}, func(w W) W { return w }), nil
}
