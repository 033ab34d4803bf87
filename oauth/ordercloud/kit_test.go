package ordercloud

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

func testFields() fields {
	return text("ID", "Name").with("Active", "Active", otherField).with("DateCreated", "CreatedAt", timeField).
		with("Minutes", "TTL", minutesField).with("xp", "XP", textField)
}

func on(field string, tests ...storage.Test) storage.Condition {
	return storage.Condition{Fields: []string{field}, Tests: tests}
}

// listCall is a GET request for a list.
func listCall(query string) (*call, error) {
	request := httptest.NewRequest("GET", "/v1/x", nil)
	request.URL.RawQuery = query
	c := &call{Request: request, api: &API{cfg: Config{Runtime: surface.Runtime{TraceID: func(context.Context) string { return "" }}}}}
	var err error
	c.values, err = surface.ReadQuery(request, nil)
	return c, err
}

func listQuery(query string, f fields, searched ...string) (storage.Query, int, error) {
	c, err := listCall(query)
	if err != nil {
		return storage.Query{}, 0, err
	}
	return c.query(f, searched)
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	fold, like := storage.OpEqualFold, storage.OpLikeFold
	tests := map[string][]storage.Condition{
		"Name=a":       {on("Name", storage.Test{Op: fold, Value: "a"})},
		"name=A":       {on("Name", storage.Test{Op: fold, Value: "A"})}, // in whatever case the field is named
		"Name=a|b*|!c": {on("Name", storage.Test{Op: fold, Value: "c", Not: true}), on("Name", storage.Test{Op: fold, Value: "a"}, storage.Test{Op: like, Value: "b*"})},
		// Negated alternatives hold together: a value other than a and other than b.
		"Name=!a|!b":                {on("Name", storage.Test{Op: fold, Value: "a", Not: true}), on("Name", storage.Test{Op: fold, Value: "b", Not: true})},
		"Name=a&Name=b":             {on("Name", storage.Test{Op: fold, Value: "a"}), on("Name", storage.Test{Op: fold, Value: "b"})},
		"Name=*":                    {on("Name", storage.Test{Op: storage.OpEmpty, Not: true})},
		"Name=!*":                   {on("Name", storage.Test{Op: storage.OpEmpty})},
		"Name=%3Cm":                 {on("Name", storage.Test{Op: storage.OpLess, Value: "m"})},
		"Name=%3C%3Dm":              {on("Name", storage.Test{Op: storage.OpLessOrEqual, Value: "m"})},
		"Name=%3Em":                 {on("Name", storage.Test{Op: storage.OpGreater, Value: "m"})},
		"Name=!%3E%3D%3Em":          {on("Name", storage.Test{Op: storage.OpGreaterOrEqual, Value: ">m", Not: true})},
		"Active=true":               {on("Active", storage.Test{Op: storage.OpEqual, Value: "true"})},
		"Minutes=%3E15":             {on("TTL", storage.Test{Op: storage.OpGreater, Value: "15m"})},
		"DateCreated=!*":            {on("CreatedAt", storage.Test{Op: storage.OpEmpty})},
		"DateCreated=%3E2026-03-01": {on("CreatedAt", storage.Test{Op: storage.OpGreater, Value: "2026-03-01T00:00:00Z"})},
		"DateCreated=2026-03-01T02:00:00%2B01:00": {on("CreatedAt", storage.Test{Op: storage.OpEqual, Value: "2026-03-01T01:00:00Z"})},
		"xp.a.B=!x":                   {on("XP.a.B", storage.Test{Op: fold, Value: "x", Not: true})},
		"search=50*&searchOn=Name,ID": {{Fields: []string{"Name", "ID"}, Tests: []storage.Test{{Op: like, Value: "*50*"}}}},
		"search=x":                    {{Fields: []string{"ID"}, Tests: []storage.Test{{Op: like, Value: "*x*"}}}},
		"search=x&searchType=AnyTerm": {{Fields: []string{"ID"}, Tests: []storage.Test{{Op: like, Value: "*x*"}}}},
		"":                            nil,
	}
	for query, want := range tests {
		got, _, err := listQuery(query, testFields(), "ID")
		if diff := cmp.Diff(want, got.Where); err != nil || diff != "" {
			t.Errorf("%s: error %v\n%s", query, err, diff)
		}
	}
}

func TestListOrderAndPages(t *testing.T) {
	t.Parallel()
	tests := map[string]storage.Query{
		"":                               {Limit: 20},
		"page=3&pageSize=7":              {Offset: 14, Limit: 7},
		"pageSize=100":                   {Limit: 100},
		"sortBy=Name,!xp.rank,!id":       {Limit: 20, Sort: []storage.Order{{Field: "Name"}, {Field: "XP.rank", Descending: true}, {Field: "ID", Descending: true}}},
		"sortBy=!DateCreated&page=":      {Limit: 20, Sort: []storage.Order{{Field: "CreatedAt", Descending: true}}},
		"sortBy=, ,&search=&searchOn=no": {Limit: 20},
		"depth=all&page=2":               {Offset: 20, Limit: 20},
		"page=1000000&pageSize=100&a=":   {Offset: 99_999_900, Limit: 100},
	}
	for query, want := range tests {
		got, page, err := listQuery(strings.ReplaceAll(query, " ", "%20"), testFields(), "ID")
		if diff := cmp.Diff(want, got); err != nil || diff != "" || page != got.Offset/got.Limit+1 {
			t.Errorf("%s: page %d, error %v\n%s", query, page, err, diff)
		}
	}
}

func TestListFaults(t *testing.T) {
	t.Parallel()
	var alternatives, filters []string
	for i := range 51 {
		alternatives, filters = append(alternatives, "a"), append(filters, fmt.Sprintf("xp.f%d=1", i))
	}
	for query, path := range map[string]string{
		"page=0": "page", "page=-1": "page", "page=x": "page", "page=1000001": "page", "page=99999999999999999999": "page",
		"pageSize=0": "pageSize", "pageSize=101": "pageSize", "pageSize=1.5": "pageSize",
		"sortBy=Nothing": "sortBy", "sortBy=xp": "sortBy", "sortBy=xp.": "sortBy",
		"search=a&searchOn=Active": "searchOn", "search=a&searchOn=Nothing": "searchOn",
		"xp=1": "xp", "xp.=1": "xp.", "Hidden=1": "Hidden",
		// Misspelt parameters and fields are not ignored: the list would have more than was asked for.
		"pagesize=1": "pagesize", "Page=1": "Page", "serach=x": "serach", "Nmae=x": "Nmae", "Minuts=1": "Minuts", "hidden=1": "hidden", "DateCretaed=*": "DateCretaed",
		"page=1&page=2": "page", "search=a&search=b": "search",
		"DateCreated=yesterday": "DateCreated", "DateCreated=*1*": "DateCreated",
		"Minutes=ten": "Minutes", "Minutes=-1": "Minutes", "Minutes=1s": "Minutes",
		"Name=%00": "", "Name=a%0Ab": "", "Name=%ff": "", "N%00=a": "", "Name=%zz": "", "search=%00": "",
		"Name=" + strings.Join(alternatives, "|"): "Name",
		strings.Join(filters, "&"):                "",
	} {
		_, _, err := listQuery(query, testFields().withMembersOf(struct{ ID, Hidden string }{}), "ID")
		answer := answerTo(err, time.Now())
		if want := map[string]string{"Path": path}; answer.status != http.StatusBadRequest || len(answer.entries) != 1 || !cmp.Equal(answer.entries[0].Data, any(want)) {
			t.Errorf("%.40q: %v, want a fault at %q", query, err, path)
		}
	}
}

func TestAskMemory(t *testing.T) {
	t.Parallel()
	type row struct{ id, name, at string }
	rows := []row{
		{"1", "Ann", "2026-03-01T00:00:00.5Z"}, {"2", "bob", "2026-03-01T00:00:00Z"}, {"3", "Bo*b", ""}, {"4", "", "2027-01-01T00:00:00Z"},
	}
	f := text("ID", "Name").with("At", "At", timeField)
	for query, want := range map[string]string{
		"": "1234", "Name=BOB": "2", "Name=b*": "23", "Name=*o*b": "23", "Name=*n*n*n*": "", "Name=!b*": "14", "Name=ann|bob": "12",
		"Name=!*": "4", "At=*": "124", "At=%3C2026-03-02": "12", "At=%3E2026-03-01": "14", "At=%3E%3D2026-03-01": "124", "At=2026-03-01": "2",
		"sortBy=!ID": "4321", "sortBy=Name": "4132", "sortBy=At": "3214", "page=2&pageSize=3": "4", "page=9": "", "search=NN": "1",
	} {
		q, _, err := listQuery(query, f, "ID", "Name")
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		var got string
		for _, r := range ask(q, rows, func(r row, field string) string {
			return map[string]string{"ID": r.id, "Name": r.name, "At": r.at}[field]
		}).Items {
			got += r.id
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if total := ask(storage.Query{Limit: 1}, rows, func(row, string) string { return "" }).Total; total != 4 {
		t.Errorf("total %d", total)
	}
}

// at once runs f for 0 to n-1 at the same time and counts what it answers.
func atOnce(n int, f func(i int) answer) map[int]int {
	counts := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			got := f(i)
			mu.Lock()
			defer mu.Unlock()
			counts[got.status]++
		})
	}
	close(start)
	all.Wait()
	return counts
}

// Fifty administrators change a member each; none undoes what another did,
// whether or not the collection works in transactions.
func TestNoPatchIsLost(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"C"}`)
	w.expect(201, "root", "POST", "/v1/buyers", `{"ID":"b","Name":"B"}`)
	for _, path := range []string{"/v1/apiclients/c", "/v1/buyers/b"} {
		counts := atOnce(50, func(i int) answer {
			return w.call("root", "PATCH", path, fmt.Sprintf(`{"xp":{"m%d":{"by":%d}}}`, i, i))
		})
		if counts[200] != 50 {
			t.Errorf("%s: answers %v", path, counts)
		}
		got := w.expect(200, "root", "GET", path, "")
		if xp, _ := got.get(t, "xp").(map[string]any); len(xp) != 50 || got.header.Get("ETag") != `"51"` {
			t.Errorf("%s: version %s with %d of 50 members", path, got.header.Get("ETag"), len(xp))
		}
	}
}

func TestOnlyOneCreates(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	for path, body := range map[string]string{
		"/v1/apiclients":       `{"ID":"%s","AppName":"n"}`,
		"/v1/securityprofiles": `{"ID":"%s","Name":"n"}`,
		"/v1/buyers":           `{"ID":"%s","Name":"n"}`,
	} {
		if got := atOnce(50, func(int) answer { return w.call("root", "POST", path, fmt.Sprintf(body, "posted")) }); got[201] != 1 || got[409] != 49 {
			t.Errorf("POST %s: answers %v", path, got)
		}
		// Whoever puts it first creates it; the others replace it.
		if got := atOnce(50, func(int) answer { return w.call("root", "PUT", path+"/put", fmt.Sprintf(body, "put")) }); got[200] != 50 {
			t.Errorf("PUT %s: answers %v", path, got)
		}
		if got := w.expect(200, "root", "GET", path+"/put", "").header.Get("ETag"); got != `"50"` {
			t.Errorf("%s: version %s after 50 writes", path, got)
		}
	}
}

// Of administrators who read the same version one may write.
func TestIfMatchRace(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	const path = "/v1/securityprofiles/p"
	w.expect(200, "root", "PUT", path, `{"Name":"P"}`)
	got := atOnce(20, func(i int) answer {
		return w.call("root", "PATCH", path, fmt.Sprintf(`{"Name":"by %d"}`, i), "If-Match", `"1"`)
	})
	if got[200] != 1 || got[412] != 19 {
		t.Errorf("answers %v", got)
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	const path = "/v1/securityprofiles/p"
	w.refuses(412, "PreconditionFailed", "root", "PUT", path, `{"Name":"P"}`, "If-Match", `"1"`)
	w.refuses(412, "PreconditionFailed", "root", "PUT", path, `{"Name":"P"}`, "If-Match", "*")
	w.refuses(404, "NotFound", "root", "PATCH", path, `{"Name":"P"}`, "If-Match", `"1"`)
	if got := w.expect(200, "root", "PUT", path, `{"Name":"P"}`).header.Get("ETag"); got != `"1"` {
		t.Errorf("ETag %s", got)
	}
	for tag, status := range map[string]int{`1`: 400, `"x"`: 400, `W/"1"`: 400, `"-1"`: 400, `"0"`: 400, `"7"`: 412, `"1", "2"`: 400} {
		for method, body := range map[string]string{"PUT": `{"Name":"Q"}`, "PATCH": `{"Name":"Q"}`, "DELETE": ""} {
			if got := w.call("root", method, path, body, "If-Match", tag); got.status != status {
				t.Errorf("%s with If-Match %s: %d %s, want %d", method, tag, got.status, got.body, status)
			}
		}
	}
	w.expect(200, "root", "PATCH", path, `{"Name":"Q"}`, "If-Match", `"1"`)
	w.expect(200, "root", "PUT", path, `{"Name":"R"}`, "If-Match", "*")
	w.expect(204, "root", "DELETE", path, "", "If-Match", `"3"`)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.expect(201, "root", "POST", "/v1/securityprofiles", `{"ID":"p","Name":"P"}`)
	for _, tt := range []struct {
		method, path, body, contentType string
		status                          int
		code                            string
	}{
		{"POST", "", `{"Name":`, "", 400, "Request.InvalidRequestBody"},
		{"POST", "", `null`, "", 400, "Request.InvalidRequestBody"},
		{"POST", "", "", "", 400, "Request.InvalidRequestBody"},
		{"POST", "", "{\"Name\":\"\xff\"}", "", 400, "Request.InvalidRequestBody"},
		{"POST", "", `{"Name":"` + strings.Repeat("x", maxBodyBytes) + `"}`, "", 413, "Request.InvalidRequestBody"},
		{"POST", "", `{"Name":"n"}`, "application/x-www-form-urlencoded", 415, "Request.InvalidContentType"},
		{"POST", "", `{"Name":"n"}`, "application/json; charset=utf-8", 201, ""},
		{"POST", "", `{"ID":"p","Name":"n"}`, "", 409, "IdExists"},
		{"POST", "", `{"ID":"a/b","Name":"n"}`, "", 400, "ValidationFailure"},
		{"PATCH", "/p", `{"Nmae":"n"}`, "", 400, "ValidationFailure"},
		{"PATCH", "/p", `{"Name":"a","Name":"b"}`, "", 400, "ValidationFailure"},
		{"PATCH", "/p", `{"Name":7}`, "", 400, "ValidationFailure"},
		{"PATCH", "/p", `{"Name":null}`, "", 400, "ValidationFailure"},
		{"PATCH", "/p", `{"ID":"q"}`, "", 400, "ValidationFailure"},
		{"PATCH", "/p", `{"ID":null}`, "", 200, ""},
		{"PATCH", "/p", `[]`, "", 400, "Request.InvalidRequestBody"},
		{"PATCH", "/none", `{"Name":"n"}`, "", 404, "NotFound"},
		{"PUT", "/p", `{"ID":"q","Name":"n"}`, "", 400, "ValidationFailure"},
		{"PUT", "/a%20b", `{"Name":"n"}`, "", 400, "ValidationFailure"},
		{"GET", "/a%00b", "", "", 404, "NotFound"},
		{"PUT", "/a%0Ab", `{"Name":"n"}`, "", 404, "NotFound"},
		{"DELETE", "/%ff", "", "", 404, "NotFound"},
		{"DELETE", "", "", "", 404, "NotFound"},
		{"GET", "?pageSize=1000", "", "", 400, "ValidationFailure"},
		{"GET", "?sortBy=Name%00", "", "", 400, "ValidationFailure"},
	} {
		contentType := "application/json"
		if tt.contentType != "" {
			contentType = tt.contentType
		}
		if got := w.call("root", tt.method, "/v1/securityprofiles"+tt.path, tt.body, "Content-Type", contentType); got.status != tt.status || got.code() != tt.code {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.code)
		}
	}
	if got := w.expect(200, "root", "GET", "/v1/securityprofiles", "").get(t, "Meta.TotalCount"); fmt.Sprint(got) != "2" {
		t.Errorf("%v profiles, want 2", got)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	a := w.refuses(401, "InvalidToken", "", "GET", "/v1/apiclients", "")
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="latchkey"` {
		t.Errorf("without a token: %s", got) // RFC 6750 §3.1: no error code
	}
	a = w.refuses(401, "InvalidToken", "forged", "GET", "/v1/apiclients", "")
	if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("with a forged one: %s", got)
	}
	w.clientToken("reader", "back-office", "ApiClientReader")
	a = w.refuses(403, "Auth.InsufficientRoles", "reader", "POST", "/v1/apiclients", `{"AppName":"n"}`)
	want := `{"Errors":[{"ErrorCode":"Auth.InsufficientRoles","Message":"User does not have role(s) required to perform this action.","Data":{"AssignedRoles":["ApiClientReader"],"SufficientRoles":["FullAccess","ApiClientAdmin"]}}]}`
	if a.body != want {
		t.Errorf("body %s", a.body)
	}
	w.expect(200, "reader", "GET", "/v1/apiclients", "")
}

// Nobody reads what stands in the way of whom: each list says its own fields.
func TestEveryListHasItsFields(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	api, err := New(w.config)
	w.must(err)
	for _, r := range api.routes {
		if r.Method != "GET" || strings.Contains(r.Path, "{") || strings.HasPrefix(r.Path, "/v1/me") {
			continue
		}
		a := w.refuses(400, "ValidationFailure", "root", "GET", r.Path+"?sortBy=NoSuchField", "")
		_, names, _ := strings.Cut(a.body, "is none of ")
		names, _, _ = strings.Cut(names, `"`)
		for name := range strings.SplitSeq(names, ", ") {
			if name == "xp" {
				name = "xp.a"
			}
			for _, query := range []string{"?sortBy=" + name, "?sortBy=!" + name, "?" + name + "=*", "?" + name + "=!*"} {
				w.expect(200, "root", "GET", r.Path+query, "")
			}
		}
	}
}
