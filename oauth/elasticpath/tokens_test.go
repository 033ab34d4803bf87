package elasticpath_test

import (
	"testing"
	"time"

	"latchkey/storage"
)

const settings = "/v2/settings/account-authentication"

func (w *world) set(members string) {
	w.t.Helper()
	w.send(as{bearer: w.admin}, "PUT", settings, `{"data":{`+members+`}}`, 200)
}

func TestPasswordlessSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(`"auto_create_account_for_account_members":true`)
	profile := w.profile()
	user, info := w.person(profile, "john")
	w.person(profile, "jane")
	w.plant(profile, info, "K7M2QX9T", storage.PurposeSignIn)
	for _, wrong := range []string{
		byCode(profile, "john", "WRONG123"), byCode(profile, "jane", "K7M2QX9T"), byCode(profile, "nobody", "K7M2QX9T"),
		byCode("default", "john", "K7M2QX9T"), byCode("nope", "john", "K7M2QX9T"), byPassword(profile, "john", "K7M2QX9T"),
	} {
		got := w.tokens(400, wrong)
		equal(t, at(got, "errors"), any([]any{map[string]any{"title": "Bad Request", "status": "400", "detail": "authentication failed"}}))
	}
	got := w.tokens(201, byCode(profile, "JOHN ", "k7m2-qx9t"))
	equal(t, at(got, "meta", "account_member_id"), any(user))
	equal(t, at(got, "meta", "results", "total"), any(1.0))
	equal(t, at(got, "data", 0, "account_name"), any("john Doe"))
	equal(t, at(got, "data", 0, "type"), any("account_management_authentication_token"))
	equal(t, at(got, "links", "first"), any(issuer+"/v2/account-members/tokens?page[offset]=0&page[limit]=25"))
	expires, err := time.Parse("2006-01-02T15:04:05.000Z", text(got, "data", 0, "expires"))
	if left := time.Until(expires); err != nil || left > 24*time.Hour || left < 24*time.Hour-time.Minute {
		t.Errorf("expires %v, %v", expires, err)
	}
	w.tokens(400, byCode(profile, "john", "K7M2QX9T")) // used up
}

func TestTokensOfManyAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	profile := w.profile()
	user, _ := w.person(profile, "john")
	got := w.tokens(201, byPassword(profile, "john", "first password"))
	equal(t, at(got, "data"), any([]any{}))
	equal(t, at(got, "meta", "account_member_id"), any(user))
	for _, name := range []string{"A", "B", "C"} {
		account := text(w.send(as{bearer: w.admin}, "POST", "/v2/accounts", `{"data":{"name":"`+name+`"}}`, 201), "data", "id")
		w.send(as{bearer: w.admin}, "POST", "/v2/accounts/"+account+"/account-memberships", `{"data":{"account_member_id":"`+user+`"}}`, 201)
	}
	got = w.send(as{bearer: w.shop}, "POST", "/v2/account-members/tokens?page[limit]=2&page[offset]=2",
		`{"data":{"type":"account_management_authentication_token",`+byPassword(profile, "john", "first password")+`}}`, 201)
	equal(t, at(got, "data", 0, "account_name"), any("C"))
	equal(t, at(got, "meta", "page", "current"), any(2.0))
	equal(t, at(got, "links", "prev"), any(issuer+"/v2/account-members/tokens?page[offset]=0&page[limit]=2"))
	w.send(as{bearer: w.shop}, "POST", "/v2/account-members/tokens?page[limit]=101", `{"data":{}}`, 400)
}

func TestRenewedTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(`"auto_create_account_for_account_members":true`)
	profile := w.profile()
	user, _ := w.person(profile, "john")
	held := text(w.tokens(201, byPassword(profile, "john", "first password")), "data", 0, "token")
	const mechanism = `{"data":{"type":"account_management_authentication_token","authentication_mechanism":"account_management_authentication_token"}}`
	got := w.send(as{w.shop, held}, "POST", "/v2/account-members/tokens", mechanism, 201)
	equal(t, at(got, "meta", "account_member_id"), any(user))
	if text(got, "data", 0, "token") == held {
		t.Error("the same token")
	}
	w.refused(as{w.shop, w.admin}, "POST", "/v2/account-members/tokens", mechanism, 400, "authentication failed")
	w.refused(as{w.shop, held + "x"}, "POST", "/v2/account-members/tokens", mechanism, 400, "authentication failed")
	w.refused(as{bearer: w.shop}, "POST", "/v2/account-members/tokens", mechanism, 400,
		"the header EP-Account-Management-Authentication-Token is required")
	w.refused(as{bearer: w.shop}, "POST", "/v2/account-members/tokens",
		`{"data":{"authentication_mechanism":"account_management_authentication_token","token":"`+held+`"}}`, 400,
		"the token must be in the header EP-Account-Management-Authentication-Token")
	w.send(as{bearer: held}, "GET", settings, "", 401) // no access token
}

func TestTokenRequestsOfOtherKinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tokens(422, `"authentication_mechanism":"oidc","oauth_authorization_code":"x"`)
	w.tokens(400, `"authentication_mechanism":"magic"`)
	w.tokens(400, `"username":"john"`)
	w.tokens(400, `"authentication_mechanism":"password","username":"john"`)
	w.tokens(400, `"authentication_mechanism":"password","password_profile_id":["x"]`)
}

func TestSelfSignup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	profile := w.profile()
	signup := func(username, password string) string {
		return `"authentication_mechanism":"self_signup","password_profile_id":"` + profile + `","username":"` + username +
			`","password":"` + password + `","name":"Ron Swanson","email":"ron@x.com"`
	}
	w.tokens(403, signup("ron", "long enough"))
	w.set(`"enable_self_signup":true,"auto_create_account_for_account_members":true`)
	w.tokens(422, signup("ron", "short"))
	got := w.tokens(201, signup("ron", "long enough"))
	equal(t, at(got, "data", 0, "account_name"), any("Ron Swanson"))
	w.tokens(422, signup("RON", "long enough"))
	found := w.send(as{bearer: w.admin}, "GET", "/v2/account-members", "", 200)
	equal(t, at(found, "meta", "results", "total"), any(1.0)) // nothing half-written
	w.tokens(201, byPassword(profile, "ron", "long enough"))
}

// TestSelfManagement is the password reset of the walk-through.
func TestSelfManagement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(`"auto_create_account_for_account_members":true`)
	profile := w.profile()
	user, info := w.person(profile, "john")
	other := as{w.shop, text(w.tokens(201, byPassword(profile, "john", "first password")), "data", 0, "token")}
	w.plant(profile, info, "K7M2QX9T", storage.PurposeResetPassword)
	token := text(w.tokens(201, byCode(profile, "john", "K7M2QX9T")), "data", 0, "token")
	me := as{w.shop, token}
	own := realm + "/user-authentication-info/" + user
	infos := own + "/user-authentication-password-profile-info"
	for _, try := range []struct{ method, path, body string }{
		{"GET", own, ""}, {"PUT", own, `{"data":{"name":"J"}}`}, {"GET", infos, ""}, {"PUT", infos + "/" + info, `{"data":{"password":"second password"}}`},
	} {
		w.refused(me, try.method, try.path, try.body, 403, "forbidden")
	}
	w.set(`"account_member_self_management":"update_only"`)
	w.send(as{bearer: w.shop}, "PUT", own, `{"data":{"name":"J"}}`, 403)       // without the token
	w.send(as{w.shop, w.shop}, "PUT", own, `{"data":{"name":"J"}}`, 401)       // with another kind of token
	w.send(as{w.admin, token + "x"}, "PUT", own, `{"data":{"name":"J"}}`, 401) // the header is not ignored
	w.send(me, "DELETE", own, "", 403)                                         // nothing is deleted
	w.send(me, "POST", infos, `{"data":{}}`, 403)                              // nor created
	w.send(me, "PUT", "/v2/account-members/"+user, `{"data":{}}`, 403)         //
	equal(t, at(w.send(me, "PUT", own, `{"data":{"name":"J"}}`, 200), "data", "name"), any("J"))
	equal(t, at(w.send(me, "GET", infos, "", 200), "data", 0, "id"), any(info))
	w.send(me, "PUT", infos+"/"+info, `{"data":{"type":"user_authentication_password_profile_info","password":"short"}}`, 422)
	w.plant(profile, info, "AAAABBBB", storage.PurposeSignIn)
	w.send(me, "PUT", infos+"/"+info, `{"data":{"id":"`+profile+`","type":"user_authentication_password_profile_info","username":"john","password":"second password"}}`, 200)
	w.send(me, "GET", own, "", 200)
	w.send(other, "GET", own, "", 401) // the other session has ended
	w.tokens(400, byCode(profile, "john", "AAAABBBB"))
	w.tokens(400, byPassword(profile, "john", "first password"))
	w.tokens(201, byPassword(profile, "john", "second password"))
}

// TestMembersReachTheirOwn: whatever is another's looks as if it did not exist,
// even with an access token that could reach it.
func TestMembersReachTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(`"auto_create_account_for_account_members":true,"account_member_self_management":"update_only"`)
	john, _ := w.person("default", "john")
	jane, janes := w.person("default", "jane")
	tokens := w.tokens(201, byPassword("default", "john", "first password"))
	mine := text(tokens, "data", 0, "account_id")
	hers := text(w.tokens(201, byPassword("default", "jane", "first password")), "data", 0, "account_id")
	w.send(as{bearer: w.admin}, "POST", "/v2/accounts/"+mine+"/account-memberships", `{"data":{"account_member_id":"`+jane+`"}}`, 201)
	both := w.send(as{bearer: w.admin}, "GET", "/v2/accounts/"+mine+"/account-memberships?filter=eq(account_member_id,"+jane+")", "", 200)
	janesMembership := text(both, "data", 0, "id")
	for _, bearer := range []string{w.shop, w.admin} {
		me := as{bearer, text(tokens, "data", 0, "token")}
		for _, path := range []string{
			"/v2/accounts/" + hers, "/v2/accounts/" + hers + "/account-memberships", "/v2/account-members/" + jane,
			"/v2/account-members/" + jane + "/account-memberships", realm + "/user-authentication-info/" + jane,
			realm + "/user-authentication-info/" + jane + "/user-authentication-password-profile-info",
			realm + "/user-authentication-info/" + jane + "/user-authentication-password-profile-info/" + janes,
			realm + "/user-authentication-info/" + john + "/user-authentication-password-profile-info/" + janes,
			"/v2/accounts/" + mine + "/account-memberships/" + janesMembership,
		} {
			w.send(me, "GET", path, "", 404)
		}
		w.send(me, "PUT", realm+"/user-authentication-info/"+jane, `{"data":{"name":"x"}}`, 404)
		w.send(me, "PUT", realm+"/user-authentication-info/"+jane+"/user-authentication-password-profile-info/"+janes, `{"data":{"password":"stolen one"}}`, 404)
		for path, id := range map[string]string{"/v2/accounts": mine, "/v2/account-members": john} {
			got := w.send(me, "GET", path, "", 200)
			equal(t, at(got, "data", 0, "id"), any(id))
			equal(t, at(got, "meta", "results", "total"), any(1.0))
		}
		got := w.send(me, "GET", "/v2/accounts/"+mine+"/account-memberships", "", 200)
		equal(t, at(got, "data", 0, "account_member_id"), any(john))
		equal(t, at(got, "meta", "results", "total"), any(1.0))
		w.send(me, "GET", "/v2/accounts/"+mine, "", 200)
		w.send(me, "GET", "/v2/account-members/"+john, "", 200)
		w.send(me, "GET", "/v2/account-members/"+john+"/account-memberships", "", 200)
	}
}
