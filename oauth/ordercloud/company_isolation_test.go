package ordercloud

import (
	"net/http"
	"strings"
	"testing"

	"latchkey/oauth/token"
)

// TestPeopleAreIsolated tests that no route shows or changes data of another company, whatever
// the roles.
func TestPeopleAreIsolated(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.expect(201, "root", "POST", "/v1/suppliers", `{"ID":"jones","Name":"jones Ltd"}`)
	srv.expect(201, "root", "POST", "/v1/suppliers/jones/users", `{"ID":"joe","Username":"joe"}`)
	for bearer, name := range map[string]string{"gus": "gus", "sue": "sue", "joe": "joe", "ann": "ann"} {
		srv.userToken(bearer, "shop", name, token.RoleFullAccess)
	}
	srv.userToken("ann-without-roles", "shop", "ann")
	srv.userToken("sue-without-roles", "shop", "sue")
	srv.clientToken("public-client", "shop")

	api, err := New(srv.config)
	srv.must(err)
	targets := strings.NewReplacer("{buyerID}", "acme", "{supplierID}", "smith")
	foreign := []string{"First-", "@example.com", " Ltd", `"acme"`, `"smith"`, "ada"}
	before := srv.everybody()
	tried := 0
	for _, of := range [][]route{api.buyerRoutes(), api.supplierRoutes(), api.userRoutes(), api.membershipRoutes()} {
		for _, r := range of {
			intruders := []string{"gus", "joe", "public-client"}
			victim := "ada"
			switch {
			case strings.Contains(r.Path, "/buyers"):
				intruders, victim = append(intruders, "sue", "ann-without-roles"), "ann"
			case strings.Contains(r.Path, "/suppliers"):
				intruders, victim = append(intruders, "ann", "sue-without-roles"), "sue"
			default:
				intruders = append(intruders, "ann", "sue")
			}
			path := strings.ReplaceAll(targets.Replace(r.Path), "{userID}", victim)
			for _, token := range intruders {
				tried++
				a := srv.call(token, r.Method, path, `{"ID":"evil","Name":"evil"}`)
				if a.status != http.StatusForbidden && a.status != http.StatusNotFound {
					t.Errorf("%s: %s %s: got %d %s, want 403 or 404", token, r.Method, path, a.status, a.body)
				}
				shown := strings.ReplaceAll(a.body, `"ObjectID":"`+targets.Replace("{buyerID}")+`"`, "") // the ID in the path of the request
				shown = strings.ReplaceAll(shown, `"ObjectID":"`+targets.Replace("{supplierID}")+`"`, "")
				for _, text := range foreign {
					if strings.Contains(shown, text) {
						t.Errorf("%s: %s %s: got %q in %s, want it hidden", token, r.Method, path, text, a.body)
					}
				}
			}
			for _, token := range []string{"", "nonsense"} {
				if a := srv.call(token, r.Method, path, "{}"); a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
					t.Errorf("token %q: %s %s: got %d %v, want 401", token, r.Method, path, a.status, a.header)
				}
			}
		}
	}
	if tried < 100 {
		t.Errorf("got only %d attempts", tried)
	}
	if after := srv.everybody(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// everybody returns all users as an administrator sees them.
func (srv *testServer) everybody() string {
	srv.t.Helper()
	var all strings.Builder
	for _, path := range []string{
		"/v1/buyers", "/v1/suppliers", "/v1/adminusers", "/v1/buyers/acme/users", "/v1/buyers/globex/users", "/v1/suppliers/smith/users",
	} {
		all.WriteString(srv.expect(200, "root", "GET", path, "").body)
	}
	return all.String()
}

// TestOwnPathsStayOwn tests that a user of one company does not reach users of another company
// through the paths and lists of its own company.
func TestOwnPathsStayOwn(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.userToken("gus", "shop", "gus", token.RoleFullAccess)
	for _, path := range []string{"/v1/buyers/globex/users/ann", "/v1/buyers/globex/users/sue", "/v1/buyers/globex/users/ada"} {
		srv.refuses(404, "NotFound", "gus", "GET", path, "")
		srv.refuses(404, "NotFound", "gus", "DELETE", path, "")
		srv.refuses(404, "NotFound", "gus", "DELETE", path+"/tokens", "")
	}
	for _, query := range []string{"", "?search=ann", "?sortBy=Email", "?ID=ann|gus|sue", "?AccountUID=x", "?UID=x", "?PasswordHash=x"} {
		a := srv.expect(200, "gus", "GET", "/v1/buyers/globex/users"+query, "")
		if strings.Contains(a.body, "ann") || strings.Contains(a.body, "sue") || strings.Contains(a.body, "ada") {
			t.Errorf("%s: got %s, want no users of other companies", query, a.body)
		}
	}
	for _, query := range []string{"?CompanyID=x", "?Password=x", "?sortBy=AccountUID", "?search=x&searchOn=PasswordHash"} {
		srv.refuses(400, "ValidationFailure", "gus", "GET", "/v1/buyers/globex/users"+query, "")
	}
	srv.expect(200, "gus", "GET", "/v1/buyers/globex", "")
	srv.refuses(404, "NotFound", "gus", "GET", "/v1/buyers/acme", "")
	srv.refuses(404, "NotFound", "gus", "GET", "/v1/suppliers/globex", "")
	srv.refuses(403, "Auth.InsufficientRoles", "gus", "PATCH", "/v1/buyers/globex", `{"Name":"x"}`)
	srv.refuses(403, "Auth.InsufficientRoles", "gus", "GET", "/v1/buyers", "")
}
