package admin

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestVendorRoutes tests that the server answers the undocumented requests of the vendors'
// clients, and refuses unknown paths in the shape of the dialect.
func TestVendorRoutes(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t)
	m.Do(t, 200, "PUT", "/v1/buyers/acme", `{"Name":"Acme","Active":true}`)
	m.Do(t, 200, "PUT", "/v1/buyers/globex", `{"Name":"Globex","Active":true}`)
	m.Do(t, 200, "PUT", "/v1/suppliers/smith", `{"Name":"Smith","Active":true}`)
	m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"any","AppName":"A","Active":true,"AllowSeller":true,"AllowAnyBuyer":true,"AllowAnySupplier":true}`)
	t.Run("empty lists of OrderCloud", func(t *testing.T) { emptyOrderCloudLists(m, t) })
	t.Run("users of all buyers", func(t *testing.T) { usersOfAllBuyers(m, t) })
	t.Run("Elastic Path", func(t *testing.T) { elasticPathProbes(m, t) })
	t.Run("unknown paths", func(t *testing.T) { unknownPaths(m, t) })
}

// person creates a user with its own roles and returns a token of it.
func person(m *kit.OrderCloud, t *testing.T, path, id string, party map[string]string, roles ...string) string {
	t.Helper()
	m.Do(t, 201, "POST", path, `{"ID":"`+id+`","Username":"`+id+`","Password":"`+kit.TedPassword+`","Email":"`+id+`@example.com","Active":true}`)
	m.Do(t, 201, "POST", "/v1/securityprofiles", map[string]any{"ID": "of-" + id, "Name": id, "Roles": roles})
	assignment := map[string]string{"SecurityProfileID": "of-" + id, "UserID": id}
	for name, value := range party {
		assignment[name] = value
	}
	m.Do(t, 204, "POST", "/v1/securityprofiles/assignments", assignment)
	return m.SignIn(m.First, "any", id, kit.TedPassword).AccessToken(t)
}

func emptyOrderCloudLists(m *kit.OrderCloud, t *testing.T) {
	nobody := person(m, t, "/v1/adminusers", "lists-nobody", nil, "Shopper")
	reader := person(m, t, "/v1/adminusers", "lists-reader", nil, "BuyerUserReader", "SupplierUserReader", "AdminUserReader", "LocaleReader")
	const empty = `{"Meta":{"Page":1,"PageSize":20,"TotalCount":0,"TotalPages":0,"ItemRange":[0,0],"NextPageKey":null},"Items":[]}`
	lists := []string{
		"/v1/buyers/acme/usergroups", "/v1/buyers/acme/usergroups/assignments", "/v1/suppliers/smith/usergroups",
		"/v1/suppliers/smith/usergroups/assignments", "/v1/usergroups", "/v1/usergroups/assignments",
		"/v1/locales", "/v1/locales/assignments", "/v1/impersonationconfig",
	}
	for _, path := range lists {
		for _, query := range []string{"", "?depth=all&page=1&search=x&sortBy=Name"} {
			if got := m.DoAs(t, reader, 200, "GET", path+query, nil); got.Body != empty {
				t.Errorf("%s: got %s", path+query, got.Body)
			}
		}
		if got := m.DoAs(t, reader, 200, "GET", path+"?page=2&pageSize=100", nil); !strings.Contains(got.Body, `"Page":2,"PageSize":100`) {
			t.Errorf("%s: got %s", path, got.Body)
		}
		for what, refused := range map[string]struct {
			token, query string
			status       int
		}{"no token": {"", "", 401}, "no role": {nobody, "", 403}, "a page of words": {reader, "?page=first", 400}} {
			if got := m.Send(m.First, refused.token, "GET", path+refused.query, nil); got.Status != refused.status || !strings.HasPrefix(got.Body, `{"Errors":[{"ErrorCode":`) {
				t.Errorf("%s with %s: got %d %s, want %d", path, what, got.Status, got.Body, refused.status)
			}
		}
		got := m.Send(m.First, m.AdminToken, "POST", path, `{"ID":"x","Name":"x"}`)
		got.MustRefuseV1(t, 404, kit.NotFoundBody("Route", path))
	}
	m.Send(m.First, m.AdminToken, "GET", "/v1/buyers/nobody/usergroups", nil).MustRefuseV1(t, 404, kit.NotFoundBody("Buyer", "nobody"))
	m.Send(m.First, m.AdminToken, "GET", "/v1/suppliers/nobody/usergroups", nil).MustRefuseV1(t, 404, kit.NotFoundBody("Supplier", "nobody"))

	if got := m.DoAs(t, nobody, 200, "GET", "/v1/me/usergroups", nil); got.Body != empty {
		t.Errorf("own groups: got %s", got.Body)
	}
	if got := m.Do(t, 200, "GET", "/v1/me/usergroups", nil); got.Body != empty {
		t.Errorf("groups of a client: got %s", got.Body)
	}
	if got := m.Send(m.First, m.AdminToken, "GET", "/v1/messagesenders/CCListenerAssignments?page=first", nil); got.Status != 400 {
		t.Errorf("listeners on a page of words: got %d %s, want 400", got.Status, got.Body)
	}
	ted := person(m, t, "/v1/buyers/acme/users", "lists-ted", map[string]string{"BuyerID": "acme"}, "BuyerUserReader")
	m.DoAs(t, ted, 200, "GET", "/v1/buyers/acme/usergroups", nil)
	m.Send(m.First, ted, "GET", "/v1/buyers/globex/usergroups", nil).MustRefuseV1(t, 404, kit.NotFoundBody("Buyer", "globex"))
	if got := m.Send(m.First, ted, "GET", "/v1/locales", nil); got.Status != 403 {
		t.Errorf("locales for a buyer's user: got %d %s, want 403", got.Status, got.Body)
	}
}

func usersOfAllBuyers(m *kit.OrderCloud, t *testing.T) {
	users := func(token, query string) []string {
		t.Helper()
		got := m.DoAs(t, token, 200, "GET", "/v1/buyerusers"+query, nil)
		var list struct {
			Meta  struct{ TotalCount int }
			Items []struct{ ID, Username, CompanyID string }
		}
		if err := json.Unmarshal([]byte(got.Body), &list); err != nil {
			t.Fatalf("%v: got %s", err, got.Body)
		}
		var names []string
		for _, u := range list.Items {
			names = append(names, u.CompanyID+"/"+u.ID)
		}
		if list.Meta.TotalCount != len(names) && !strings.Contains(query, "pageSize") {
			t.Errorf("got %d of %d users", len(names), list.Meta.TotalCount)
		}
		return names
	}
	mustBe := func(what string, got []string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	for _, buyer := range []string{"acme", "globex"} {
		for _, name := range []string{"u1", "u2"} { // the same ID in both
			m.Do(t, 201, "POST", "/v1/buyers/"+buyer+"/users",
				`{"ID":"all-`+name+`","Username":"all-`+name+`-`+buyer+`","LastName":"Everywhere","Email":"`+buyer+`@example.com","Active":true}`)
		}
	}
	const ours = "?LastName=Everywhere"
	all := []string{"acme/all-u1", "acme/all-u2", "globex/all-u1", "globex/all-u2"}
	reader := person(m, t, "/v1/adminusers", "all-reader", nil, "BuyerUserReader")
	for what, token := range map[string]string{"FullAccess": m.AdminToken, "BuyerUserReader": reader} {
		got := users(token, ours)
		slices.Sort(got)
		mustBe(what, got, all...)
	}
	mustBe("by a search", users(reader, ours+"&search=GLOBEX&searchOn=Email&sortBy=ID"), "globex/all-u1", "globex/all-u2")
	mustBe("by a filter", users(reader, ours+"&Username=all-u2*&sortBy=Username"), "acme/all-u2", "globex/all-u2")
	mustBe("downwards, second page", users(reader, ours+"&sortBy=!Username&pageSize=3&page=2"), "acme/all-u1")
	mustBe("of a group", users(reader, ours+"&userGroupID=x"))
	if got := m.Send(m.First, reader, "GET", "/v1/buyerusers?CompanyID=acme", nil); got.Status != 400 {
		t.Errorf("an invalid filter: got %d %s, want 400", got.Status, got.Body)
	}

	// Other callers see no users, not even those of their own buyer.
	for what, token := range map[string]string{
		"a buyer's user with the role":    person(m, t, "/v1/buyers/acme/users", "all-ted", map[string]string{"BuyerID": "acme"}, "BuyerUserReader"),
		"a buyer's user without the role": person(m, t, "/v1/buyers/acme/users", "all-tom", map[string]string{"BuyerID": "acme"}, "Shopper"),
		"a supplier's user":               person(m, t, "/v1/suppliers/smith/users", "all-sue", map[string]string{"SupplierID": "smith"}, "BuyerUserReader", "BuyerUserAdmin"),
		"an admin user of other things":   person(m, t, "/v1/adminusers", "all-eve", nil, "BuyerAdmin", "AdminUserAdmin"),
	} {
		if got := m.Send(m.First, token, "GET", "/v1/buyerusers", nil); got.Status != 403 || !strings.Contains(got.Body, "Auth.InsufficientRoles") {
			t.Errorf("%s: got %d %s, want 403", what, got.Status, got.Body)
		}
	}
	m.Send(m.First, "", "GET", "/v1/buyerusers", nil).MustRefuseV1(t, 401, kit.InvalidTokenBody)
}

func elasticPathProbes(m *kit.OrderCloud, t *testing.T) {
	settings := kit.MustJSON(t, "settings", 200, m.Do(t, 200, "GET", "/v2/settings", nil))
	if settings.Text("data", "type") != "settings" || settings.At("data", "page_length") != 25.0 || settings.Text("links", "self") == "" {
		t.Errorf("got the settings %v", settings.Value)
	}
	realm := kit.MustJSON(t, "realm", 200, m.Do(t, 200, "GET", kit.RealmPath, nil)).Text("data", "id")
	user := kit.MustJSON(t, "user", 201, m.Do(t, 201, "POST", kit.RealmPath+"/user-authentication-info",
		`{"data":{"type":"user_authentication_info","name":"P","email":"p@example.com"}}`)).Text("data", "id")
	integration := kit.MustJSON(t, "integration", 201, m.Do(t, 201, "POST", "/v2/integrations", `{"data":{"type":"integration","name":"I","enabled":true,
		"integration_type":"webhook","observes":["one-time-password-token-request.created"],"configuration":{"url":"https://hook.example/x"}}}`)).Text("data", "id")
	oidc := "/v2/authentication-realms/" + realm + "/oidc-profiles"
	lists := []string{
		oidc, kit.RealmPath + "/user-authentication-info/" + user + "/user-authentication-oidc-profile-info", "/v2/account-tags",
		"/v2/integrations/" + integration + "/jobs", "/v2/integrations/" + integration + "/logs", "/v2/integrations/" + integration + "/jobs/none/logs",
	}
	for _, path := range lists {
		got := kit.MustJSON(t, path, 200, m.Do(t, 200, "GET", path+"?page[limit]=10&page[offset]=0", nil))
		if list, ok := got.At("data").([]any); !ok || len(list) != 0 || got.At("meta", "results", "total") != 0.0 || got.At("meta", "page", "limit") != 10.0 {
			t.Errorf("%s: got %v", path, got.Value)
		}
		kit.MustRefuseV2(t, path+" without a token", m.Send(m.First, "", "GET", path, nil), 401, "")
		kit.MustRefuseV2(t, path+" with a page of words", m.Send(m.First, m.AdminToken, "GET", path+"?page[limit]=x", nil), 400, "*")
	}
	m.CreateClient(t, "--name", "Front", "--id", "probe-front", "--public", "--grant", "implicit")
	front := m.SendForm(m.First, "/oauth/access_token", "grant_type", "implicit", "client_id", "probe-front").AccessToken(t)
	m.DoAs(t, front, 200, "GET", oidc, nil)
	for _, path := range append(lists[1:], "/v2/settings", "/v2/settings/account-membership") {
		kit.MustRefuseV2(t, path+" of a storefront", m.Send(m.First, front, "GET", path, nil), 403, "forbidden")
	}
	kit.MustRefuseV2(t, "jobs of none", m.Send(m.First, m.AdminToken, "GET", "/v2/integrations/none/jobs", nil), 404, "integration not found")
	kit.MustRefuseV2(t, "profiles of no realm", m.Send(m.First, m.AdminToken, "GET", "/v2/authentication-realms/none/oidc-profiles", nil), 404, "authentication realm not found")

	const limits = "/v2/settings/account-membership"
	for _, body := range []string{
		`{"data":{"type":"account_membership_setting","membership_limit":10000}}`, `{"data":{"type":"account_membership_setting"}}`,
	} {
		got := kit.MustJSON(t, limits, 200, m.Do(t, 200, "PUT", limits, body))
		if got.At("data", "membership_limit") != 10000.0 || got.Text("data", "type") != "account_membership_setting" {
			t.Errorf("PUT %s: got %v", body, got.Value)
		}
	}
	for body, status := range map[string]int{
		`{"data":{"type":"account_membership_setting","membership_limit":5}}`:     422,
		`{"data":{"type":"account_membership_setting","membership_limit":0}}`:     400,
		`{"data":{"type":"account_membership_setting","membership_limit":"all"}}`: 400,
		`{"data":{"type":"settings","membership_limit":10000}}`:                   400,
		`{}`: 400,
	} {
		kit.MustRefuseV2(t, "PUT "+body, m.Send(m.First, m.AdminToken, "PUT", limits, body), status, "*")
	}
	kit.MustRefuseV2(t, "PUT of a storefront", m.Send(m.First, front, "PUT", limits, `{"data":{"type":"account_membership_setting"}}`), 403, "forbidden")
}

// unknownPaths requests paths that do not exist with every method. Each answer has the shape of
// the dialect, and is the same for all callers.
func unknownPaths(m *kit.OrderCloud, t *testing.T) {
	below := []string{
		"", "/", "/nothing", "/nothing/", "/nothing/here", "//", "//nothing", "/nothing//here", "/./nothing", "/nothing/../here", "/nothing/.",
		"/%2e%2e/nothing", "/a%2Fb", "/a%20b", "/%00", "/%ff", "/nothing?x=y;z", "/products", "/orders/incoming", "/NOTHING", "/é",
		"/me/nothing", "/accounts/a/b/c/d/e", "/integrations/a/b/c/d", "/" + strings.Repeat("x", 3000),
	}
	callers := map[string]string{"nobody": "", "somebody unknown": "nonsense", "an administrator": m.AdminToken}
	for _, root := range []string{"/v1", "/v2"} {
		for _, path := range below {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"} {
				for who, token := range callers {
					status, header, body := raw(m, t, method, root+path, token)
					what := fmt.Sprintf("%s %.40q of %s", method, root+path, who)
					if status != 404 && status != 405 || !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
						t.Errorf("%s: got %d, %s, %.200s", what, status, header.Get("Content-Type"), body)
						continue
					}
					if method != "HEAD" {
						inDialect(t, what, root, status, body)
					}
				}
			}
		}
	}
	// These are methods that a path does not have.
	for _, path := range []string{"/v1/me", "/v1/buyers", "/v1/buyers/acme", "/v1/buyerusers", "/v1/locales", "/v2/accounts", "/v2/settings", "/v2/account-tags", "/v2/integrations"} {
		status, header, body := raw(m, t, "PURGE", path, m.AdminToken)
		if status != 404 && status != 405 || status == 405 && header.Get("Allow") == "" {
			t.Errorf("PURGE %s: got %d, Allow %q, %s", path, status, header.Get("Allow"), body)
		}
		inDialect(t, "PURGE "+path, path[:3], status, body)
	}
}

// inDialect checks that the body of a refusal has the shape of the dialect.
func inDialect(t *testing.T, what, root string, status int, body string) {
	t.Helper()
	if root == "/v2" {
		kit.MustRefuseV2(t, what, kit.Response{Status: status, Body: body}, status, "*")
		return
	}
	var refusal struct {
		Errors []struct {
			ErrorCode, Message string
			Data               map[string]string
		}
	}
	if err := json.Unmarshal([]byte(body), &refusal); err != nil || len(refusal.Errors) != 1 || refusal.Errors[0].ErrorCode != "NotFound" ||
		refusal.Errors[0].Message == "" || refusal.Errors[0].Data["ObjectType"] == "" {
		t.Errorf("%s: got %s, want the shape of the dialect", what, body)
	}
}

// raw sends a request with the path exactly as given.
func raw(m *kit.OrderCloud, t *testing.T, method, path, token string) (int, http.Header, string) {
	t.Helper()
	address := strings.TrimPrefix(m.First.URL, "http://")
	connection, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close() //nolint:errcheck // read to its end
	request := method + " " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := fmt.Fprint(connection, request+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, connection, method)
}

// readAnswer reads one answer to a request with that method.
func readAnswer(t *testing.T, connection net.Conn, method string) (int, http.Header, string) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}
