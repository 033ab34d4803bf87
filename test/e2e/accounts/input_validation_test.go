package accounts

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"latchkey/test/e2e/kit"
)

// inputTests are tests of the dialect with invalid or unusual input.
func inputTests() []storefrontTest {
	return []storefrontTest{
		{"bodies", badBodies},
		{"fields", badFields},
		{"lists", badLists},
		{"ids", unknownIDs},
		{"duplicates", duplicates},
		{"sign-ins", badSignIns},
		{"versions", versions},
		{"filters and sorting", filters},
		{"callers", callers},
	}
}

// writables are all resources that can be created, with a valid body.
func writables(p kit.Shopper, account string) map[string]kit.Object {
	return map[string]kit.Object{
		kit.RealmPath + "/password-profiles":                       {"type": "password_profile", "name": "New"},
		kit.RealmPath + "/user-authentication-info":                {"type": "user_authentication_info", "name": "New", "email": "new@example.com"},
		userPath(p) + "/user-authentication-password-profile-info": {"type": "user_authentication_password_profile_info", "password_profile_id": "default", "username": "new", "password": "new-Horse-1"},
		"/v2/accounts": {"type": "account", "name": "New"},
		"/v2/accounts/" + account + "/account-memberships": {"type": "account_membership", "account_member_id": p.UID},
		"/v2/integrations": {"type": "integration", "name": "New", "integration_type": "webhook", "observes": []string{kit.CodeRequestedEvent}, "configuration": kit.Object{"url": "https://shop.example"}},
		kit.RealmPath + "/password-profiles/default/one-time-password-token-request": {"type": "one_time_password_token_request", "username": "x", "purpose": "reset_password"},
		kit.AccountTokensPath: {"type": "account_management_authentication_token", "authentication_mechanism": "passwordless", "password_profile_id": "default", "username": "x", "one_time_password_token": "x"},
	}
}

// badBodies tests that all operations with a body refuse these bodies in the same way.
func badBodies(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	p, account := m.AddShopper("bodies"), m.AddAccount("Bodies")
	for path, good := range writables(p, account.ID) {
		bare := strings.HasSuffix(path, "-request") // this body may have no envelope
		brief := !bare && path != "/v2/accounts"    // the other paths read bodies in the same way
		for what, test := range map[string]struct {
			body   string
			status int
		}{
			"empty":                    {"", 400},
			"no JSON":                  {"{", 400},
			"a list":                   {`[]`, 400},
			"a text":                   {`"data"`, 400},
			"null":                     {`null`, 400},
			"no data":                  {`{}`, 400},
			"data null":                {`{"data":null}`, 400},
			"data a list":              {`{"data":[]}`, 400},
			"data a text":              {`{"data":"x"}`, 400},
			"two values":               {`{"data":{}}{}`, 400},
			"data twice":               {`{"data":` + asJSON(t, good) + `,"DATA":{}}`, 400},
			"type twice":               {`{"data":{"type":"nonsense",` + asJSON(t, good)[1:] + `}`, 400},
			"name in two letter cases": {`{"data":{"NAME":"x","name":"x",` + asJSON(t, good)[1:] + `}`, 400},
			"wrong type":               {`{"data":{"type":"nonsense"}}`, 400},
			"type a number":            {`{"data":{"type":1}}`, 400},
			"nothing in it":            {`{"data":{}}`, 400},
			"not UTF-8":                {"{\"data\":{\"name\":\"\xff\"}}", 400},
			"deep":                     {strings.Repeat(`{"data":`, 20_000) + "1" + strings.Repeat("}", 20_000), 413},
			"deeper":                   {strings.Repeat("[", 15_000) + strings.Repeat("]", 15_000), 400},
			"large":                    {`{"data":{"name":"` + strings.Repeat("x", 70_000) + `"}}`, 413},
		} {
			if !brief || what == "no JSON" || what == "wrong type" || what == "nothing in it" || strings.Contains(what, "twice") || strings.Contains(what, "letter cases") {
				kit.MustRefuseV2(t, path+": "+what, admin.SendText(http.MethodPost, path, test.body), test.status, "*")
			}
		}
		for _, media := range []string{kit.FormMedia, "text/plain", "multipart/form-data; boundary=x", "nonsense"} {
			if brief && media != kit.FormMedia {
				continue
			}
			got := m.Server.Do(http.MethodPost, path, media, asJSON(t, kit.Object{"data": good}), "Authorization", "Bearer "+admin.AccessToken)
			kit.MustRefuseV2(t, path+" as "+media, got, http.StatusUnsupportedMediaType, "*")
		}
		if !bare {
			kit.MustRefuseV2(t, path+" without an envelope", admin.SendText(http.MethodPost, path, asJSON(t, good)), http.StatusBadRequest, "*")
		}
	}
}

// badFields sends invalid values for each member of each resource.
func badFields(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	p, account := m.AddShopper("fields"), m.AddAccount("Fields")
	lookedUp := map[string]int{"account_member_id": 404, "integration_type": 422, "password_profile_id": 422}
	for path, good := range writables(p, account.ID) {
		for name := range good {
			for what, value := range map[string]any{
				"number": 1, "object": kit.Object{"a": 1}, "empty": "", "line": "a\r\nb\x00", "long": strings.Repeat("x", 3000),
			} {
				if name == "configuration" && what == "object" || name == "password" && what == "line" {
					continue // such a password is valid
				}
				body := maps.Clone(good)
				body[name] = value
				got := admin.Try(http.MethodPost, path, body)
				status := http.StatusBadRequest
				if got.Status == lookedUp[name] {
					status = got.Status // the value is well-formed and does not exist
				}
				kit.MustRefuseV2(t, fmt.Sprintf("%s: %s is %s", path, name, what), got, status, "*")
			}
		}
	}
	for what, test := range map[string]struct {
		path   string
		body   kit.Object
		status int
	}{
		"self management":       {kit.SettingsPath, kit.Object{"account_member_self_management": "everything"}, 400},
		"no life":               {kit.SettingsPath, kit.Object{"account_management_authentication_token_timeout_secs": 0}, 400},
		"a life in words":       {kit.SettingsPath, kit.Object{"account_management_authentication_token_timeout_secs": "1h"}, 400},
		"half a second":         {kit.SettingsPath, kit.Object{"account_management_authentication_token_timeout_secs": 0.5}, 400},
		"a switch in words":     {kit.SettingsPath, kit.Object{"enable_self_signup": "true"}, 400},
		"redirect over http":    {kit.RealmPath, kit.Object{"redirect_uris": []string{"http://shop.example"}}, 400},
		"redirect to a path":    {kit.RealmPath, kit.Object{"redirect_uris": []string{"/x"}}, 400},
		"policy":                {kit.RealmPath, kit.Object{"duplicate_email_policy": "sometimes"}, 400},
		"username format":       {kit.RealmPath + "/password-profiles/default", kit.Object{"username_format": "phone"}, 400},
		"a code for a day":      {kit.RealmPath + "/password-profiles/default", kit.Object{"code_ttl_seconds": 86400}, 400},
		"a code of one digit":   {kit.RealmPath + "/password-profiles/default", kit.Object{"code_length": 1}, 400},
		"no limit to guessing":  {kit.RealmPath + "/password-profiles/default", kit.Object{"lockout_threshold": 0}, 400},
		"another parent":        {"/v2/accounts/" + account.ID, kit.Object{"parent_id": uuid.NewString()}, 404},
		"itself as its parent":  {"/v2/accounts/" + account.ID, kit.Object{"parent_id": account.ID}, 422},
		"an e-mail with a name": {userPath(p), kit.Object{"email": "Jane <jane@example.com>"}, 400},
	} {
		kit.MustRefuseV2(t, what, admin.Try(http.MethodPut, test.path, test.body), test.status, "*")
	}
	settings := admin.Send(t, 200, http.MethodGet, kit.SettingsPath, nil)
	if settings.Text("data", "account_member_self_management") == "everything" || settings.At("data", "enable_self_signup") != false {
		t.Errorf("got the settings %v, want no change", settings.Value)
	}
}

// listsV2 are the paths of all lists.
func listsV2(m *kit.ElasticPath, p kit.Shopper, account, integration string) []string {
	return []string{
		"/v2/authentication-realms", kit.RealmPath + "/password-profiles", kit.RealmPath + "/user-authentication-info",
		userPath(p) + "/user-authentication-password-profile-info", "/v2/accounts", "/v2/account-members",
		"/v2/account-members/" + p.UID + "/account-memberships", "/v2/accounts/" + account + "/account-memberships",
		"/v2/accounts/" + account + "/account-memberships/unassigned-account-members",
		"/v2/integrations", "/v2/integrations/logs", "/v2/integrations/" + integration + "/logs",
	}
}

func badLists(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	hook := admin.Send(t, 200, http.MethodGet, "/v2/integrations", nil).Text("data", 0, "id")
	account := m.AddAccount("Lists")
	p := m.AddShopper("lists", account)
	for i, path := range listsV2(m, p, account.ID, hook) {
		if i > 2 { // the other lists read their parameters in the same way
			for query, detail := range map[string]string{
				"page[limit]=101": "*", "sort=nonsense": "*", "filter=eq(nonsense,x)": "Could not parse the supplied filter",
			} {
				kit.MustRefuseV2(t, path+"?"+query, admin.Try(http.MethodGet, path+"?"+query, nil), http.StatusBadRequest, detail)
			}
			admin.Send(t, 200, http.MethodGet, path+"?page[limit]=100&page[offset]=10000&sort=-created_at", nil)
			continue
		}
		for _, query := range []string{
			"page[limit]=101", "page%5Blimit%5D=101", "page[limit]=0", "page[limit]=-1", "page[limit]=1.5", "page[limit]=x", "page[limit]=",
			"page[limit]=99999999999999999999", "page[offset]=-1", "page[offset]=10001", "page[offset]=x", "page[limit]=5&page[limit]=5",
			"sort=nonsense", "sort=--created_at", "sort=created_at,id", "sort=name)", "sort=password_hash",
		} {
			kit.MustRefuseV2(t, path+"?"+query, admin.Try(http.MethodGet, path+"?"+query, nil), http.StatusBadRequest, "*")
		}
		for _, filter := range []string{
			"nonsense", "eq", "eq(", "eq()", "eq(created_at)", "eq(created_at,)", "eq(created_at,yesterday)", "nonsense(created_at,2020-01-01T00:00:00Z)",
			"eq(nonsense,x)", "eq(password_hash,x)", "gt(created_at,2020-01-01T00:00:00Z):", ":gt(created_at,2020-01-01T00:00:00Z)",
			"gt(created_at,2020-01-01T00:00:00Z) or 1=1", "is_null(created_at)", "eq(created_at,2020-01-01T00:00:00Z)\x00",
			strings.TrimSuffix(strings.Repeat("gt(created_at,2020-01-01T00:00:00Z):", 11), ":"), strings.Repeat("(", 5000),
		} {
			got := admin.Try(http.MethodGet, path+"?filter="+url.QueryEscape(filter), nil)
			kit.MustRefuseV2(t, path+" by "+filter, got, http.StatusBadRequest, "Could not parse the supplied filter")
		}
		admin.Send(t, 200, http.MethodGet, path+"?page[limit]=100&page[offset]=10000", nil)
		ten := strings.TrimSuffix(strings.Repeat("gt(created_at,2020-01-01T00:00:00Z):", 10), ":")
		admin.Send(t, 200, http.MethodGet, path+"?sort=-created_at&filter="+url.QueryEscape(ten), nil)
	}
}

// unknownIDs tests that a resource that does not exist, or is elsewhere, is answered with 404.
func unknownIDs(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	account, elsewhere := m.AddAccount("Here"), m.AddAccount("Elsewhere")
	p, other := m.AddShopper("here", account), m.AddShopper("elsewhere", elsewhere)
	paths := []string{
		kit.RealmPath + "/user-authentication-info/" + p.UID + "/user-authentication-password-profile-info/" + other.LoginID,
		"/v2/accounts/" + account.ID + "/account-memberships/" + membership(m, other, elsewhere),
		"/v2/accounts/" + account.UID, "/v2/account-members/" + p.Username, "/v2/nonsense", "/v2/",
	}
	for _, id := range []string{uuid.NewString(), "..%2fdefault", "%00%ff'" + strings.Repeat("x", 200)} {
		paths = append(paths,
			"/v2/authentication-realms/"+id, "/v2/authentication-realms/"+id+"/password-profiles",
			"/v2/authentication-realms/"+id+"/user-authentication-info/"+p.UID, kit.RealmPath+"/password-profiles/"+id,
			kit.RealmPath+"/user-authentication-info/"+id, userPath(p)+"/user-authentication-password-profile-info/"+id,
			"/v2/accounts/"+id, "/v2/accounts/"+id+"/account-memberships", "/v2/accounts/"+account.ID+"/account-memberships/"+id,
			"/v2/account-members/"+id, "/v2/account-members/"+id+"/account-memberships", "/v2/integrations/"+id, "/v2/integrations/"+id+"/logs",
		)
	}
	for _, path := range paths {
		kit.MustRefuseV2(t, path, admin.Try(http.MethodGet, path, nil), http.StatusNotFound, "*")
	}
	for _, path := range []string{
		kit.RealmPath + "/password-profiles/nonesuch", kit.RealmPath + "/user-authentication-info/nonesuch", userPath(p) + "/user-authentication-password-profile-info/nonesuch",
		"/v2/accounts/nonesuch", "/v2/accounts/" + account.ID + "/account-memberships/nonesuch", "/v2/integrations/nonesuch",
	} {
		kit.MustRefuseV2(t, "change "+path, admin.Try(http.MethodPut, path, kit.Object{}), http.StatusNotFound, "*")
		kit.MustRefuseV2(t, "delete "+path, admin.Try(http.MethodDelete, path, nil), http.StatusNotFound, "*")
	}
	got := admin.Try(http.MethodPost, "/v2/accounts/"+account.ID+"/account-memberships", kit.Object{"account_member_id": "usr_nobody"})
	kit.MustRefuseV2(t, "membership of nobody", got, http.StatusNotFound, "account member not found")
	for path, allow := range map[string]string{kit.AccountTokensPath: "POST", kit.SettingsPath: "GET, HEAD, PUT", "/v2/accounts/" + account.ID: "DELETE, GET, HEAD, PUT"} {
		got := admin.Try(http.MethodPatch, path, kit.Object{})
		kit.MustRefuseV2(t, "PATCH "+path, got, http.StatusMethodNotAllowed, "*")
		if got.Header.Get("Allow") != allow {
			t.Errorf("%s: got Allow %q", path, got.Header.Get("Allow"))
		}
	}
}

func duplicates(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	account := m.AddAccount("Twice")
	p, other := m.AddShopper("twice", account), m.AddShopper("twice-other")
	const taken = "Constraint violation"
	kit.MustRefuseV2(t, "login", admin.Try(http.MethodPost, userPath(other)+"/user-authentication-password-profile-info", kit.Object{
		"password_profile_id": "default", "username": strings.ToUpper(p.Username), "password": "twice-Horse-1",
	}), http.StatusUnprocessableEntity, taken)
	for _, username := range []string{p.Username, strings.ToUpper(p.Username), " " + p.Username + " "} {
		kit.MustRefuseV2(t, "rename to "+username, admin.Try(http.MethodPut, loginPath(other), kit.Object{"username": username}), http.StatusUnprocessableEntity, taken)
	}
	kit.MustRefuseV2(t, "membership", admin.Try(http.MethodPost, "/v2/accounts/"+account.ID+"/account-memberships", kit.Object{"account_member_id": p.UID}),
		http.StatusConflict, "account membership with the given account id and account member id already exists")
	registered := kit.Object{"name": "Registered", "registration_id": "HRB 1"}
	first := admin.Send(t, 201, http.MethodPost, "/v2/accounts", registered)
	kit.MustRefuseV2(t, "registration", admin.Try(http.MethodPost, "/v2/accounts", registered), http.StatusConflict, "*")
	kit.MustRefuseV2(t, "registration of another", admin.Try(http.MethodPut, "/v2/accounts/"+account.ID, kit.Object{"registration_id": "HRB 1"}), http.StatusConflict, "*")
	admin.Send(t, 200, http.MethodPut, "/v2/accounts/"+first.Text("data", "id"), registered)
	// Two users may have the same name and the same address.
	for range 2 {
		admin.Send(t, 201, http.MethodPost, kit.RealmPath+"/user-authentication-info", kit.Object{"name": "Same", "email": "same@example.com"})
	}
}

func badSignIns(t *testing.T, m *kit.ElasticPath) {
	front := m.Storefront()
	good := kit.ByCode("default", "nobody", "x")
	with := func(name string, value any) kit.Object {
		body := maps.Clone(good)
		body[name] = value
		return body
	}
	for what, test := range map[string]struct {
		body   kit.Object
		status int
	}{
		"oidc":               {with("authentication_mechanism", "oidc"), 422},
		"no mechanism":       {with("authentication_mechanism", ""), 400},
		"unknown mechanism":  {with("authentication_mechanism", "magic"), 400},
		"no profile":         {with("password_profile_id", nil), 400},
		"no username":        {with("username", nil), 400},
		"no code":            {with("one_time_password_token", nil), 400},
		"a code like a book": {with("one_time_password_token", strings.Repeat("x", 2000)), 400},
		"a number as code":   {with("one_time_password_token", 123456), 400},
		"password for code":  {with("authentication_mechanism", "password"), 400},
	} {
		got := front.AccountTokens(test.body)
		kit.MustRefuseV2(t, what, got, test.status, "*")
		if strings.Contains(got.Body, "authentication failed") {
			t.Errorf("%s: got the answer to a wrong credential, want another", what)
		}
	}
	for what, header := range map[string][]string{
		"no token":     nil,
		"two tokens":   {"Authorization", "Bearer " + front.AccessToken, "Authorization", "Bearer " + front.AccessToken},
		"Basic":        {"Authorization", "Basic " + front.AccessToken},
		"in the query": {"X", "y"},
	} {
		got := m.Server.Do(http.MethodPost, kit.AccountTokensPath+"?access_token="+front.AccessToken, "application/json", asJSON(t, kit.Object{"data": good}), header...)
		kit.MustRefuseV2(t, what, got, http.StatusUnauthorized, "")
		if !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: got WWW-Authenticate %q", what, got.Header.Get("WWW-Authenticate"))
		}
	}
}

// versions tests that If-Match refuses changes of another version, and that without it no
// parallel change is lost.
func versions(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	made := admin.Try(http.MethodPost, "/v2/accounts", kit.Object{"name": "Versions"})
	path := "/v2/accounts/" + kit.MustJSON(t, "account", 201, made).Text("data", "id")
	put := func(tag, name string) kit.Response {
		return m.Server.Do(http.MethodPut, path, "application/json", asJSON(t, kit.Object{"data": kit.Object{"name": name}}),
			"Authorization", "Bearer "+admin.AccessToken, "If-Match", tag)
	}
	tag := made.Header.Get("ETag")
	if got := put(tag, "Second"); got.Status != http.StatusOK || got.Header.Get("ETag") == tag {
		t.Fatalf("with its tag: got %d %s, want 200", got.Status, got.Body)
	}
	kit.MustRefuseV2(t, "with an old tag", put(tag, "Third"), http.StatusPreconditionFailed, "*")
	for _, tag := range []string{"1", `"x"`, `W/"1"`, `"-1"`, `"1", "2"`} {
		kit.MustRefuseV2(t, "tag "+tag, put(tag, "Third"), http.StatusBadRequest, "*")
	}
	done := kit.Concurrently(8, func(i int) kit.Response {
		return admin.Try(http.MethodPut, path, kit.Object{[]string{"legal_name", "external_ref"}[i%2]: fmt.Sprint("v", i)})
	})
	if tally := kit.CountStatuses(done); tally[http.StatusOK] != 8 {
		t.Errorf("parallel changes: got %v, want 8 times 200", tally)
	}
	if got := admin.Send(t, 200, http.MethodGet, path, nil); got.Text("data", "legal_name") == "" || got.Text("data", "external_ref") == "" || got.Text("data", "name") != "Second" {
		t.Errorf("a change was lost: got %v", got.Value)
	}
}

func filters(t *testing.T, m *kit.ElasticPath) {
	admin := m.Admin()
	for i, name := range []string{"Ann Filter", "Bob Filter", "Cy FILTER", "Dee 100% (Ltd)"} {
		admin.Send(t, 201, http.MethodPost, kit.RealmPath+"/user-authentication-info", kit.Object{
			"name": name, "email": fmt.Sprint("filter", i, "@example.com"), "given_name": []any{"Ann", "Bob", nil, "Dee"}[i],
		})
	}
	for query, want := range map[string][]string{
		"sort=name&filter=ilike(name,*filter*)":                            {"Ann Filter", "Bob Filter", "Cy FILTER"},
		"sort=-name&filter=ilike(email,filter*)":                           {"Dee 100% (Ltd)", "Cy FILTER", "Bob Filter", "Ann Filter"},
		"filter=eq(email,FILTER1@example.com)":                             {"Bob Filter"},
		"filter=ilike(name,*filter*):is_null(given_name)":                  {"Cy FILTER"},
		"filter=eq(name,Dee 100%25 (Ltd))":                                 {"Dee 100% (Ltd)"},
		"filter=ilike(name,*%25*)":                                         {"Dee 100% (Ltd)"},
		"filter=ilike(name,*filter*):gt(created_at,2999-01-01T00:00:00Z)":  nil,
		"sort=name&filter=like(name,*Filter)&page[limit]=1&page[offset]=1": {"Bob Filter"},
	} {
		got := admin.Send(t, 200, http.MethodGet, kit.RealmPath+"/user-authentication-info?"+strings.ReplaceAll(query, " ", "%20"), nil)
		if diff := cmp.Diff(want, got.Column("name")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	// The links of a filtered list keep the filter.
	var seen []string
	next := kit.RealmPath + "/user-authentication-info?sort=name&page[limit]=1&filter=" + url.QueryEscape("ilike(email,filter*)")
	for next != "" && len(seen) < 10 {
		page := admin.Send(t, 200, http.MethodGet, next, nil)
		seen = append(seen, page.Column("name")...)
		next = strings.TrimPrefix(page.Text("links", "next"), "http://latchkey.test")
	}
	if len(seen) != 4 || !slices.IsSorted(seen) {
		t.Errorf("by links: got %q", seen)
	}
}

// callers tests that the roles of a client decide what it may do.
func callers(t *testing.T, m *kit.ElasticPath) {
	var reader struct {
		Secret string `json:"client_secret"`
	}
	m.Must(json.Unmarshal([]byte(m.Run("client", "create", "--id", "reader", "--name", "Reader",
		"--role", "BuyerReader", "--role", "BuyerUserAdmin", "--grant", "client_credentials")), &reader))
	token := kit.MustJSON(t, "token", 200, m.Server.Form("/oauth/access_token", "grant_type", "client_credentials", "client_id", "reader", "client_secret", reader.Secret))
	some := kit.Caller{Server: m.Server, AccessToken: token.Text("access_token")}
	account := m.AddAccount("Called")
	p := m.AddShopper("called")
	forbidden := map[string]func(v kit.Caller) kit.Response{
		"make an account": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPost, "/v2/accounts", kit.Object{"name": "X"})
		},
		"change the settings": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPut, kit.SettingsPath, kit.Object{"enable_self_signup": true})
		},
		"make a profile": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPost, kit.RealmPath+"/password-profiles", kit.Object{"name": "X"})
		},
		"read the integrations": func(v kit.Caller) kit.Response { return v.Try(http.MethodGet, "/v2/integrations", nil) },
		"make somebody a member": func(v kit.Caller) kit.Response {
			return v.Try(http.MethodPost, "/v2/accounts/"+account.ID+"/account-memberships", kit.Object{"account_member_id": p.UID})
		},
	}
	for what, call := range forbidden {
		kit.MustRefuseV2(t, what, call(some), http.StatusForbidden, "forbidden")
		kit.MustRefuseV2(t, "storefront: "+what, call(m.Storefront()), http.StatusForbidden, "forbidden")
	}
	for _, path := range []string{"/v2/accounts", "/v2/account-members", kit.RealmPath + "/user-authentication-info", userPath(p)} {
		some.Send(t, 200, http.MethodGet, path, nil)
		kit.MustRefuseV2(t, "storefront: "+path, m.Storefront().Try(http.MethodGet, path, nil), http.StatusForbidden, "forbidden")
	}
	for _, path := range []string{kit.SettingsPath, "/v2/authentication-realms", kit.RealmPath, kit.RealmPath + "/password-profiles", kit.RealmPath + "/password-profiles/default"} {
		got := m.Storefront().Send(t, 200, http.MethodGet, path, nil)
		if shown := fmt.Sprint(got.Value); strings.Contains(shown, "lockout") {
			t.Errorf("%s: got limits in %s, want them hidden", path, shown)
		}
	}
}
