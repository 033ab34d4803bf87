package ordercloud

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for _, of := range []struct{ path, object, extra string }{
		{"/v1/buyers", "Buyer", `"DefaultCatalogID":null,`}, {"/v1/suppliers", "Supplier", `"AllBuyersCanOrder":false,`},
	} {
		srv.recorded()
		created := srv.expect(201, "root", "POST", of.path, `{"ID":"a1","Name":"Äpfel & Söhne","xp":{"tier":1,"more":{"x":1}}}`)
		want := `{"ID":"a1","Name":"Äpfel \u0026 Söhne","Active":true,` + of.extra + `"DateCreated":"2026-03-01T12:00:00Z","xp":{"tier":1,"more":{"x":1}}}`
		if created.body != want || created.header.Get("ETag") != `"1"` {
			t.Errorf("created: got %s %s, want %s", created.header.Get("ETag"), created.body, want)
		}
		one := of.path + "/a1"
		if got := srv.expect(200, "root", "GET", one, ""); got.body != want || got.header.Get("ETag") != `"1"` {
			t.Errorf("got %s %s", got.header.Get("ETag"), got.body)
		}
		srv.refuses(409, "IdExists", "root", "POST", of.path, `{"ID":"a1","Name":"Other"}`)
		if again := srv.expect(200, "root", "PUT", one, want); again.header.Get("ETag") != `"2"` {
			t.Errorf("written back unchanged: got %s", again.body)
		}
		patched := srv.expect(200, "root", "PATCH", one, `{"Active":false,"xp":{"more":{"y":2},"tier":null}}`)
		if patched.get(t, "Active") != false || patched.get(t, "xp.tier") != nil || patched.get(t, "xp.more.x") == nil || patched.get(t, "xp.more.y") == nil {
			t.Errorf("patched: got %s", patched.body)
		}
		srv.refuses(412, "PreconditionFailed", "root", "PUT", one, `{"ID":"a1","Name":"Stale"}`, "If-Match", `"2"`)
		srv.refuses(412, "PreconditionFailed", "root", "DELETE", one, "", "If-Match", `"2"`)
		renamed := srv.expect(200, "root", "PUT", one, `{"ID":"a2","Name":"New"}`, "If-Match", `"3"`)
		if renamed.get(t, "ID") != "a2" || renamed.get(t, "Active") != true {
			t.Errorf("renamed: got %s", renamed.body)
		}
		gone := srv.refuses(404, "NotFound", "root", "GET", one, "")
		if want := `{"Errors":[{"ErrorCode":"NotFound","Message":"Object not found.","Data":{"ObjectID":"a1","ObjectType":"` + of.object + `"}}]}`; gone.body != want {
			t.Errorf("got %s, want %s", gone.body, want)
		}
		srv.expect(200, "root", "PUT", one, `{"Name":"by PUT"}`)
		srv.refuses(409, "IdExists", "root", "PATCH", one, `{"ID":"a2"}`)
		srv.expect(204, "root", "DELETE", of.path+"/a2", "")
		srv.refuses(404, "NotFound", "root", "DELETE", of.path+"/a2", "")
		lower := strings.ToLower(of.object)
		if diff := cmp.Diff([]string{
			lower + ".created " + of.object + "/a1", lower + ".updated " + of.object + "/a1", lower + ".updated " + of.object + "/a1",
			lower + ".updated " + of.object + "/a1", lower + ".created " + of.object + "/a1", lower + ".deleted " + of.object + "/a2",
		}, srv.recorded()); diff != "" {
			t.Error(diff)
		}
		generated := srv.expect(201, "root", "POST", of.path, `{"Name":"without"}`)
		if id, _ := generated.get(t, "ID").(string); len(id) != 36 {
			t.Errorf("got %s, want a generated ID", generated.body)
		}
	}
}

func TestAccountLists(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for _, b := range []string{
		`{"ID":"b1","Name":"Alpha","xp":{"region":"north"}}`, `{"ID":"b2","Name":"Beta","Active":false}`, `{"ID":"b3","Name":"Gamma","xp":{"region":"south"}}`,
	} {
		srv.expect(201, "root", "POST", "/v1/buyers", b)
	}
	srv.expect(201, "root", "POST", "/v1/suppliers", `{"ID":"s1","Name":"Alpha Supplies"}`)
	for query, want := range map[string][]string{
		"":                              {"b1", "b2", "b3"},
		"?search=alpha":                 {"b1"},
		"?search=b&searchOn=ID":         {"b1", "b2", "b3"},
		"?sortBy=!Name":                 {"b3", "b2", "b1"},
		"?pageSize=2&page=2":            {"b3"},
		"?Active=true":                  {"b1", "b3"},
		"?xp.region=south|north&ID=!b3": {"b1"},
		"?Name=*ma":                     {"b3"},
		"?DateCreated=%3E2026-03-02":    {},
		"?DateCreated=%3E2026-01-01&ID=b2%7Cnone": {"b2"},
	} {
		if diff := cmp.Diff(want, srv.expect(200, "root", "GET", "/v1/buyers"+query, "").ids(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	srv.expect(200, "root", "GET", "/v1/buyers?Colour=red&depth=all", "")
	srv.refuses(400, "ValidationFailure", "root", "GET", "/v1/buyers?DefaultCatalogID=red", "")
}

func TestBadAccounts(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	long := strings.Repeat("x", 513)
	for body, paths := range map[string][]string{
		`{}`: {"Name"},
		`{"ID":"a b","Name":"` + long + `","xp":[1]}`: {"ID", "Name", "xp"},
		`{"Name":"a\r\nBcc: b@example.com"}`:          {"Name"},
		`{"name":"wrong case"}`:                       {"name"},
		`{"Name":"a","Name":"b"}`:                     {"Name"},
		`{"Name":1}`:                                  {"Name"},
	} {
		a := srv.refuses(400, "ValidationFailure", "root", "POST", "/v1/buyers", body)
		if diff := cmp.Diff(paths, a.paths()); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	srv.refuses(400, "Request.InvalidRequestBody", "root", "POST", "/v1/buyers", `[]`)
	srv.refuses(415, "Request.InvalidContentType", "root", "POST", "/v1/buyers", `{"Name":"a"}`, "Content-Type", "text/plain")
	if got := srv.expect(200, "root", "GET", "/v1/buyers", "").ids(t); len(got) != 0 {
		t.Errorf("after refused requests: got %v, want none", got)
	}
	srv.expect(201, "root", "POST", "/v1/buyers", `{"ID":"ok","Name":"{{.Name}} <b>$(id)</b> ${jndi:ldap://x}"}`)
}
