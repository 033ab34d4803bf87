package elasticpath

import (
	"net/http"
	"strings"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
)

// route is one operation with the function that serves it.
type route struct {
	openapi.Operation
	to    audience
	serve handler
}

// handler serves one operation.
type handler func(*call) (surface.Answer, error)

const (
	pathRealm      = "/v2/authentication-realms/{realm}"
	pathProfile    = pathRealm + "/password-profiles/{profile}"
	pathUser       = pathRealm + "/user-authentication-info/{user}"
	pathLogin      = pathUser + "/user-authentication-password-profile-info/{info}"
	pathAccount    = "/v2/accounts/{account}"
	pathMember     = "/v2/account-members/{member}"
	pathMembership = pathAccount + "/account-memberships/{membership}"
)

// allRoutes returns all operations.
func allRoutes() []route {
	var all []route
	for _, some := range [][]route{
		settingsRoutes(), profileRoutes(), userRoutes(), loginRoutes(), accountRoutes(), memberRoutes(),
		tokenRoutes(), accessTokenRoutes(), integrationRoutes(), notSupportedRoutes(),
	} {
		all = append(all, some...)
	}
	return all
}

// getRoute returns the operation that answers one resource. The other functions like
// it are for lists, and for requests that create, change and delete a resource.
func getRoute(id, path, summary string, shown any, serve handler) route {
	return route{serve: serve, Operation: openapi.Operation{
		Method: http.MethodGet, Path: path, ID: id, Tag: tag(id), Summary: summary,
		Answers: map[int]any{http.StatusOK: shown}, Refuses: []int{404},
	}}
}

func listRoute(id, path, summary string, shown any, serve handler) route {
	r := getRoute(id, path, summary, shown, serve)
	r.Query, r.Refuses = listParameters(), []int{400, 404}
	return r
}

func postRoute(id, path, summary string, body, shown any, serve handler) route {
	r := getRoute(id, path, summary, nil, serve)
	r.Method, r.Body = http.MethodPost, body
	r.Answers, r.Refuses = map[int]any{http.StatusCreated: shown}, []int{400, 404, 409, 413, 415, 422}
	return r
}

func putRoute(id, path, summary string, body, shown any, serve handler) route {
	r := getRoute(id, path, summary, shown, serve)
	r.Method, r.Body, r.Partial, r.Headers = http.MethodPut, body, true, ifMatch()
	r.Refuses = []int{400, 404, 409, 412, 413, 415, 422}
	return r
}

func deleteRoute(id, path, summary string, serve handler) route {
	r := getRoute(id, path, summary, nil, serve)
	r.Method, r.Headers = http.MethodDelete, ifMatch()
	r.Answers, r.Refuses = map[int]any{http.StatusNoContent: nil}, []int{400, 404, 409, 412}
	return r
}

func ifMatch() []openapi.Parameter {
	return []openapi.Parameter{{Name: "If-Match", About: "Entity tag that the resource must still have"}}
}

func tag(id string) string {
	group, _, _ := strings.Cut(id, ".")
	return group
}

// with opens the operation to sellers with one of the roles.
func (r route) with(roles []string) route {
	r.to, r.Roles = sellers, roles
	return r
}

// andMembers opens the operation to account members as well.
func (r route) andMembers() route {
	r.to = sellersAndMembers
	r.Headers = append(r.Headers, openapi.Parameter{Name: accountTokenHeader, About: "Token of the account member who calls"})
	return r
}

// toStorefronts opens the operation to all who have an access token.
func (r route) toStorefronts() route {
	r.to = storefronts
	return r
}

func settingsRoutes() []route {
	settings := wire.Document[wire.Settings]{}
	return []route{
		getRoute("AccountAuthenticationSettings.Get", settingsPath, "Get the account authentication settings", settings, getSettings).toStorefronts(),
		putRoute("AccountAuthenticationSettings.Update", settingsPath, "Change the account authentication settings",
			wire.Body[wire.SettingsChange]{}, settings, putSettings).with(changeProfiles),
		getRoute("AccountMembershipSettings.Get", membershipSettingsPath, "Get the account membership settings",
			wire.Document[wire.MembershipSettings]{}, getMembershipSettings).with(readAccounts),
		putRoute("AccountMembershipSettings.Update", membershipSettingsPath, "Confirm the account membership settings, which are fixed",
			wire.Body[wire.MembershipSettingsChange]{}, wire.Document[wire.MembershipSettings]{}, putMembershipSettings).with(changeAccounts),
		getRoute("StoreSettings.Get", storeSettingsPath, "Get the settings of the store, which are fixed", wire.Document[wire.StoreSettings]{}, getStoreSettings).with(readAccounts),
		listRoute("AuthenticationRealms.List", "/v2/authentication-realms", "List the authentication realms", wire.List[wire.Realm]{}, listRealms).toStorefronts(),
		getRoute("AuthenticationRealms.Get", pathRealm, "Get an authentication realm", wire.Document[wire.Realm]{}, getRealm).toStorefronts(),
		putRoute("AuthenticationRealms.Update", pathRealm, "Change an authentication realm",
			wire.Body[wire.RealmChange]{}, wire.Document[wire.Realm]{}, putRealm).with(changeProfiles),
	}
}

func profileRoutes() []route {
	const all = pathRealm + "/password-profiles"
	body, shown := wire.Body[wire.ProfileBody]{}, wire.Document[wire.PasswordProfile]{}
	request := postRoute("PasswordProfiles.RequestOneTimePasswordToken", pathProfile+"/one-time-password-token-request",
		"Ask for a one-time password token, which is sent to the user", wire.Body[wire.CodeRequestBody]{}, nil, postCodeRequest).toStorefronts()
	request.Answers, request.Refuses = map[int]any{http.StatusAccepted: nil}, []int{400, 404, 413, 415, 422, 429}
	return []route{
		listRoute("PasswordProfiles.List", all, "List the password profiles of a realm", wire.List[wire.PasswordProfile]{}, listProfiles).toStorefronts(),
		postRoute("PasswordProfiles.Create", all, "Make a password profile", body, shown, postProfile).with(changeProfiles),
		getRoute("PasswordProfiles.Get", pathProfile, "Get a password profile", shown, getProfile).toStorefronts(),
		putRoute("PasswordProfiles.Update", pathProfile, "Change a password profile", body, shown, putProfile).with(changeProfiles),
		deleteRoute("PasswordProfiles.Delete", pathProfile, "Delete a password profile with its logins", deleteProfile).with(changeProfiles),
		request,
	}
}

func userRoutes() []route {
	const all = pathRealm + "/user-authentication-info"
	body, shown := wire.Body[wire.UserBody]{}, wire.Document[wire.User]{}
	return []route{
		listRoute("UserAuthenticationInfo.List", all, "List the users of a realm", wire.List[wire.User]{}, listUsers).with(readUsers),
		postRoute("UserAuthenticationInfo.Create", all, "Make a user", body, shown, postUser).with(changeUsers),
		getRoute("UserAuthenticationInfo.Get", pathUser, "Get a user", shown, getUser).with(readUsers).andMembers(),
		putRoute("UserAuthenticationInfo.Update", pathUser, "Change a user", body, shown, putUser).with(changeUsers).andMembers(),
		deleteRoute("UserAuthenticationInfo.Delete", pathUser, "Delete a user", deleteUser).with(changeUsers),
	}
}

func loginRoutes() []route {
	const all = pathUser + "/user-authentication-password-profile-info"
	body, shown := wire.Body[wire.LoginBody]{}, wire.Document[wire.Login]{}
	return []route{
		listRoute("UserAuthenticationPasswordProfileInfo.List", all, "List the names that a user signs in with",
			wire.List[wire.Login]{}, listLogins).with(readUsers).andMembers(),
		postRoute("UserAuthenticationPasswordProfileInfo.Create", all, "Give a user a name and a password to sign in with",
			body, shown, postLogin).with(changeUsers),
		getRoute("UserAuthenticationPasswordProfileInfo.Get", pathLogin, "Get a name that a user signs in with",
			shown, getLogin).with(readUsers).andMembers(),
		putRoute("UserAuthenticationPasswordProfileInfo.Update", pathLogin, "Change a name that a user signs in with, or its password",
			body, shown, putLogin).with(changeUsers).andMembers(),
		deleteRoute("UserAuthenticationPasswordProfileInfo.Delete", pathLogin, "Delete a name that a user signs in with",
			deleteLogin).with(changeUsers),
	}
}

func accountRoutes() []route {
	const all = "/v2/accounts"
	body, shown := wire.Body[wire.AccountBody]{}, wire.Document[wire.Account]{}
	return []route{
		listRoute("Accounts.List", all, "List the accounts", wire.List[wire.Account]{}, listAccounts).with(readAccounts).andMembers(),
		postRoute("Accounts.Create", all, "Make an account", body, shown, postAccount).with(changeAccounts),
		getRoute("Accounts.Get", pathAccount, "Get an account", shown, getAccount).with(readAccounts).andMembers(),
		putRoute("Accounts.Update", pathAccount, "Change an account", body, shown, putAccount).with(changeAccounts),
		deleteRoute("Accounts.Delete", pathAccount, "Delete an account", deleteAccount).with(changeAccounts),
	}
}

func memberRoutes() []route {
	const all = pathAccount + "/account-memberships"
	body, shown, listed := wire.Body[wire.MembershipBody]{}, wire.Document[wire.Membership]{}, wire.List[wire.Membership]{}
	member := wire.Document[wire.AccountMember]{}
	including := func(r route, what string) route {
		r.Query = append(r.Query, openapi.Parameter{Name: "include", About: "With " + what + ", those are shown as well"})
		return r
	}
	return []route{
		listRoute("AccountMembers.List", "/v2/account-members", "List the account members", wire.List[wire.AccountMember]{}, listMembers).with(readUsers).andMembers(),
		getRoute("AccountMembers.Get", pathMember, "Get an account member", member, getMember).with(readUsers).andMembers(),
		putRoute("AccountMembers.Update", pathMember, "Change the flows of an account member, of which there are none",
			wire.Body[wire.MemberBody]{}, member, putMember).with(changeUsers),
		including(listRoute("AccountMembers.ListMemberships", pathMember+"/account-memberships", "List the memberships of an account member",
			listed, listMemberMemberships).with(readUsers).andMembers(), wire.TypeAccount),
		including(listRoute("AccountMemberships.List", all, "List the memberships of an account", listed, listAccountMemberships).
			with(readAccounts).andMembers(), wire.TypeMember),
		postRoute("AccountMemberships.Create", all, "Add an account member to an account", body, shown, postMembership).with(changeAccounts),
		including(getRoute("AccountMemberships.Get", pathMembership, "Get a membership", shown, getMembership).
			with(readAccounts).andMembers(), wire.TypeMember),
		putRoute("AccountMemberships.Update", pathMembership, "Change a membership", body, shown, putMembership).with(changeAccounts),
		deleteRoute("AccountMemberships.Delete", pathMembership, "End a membership", deleteMembership).with(changeAccounts),
		listRoute("AccountMemberships.ListUnassigned", all+"/unassigned-account-members", "List the account members who are not members of an account",
			wire.List[wire.AccountMember]{}, listNonMembers).with(readAccounts),
	}
}

func tokenRoutes() []route {
	r := postRoute("AccountMembers.CreateTokens", "/v2/account-members/tokens", "Get a token for every account of a member",
		wire.Body[wire.TokenBody]{}, wire.List[wire.Token]{}, postTokens).toStorefronts()
	r.Query = listParameters()[:2]
	r.Headers = []openapi.Parameter{{Name: accountTokenHeader, About: "Token to renew, with that mechanism"}}
	r.Refuses = []int{400, 403, 413, 415, 422, 429}
	return []route{r}
}

func accessTokenRoutes() []route {
	return []route{{to: anybody, serve: postAccessToken, Operation: openapi.Operation{
		Method: http.MethodPost, Path: "/oauth/access_token", ID: "AccessTokens.Create", Tag: "AccessTokens",
		Summary: "Get an access token for a client", Open: true,
		Form: []openapi.Parameter{
			{Name: "grant_type", About: "implicit or client_credentials", Required: true},
			{Name: "client_id", About: "ID of the client", Required: true},
			{Name: "client_secret", About: "With client_credentials"},
		},
		Answers: map[int]any{http.StatusOK: wire.AccessToken{}}, Refuses: []int{400, 401, 413},
	}}}
}

func integrationRoutes() []route {
	const (
		all = "/v2/integrations"
		one = all + "/{integration}"
	)
	body, shown, logs := wire.Body[wire.IntegrationBody]{}, wire.Document[wire.Integration]{}, wire.List[wire.IntegrationLog]{}
	deleted := deleteRoute("Integrations.Delete", one, "Delete an integration", deleteIntegration).with(changeSenders)
	deleted.Answers = map[int]any{200: wire.Document[wire.Reference]{}}
	return []route{
		listRoute("Integrations.List", all, "List the integrations", wire.List[wire.Integration]{}, listIntegrations).with(readSenders),
		postRoute("Integrations.Create", all, "Make an integration", body, shown, postIntegration).with(changeSenders),
		getRoute("Integrations.Get", one, "Get an integration", shown, getIntegration).with(readSenders),
		putRoute("Integrations.Update", one, "Change an integration", body, shown, putIntegration).with(changeSenders),
		deleted,
		listRoute("Integrations.ListAllLogs", all+"/logs", "List the attempts to deliver events", logs, listAllLogs).with(readSenders),
		listRoute("Integrations.ListLogs", one+"/logs", "List the attempts of an integration", logs, listLogs).with(readSenders),
		listRoute("Integrations.ListJobs", one+"/jobs", "List the events of an integration", wire.List[wire.IntegrationJob]{}, listJobs).with(readSenders),
		listRoute("Integrations.ListJobLogs", one+"/jobs/{job}/logs", "List the attempts to deliver one event", logs, listJobLogs).with(readSenders),
	}
}

// notSupportedRoutes returns lists of resources that Elastic Path has and this server
// does not. Its tools read them before the resources that exist.
func notSupportedRoutes() []route {
	return []route{
		listRoute("OIDCProfiles.List", pathRealm+"/oidc-profiles", "List the OpenID Connect profiles of a realm, of which there are none",
			wire.List[wire.OIDCProfile]{}, listOIDCProfiles).toStorefronts(),
		listRoute("UserAuthenticationOIDCProfileInfo.List", pathUser+"/user-authentication-oidc-profile-info",
			"List the OpenID Connect subjects of a user, of which there are none", wire.List[wire.OIDCLogin]{}, listOIDCLogins).
			with(readUsers).andMembers(),
		listRoute("AccountTags.List", "/v2/account-tags", "List the account tags, of which there are none", wire.List[wire.AccountTag]{}, listAccountTags).
			with(readAccounts).andMembers(),
	}
}
