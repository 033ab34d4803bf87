package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTooManyFailures tests the answer to an address that has failed too often, for each path
// at which secrets are tried.
func TestTooManyFailures(t *testing.T) {
	t.Parallel()
	const vendorErrors = `"Errors":[{"ErrorCode":"TooManyRequests","Message":"Too many requests. Try again later.","Data":null}]}`
	const utf8JSON = "application/json;charset=UTF-8"
	want := map[string][2]string{
		"/oauth/":                    {utf8JSON, `{"error":"temporarily_unavailable","error_description":"Too many requests. Try again later.",` + vendorErrors},
		"/v1/password":               {utf8JSON, "{" + vendorErrors},
		"/v1/username/":              {utf8JSON, "{" + vendorErrors},
		"/v2/account-members/tokens": {"application/json", `{"errors":[{"title":"Too Many Requests","status":"429","detail":"Too many requests. Try again later."}]}`},
	}
	var pages []string
	got := map[string][2]string{}
	for _, rule := range httpRules(nil) {
		for _, path := range rule.Guessable {
			if path.Page != nil {
				pages = append(pages, path.Prefix)
				continue
			}
			got[path.Prefix] = [2]string{path.Type, path.Body}
		}
	}
	if diff := cmp.Diff([]string{"/oauth/signin", "/oauth/authorize", "/oauth/end_session"}, pages); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
