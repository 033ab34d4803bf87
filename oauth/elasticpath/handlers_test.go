package elasticpath_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/storage"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := caller{bearer: s.admin}
	s.expectRefusal(admin, "GET", "/v2/carts", "", 404, "Resource not found")
	s.expectRefusal(admin, "GET", "/v2/integrations/x/y/z", "", 404, "Resource not found")
	s.expectRefusal(caller{}, "GET", "/v2/", "", 404, "Resource not found")
	answer := s.answer(admin, "PATCH", realm, "{}")
	checkEqual(t, answer.Body.String(), `{"errors":[{"title":"Method Not Allowed","status":"405"}]}`)
	checkEqual(t, answer.Header().Get("Allow"), "GET, HEAD, PUT")
	checkEqual(t, s.answer(admin, "HEAD", realm, "").Code, 200)
}

func TestEveryRouteNeedsTokenAndRole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, o := range s.api.Operations() {
		path := strings.NewReplacer("{realm}", "default", "{profile}", "default").Replace(o.Path)
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		if o.Open {
			continue
		}
		answer := s.answer(caller{}, o.Method, path, "")
		if got := answer.Header().Get("WWW-Authenticate"); answer.Code != 401 || got != `Bearer realm="latchkey"` {
			t.Errorf("%s %s without a token: got %d %q, want 401", o.Method, path, answer.Code, got)
		}
		answer = s.answer(caller{bearer: "nonsense"}, o.Method, path, "")
		if got := answer.Header().Get("WWW-Authenticate"); answer.Code != 401 || !strings.Contains(got, "invalid_token") {
			t.Errorf("%s %s with a bad token: got %d %q, want 401", o.Method, path, answer.Code, got)
		}
		answer = s.answer(caller{bearer: s.shop}, o.Method, path, "")
		if forbidden := answer.Code == 403; forbidden != (len(o.Roles) > 0) {
			t.Errorf("%s %s without a role: got %d", o.Method, path, answer.Code)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := s.send(caller{bearer: s.shop}, "GET", "/v2/settings/account-authentication", "", 200)
	checkEqual(t, got, map[string]any{
		"data": map[string]any{
			"id": storage.RealmUUID("default"), "type": "account_authentication_settings", "enable_self_signup": false,
			"auto_create_account_for_account_members": false, "account_member_self_management": "disabled",
			"account_management_authentication_token_timeout_secs": 86400.0,
			"relationships": map[string]any{"authentication_realm": map[string]any{"data": map[string]any{
				"id": storage.RealmUUID("default"), "type": "authentication_realm", "links": map[string]any{"self": issuer + shownRealm},
			}}},
			"meta": map[string]any{"client_id": "account-management"},
		},
		"links": map[string]any{"self": issuer + "/v2/settings/account-authentication"},
	})
	admin := caller{bearer: s.admin}
	const path = "/v2/settings/account-authentication"
	got = s.send(admin, "PUT", path, `{"data":{"type":"account_authentication_settings","account_member_self_management":"update_only"}}`, 200)
	checkEqual(t, valueAt(got, "data", "account_member_self_management"), any("update_only"))
	got = s.send(admin, "PUT", path, `{"data":{"enable_self_signup":true,"account_management_authentication_token_timeout_secs":60,"meta":{"client_id":"x"}}}`, 200)
	checkEqual(t, valueAt(got, "data", "account_member_self_management"), any("update_only"))
	checkEqual(t, valueAt(got, "data", "account_management_authentication_token_timeout_secs"), any(60.0))
	s.expectRefusal(admin, "PUT", path, `{"data":{"account_member_self_management":"all"}}`, 400,
		"Validation failed: field 'account_member_self_management' on the 'oneof' tag.")
	s.expectRefusal(admin, "PUT", path, `{"data":{"enable_self_signup":"yes"}}`, 400, "Validation failed: field 'enable_self_signup' on the 'type' tag.")
	s.expectRefusal(admin, "PUT", path, `{"data":`, 400, "Could not parse the request body")
	got = s.send(admin, "GET", "/v2/settings/account-membership", "", 200)
	checkEqual(t, valueAt(got, "data", "membership_limit"), any(10000.0))
}

func TestBodies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	send := func(contentType, body string) int {
		r := httptest.NewRequest(http.MethodPut, realm, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+s.admin)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		answer := httptest.NewRecorder()
		s.mux.ServeHTTP(answer, r)
		return answer.Code
	}
	for _, tt := range []struct {
		contentType, body string
		want              int
	}{
		{"", `{"data":{}}`, 200},
		{"application/vnd.api+json; charset=utf-8", `{"data":{}}`, 200},
		{"application/x-www-form-urlencoded", `{"data":{}}`, 415},
		{"text/plain", `{"data":{}}`, 415},
		{"application/json", `{"data":{"name":"` + strings.Repeat("x", 70000) + `"}}`, 413},
		{"application/json", `{"data":{"name":"` + strings.Repeat("x", 513) + `"}}`, 400},
		{"application/json", `{"data":{"name":"a\u0000b"}}`, 400},
		{"application/json", "{\"data\":{\"name\":\"\xff\"}}", 400},
		{"application/json", `{"data":{"name":" "}}`, 400},
		{"application/json", `{"data":{"redirect_uris":["http://evil.example"]}}`, 400},
		{"application/json", `{"data":{"redirect_uris":["http://localhost:3000","https://x.example/cb"]}}`, 200},
		{"application/json", `{"data":{"redirect_uris":["javascript:alert(1)"]}}`, 400},
		{"application/json", `[]`, 400},
		{"application/json", ``, 400},
	} {
		if got := send(tt.contentType, tt.body); got != tt.want {
			t.Errorf("%s %.40q: got %d, want %d", tt.contentType, tt.body, got, tt.want)
		}
	}
}

func TestPasswordProfiles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin, shop := caller{bearer: s.admin}, caller{bearer: s.shop}
	const all = realm + "/password-profiles"
	made := s.send(admin, "POST", all, `{"data":{"type":"password_profile","name":"p","username_format":"email","enable_one_time_password_token":true}}`, 201)
	id := textAt(made, "data", "id")
	checkEqual(t, valueAt(made, "links", "self"), any(issuer+shownRealm+"/password-profiles/"+id))
	checkEqual(t, valueAt(made, "data", "code_length"), any(8.0))
	got := s.send(shop, "GET", all+"/"+id, "", 200)
	checkEqual(t, valueAt(got, "data", "username_format"), any("email"))
	checkEqual(t, valueAt(got, "data", "lockout_threshold"), any("")) // storefronts do not see it
	got = s.send(shop, "GET", all+"?sort=created_at", "", 200)
	checkEqual(t, valueAt(got, "meta", "results", "total"), any(1.0)) // the preset profile is not listed while it is unused
	checkEqual(t, valueAt(got, "data", 0, "links", "self"), any(issuer+shownRealm+"/password-profiles/"+id))
	checkEqual(t, valueAt(got, "links", "next"), any(""))

	answer := s.answer(admin, "PUT", all+"/"+id, `{"data":{"name":"q","lockout_threshold":3}}`)
	checkEqual(t, answer.Code, 200)
	checkEqual(t, answer.Header().Get("ETag"), `"2"`)
	got = s.send(admin, "GET", all+"/"+id, "", 200)
	checkEqual(t, valueAt(got, "data", "username_format"), any("email"))
	checkEqual(t, valueAt(got, "data", "lockout_threshold"), any(3.0))
	checkEqual(t, valueAt(got, "data", "name"), any("q"))

	s.expectRefusal(admin, "POST", all, `{"data":{"type":"password_profile"}}`, 400, "Validation failed: field 'name' on the 'required' tag.")
	s.expectRefusal(admin, "POST", all, `{"data":{"name":"x","code_length":2}}`, 400, "Validation failed: field 'code_length' on the 'format' tag.")
	s.expectRefusal(admin, "GET", all+"/nope", "", 404, "password profile not found")
	s.expectRefusal(admin, "GET", all+"/a%00b", "", 404, "password profile not found")
	s.expectRefusal(admin, "GET", "/v2/authentication-realms/nope/password-profiles/"+id, "", 404, "authentication realm not found")
	s.expectRefusal(admin, "DELETE", all+"/default", "", 409, "The resource exists already or is in use")
	s.send(admin, "DELETE", all+"/"+id, "", 204)
	s.expectRefusal(admin, "DELETE", all+"/"+id, "", 404, "password profile not found")
}

func TestUsers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := caller{bearer: s.admin}
	const all = realm + "/user-authentication-info"
	made := s.send(admin, "POST", all, `{"data":{"type":"user_authentication_info","name":"Ron Swanson","email":"ron@x.com","given_name":"Ron"}}`, 201)
	id := textAt(made, "data", "id")
	checkEqual(t, valueAt(made, "data", "meta", "creation_status"), any("COMPLETE"))
	checkEqual(t, valueAt(made, "data", "family_name"), any(""))
	got := s.send(admin, "PUT", all+"/"+id, `{"data":{"given_name":null,"family_name":"Swanson"}}`, 200)
	checkEqual(t, valueAt(got, "data", "given_name"), any(""))
	checkEqual(t, valueAt(got, "data", "family_name"), any("Swanson"))
	checkEqual(t, valueAt(got, "data", "email"), any("ron@x.com"))
	got = s.send(admin, "GET", "/v2/account-members/"+id, "", 200)
	checkEqual(t, valueAt(got, "data", "type"), any("account_member"))
	checkEqual(t, valueAt(got, "data", "name"), any("Ron Swanson"))
	for query, total := range map[string]float64{
		"": 1, "?filter=eq(email,RON@X.com)": 1, "?filter=eq(email,ron)": 0, "?filter=ilike(name,*SWAN*)": 1,
		"?filter=is_null(given_name):eq(family_name,swanson)": 1, "?sort=-name&page[limit]=1&page[offset]=1": 1,
	} {
		got := s.send(admin, "GET", all+query, "", 200)
		if valueAt(got, "meta", "results", "total") != total {
			t.Errorf("%s: got %v", query, got)
		}
	}
	s.expectRefusal(admin, "GET", all+"?filter=eq(secret,x)", "", 400, "Could not parse the supplied filter")
	s.expectRefusal(admin, "POST", all, `{"data":{"name":"x","email":"not an address"}}`, 400, "Validation failed: field 'email' on the 'email' tag.")
	got = s.send(admin, "POST", all, `{"data":{"type":"user_authentication_info"}}`, 400)
	checkEqual(t, valueAt(got, "errors", 1, "detail"), any("Validation failed: field 'email' on the 'required' tag."))
	s.send(admin, "DELETE", all+"/"+id, "", 204)
	s.expectRefusal(admin, "GET", all+"/"+id, "", 404, "user not found")
}

// TestOnlyBuyersAreUsers tests that this dialect answers 404 for admin users.
func TestOnlyBuyersAreUsers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, err := s.store.PutUser(t.Context(), storage.User{
		UID: "usr_boss", RealmID: "default", Kind: storage.Admin, ID: "boss", Name: "Boss", Email: "b@x.com", EmailKey: "b@x.com", Active: true,
	})
	must(t, err)
	admin := caller{bearer: s.admin}
	for _, path := range []string{
		realm + "/user-authentication-info/usr_boss", "/v2/account-members/usr_boss",
		realm + "/user-authentication-info/usr_boss/user-authentication-password-profile-info",
	} {
		s.send(admin, "GET", path, "", 404)
	}
	s.send(admin, "PUT", realm+"/user-authentication-info/usr_boss", `{"data":{"email":"evil@x.com"}}`, 404)
	got := s.send(admin, "GET", "/v2/account-members", "", 200)
	checkEqual(t, valueAt(got, "meta", "results", "total"), any(0.0))
}

func TestLogins(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin, profile := caller{bearer: s.admin}, s.createProfile()
	user, info := s.createUser(profile, "john.doe")
	all := realm + "/user-authentication-info/" + user + "/user-authentication-password-profile-info"
	got := s.send(admin, "GET", all, "", 200)
	checkEqual(t, valueAt(got, "data", 0, "username"), any("john.doe"))
	checkEqual(t, valueAt(got, "data", 0, "password"), any(""))
	checkEqual(t, valueAt(got, "data", 0, "password_profile_id"), any(profile))
	body := func(username, password string) string {
		return `{"data":{"type":"user_authentication_password_profile_info","password_profile_id":"` + profile +
			`","username":"` + username + `","password":"` + password + `"}}`
	}
	s.expectRefusal(admin, "POST", all, body("John.Doe ", "another password"), 422, "Constraint violation")
	s.expectRefusal(admin, "POST", all, body("other", "short"), 422, "The password must have at least 8 characters")
	s.expectRefusal(admin, "POST", all, strings.Replace(body("other", "long enough"), profile, "nope", 1), 422,
		"password_profile_id is of no password profile of the realm")
	second := textAt(s.send(admin, "POST", all, body("other", "long enough"), 201), "data", "id")
	s.expectRefusal(admin, "PUT", all+"/"+second, `{"data":{"username":"JOHN.DOE"}}`, 422, "Constraint violation")
	s.expectRefusal(admin, "PUT", all+"/"+second, `{"data":{"password_profile_id":"default"}}`, 422, "Constraint violation")
	got = s.send(admin, "PUT", all+"/"+second, `{"data":{"id":"x","type":"user_authentication_password_profile_info","username":"Third"}}`, 200)
	checkEqual(t, valueAt(got, "data", "username"), any("Third"))
	s.send(admin, "PUT", realm+"/password-profiles/"+profile, `{"data":{"username_format":"email"}}`, 200)
	s.expectRefusal(admin, "PUT", all+"/"+second, `{"data":{"username":"fourth"}}`, 422, "Validation failed: field 'username' on the 'email' tag.")
	s.send(admin, "PUT", all+"/"+second, `{"data":{"password":"without a new name"}}`, 200)
	other, _ := s.createUser("default", "jane")
	s.expectRefusal(admin, "GET", realm+"/user-authentication-info/"+other+"/user-authentication-password-profile-info/"+info, "", 404,
		"password profile info not found")
	s.send(admin, "DELETE", all+"/"+second, "", 204)
	s.expectRefusal(admin, "GET", all+"/"+second, "", 404, "password profile info not found")
}

func TestCodeRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	shop, profile := caller{bearer: s.shop}, s.createProfile()
	s.createUser(profile, "john")
	path := realm + "/password-profiles/" + profile + "/one-time-password-token-request"
	for _, body := range []string{
		`{"data":{"type":"one_time_password_token_request","username":"john","purpose":"reset_password"}}`,
		`{"type":"one-time-password-token-request","username":"john","purpose":"passwordless_authentication"}`,
		`{"data":{"type":"one_time_password_token_request","username":"nobody","purpose":"passwordless_authentication"}}`,
	} {
		answer := s.answer(shop, "POST", path, body)
		if answer.Code != 202 || answer.Body.Len() != 0 || answer.Header().Get("Content-Type") != "" {
			t.Errorf("%s: got %d %s, want an empty 202", body, answer.Code, answer.Body)
		}
	}
	waiting, err := s.store.ListRequests(t.Context(), storage.Query{Limit: 10, Sort: []storage.Order{{Field: "CreatedAt"}}})
	must(t, err)
	var asked []string
	for _, r := range waiting.Items {
		asked = append(asked, fmt.Sprint(r.Request.Username, r.Request.Purpose, r.Request.ClientID, r.Request.ProfileID == profile))
	}
	checkEqual(t, asked, []string{"johnreset_passwordtrue", "johnsign_intrue", "nobodysign_intrue"})
	for body, want := range map[string]string{
		`{"data":{"username":"john","purpose":"password_reset"}}`:                        "Validation failed: field 'purpose' on the 'oneof' tag.",
		`{"data":{"username":"john","purpose":"passwordles_authentication"}}`:            "Validation failed: field 'purpose' on the 'oneof' tag.",
		`{"data":{"username":"john"}}`:                                                   "Validation failed: field 'purpose' on the 'required' tag.",
		`{"data":{"purpose":"reset_password"}}`:                                          "Validation failed: field 'username' on the 'required' tag.",
		`{"data":{"username":"a\u0007","purpose":"reset_password"}}`:                     "Validation failed: field 'username' on the 'printable' tag.",
		`{"data":{"type":"password_profile","username":"j","purpose":"reset_password"}}`: "Validation failed: field 'type' on the 'eq' tag.",
		`{}`:   "Validation failed: field 'username' on the 'required' tag.",
		`null`: "Validation failed: field 'data' on the 'required' tag.",
		`x`:    "Could not parse the request body",
	} {
		s.expectRefusal(shop, "POST", path, body, 400, want)
	}
	const good = `{"data":{"username":"john","purpose":"reset_password"}}`
	s.expectRefusal(shop, "POST", realm+"/password-profiles/nope/one-time-password-token-request", good, 404, "password profile not found")
	s.expectRefusal(shop, "POST", "/v2/authentication-realms/nope/password-profiles/"+profile+"/one-time-password-token-request", good, 404, "password profile not found")
	s.send(caller{bearer: s.admin}, "PUT", realm+"/password-profiles/"+profile, `{"data":{"enable_one_time_password_token":false}}`, 200)
	s.expectRefusal(shop, "POST", path, good, 422, "one time password tokens are not enabled for the password profile")
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := caller{bearer: s.admin}
	top := s.send(admin, "POST", "/v2/accounts", `{"data":{"type":"account","name":"Top","legal_name":"Top Inc","registration_id":"R1","external_ref":"E"}}`, 201)
	id := textAt(top, "data", "id")
	checkEqual(t, valueAt(top, "links", "self"), any(issuer+"/v2/accounts/"+id))
	checkEqual(t, valueAt(top, "data", "relationships", "ancestors", "data"), any([]any{}))
	sub := s.send(admin, "POST", "/v2/accounts", `{"data":{"type":"account","name":"Sub","parent_id":"`+id+`"}}`, 201)
	checkEqual(t, valueAt(sub, "data", "relationships", "parent", "data", "id"), any(id))
	checkEqual(t, valueAt(sub, "data", "relationships", "ancestors", "data", 0, "id"), any(id))
	subID := textAt(sub, "data", "id")
	s.expectRefusal(admin, "POST", "/v2/accounts", `{"data":{"name":"x","registration_id":"R1"}}`, 409, "account with the given registration id already exists")
	s.expectRefusal(admin, "POST", "/v2/accounts", `{"data":{"name":"x","parent_id":"nope"}}`, 404, "parent account not found")
	s.expectRefusal(admin, "PUT", "/v2/accounts/"+id, `{"data":{"parent_id":"`+subID+`"}}`, 422, "parent_id cannot be changed")
	got := s.send(admin, "PUT", "/v2/accounts/"+id, `{"data":{"name":"Top 2","external_ref":null,"registration_id":"R1"}}`, 200)
	checkEqual(t, valueAt(got, "data", "legal_name"), any("Top Inc"))
	checkEqual(t, valueAt(got, "data", "external_ref"), any(""))
	got = s.send(admin, "GET", "/v2/accounts?filter=like(name,*op*):in(id,"+id+","+subID+")", "", 200)
	checkEqual(t, valueAt(got, "meta", "results", "total"), any(1.0))
	checkEqual(t, valueAt(got, "data", 0, "links", "self"), any(issuer+"/v2/accounts/"+id))
	s.send(admin, "DELETE", "/v2/accounts/"+id, "", 204)
	s.expectRefusal(admin, "GET", "/v2/accounts/"+id, "", 404, "account not found")
	_, err := s.store.PutAccount(t.Context(), storage.Account{UID: "acc_s", RealmID: "default", Kind: storage.Supplier, ID: "s", Name: "S", Active: true})
	must(t, err)
	s.expectRefusal(admin, "GET", "/v2/accounts/s", "", 404, "account not found")
}

func TestMemberships(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := caller{bearer: s.admin}
	user, _ := s.createUser("default", "john")
	account := textAt(s.send(admin, "POST", "/v2/accounts", `{"data":{"type":"account","name":"A"}}`, 201), "data", "id")
	all := "/v2/accounts/" + account + "/account-memberships"
	got := s.send(admin, "GET", all+"/unassigned-account-members", "", 200)
	checkEqual(t, valueAt(got, "data", 0, "id"), any(user))
	body := `{"data":{"type":"account_membership","account_member_id":"` + user + `"}}`
	made := s.send(admin, "POST", all, body, 201)
	id := textAt(made, "data", "id")
	checkEqual(t, valueAt(made, "data", "relationships", "account_member", "data", "id"), any(user))
	s.expectRefusal(admin, "POST", all, body, 409, "account membership with the given account id and account member id already exists")
	s.expectRefusal(admin, "POST", all, `{"data":{"account_member_id":"nobody"}}`, 404, "account member not found")
	got = s.send(admin, "GET", all+"/unassigned-account-members", "", 200)
	checkEqual(t, valueAt(got, "meta", "results", "total"), any(0.0))
	got = s.send(admin, "GET", all+"?include=account_member&filter=eq(account_member_id,"+user+")", "", 200)
	checkEqual(t, valueAt(got, "data", 0, "id"), any(id))
	checkEqual(t, valueAt(got, "included", "account_members", 0, "email"), any("john@example.com"))
	got = s.send(admin, "GET", "/v2/account-members/"+user+"/account-memberships?include=account", "", 200)
	checkEqual(t, valueAt(got, "data", 0, "relationships", "account", "data", "id"), any(account))
	checkEqual(t, valueAt(got, "included", "accounts", 0, "name"), any("A"))
	got = s.send(admin, "PUT", all+"/"+id, `{"data":{"roles":["Shopper","Approver","Shopper"]}}`, 200)
	checkEqual(t, valueAt(got, "data", "roles"), any([]any{"Approver", "Shopper"}))
	s.expectRefusal(admin, "PUT", all+"/"+id, `{"data":{"roles":["with space"]}}`, 400, "Validation failed: field 'roles' on the 'role' tag.")
	s.send(admin, "DELETE", all+"/"+id, "", 204)
	s.expectRefusal(admin, "GET", all+"/"+id, "", 404, "account membership not found")
}

// TestAccountAdminGivesNoRoles tests that a caller that may change accounts cannot give roles
// through memberships.
func TestAccountAdminGivesNoRoles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	user, _ := s.createUser("default", "john")
	clerk := caller{bearer: s.createClient("clerk", "BuyerAdmin")}
	account := textAt(s.send(clerk, "POST", "/v2/accounts", `{"data":{"name":"A"}}`, 201), "data", "id")
	all := "/v2/accounts/" + account + "/account-memberships"
	s.expectRefusal(clerk, "POST", all, `{"data":{"account_member_id":"`+user+`","roles":["FullAccess"]}}`, 403, "forbidden")
	id := textAt(s.send(clerk, "POST", all, `{"data":{"account_member_id":"`+user+`"}}`, 201), "data", "id")
	s.expectRefusal(clerk, "PUT", all+"/"+id, `{"data":{"roles":["FullAccess"]}}`, 403, "forbidden")
	s.expectRefusal(clerk, "GET", realm+"/user-authentication-info", "", 403, "forbidden")
	s.expectRefusal(clerk, "PUT", realm, `{"data":{}}`, 403, "forbidden")
	s.expectRefusal(clerk, "GET", "/v2/integrations/x", "", 403, "forbidden")
}

func TestStaleChangesAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	user, info := s.createUser("default", "john")
	account := textAt(s.send(caller{bearer: s.admin}, "POST", "/v2/accounts", `{"data":{"name":"A"}}`, 201), "data", "id")
	for _, path := range []string{
		realm, realm + "/password-profiles/default", "/v2/accounts/" + account, realm + "/user-authentication-info/" + user,
		realm + "/user-authentication-info/" + user + "/user-authentication-password-profile-info/" + info,
	} {
		seen := s.answer(caller{bearer: s.admin}, "GET", path, "").Header().Get("ETag")
		s.send(caller{bearer: s.admin}, "PUT", path, `{"data":{}}`, 200)
		for method, body := range map[string]string{"PUT": `{"data":{}}`, "DELETE": ""} {
			want := 412
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+s.admin)
			r.Header.Set("If-Match", seen)
			answer := httptest.NewRecorder()
			s.mux.ServeHTTP(answer, r)
			if method == "DELETE" && path == realm {
				want = 405
			}
			if seen == "" || answer.Code != want {
				t.Errorf("%s %s with %s: got %d %s, want %d", method, path, seen, answer.Code, answer.Body, want)
			}
		}
	}
}

func TestIntegrations(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	admin := caller{bearer: s.admin}
	made := s.send(admin, "POST", "/v2/integrations", `{"data":{"type":"integration","name":"Notify","enabled":true,"integration_type":"webhook",
		"observes":["one-time-password-token-request.created"],"configuration":{"url":"https://hook.example/otp","secret_key":"k1"}}}`, 201)
	id := textAt(made, "data", "id")
	want := map[string]any{"url": "https://hook.example/otp", "secret_key": "k1"}
	checkEqual(t, valueAt(made, "data", "configuration"), any(want))
	stored, err := s.store.Sender(t.Context(), id)
	must(t, err)
	if strings.Contains(string(stored.SharedKey.Data), "k1") || stored.Dialect != storage.ElasticPathDialect || !stored.AllowAllBuyers {
		t.Errorf("got the stored integration %+v", stored)
	}
	got := s.send(admin, "PUT", "/v2/integrations/"+id, `{"data":{"enabled":false}}`, 200)
	checkEqual(t, valueAt(got, "data", "enabled"), any(false))
	checkEqual(t, valueAt(got, "data", "configuration"), any(want))
	got = s.send(admin, "PUT", "/v2/integrations/"+id, `{"data":{"configuration":{"secret_key":""}}}`, 200)
	checkEqual(t, valueAt(got, "data", "configuration", "secret_key"), any(""))
	refuse := func(members, detail string, status int) {
		t.Helper()
		s.expectRefusal(admin, "POST", "/v2/integrations", `{"data":{"name":"n",`+members+`}}`, status, detail)
	}
	refuse(`"integration_type":"aws_sqs","observes":["one-time-password-token-request.created"],"configuration":{"url":"https://x.example"}`, "integration_type must be webhook", 422)
	refuse(`"integration_type":"webhook","observes":["one-time-password-token-request.created"],"configuration":{"url":"ftp://x"}`, "Validation failed: field 'configuration.url' on the 'url' tag.", 400)
	refuse(`"integration_type":"webhook","observes":["one-time-password-token-request.created"],"configuration":{"url":"https://x.example","secret_key":"a\r\nb"}`,
		"Validation failed: field 'configuration.secret_key' on the 'printable' tag.", 400)
	refuse(`"integration_type":"webhook","configuration":{"url":"https://x.example"}`, "Validation failed: field 'observes' on the 'required' tag.", 400)
	refuse(`"integration_type":"webhook","observes":["order.created"],"configuration":{"url":"https://x.example"}`,
		"observes may name one-time-password-token-request.created, user-authentication-password-profile-info.locked and user-authentication-info.contact-changed only", 422)
	answer := s.answer(admin, "GET", "/v2/integrations/nope", "")
	checkEqual(t, answer.Body.String(), `{"errors":[{"title":"Not Found","status":404,"detail":"integration not found"}]}`)
	for _, path := range []string{"/v2/integrations/logs", "/v2/integrations/" + id + "/logs", "/v2/integrations/" + id + "/jobs/x/logs"} {
		got := s.send(admin, "GET", path, "", 200)
		checkEqual(t, valueAt(got, "data"), any([]any{}))
	}
	_, err = s.store.PutSender(t.Context(), storage.Sender{ID: "oc", RealmID: "default", Kind: storage.ConsoleSender, Name: "oc"})
	must(t, err)
	s.send(admin, "GET", "/v2/integrations/oc", "", 404)
	got = s.send(admin, "GET", "/v2/integrations", "", 200)
	checkEqual(t, valueAt(got, "meta", "results", "total"), any(1.0))
	got = s.send(admin, "DELETE", "/v2/integrations/"+id, "", 200)
	checkEqual(t, valueAt(got, "data"), any(map[string]any{"type": "integration", "id": id}))
}
