package main

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
)

// inputTests is what the dialect makes of input that is no good, or
// that is hard to read.
func inputTests() []mallTest {
	return []mallTest{
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

// writables are all resources that can be made, with a body that would do.
func writables(p shopper, account string) map[string]jsonObject {
	return map[string]jsonObject{
		realmV2 + "/password-profiles":                              {"type": "password_profile", "name": "New"},
		realmV2 + "/user-authentication-info":                       {"type": "user_authentication_info", "name": "New", "email": "new@example.com"},
		p.userPath() + "/user-authentication-password-profile-info": {"type": "user_authentication_password_profile_info", "password_profile_id": "default", "username": "new", "password": "new-Horse-1"},
		"/v2/accounts": {"type": "account", "name": "New"},
		"/v2/accounts/" + account + "/account-memberships": {"type": "account_membership", "account_member_id": p.uid},
		"/v2/integrations": {"type": "integration", "name": "New", "integration_type": "webhook", "observes": []string{codeRequested}, "configuration": jsonObject{"url": "https://shop.example"}},
		realmV2 + "/password-profiles/default/one-time-password-token-request": {"type": "one_time_password_token_request", "username": "x", "purpose": "reset_password"},
		tokensV2: {"type": "account_management_authentication_token", "authentication_mechanism": "passwordless", "password_profile_id": "default", "username": "x", "one_time_password_token": "x"},
	}
}

// badBodies are refused alike by everything that takes a body.
func badBodies(t *testing.T, m *mall) {
	admin := m.admin()
	p, account := m.shopper("bodies"), m.company("Bodies")
	for path, good := range writables(p, account.ID) {
		bare := strings.HasSuffix(path, "-request") // which may come without an envelope
		brief := !bare && path != "/v2/accounts"    // as others read bodies the same way
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
				refusedV2(t, path+": "+what, admin.ask(http.MethodPost, path, test.body), test.status, "*")
			}
		}
		for _, media := range []string{formMedia, "text/plain", "multipart/form-data; boundary=x", "nonsense"} {
			if brief && media != formMedia {
				continue
			}
			got := m.n.do(http.MethodPost, path, media, asJSON(t, jsonObject{"data": good}), "Authorization", "Bearer "+admin.bearer)
			refusedV2(t, path+" as "+media, got, http.StatusUnsupportedMediaType, "*")
		}
		if !bare {
			refusedV2(t, path+" without an envelope", admin.ask(http.MethodPost, path, asJSON(t, good)), http.StatusBadRequest, "*")
		}
	}
}

// badFields gives each member of each resource values that it cannot have.
func badFields(t *testing.T, m *mall) {
	admin := m.admin()
	p, account := m.shopper("fields"), m.company("Fields")
	lookedUp := map[string]int{"account_member_id": 404, "integration_type": 422, "password_profile_id": 422}
	for path, good := range writables(p, account.ID) {
		for name := range good {
			for what, value := range map[string]any{
				"number": 1, "object": jsonObject{"a": 1}, "empty": "", "line": "a\r\nb\x00", "long": strings.Repeat("x", 3000),
			} {
				if name == "configuration" && what == "object" || name == "password" && what == "line" {
					continue // nothing is wrong with a password like that
				}
				body := maps.Clone(good)
				body[name] = value
				got := admin.try(http.MethodPost, path, body)
				status := http.StatusBadRequest
				if got.status == lookedUp[name] {
					status = got.status // well-formed, but not one of those that there are
				}
				refusedV2(t, fmt.Sprintf("%s: %s is %s", path, name, what), got, status, "*")
			}
		}
	}
	for what, test := range map[string]struct {
		path   string
		body   jsonObject
		status int
	}{
		"self management":       {settingsV2, jsonObject{"account_member_self_management": "everything"}, 400},
		"no life":               {settingsV2, jsonObject{"account_management_authentication_token_timeout_secs": 0}, 400},
		"a life in words":       {settingsV2, jsonObject{"account_management_authentication_token_timeout_secs": "1h"}, 400},
		"half a second":         {settingsV2, jsonObject{"account_management_authentication_token_timeout_secs": 0.5}, 400},
		"a switch in words":     {settingsV2, jsonObject{"enable_self_signup": "true"}, 400},
		"redirect over http":    {realmV2, jsonObject{"redirect_uris": []string{"http://shop.example"}}, 400},
		"redirect to a path":    {realmV2, jsonObject{"redirect_uris": []string{"/x"}}, 400},
		"policy":                {realmV2, jsonObject{"duplicate_email_policy": "sometimes"}, 400},
		"username format":       {realmV2 + "/password-profiles/default", jsonObject{"username_format": "phone"}, 400},
		"a code for a day":      {realmV2 + "/password-profiles/default", jsonObject{"code_ttl_seconds": 86400}, 400},
		"a code of one digit":   {realmV2 + "/password-profiles/default", jsonObject{"code_length": 1}, 400},
		"no limit to guessing":  {realmV2 + "/password-profiles/default", jsonObject{"lockout_threshold": 0}, 400},
		"another parent":        {"/v2/accounts/" + account.ID, jsonObject{"parent_id": uuid.NewString()}, 404},
		"itself as its parent":  {"/v2/accounts/" + account.ID, jsonObject{"parent_id": account.ID}, 422},
		"an e-mail with a name": {p.userPath(), jsonObject{"email": "Jane <jane@example.com>"}, 400},
	} {
		refusedV2(t, what, admin.try(http.MethodPut, test.path, test.body), test.status, "*")
	}
	settings := admin.send(t, 200, http.MethodGet, settingsV2, nil)
	if settings.text("data", "account_member_self_management") == "everything" || settings.at("data", "enable_self_signup") != false {
		t.Errorf("settings became %v", settings.value)
	}
}

// listsV2 are all lists.
func (m *mall) listsV2(p shopper, account, integration string) []string {
	return []string{
		"/v2/authentication-realms", realmV2 + "/password-profiles", realmV2 + "/user-authentication-info",
		p.userPath() + "/user-authentication-password-profile-info", "/v2/accounts", "/v2/account-members",
		"/v2/account-members/" + p.uid + "/account-memberships", "/v2/accounts/" + account + "/account-memberships",
		"/v2/accounts/" + account + "/account-memberships/unassigned-account-members",
		"/v2/integrations", "/v2/integrations/logs", "/v2/integrations/" + integration + "/logs",
	}
}

func badLists(t *testing.T, m *mall) {
	admin := m.admin()
	hook := admin.send(t, 200, http.MethodGet, "/v2/integrations", nil).text("data", 0, "id")
	account := m.company("Lists")
	p := m.shopper("lists", account)
	for i, path := range m.listsV2(p, account.ID, hook) {
		if i > 2 { // the others read their parameters the same way
			for query, detail := range map[string]string{
				"page[limit]=101": "*", "sort=nonsense": "*", "filter=eq(nonsense,x)": "Could not parse the supplied filter",
			} {
				refusedV2(t, path+"?"+query, admin.try(http.MethodGet, path+"?"+query, nil), http.StatusBadRequest, detail)
			}
			admin.send(t, 200, http.MethodGet, path+"?page[limit]=100&page[offset]=10000&sort=-created_at", nil)
			continue
		}
		for _, query := range []string{
			"page[limit]=101", "page%5Blimit%5D=101", "page[limit]=0", "page[limit]=-1", "page[limit]=1.5", "page[limit]=x", "page[limit]=",
			"page[limit]=99999999999999999999", "page[offset]=-1", "page[offset]=10001", "page[offset]=x", "page[limit]=5&page[limit]=5",
			"sort=nonsense", "sort=--created_at", "sort=created_at,id", "sort=name)", "sort=password_hash",
		} {
			refusedV2(t, path+"?"+query, admin.try(http.MethodGet, path+"?"+query, nil), http.StatusBadRequest, "*")
		}
		for _, filter := range []string{
			"nonsense", "eq", "eq(", "eq()", "eq(created_at)", "eq(created_at,)", "eq(created_at,yesterday)", "nonsense(created_at,2020-01-01T00:00:00Z)",
			"eq(nonsense,x)", "eq(password_hash,x)", "gt(created_at,2020-01-01T00:00:00Z):", ":gt(created_at,2020-01-01T00:00:00Z)",
			"gt(created_at,2020-01-01T00:00:00Z) or 1=1", "is_null(created_at)", "eq(created_at,2020-01-01T00:00:00Z)\x00",
			strings.TrimSuffix(strings.Repeat("gt(created_at,2020-01-01T00:00:00Z):", 11), ":"), strings.Repeat("(", 5000),
		} {
			got := admin.try(http.MethodGet, path+"?filter="+url.QueryEscape(filter), nil)
			refusedV2(t, path+" by "+filter, got, http.StatusBadRequest, "Could not parse the supplied filter")
		}
		admin.send(t, 200, http.MethodGet, path+"?page[limit]=100&page[offset]=10000", nil)
		ten := strings.TrimSuffix(strings.Repeat("gt(created_at,2020-01-01T00:00:00Z):", 10), ":")
		admin.send(t, 200, http.MethodGet, path+"?sort=-created_at&filter="+url.QueryEscape(ten), nil)
	}
}

// unknownIDs: whatever does not exist, or is somewhere else, is 404.
func unknownIDs(t *testing.T, m *mall) {
	admin := m.admin()
	account, elsewhere := m.company("Here"), m.company("Elsewhere")
	p, other := m.shopper("here", account), m.shopper("elsewhere", elsewhere)
	paths := []string{
		realmV2 + "/user-authentication-info/" + p.uid + "/user-authentication-password-profile-info/" + other.info,
		"/v2/accounts/" + account.ID + "/account-memberships/" + m.membership(other, elsewhere),
		"/v2/accounts/" + account.UID, "/v2/account-members/" + p.name, "/v2/nonsense", "/v2/",
	}
	for _, id := range []string{uuid.NewString(), "..%2fdefault", "%00%ff'" + strings.Repeat("x", 200)} {
		paths = append(paths,
			"/v2/authentication-realms/"+id, "/v2/authentication-realms/"+id+"/password-profiles",
			"/v2/authentication-realms/"+id+"/user-authentication-info/"+p.uid, realmV2+"/password-profiles/"+id,
			realmV2+"/user-authentication-info/"+id, p.userPath()+"/user-authentication-password-profile-info/"+id,
			"/v2/accounts/"+id, "/v2/accounts/"+id+"/account-memberships", "/v2/accounts/"+account.ID+"/account-memberships/"+id,
			"/v2/account-members/"+id, "/v2/account-members/"+id+"/account-memberships", "/v2/integrations/"+id, "/v2/integrations/"+id+"/logs",
		)
	}
	for _, path := range paths {
		refusedV2(t, path, admin.try(http.MethodGet, path, nil), http.StatusNotFound, "*")
	}
	for _, path := range []string{
		realmV2 + "/password-profiles/nonesuch", realmV2 + "/user-authentication-info/nonesuch", p.userPath() + "/user-authentication-password-profile-info/nonesuch",
		"/v2/accounts/nonesuch", "/v2/accounts/" + account.ID + "/account-memberships/nonesuch", "/v2/integrations/nonesuch",
	} {
		refusedV2(t, "change "+path, admin.try(http.MethodPut, path, jsonObject{}), http.StatusNotFound, "*")
		refusedV2(t, "delete "+path, admin.try(http.MethodDelete, path, nil), http.StatusNotFound, "*")
	}
	got := admin.try(http.MethodPost, "/v2/accounts/"+account.ID+"/account-memberships", jsonObject{"account_member_id": "usr_nobody"})
	refusedV2(t, "membership of nobody", got, http.StatusNotFound, "account member not found")
	for path, allow := range map[string]string{tokensV2: "POST", settingsV2: "GET, HEAD, PUT", "/v2/accounts/" + account.ID: "DELETE, GET, HEAD, PUT"} {
		got := admin.try(http.MethodPatch, path, jsonObject{})
		refusedV2(t, "PATCH "+path, got, http.StatusMethodNotAllowed, "*")
		if got.header.Get("Allow") != allow {
			t.Errorf("%s: Allow %q", path, got.header.Get("Allow"))
		}
	}
}

func duplicates(t *testing.T, m *mall) {
	admin := m.admin()
	account := m.company("Twice")
	p, other := m.shopper("twice", account), m.shopper("twice-other")
	const taken = "Constraint violation"
	refusedV2(t, "login", admin.try(http.MethodPost, other.userPath()+"/user-authentication-password-profile-info", jsonObject{
		"password_profile_id": "default", "username": strings.ToUpper(p.name), "password": "twice-Horse-1",
	}), http.StatusUnprocessableEntity, taken)
	for _, username := range []string{p.name, strings.ToUpper(p.name), " " + p.name + " "} {
		refusedV2(t, "rename to "+username, admin.try(http.MethodPut, other.infoPath(), jsonObject{"username": username}), http.StatusUnprocessableEntity, taken)
	}
	refusedV2(t, "membership", admin.try(http.MethodPost, "/v2/accounts/"+account.ID+"/account-memberships", jsonObject{"account_member_id": p.uid}),
		http.StatusConflict, "account membership with the given account id and account member id already exists")
	registered := jsonObject{"name": "Registered", "registration_id": "HRB 1"}
	first := admin.send(t, 201, http.MethodPost, "/v2/accounts", registered)
	refusedV2(t, "registration", admin.try(http.MethodPost, "/v2/accounts", registered), http.StatusConflict, "*")
	refusedV2(t, "registration of another", admin.try(http.MethodPut, "/v2/accounts/"+account.ID, jsonObject{"registration_id": "HRB 1"}), http.StatusConflict, "*")
	admin.send(t, 200, http.MethodPut, "/v2/accounts/"+first.text("data", "id"), registered)
	// Two people may have one name and one address.
	for range 2 {
		admin.send(t, 201, http.MethodPost, realmV2+"/user-authentication-info", jsonObject{"name": "Same", "email": "same@example.com"})
	}
}

func badSignIns(t *testing.T, m *mall) {
	front := m.front()
	good := byCode("default", "nobody", "x")
	with := func(name string, value any) jsonObject {
		body := maps.Clone(good)
		body[name] = value
		return body
	}
	for what, test := range map[string]struct {
		body   jsonObject
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
		got := front.tokens(test.body)
		refusedV2(t, what, got, test.status, "*")
		if strings.Contains(got.body, "authentication failed") {
			t.Errorf("%s: taken for a wrong credential", what)
		}
	}
	for what, header := range map[string][]string{
		"no token":     nil,
		"two tokens":   {"Authorization", "Bearer " + front.bearer, "Authorization", "Bearer " + front.bearer},
		"Basic":        {"Authorization", "Basic " + front.bearer},
		"in the query": {"X", "y"},
	} {
		got := m.n.do(http.MethodPost, tokensV2+"?access_token="+front.bearer, "application/json", asJSON(t, jsonObject{"data": good}), header...)
		refusedV2(t, what, got, http.StatusUnauthorized, "")
		if !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", what, got.header.Get("WWW-Authenticate"))
		}
	}
}

// versions: with If-Match only what was read is changed, and no change is lost
// without.
func versions(t *testing.T, m *mall) {
	admin := m.admin()
	made := admin.try(http.MethodPost, "/v2/accounts", jsonObject{"name": "Versions"})
	path := "/v2/accounts/" + paperOf(t, "account", 201, made).text("data", "id")
	put := func(tag, name string) answer {
		return m.n.do(http.MethodPut, path, "application/json", asJSON(t, jsonObject{"data": jsonObject{"name": name}}),
			"Authorization", "Bearer "+admin.bearer, "If-Match", tag)
	}
	tag := made.header.Get("ETag")
	if got := put(tag, "Second"); got.status != http.StatusOK || got.header.Get("ETag") == tag {
		t.Fatalf("with its tag: %d %s", got.status, got.body)
	}
	refusedV2(t, "with an old tag", put(tag, "Third"), http.StatusPreconditionFailed, "*")
	for _, tag := range []string{"1", `"x"`, `W/"1"`, `"-1"`, `"1", "2"`} {
		refusedV2(t, "tag "+tag, put(tag, "Third"), http.StatusBadRequest, "*")
	}
	done := atOnce(8, func(i int) answer {
		return admin.try(http.MethodPut, path, jsonObject{[]string{"legal_name", "external_ref"}[i%2]: fmt.Sprint("v", i)})
	})
	if tally := tallyOf(done); tally[http.StatusOK] != 8 {
		t.Errorf("parallel changes: %v", tally)
	}
	if got := admin.send(t, 200, http.MethodGet, path, nil); got.text("data", "legal_name") == "" || got.text("data", "external_ref") == "" || got.text("data", "name") != "Second" {
		t.Errorf("a change was lost: %v", got.value)
	}
}

func filters(t *testing.T, m *mall) {
	admin := m.admin()
	for i, name := range []string{"Ann Filter", "Bob Filter", "Cy FILTER", "Dee 100% (Ltd)"} {
		admin.send(t, 201, http.MethodPost, realmV2+"/user-authentication-info", jsonObject{
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
		got := admin.send(t, 200, http.MethodGet, realmV2+"/user-authentication-info?"+strings.ReplaceAll(query, " ", "%20"), nil)
		if diff := cmp.Diff(want, got.column("name")); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	// Every link of a filtered list leads on.
	var seen []string
	next := realmV2 + "/user-authentication-info?sort=name&page[limit]=1&filter=" + url.QueryEscape("ilike(email,filter*)")
	for next != "" && len(seen) < 10 {
		page := admin.send(t, 200, http.MethodGet, next, nil)
		seen = append(seen, page.column("name")...)
		next = strings.TrimPrefix(page.text("links", "next"), "http://latchkey.test")
	}
	if len(seen) != 4 || !slices.IsSorted(seen) {
		t.Errorf("by links: %q", seen)
	}
}

// callers: what a client may do follows from its roles.
func callers(t *testing.T, m *mall) {
	var reader struct {
		Secret string `json:"client_secret"`
	}
	m.must(json.Unmarshal([]byte(m.run("client", "create", "--id", "reader", "--name", "Reader",
		"--role", "BuyerReader", "--role", "BuyerUserAdmin", "--grant", "client_credentials")), &reader))
	token := paperOf(t, "token", 200, m.n.form("/oauth/access_token", "grant_type", "client_credentials", "client_id", "reader", "client_secret", reader.Secret))
	some := visitor{n: m.n, bearer: token.text("access_token")}
	account := m.company("Called")
	p := m.shopper("called")
	forbidden := map[string]func(v visitor) answer{
		"make an account": func(v visitor) answer { return v.try(http.MethodPost, "/v2/accounts", jsonObject{"name": "X"}) },
		"change the settings": func(v visitor) answer {
			return v.try(http.MethodPut, settingsV2, jsonObject{"enable_self_signup": true})
		},
		"make a profile": func(v visitor) answer {
			return v.try(http.MethodPost, realmV2+"/password-profiles", jsonObject{"name": "X"})
		},
		"read the integrations": func(v visitor) answer { return v.try(http.MethodGet, "/v2/integrations", nil) },
		"make somebody a member": func(v visitor) answer {
			return v.try(http.MethodPost, "/v2/accounts/"+account.ID+"/account-memberships", jsonObject{"account_member_id": p.uid})
		},
	}
	for what, call := range forbidden {
		refusedV2(t, what, call(some), http.StatusForbidden, "forbidden")
		refusedV2(t, "storefront: "+what, call(m.front()), http.StatusForbidden, "forbidden")
	}
	for _, path := range []string{"/v2/accounts", "/v2/account-members", realmV2 + "/user-authentication-info", p.userPath()} {
		some.send(t, 200, http.MethodGet, path, nil)
		refusedV2(t, "storefront: "+path, m.front().try(http.MethodGet, path, nil), http.StatusForbidden, "forbidden")
	}
	for _, path := range []string{settingsV2, "/v2/authentication-realms", realmV2, realmV2 + "/password-profiles", realmV2 + "/password-profiles/default"} {
		got := m.front().send(t, 200, http.MethodGet, path, nil)
		if told := fmt.Sprint(got.value); strings.Contains(told, "lockout") {
			t.Errorf("%s tells a storefront of limits: %s", path, told)
		}
	}
}
