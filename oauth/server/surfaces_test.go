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
	const html = "text/html; charset=utf-8"
	const tooMany = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Too many attempts</title><h1>Too many attempts</h1><p role="alert">Wait a while, and try again.</p></html>`
	want := map[string][2]string{
		"/oauth/authorize":           {html, tooMany},
		"/oauth/signin":              {html, tooMany},
		"/oauth/":                    {utf8JSON, `{"error":"temporarily_unavailable","error_description":"Too many requests. Try again later.",` + vendorErrors},
		"/v1/password":               {utf8JSON, "{" + vendorErrors},
		"/v1/username/":              {utf8JSON, "{" + vendorErrors},
		"/v2/account-members/tokens": {"application/json", `{"errors":[{"title":"Too Many Requests","status":"429","detail":"Too many requests. Try again later."}]}`},
	}
	got := map[string][2]string{}
	for _, rule := range httpRules() {
		for _, path := range rule.Guessable {
			got[path.Prefix] = [2]string{path.Type, path.Body}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
