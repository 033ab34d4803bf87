package admin

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// queryOperation is an operation of the server's OpenAPI document.
type queryOperation struct {
	method, path string
	query        []string // accepted parameters
	required     []string // required parameters
}

// queryOperations returns the operations below /v1 and /v2, and those of registration. Their
// paths contain IDs of existing objects.
func queryOperations(m *kit.OrderCloud, t *testing.T) (all []queryOperation) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name, In string
				Required bool
			}
		}
	}
	if err := json.Unmarshal([]byte(m.Do(t, 200, "GET", "/openapi.json", nil).Body), &document); err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`\{[a-zA-Z_]+\}`)
	ids := map[string]string{
		"{buyerID}": "acme", "{supplierID}": "smith", "{securityProfileID}": "p", "{messageSenderID}": "hook", "{apiClientID}": "web",
		"{realm}": "default", "{profile}": "default",
	}
	for path, methods := range document.Paths {
		for method, o := range methods {
			operation := queryOperation{method: strings.ToUpper(method)}
			operation.path = parameter.ReplaceAllStringFunc(path, func(name string) string {
				switch id := ids[name]; {
				case id != "":
					return id
				case name == "{userID}" && strings.Contains(path, "adminusers"):
					return "ada"
				case name == "{userID}" && strings.Contains(path, "suppliers"):
					return "sam"
				case name == "{userID}":
					return "jane"
				}
				return "x"
			})
			for _, p := range o.Parameters {
				if p.In == "query" {
					operation.query = append(operation.query, p.Name)
				}
				if p.In == "query" && p.Required {
					operation.required = append(operation.required, p.Name)
				}
			}
			if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/") {
				all = append(all, operation)
			}
		}
	}
	return all
}

// TestQueriesAreCompleteOrRefused tests that every operation refuses a query that is malformed,
// misspelled, empty or repeated, and changes nothing.
func TestQueriesAreCompleteOrRefused(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t, kit.LongRequestTimeout)
	makeAssignments(m, t)
	operations := queryOperations(m, t)
	before := everything(m, t)
	for _, o := range operations {
		for _, query := range o.badQueries() {
			mustRefuseQuery(m, t, o, query)
		}
	}
	for _, o := range operations {
		if o.method == http.MethodDelete {
			mustRefuseBody(m, t, o)
		}
	}
	if after := everything(m, t); after != before {
		t.Errorf("got a change:\n%s\nbefore:\n%s", after, before)
	}
}

// makeAssignments creates an object of each type, and assigns a security profile and a sender
// to all parties.
func makeAssignments(m *kit.OrderCloud, t *testing.T) {
	t.Helper()
	for _, r := range [][2]string{
		{"/v1/buyers", `{"ID":"acme","Name":"Acme"}`},
		{"/v1/suppliers", `{"ID":"smith","Name":"Smith"}`},
		{"/v1/buyers/acme/users", `{"ID":"jane","Username":"jane"}`},
		{"/v1/suppliers/smith/users", `{"ID":"sam","Username":"sam"}`},
		{"/v1/adminusers", `{"ID":"ada","Username":"ada"}`},
		{"/v1/securityprofiles", `{"ID":"p","Name":"P","Roles":["MeAdmin"]}`},
		{"/v1/apiclients", `{"ID":"web","AppName":"Web","AllowAnyBuyer":true}`},
		{"/v1/messagesenders", `{"ID":"hook","Name":"Hook","MessageTypes":["OneTimePassword"],"URL":"https://hook.example","SharedKey":"k"}`},
	} {
		m.Do(t, 201, "POST", r[0], r[1])
	}
	for _, party := range []string{"", `,"BuyerID":"acme"`, `,"SupplierID":"smith"`, `,"BuyerID":"acme","UserID":"jane"`, `,"UserID":"ada"`} {
		m.Do(t, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"p"`+party+`}`)
		if !strings.Contains(party, "User") {
			m.Do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"hook"`+party+`}`)
		}
	}
	m.Do(t, 204, "POST", "/v1/apiclients/assignments", `{"ApiClientID":"web","BuyerID":"acme"}`)
}

// everything returns the records of all lists.
func everything(m *kit.OrderCloud, t *testing.T) (all string) {
	t.Helper()
	for _, path := range []string{
		"/v1/buyers", "/v1/suppliers", "/v1/buyers/acme/users", "/v1/suppliers/smith/users", "/v1/adminusers", "/v1/securityprofiles", "/v1/securityprofiles/assignments",
		"/v1/apiclients", "/v1/apiclients/assignments", "/v1/messagesenders", "/v1/messagesenders/assignments", "/v1/signingkeys", "/v1/onetimepasswordrequests",
		"/v2/accounts", "/v2/account-members", "/v2/integrations", "/v2/authentication-realms/default/password-profiles", "/v2/settings/account-authentication",
	} {
		all += m.Do(t, 200, "GET", path, nil).Body + "\n"
	}
	return all
}

func (o queryOperation) badQueries() []string {
	bad := []string{"a;b", "x=1;y=2", "%", "a=%zz", "a=%4", "%zz=a", "filter=eq(email,no;body@example.com)", "buyerID=acme;x"}
	if o.method == "GET" {
		return bad
	}
	bad = append(bad, "depth=all", "=x", "buyer=acme", "buyerId=acme", "BuyerID=acme", "BUYERID=acme", "buyerID", "buyerID=", "userID=", "userId=jane", "x=1&x=2")
	for _, name := range o.query {
		bad = append(bad, strings.ToUpper(name)+"=acme", name+"=1&"+name+"=2", name+"=1&"+name+"=", name+"=1&depth=all", name+"=1;x", name+"=1&a=%")
		if !slices.Contains(o.required, name) {
			bad = append(bad, name, name+"=")
		}
	}
	return bad
}

// mustRefuseBody sends a DELETE with a body that names a party, and expects a refusal.
func mustRefuseBody(m *kit.OrderCloud, t *testing.T, o queryOperation) {
	t.Helper()
	for _, body := range []string{`{"BuyerID":"acme"}`, `{"data":{"id":"x"}}`, `[]`, `buyerID=acme`, strings.Repeat(" ", 100) + `{"BuyerID":"acme"}`} {
		if got := m.Send(m.First, m.AdminToken, o.method, o.path, body); got.Status != http.StatusBadRequest {
			t.Errorf("%s %s with the body %s: got %d %.300s, want 400", o.method, o.path, body, got.Status, got.Body)
		}
	}
}

// mustRefuseQuery expects a 400 in the shape of the dialect.
func mustRefuseQuery(m *kit.OrderCloud, t *testing.T, o queryOperation, query string) {
	t.Helper()
	var body any
	if o.method != "GET" && o.method != "DELETE" {
		body = "{}"
	}
	got := m.Send(m.First, m.AdminToken, o.method, o.path+"?"+query, body)
	member := "errors"
	if strings.HasPrefix(o.path, "/v1/") {
		member = "Errors"
	}
	var shape map[string][]map[string]any
	if err := json.Unmarshal([]byte(got.Body), &shape); err != nil || got.Status != http.StatusBadRequest || len(shape) != 1 || len(shape[member]) == 0 {
		t.Errorf("%s %s?%s: got %d %.300s, want 400", o.method, o.path, query, got.Status, got.Body)
	}
}

// TestDeletesOnlyWhatIsNamed removes the assignments one by one.
func TestDeletesOnlyWhatIsNamed(t *testing.T) { kit.EachOrderCloud(t, nil, deletesOnlyWhatIsNamed) }

func deletesOnlyWhatIsNamed(t *testing.T, m *kit.OrderCloud) {
	makeAssignments(m, t)
	total := func(path, want string) {
		t.Helper()
		if got := m.Do(t, 200, "GET", path, nil); !strings.Contains(got.Body, `"TotalCount":`+want+",") {
			t.Errorf("%s: got %s, want %s", path, got.Body, want)
		}
	}
	for i, query := range []string{"?buyerID=acme&userID=jane", "?buyerID=acme", "?supplierID=smith", "?userID=ada", ""} {
		m.Do(t, 204, "DELETE", "/v1/securityprofiles/p/assignments"+query, nil)
		total("/v1/securityprofiles/assignments", []string{"4", "3", "2", "1", "0"}[i])
	}
	for i, query := range []string{"?supplierID=smith", "?buyerID=%61cme", ""} {
		m.Do(t, 204, "DELETE", "/v1/messagesenders/hook/assignments"+query, "{}")
		total("/v1/messagesenders/assignments", []string{"2", "1", "0"}[i])
	}
}

// TestQueriesOfOAuthEndpoints tests that endpoints that accept forms refuse a malformed query
// and ignore other queries. Registration accepts no parameters.
func TestQueriesOfOAuthEndpoints(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t, kit.LongRequestTimeout)
	self := []string{"grant_type", "client_credentials", "client_id", m.Operator.ID, "client_secret", m.Operator.Secret}
	for _, path := range []string{"/oauth/token", "/oauth/access_token"} {
		for query, status := range map[string]int{"": 200, "?tenant=a&grant_type=password": 200, "?a;b": 400, "?a=%zz": 400, "?%": 400} {
			if got := m.SendForm(m.First, path+query, self...); got.Status != status {
				t.Errorf("%s%s: got %d %s, want %d", path, query, got.Status, got.Body, status)
			}
		}
	}
	for _, path := range []string{"/oauth/revoke", "/oauth/introspect"} {
		for query, status := range map[string]int{"?token=y": 200, "?a;b": 400, "?%": 400} {
			if got := m.SendForm(m.First, path+query, append(self[2:], "token", "x")...); got.Status != status {
				t.Errorf("%s%s: got %d %s, want %d", path, query, got.Status, got.Body, status)
			}
		}
	}
	m.Do(t, 400, "POST", "/oauth/register?scope=FullAccess", `{"client_name":"x"}`)
	made := m.Do(t, 201, "POST", "/oauth/register", `{"client_name":"x"}`).Members(t)
	id, _ := made["client_id"].(string)
	access, _ := made["registration_access_token"].(string)
	for _, query := range []string{"?force=1", "?a;b", "?%zz"} {
		m.DoAs(t, access, 400, "DELETE", "/oauth/register/"+id+query, nil)
		m.DoAs(t, access, 400, "PUT", "/oauth/register/"+id+query, `{"client_id":"`+id+`","client_name":"y"}`)
	}
	if got := m.DoAs(t, access, 200, "GET", "/oauth/register/"+id, nil); !strings.Contains(got.Body, `"client_name":"x"`) {
		t.Error(got.Body)
	}
	m.DoAs(t, access, 204, "DELETE", "/oauth/register/"+id, nil)
}

// TestQueriesAreParsedInOnePlace tests that only oauth/surface/query.go and oauth/form.go parse
// queries and forms, because the parsers of net/http drop invalid parts.
func TestQueriesAreParsedInOnePlace(t *testing.T) {
	t.Parallel()
	forbidden := []string{"FormValue", "PostFormValue", "ParseForm", "ParseMultipartForm", "FormFile", "MultipartReader"}
	files := 0
	err := filepath.WalkDir("../../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (strings.Contains(path, "examples") || entry.Name() == ".git") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		// The console refuses forms that cannot be parsed, and encodes what it sends to /v1 anew.
		if strings.Contains(filepath.ToSlash(path), "/oauth/console/") {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, _ := selector.X.(*ast.Ident)
			parses := selector.Sel.Name == "ParseQuery" && of != nil && of.Name == "url"
			// Package config and the tests of stores read the URL of a database.
			bare := selector.Sel.Name == "Query" && len(call.Args) == 0 && !strings.Contains(filepath.ToSlash(path), "/config/") && !strings.Contains(filepath.ToSlash(path), "/storetest/")
			homes := []string{"../../../oauth/surface/query.go", "../../../grants/form.go"}
			if slices.Contains(forbidden, selector.Sel.Name) || bare || parses && !slices.Contains(homes, filepath.ToSlash(path)) {
				t.Errorf("%s calls %s, want surface.ReadQuery or grants.ReadForm", path, selector.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("got %d files, %v", files, err)
	}
}

// TestSemicolonsInForms tests that a raw semicolon in a form is data (WHATWG URL §5.1).
// HttpParams of Angular sends it unencoded.
func TestSemicolonsInForms(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t, kit.LongRequestTimeout)
	const password, secret = "correct;Horse;7battery", "a;secret;of;thirty-two;characters;1"
	m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	m.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"jane","Username":"jane;doe","Password":"`+password+`"}`)
	web := m.Do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Web","AllowAnyBuyer":true,"ClientSecret":"`+secret+`","RefreshTokenDuration":60}`).Members(t)["ID"].(string)
	raw := func(path, body string) kit.Response {
		return m.Send(m.First, "", "POST", path, body, "Content-Type", kit.FormMedia)
	}
	mine := "&client_id=" + web + "&client_secret=" + secret
	for body, status := range map[string]int{
		"grant_type=password&username=jane;doe&password=" + password + mine:                200,
		"grant_type=password&username=jane%3Bdoe&password=correct%3BHorse;7battery" + mine: 200,
		"grant_type=password&username=jane;doe&password=correct" + mine:                    400,
		"grant_type=password&username=jane;doe&password=" + password + ";" + mine:          400,
		"grant_type=password&username=jane&password=" + password + mine:                    400,
		"grant_type=password;username=jane;doe;password=" + password + mine:                400,
	} {
		if got := raw("/oauth/token", body); got.Status != status {
			t.Errorf("%s: got %d %s, want %d", body, got.Status, got.Body, status)
		}
	}
	got := raw("/oauth/token", "grant_type=password&username=jane;doe&password="+password+mine).Members(t)
	token, _ := got["access_token"].(string)
	if got := raw("/oauth/introspect", "token="+token+mine); !strings.Contains(got.Body, `"active":true`) {
		t.Errorf("introspection: got %d %s", got.Status, got.Body)
	}
	if got := raw("/oauth/introspect", "token="+token+";"+mine); got.Body != `{"active":false}` {
		t.Errorf("introspection of another token: got %d %s", got.Status, got.Body)
	}
	raw("/oauth/revoke", "token="+token+mine)
	if got := raw("/oauth/introspect", "token="+token+mine); strings.Contains(got.Body, `"active":true`) {
		t.Errorf("after the revocation: got %s", got.Body)
	}
	m.Do(t, 200, "PATCH", "/v1/apiclients/"+web, `{"DefaultContextUserName":"jane;doe"}`)
	if got := raw("/oauth/access_token", "grant_type=client_credentials"+mine); got.Status != 200 {
		t.Errorf("/oauth/access_token: got %d %s, want 200", got.Status, got.Body)
	}
}
