package ordercloud

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// atOnce calls f for 0 to n-1 at the same time and counts the statuses of the answers.
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

// TestNoPatchIsLost tests that fifty administrators that each change a different member lose no
// change, whether or not the collection uses transactions.
func TestNoPatchIsLost(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/apiclients", `{"ID":"c","AppName":"C"}`)
	srv.expect(201, "root", "POST", "/v1/buyers", `{"ID":"b","Name":"B"}`)
	for _, path := range []string{"/v1/apiclients/c", "/v1/buyers/b"} {
		counts := atOnce(50, func(i int) answer {
			return srv.call("root", "PATCH", path, fmt.Sprintf(`{"xp":{"m%d":{"by":%d}}}`, i, i))
		})
		if counts[200] != 50 {
			t.Errorf("%s: got the answers %v, want 50 times 200", path, counts)
		}
		got := srv.expect(200, "root", "GET", path, "")
		if xp, _ := got.get(t, "xp").(map[string]any); len(xp) != 50 || got.header.Get("ETag") != `"51"` {
			t.Errorf("%s: got version %s with %d of 50 members", path, got.header.Get("ETag"), len(xp))
		}
	}
}

func TestOnlyOneCreates(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	for path, body := range map[string]string{
		"/v1/apiclients":       `{"ID":"%s","AppName":"n"}`,
		"/v1/securityprofiles": `{"ID":"%s","Name":"n"}`,
		"/v1/buyers":           `{"ID":"%s","Name":"n"}`,
	} {
		if got := atOnce(50, func(int) answer { return srv.call("root", "POST", path, fmt.Sprintf(body, "posted")) }); got[201] != 1 || got[409] != 49 {
			t.Errorf("POST %s: got the answers %v, want one 201 and 49 times 409", path, got)
		}
		// The first PUT creates the object. The others replace it.
		if got := atOnce(50, func(int) answer { return srv.call("root", "PUT", path+"/put", fmt.Sprintf(body, "put")) }); got[200] != 50 {
			t.Errorf("PUT %s: got the answers %v, want 50 times 200", path, got)
		}
		if got := srv.expect(200, "root", "GET", path+"/put", "").header.Get("ETag"); got != `"50"` {
			t.Errorf("%s: got version %s after 50 writes, want 50", path, got)
		}
	}
}

// TestIfMatchRace tests that of several administrators that read the same version one may
// write.
func TestIfMatchRace(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	const path = "/v1/securityprofiles/p"
	srv.expect(200, "root", "PUT", path, `{"Name":"P"}`)
	got := atOnce(20, func(i int) answer {
		return srv.call("root", "PATCH", path, fmt.Sprintf(`{"Name":"by %d"}`, i), "If-Match", `"1"`)
	})
	if got[200] != 1 || got[412] != 19 {
		t.Errorf("got the answers %v, want one 200 and 19 times 412", got)
	}
}

func TestPreconditions(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	const path = "/v1/securityprofiles/p"
	srv.refuses(412, "PreconditionFailed", "root", "PUT", path, `{"Name":"P"}`, "If-Match", `"1"`)
	srv.refuses(412, "PreconditionFailed", "root", "PUT", path, `{"Name":"P"}`, "If-Match", "*")
	srv.refuses(404, "NotFound", "root", "PATCH", path, `{"Name":"P"}`, "If-Match", `"1"`)
	if got := srv.expect(200, "root", "PUT", path, `{"Name":"P"}`).header.Get("ETag"); got != `"1"` {
		t.Errorf("ETag %s", got)
	}
	for tag, status := range map[string]int{`1`: 400, `"x"`: 400, `W/"1"`: 400, `"-1"`: 400, `"0"`: 400, `"7"`: 412, `"1", "2"`: 400} {
		for method, body := range map[string]string{"PUT": `{"Name":"Q"}`, "PATCH": `{"Name":"Q"}`, "DELETE": ""} {
			if got := srv.call("root", method, path, body, "If-Match", tag); got.status != status {
				t.Errorf("%s with If-Match %s: got %d %s, want %d", method, tag, got.status, got.body, status)
			}
		}
	}
	srv.expect(200, "root", "PATCH", path, `{"Name":"Q"}`, "If-Match", `"1"`)
	srv.expect(200, "root", "PUT", path, `{"Name":"R"}`, "If-Match", "*")
	srv.expect(204, "root", "DELETE", path, "", "If-Match", `"3"`)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.expect(201, "root", "POST", "/v1/securityprofiles", `{"ID":"p","Name":"P"}`)
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
		if got := srv.call("root", tt.method, "/v1/securityprofiles"+tt.path, tt.body, "Content-Type", contentType); got.status != tt.status || got.code() != tt.code {
			t.Errorf("%s %s %.40s: got %d %s, want %d %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.code)
		}
	}
	if got := srv.expect(200, "root", "GET", "/v1/securityprofiles", "").get(t, "Meta.TotalCount"); fmt.Sprint(got) != "2" {
		t.Errorf("got %v profiles, want 2", got)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	a := srv.refuses(401, "InvalidToken", "", "GET", "/v1/apiclients", "")
	if got := a.header.Get("WWW-Authenticate"); got != `Bearer realm="latchkey"` {
		t.Errorf("without a token: got %s", got) // RFC 6750 §3.1: no error code
	}
	a = srv.refuses(401, "InvalidToken", "forged", "GET", "/v1/apiclients", "")
	if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Errorf("with a forged token: got %s", got)
	}
	srv.clientToken("reader", "back-office", "ApiClientReader")
	a = srv.refuses(403, "Auth.InsufficientRoles", "reader", "POST", "/v1/apiclients", `{"AppName":"n"}`)
	want := `{"Errors":[{"ErrorCode":"Auth.InsufficientRoles","Message":"User does not have role(s) required to perform this action.","Data":{"AssignedRoles":["ApiClientReader"],"SufficientRoles":["FullAccess","ApiClientAdmin"]}}]}`
	if a.body != want {
		t.Errorf("got the body %s, want %s", a.body, want)
	}
	srv.expect(200, "reader", "GET", "/v1/apiclients", "")
}

// TestEveryListHasItsFields tests that the error about an unknown field names the fields of the
// list.
func TestEveryListHasItsFields(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	api, err := New(srv.config)
	srv.must(err)
	for _, r := range api.routes {
		if r.Method != "GET" || strings.Contains(r.Path, "{") || strings.HasPrefix(r.Path, "/v1/me/") || r.Path == "/v1/me" || !slices.Contains(parameterNames(r.Query), "sortBy") {
			continue
		}
		a := srv.refuses(400, "ValidationFailure", "root", "GET", r.Path+"?sortBy=NoSuchField", "")
		_, names, _ := strings.Cut(a.body, "is none of ")
		names, _, _ = strings.Cut(names, `"`)
		for name := range strings.SplitSeq(names, ", ") {
			if name == "xp" {
				name = "xp.a"
			}
			for _, query := range []string{"?sortBy=" + name, "?sortBy=!" + name, "?" + name + "=*", "?" + name + "=!*"} {
				srv.expect(200, "root", "GET", r.Path+query, "")
			}
		}
	}
}
