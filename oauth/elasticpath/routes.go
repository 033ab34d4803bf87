package elasticpath

import (
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
)

// The roles that open the routes; those of the same things below /v1.
var (
	changeAccounts = []string{"BuyerAdmin"}
	readAccounts   = []string{"BuyerAdmin", "BuyerReader"}
	changeUsers    = []string{"BuyerUserAdmin"}
	readUsers      = []string{"BuyerUserAdmin", "BuyerUserReader"}
	changeProfiles = []string{"SecurityProfileAdmin"}
	readProfiles   = []string{"SecurityProfileAdmin", "SecurityProfileReader"}
	changeSenders  = []string{"MessageSenderAdmin"}
	readSenders    = []string{"MessageSenderAdmin", "MessageSenderReader"}
)

// Body is what is sent to make or change a resource.
type Body[T any] struct {
	Data T `json:"data"`
}

const (
	pathRealm      = "/v2/authentication-realms/{realm}"
	pathProfile    = pathRealm + "/password-profiles/{profile}"
	pathUser       = pathRealm + "/user-authentication-info/{user}"
	pathLogin      = pathUser + "/user-authentication-password-profile-info/{info}"
	pathAccount    = "/v2/accounts/{account}"
	pathMember     = "/v2/account-members/{member}"
	pathMembership = pathAccount + "/account-memberships/{membership}"
)

// allRoutes is everything that is served.
func (a *API) allRoutes() []route {
	var all []route
	for _, some := range [][]route{
		a.settingsRoutes(), a.profileRoutes(), a.userRoutes(), a.loginRoutes(), a.accountRoutes(), a.memberRoutes(),
		a.tokenRoutes(), a.accessTokenRoutes(), a.integrationRoutes(), a.emptyListRoutes(),
	} {
		all = append(all, some...)
	}
	return all
}

// get, list, post, put and remove describe operations; only then do they tell
// what is particular about each.
func get(id, path, summary string, shown any, serve func(*call) (reply, error)) route {
	return route{serve: serve, Operation: openapi.Operation{
		Method: http.MethodGet, Path: path, ID: id, Tag: tag(id), Summary: summary,
		Answers: map[int]any{http.StatusOK: shown}, Refuses: []int{404},
	}}
}

func list(id, path, summary string, shown any, serve func(*call) (reply, error)) route {
	r := get(id, path, summary, shown, serve)
	r.Query, r.Refuses = listParameters(), []int{400, 404}
	return r
}

func post(id, path, summary string, body, shown any, serve func(*call) (reply, error)) route {
	r := get(id, path, summary, nil, serve)
	r.Method, r.Body = http.MethodPost, body
	r.Answers, r.Refuses = map[int]any{http.StatusCreated: shown}, []int{400, 404, 409, 413, 415, 422}
	return r
}

func put(id, path, summary string, body, shown any, serve func(*call) (reply, error)) route {
	r := get(id, path, summary, shown, serve)
	r.Method, r.Body, r.Partial, r.Headers = http.MethodPut, body, true, ifMatch()
	r.Refuses = []int{400, 404, 409, 412, 413, 415, 422}
	return r
}

func remove(id, path, summary string, serve func(*call) (reply, error)) route {
	r := get(id, path, summary, nil, serve)
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

// with opens the route to callers with one of the roles.
func (r route) with(roles []string) route {
	r.who, r.Roles = sellers, roles
	return r
}

// andMembers opens it to account members as well.
func (r route) andMembers() route {
	r.who = sellersAndMembers
	r.Headers = append(r.Headers, openapi.Parameter{Name: accountTokenHeader, About: "Token of the account member who calls"})
	return r
}

// toStorefronts opens it to whoever has an access token.
func (r route) toStorefronts() route {
	r.who = storefronts
	return r
}

func (a *API) settingsRoutes() []route {
	const path = "/v2/settings/account-authentication"
	settings := Document[Settings]{}
	return []route{
		get("AccountAuthenticationSettings.Get", path, "Get the account authentication settings", settings, a.getSettings).toStorefronts(),
		put("AccountAuthenticationSettings.Update", path, "Change the account authentication settings",
			Body[SettingsChange]{}, settings, a.putSettings).with(changeProfiles),
		get("AccountMembershipSettings.Get", "/v2/settings/account-membership", "Get the account membership settings",
			Document[MembershipSettings]{}, a.getMembershipSettings).with(readAccounts),
		put("AccountMembershipSettings.Update", "/v2/settings/account-membership", "Confirm the account membership settings, which are fixed",
			Body[MembershipSettingsChange]{}, Document[MembershipSettings]{}, a.putMembershipSettings).with(changeAccounts),
		get("StoreSettings.Get", "/v2/settings", "Get the settings of the store, which are fixed", Document[StoreSettings]{}, a.getStoreSettings).with(readAccounts),
		list("AuthenticationRealms.List", "/v2/authentication-realms", "List the authentication realms", List[Realm]{}, a.listRealms).toStorefronts(),
		get("AuthenticationRealms.Get", pathRealm, "Get an authentication realm", Document[Realm]{}, a.getRealm).toStorefronts(),
		put("AuthenticationRealms.Update", pathRealm, "Change an authentication realm",
			Body[RealmChange]{}, Document[Realm]{}, a.putRealm).with(changeProfiles),
	}
}

func (a *API) profileRoutes() []route {
	const all = pathRealm + "/password-profiles"
	body, shown := Body[ProfileBody]{}, Document[PasswordProfile]{}
	request := post("PasswordProfiles.RequestOneTimePasswordToken", pathProfile+"/one-time-password-token-request",
		"Ask for a one-time password token, which is sent to the user", Body[CodeRequestBody]{}, nil, a.postCodeRequest).toStorefronts()
	request.Answers, request.Refuses = map[int]any{http.StatusAccepted: nil}, []int{400, 404, 413, 415, 422, 429}
	return []route{
		list("PasswordProfiles.List", all, "List the password profiles of a realm", List[PasswordProfile]{}, a.listProfiles).toStorefronts(),
		post("PasswordProfiles.Create", all, "Make a password profile", body, shown, a.postProfile).with(changeProfiles),
		get("PasswordProfiles.Get", pathProfile, "Get a password profile", shown, a.getProfile).toStorefronts(),
		put("PasswordProfiles.Update", pathProfile, "Change a password profile", body, shown, a.putProfile).with(changeProfiles),
		remove("PasswordProfiles.Delete", pathProfile, "Delete a password profile with its logins", a.deleteProfile).with(changeProfiles),
		request,
	}
}

func (a *API) userRoutes() []route {
	const all = pathRealm + "/user-authentication-info"
	body, shown := Body[UserBody]{}, Document[User]{}
	return []route{
		list("UserAuthenticationInfo.List", all, "List the users of a realm", List[User]{}, a.listUsers).with(readUsers),
		post("UserAuthenticationInfo.Create", all, "Make a user", body, shown, a.postUser).with(changeUsers),
		get("UserAuthenticationInfo.Get", pathUser, "Get a user", shown, a.getUser).with(readUsers).andMembers(),
		put("UserAuthenticationInfo.Update", pathUser, "Change a user", body, shown, a.putUser).with(changeUsers).andMembers(),
		remove("UserAuthenticationInfo.Delete", pathUser, "Delete a user", a.deleteUser).with(changeUsers),
	}
}

func (a *API) loginRoutes() []route {
	const all = pathUser + "/user-authentication-password-profile-info"
	body, shown := Body[LoginBody]{}, Document[Login]{}
	return []route{
		list("UserAuthenticationPasswordProfileInfo.List", all, "List the names that a user signs in with",
			List[Login]{}, a.listLogins).with(readUsers).andMembers(),
		post("UserAuthenticationPasswordProfileInfo.Create", all, "Give a user a name and a password to sign in with",
			body, shown, a.postLogin).with(changeUsers),
		get("UserAuthenticationPasswordProfileInfo.Get", pathLogin, "Get a name that a user signs in with",
			shown, a.getLogin).with(readUsers).andMembers(),
		put("UserAuthenticationPasswordProfileInfo.Update", pathLogin, "Change a name that a user signs in with, or its password",
			body, shown, a.putLogin).with(changeUsers).andMembers(),
		remove("UserAuthenticationPasswordProfileInfo.Delete", pathLogin, "Delete a name that a user signs in with",
			a.deleteLogin).with(changeUsers),
	}
}

func (a *API) accountRoutes() []route {
	const all = "/v2/accounts"
	body, shown := Body[AccountBody]{}, Document[Account]{}
	return []route{
		list("Accounts.List", all, "List the accounts", List[Account]{}, a.listAccounts).with(readAccounts).andMembers(),
		post("Accounts.Create", all, "Make an account", body, shown, a.postAccount).with(changeAccounts),
		get("Accounts.Get", pathAccount, "Get an account", shown, a.getAccount).with(readAccounts).andMembers(),
		put("Accounts.Update", pathAccount, "Change an account", body, shown, a.putAccount).with(changeAccounts),
		remove("Accounts.Delete", pathAccount, "Delete an account", a.deleteAccount).with(changeAccounts),
	}
}

func (a *API) memberRoutes() []route {
	const all = pathAccount + "/account-memberships"
	body, shown, listed := Body[MembershipBody]{}, Document[Membership]{}, List[Membership]{}
	member := Document[AccountMember]{}
	including := func(r route, what string) route {
		r.Query = append(r.Query, openapi.Parameter{Name: "include", About: "With " + what + ", those are shown as well"})
		return r
	}
	return []route{
		list("AccountMembers.List", "/v2/account-members", "List the account members", List[AccountMember]{}, a.listMembers).with(readUsers).andMembers(),
		get("AccountMembers.Get", pathMember, "Get an account member", member, a.getMember).with(readUsers).andMembers(),
		put("AccountMembers.Update", pathMember, "Change the flows of an account member, of which there are none",
			Body[MemberBody]{}, member, a.putMember).with(changeUsers),
		including(list("AccountMembers.ListMemberships", pathMember+"/account-memberships", "List the memberships of an account member",
			listed, a.listMemberMemberships).with(readUsers).andMembers(), typeAccount),
		including(list("AccountMemberships.List", all, "List the memberships of an account", listed, a.listAccountMemberships).
			with(readAccounts).andMembers(), typeMember),
		post("AccountMemberships.Create", all, "Make an account member one of an account", body, shown, a.postMembership).with(changeAccounts),
		including(get("AccountMemberships.Get", pathMembership, "Get a membership", shown, a.getMembership).
			with(readAccounts).andMembers(), typeMember),
		put("AccountMemberships.Update", pathMembership, "Change a membership", body, shown, a.putMembership).with(changeAccounts),
		remove("AccountMemberships.Delete", pathMembership, "End a membership", a.deleteMembership).with(changeAccounts),
		list("AccountMemberships.ListUnassigned", all+"/unassigned-account-members", "List the account members who are none of an account",
			List[AccountMember]{}, a.listStrangers).with(readAccounts),
	}
}
