package elasticpath

import (
	"latchkey/storage"
)

// OIDCProfile is an OpenID Connect provider by which members of a realm sign in.
// There are none here.
type OIDCProfile struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
}

// OIDCLogin is a subject of such a provider. There are none here.
type OIDCLogin struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// AccountTag is a label for accounts. There are none here.
type AccountTag struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	Name string `json:"name"`
}

// emptyListRoutes are lists of what Elastic Path has and Latchkey does not: its
// tools read them on their way to what exists.
func (a *API) emptyListRoutes() []route {
	return []route{
		list("OIDCProfiles.List", pathRealm+"/oidc-profiles", "List the OpenID Connect profiles of a realm, of which there are none",
			List[OIDCProfile]{}, a.listOIDCProfiles).toStorefronts(),
		list("UserAuthenticationOIDCProfileInfo.List", pathUser+"/user-authentication-oidc-profile-info",
			"List the OpenID Connect subjects of a user, of which there are none", List[OIDCLogin]{}, a.listOIDCLogins).
			with(readUsers).andMembers(),
		list("AccountTags.List", "/v2/account-tags", "List the account tags, of which there are none", List[AccountTag]{}, a.listAccountTags).
			with(readAccounts).andMembers(),
	}
}

func (a *API) listOIDCProfiles(c *call) (reply, error) {
	if _, err := a.realmOf(c); err != nil {
		return reply{}, err
	}
	return emptyList[OIDCProfile](c)
}

func (a *API) listOIDCLogins(c *call) (reply, error) {
	if _, err := a.userOf(c); err != nil {
		return reply{}, err
	}
	return emptyList[OIDCLogin](c)
}

func (a *API) listAccountTags(c *call) (reply, error) { return emptyList[AccountTag](c) }

// emptyList answers a page without items. The parameters of lists are checked like
// those of other lists.
func emptyList[T any](c *call) (reply, error) {
	q, err := byTime(map[string]filterable{"name": {record: "Name", ops: peopleOps}}, "name").query(c.values)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, storage.Page[T]{}, func(item T) T { return item }), nil
}
