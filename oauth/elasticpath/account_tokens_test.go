package elasticpath_test

import (
	"testing"
	"time"

	"latchkey/storage"
)

const settings = "/v2/settings/account-authentication"

func (s *testServer) changeSettings(members string) {
	s.t.Helper()
	s.send(caller{bearer: s.admin}, "PUT", settings, `{"data":{`+members+`}}`, 200)
}

func TestPasswordlessSignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.changeSettings(`"auto_create_account_for_account_members":true`)
	profile := s.createProfile()
	user, info := s.createUser(profile, "john")
	s.createUser(profile, "jane")
	s.giveCode(profile, info, "K7M2QX9T", storage.PurposeSignIn)
	for _, wrong := range []string{
		byCode(profile, "john", "WRONG123"), byCode(profile, "jane", "K7M2QX9T"), byCode(profile, "nobody", "K7M2QX9T"),
		byCode("default", "john", "K7M2QX9T"), byCode("nope", "john", "K7M2QX9T"), byPassword(profile, "john", "K7M2QX9T"),
	} {
		got := s.requestTokens(400, wrong)
		checkEqual(t, valueAt(got, "errors"), any([]any{map[string]any{"title": "Bad Request", "status": "400", "detail": "authentication failed"}}))
	}
	got := s.requestTokens(201, byCode(profile, "JOHN ", "k7m2-qx9t"))
	checkEqual(t, valueAt(got, "meta", "account_member_id"), any(user))
	checkEqual(t, valueAt(got, "meta", "results", "total"), any(1.0))
	checkEqual(t, valueAt(got, "data", 0, "account_name"), any("john Doe"))
	checkEqual(t, valueAt(got, "data", 0, "type"), any("account_management_authentication_token"))
	checkEqual(t, valueAt(got, "links", "first"), any(issuer+"/v2/account-members/tokens?page[offset]=0&page[limit]=25"))
	expires, err := time.Parse("2006-01-02T15:04:05.000Z", textAt(got, "data", 0, "expires"))
	if left := time.Until(expires); err != nil || left > 24*time.Hour || left < 24*time.Hour-time.Minute {
		t.Errorf("got expiry %v, error %v", expires, err)
	}
	s.requestTokens(400, byCode(profile, "john", "K7M2QX9T")) // the code is used
}

func TestTokensOfManyAccounts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	profile := s.createProfile()
	user, _ := s.createUser(profile, "john")
	got := s.requestTokens(201, byPassword(profile, "john", "first password"))
	checkEqual(t, valueAt(got, "data"), any([]any{}))
	checkEqual(t, valueAt(got, "meta", "account_member_id"), any(user))
	for _, name := range []string{"A", "B", "C"} {
		account := textAt(s.send(caller{bearer: s.admin}, "POST", "/v2/accounts", `{"data":{"name":"`+name+`"}}`, 201), "data", "id")
		s.send(caller{bearer: s.admin}, "POST", "/v2/accounts/"+account+"/account-memberships", `{"data":{"account_member_id":"`+user+`"}}`, 201)
	}
	got = s.send(caller{bearer: s.shop}, "POST", "/v2/account-members/tokens?page[limit]=2&page[offset]=2",
		`{"data":{"type":"account_management_authentication_token",`+byPassword(profile, "john", "first password")+`}}`, 201)
	checkEqual(t, valueAt(got, "data", 0, "account_name"), any("C"))
	checkEqual(t, valueAt(got, "meta", "page", "current"), any(2.0))
	checkEqual(t, valueAt(got, "links", "prev"), any(issuer+"/v2/account-members/tokens?page[offset]=0&page[limit]=2"))
	s.send(caller{bearer: s.shop}, "POST", "/v2/account-members/tokens?page[limit]=101", `{"data":{}}`, 400)
}

func TestRenewedTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.changeSettings(`"auto_create_account_for_account_members":true`)
	profile := s.createProfile()
	user, _ := s.createUser(profile, "john")
	presented := textAt(s.requestTokens(201, byPassword(profile, "john", "first password")), "data", 0, "token")
	const mechanism = `{"data":{"type":"account_management_authentication_token","authentication_mechanism":"account_management_authentication_token"}}`
	got := s.send(caller{s.shop, presented}, "POST", "/v2/account-members/tokens", mechanism, 201)
	checkEqual(t, valueAt(got, "meta", "account_member_id"), any(user))
	if textAt(got, "data", 0, "token") == presented {
		t.Error("got the same token, want a new one")
	}
	s.expectRefusal(caller{s.shop, s.admin}, "POST", "/v2/account-members/tokens", mechanism, 400, "authentication failed")
	s.expectRefusal(caller{s.shop, presented + "x"}, "POST", "/v2/account-members/tokens", mechanism, 400, "authentication failed")
	s.expectRefusal(caller{bearer: s.shop}, "POST", "/v2/account-members/tokens", mechanism, 400,
		"the header EP-Account-Management-Authentication-Token is required")
	s.expectRefusal(caller{bearer: s.shop}, "POST", "/v2/account-members/tokens",
		`{"data":{"authentication_mechanism":"account_management_authentication_token","token":"`+presented+`"}}`, 400,
		"the token must be in the header EP-Account-Management-Authentication-Token")
	s.send(caller{bearer: presented}, "GET", settings, "", 401) // an account token is not an access token
}

func TestTokenRequestsOfOtherKinds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.requestTokens(422, `"authentication_mechanism":"oidc","oauth_authorization_code":"x"`)
	s.requestTokens(400, `"authentication_mechanism":"magic"`)
	s.requestTokens(400, `"username":"john"`)
	s.requestTokens(400, `"authentication_mechanism":"password","username":"john"`)
	s.requestTokens(400, `"authentication_mechanism":"password","password_profile_id":["x"]`)
}

func TestSelfSignup(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	profile := s.createProfile()
	signup := func(username, password string) string {
		return `"authentication_mechanism":"self_signup","password_profile_id":"` + profile + `","username":"` + username +
			`","password":"` + password + `","name":"Ron Swanson","email":"ron@x.com"`
	}
	s.requestTokens(403, signup("ron", "long enough"))
	s.changeSettings(`"enable_self_signup":true,"auto_create_account_for_account_members":true`)
	s.requestTokens(422, signup("ron", "short"))
	got := s.requestTokens(201, signup("ron", "long enough"))
	checkEqual(t, valueAt(got, "data", 0, "account_name"), any("Ron Swanson"))
	s.requestTokens(422, signup("RON", "long enough"))
	found := s.send(caller{bearer: s.admin}, "GET", "/v2/account-members", "", 200)
	checkEqual(t, valueAt(found, "meta", "results", "total"), any(1.0)) // the refused requests stored nothing
	s.requestTokens(201, byPassword(profile, "ron", "long enough"))
}

// TestSelfManagement follows the password reset in the vendor's guide.
func TestSelfManagement(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.changeSettings(`"auto_create_account_for_account_members":true`)
	profile := s.createProfile()
	user, info := s.createUser(profile, "john")
	other := caller{s.shop, textAt(s.requestTokens(201, byPassword(profile, "john", "first password")), "data", 0, "token")}
	s.giveCode(profile, info, "K7M2QX9T", storage.PurposeResetPassword)
	token := textAt(s.requestTokens(201, byCode(profile, "john", "K7M2QX9T")), "data", 0, "token")
	me := caller{s.shop, token}
	own := realm + "/user-authentication-info/" + user
	infos := own + "/user-authentication-password-profile-info"
	for _, attempt := range []struct{ method, path, body string }{
		{"GET", own, ""}, {"PUT", own, `{"data":{"name":"J"}}`}, {"GET", infos, ""}, {"PUT", infos + "/" + info, `{"data":{"password":"second password"}}`},
	} {
		s.expectRefusal(me, attempt.method, attempt.path, attempt.body, 403, "forbidden")
	}
	s.changeSettings(`"account_member_self_management":"update_only"`)
	s.send(caller{bearer: s.shop}, "PUT", own, `{"data":{"name":"J"}}`, 403)       // without the account token
	s.send(caller{s.shop, s.shop}, "PUT", own, `{"data":{"name":"J"}}`, 401)       // with an access token in place of the account token
	s.send(caller{s.admin, token + "x"}, "PUT", own, `{"data":{"name":"J"}}`, 401) // the header is not ignored
	s.send(me, "DELETE", own, "", 403)                                             // members delete nothing
	s.send(me, "POST", infos, `{"data":{}}`, 403)                                  // members create nothing
	s.send(me, "PUT", "/v2/account-members/"+user, `{"data":{}}`, 403)             // members change no other resources
	checkEqual(t, valueAt(s.send(me, "PUT", own, `{"data":{"name":"J"}}`, 200), "data", "name"), any("J"))
	checkEqual(t, valueAt(s.send(me, "GET", infos, "", 200), "data", 0, "id"), any(info))
	s.send(me, "PUT", infos+"/"+info, `{"data":{"type":"user_authentication_password_profile_info","password":"short"}}`, 422)
	s.giveCode(profile, info, "AAAABBBB", storage.PurposeSignIn)
	s.send(me, "PUT", infos+"/"+info, `{"data":{"id":"`+profile+`","type":"user_authentication_password_profile_info","username":"john","password":"second password"}}`, 200)
	s.send(me, "GET", own, "", 200)
	s.send(other, "GET", own, "", 401) // the other session has ended
	s.requestTokens(400, byCode(profile, "john", "AAAABBBB"))
	s.requestTokens(400, byPassword(profile, "john", "first password"))
	s.requestTokens(201, byPassword(profile, "john", "second password"))
}

// TestMembersFindOnlyTheirOwn tests that a member gets 404 for resources of others, even if the
// access token may read them.
func TestMembersFindOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.changeSettings(`"auto_create_account_for_account_members":true,"account_member_self_management":"update_only"`)
	john, _ := s.createUser("default", "john")
	jane, janes := s.createUser("default", "jane")
	tokens := s.requestTokens(201, byPassword("default", "john", "first password"))
	mine := textAt(tokens, "data", 0, "account_id")
	hers := textAt(s.requestTokens(201, byPassword("default", "jane", "first password")), "data", 0, "account_id")
	s.send(caller{bearer: s.admin}, "POST", "/v2/accounts/"+mine+"/account-memberships", `{"data":{"account_member_id":"`+jane+`"}}`, 201)
	both := s.send(caller{bearer: s.admin}, "GET", "/v2/accounts/"+mine+"/account-memberships?filter=eq(account_member_id,"+jane+")", "", 200)
	janesMembership := textAt(both, "data", 0, "id")
	for _, bearer := range []string{s.shop, s.admin} {
		me := caller{bearer, textAt(tokens, "data", 0, "token")}
		for _, path := range []string{
			"/v2/accounts/" + hers, "/v2/accounts/" + hers + "/account-memberships", "/v2/account-members/" + jane,
			"/v2/account-members/" + jane + "/account-memberships", realm + "/user-authentication-info/" + jane,
			realm + "/user-authentication-info/" + jane + "/user-authentication-password-profile-info",
			realm + "/user-authentication-info/" + jane + "/user-authentication-password-profile-info/" + janes,
			realm + "/user-authentication-info/" + john + "/user-authentication-password-profile-info/" + janes,
			"/v2/accounts/" + mine + "/account-memberships/" + janesMembership,
		} {
			s.send(me, "GET", path, "", 404)
		}
		s.send(me, "PUT", realm+"/user-authentication-info/"+jane, `{"data":{"name":"x"}}`, 404)
		s.send(me, "PUT", realm+"/user-authentication-info/"+jane+"/user-authentication-password-profile-info/"+janes, `{"data":{"password":"stolen one"}}`, 404)
		for path, id := range map[string]string{"/v2/accounts": mine, "/v2/account-members": john} {
			got := s.send(me, "GET", path, "", 200)
			checkEqual(t, valueAt(got, "data", 0, "id"), any(id))
			checkEqual(t, valueAt(got, "meta", "results", "total"), any(1.0))
		}
		got := s.send(me, "GET", "/v2/accounts/"+mine+"/account-memberships", "", 200)
		checkEqual(t, valueAt(got, "data", 0, "account_member_id"), any(john))
		checkEqual(t, valueAt(got, "meta", "results", "total"), any(1.0))
		s.send(me, "GET", "/v2/accounts/"+mine, "", 200)
		s.send(me, "GET", "/v2/account-members/"+john, "", 200)
		s.send(me, "GET", "/v2/account-members/"+john+"/account-memberships", "", 200)
	}
}
