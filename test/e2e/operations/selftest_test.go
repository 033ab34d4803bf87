package operations

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey/test/e2e/kit"
)

// selftest runs the command against a target, and returns the verdicts by check.
func selftest(t *testing.T, target string, flags ...string) (verdicts map[string]string, r kit.Result) {
	t.Helper()
	r = kit.TryCommand(t, nil, append([]string{"selftest", "--target", target, "--output", "json"}, flags...)...)
	var report struct {
		Target   string
		Passed   bool
		Findings []struct{ Check, Verdict string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatalf("got %v for %s%s", err, r.Stdout, r.Stderr)
	}
	if report.Passed != (r.ExitCode == 0) || report.Target != target {
		t.Errorf("got exit code %d of %s", r.ExitCode, r.Stdout)
	}
	verdicts = map[string]string{}
	for _, f := range report.Findings {
		verdicts[f.Check] = f.Verdict
	}
	return verdicts, r
}

// TestSelftest tests that a server on this machine passes. With a test user the journey is
// checked, and with the role AuditReader the address of the client.
func TestSelftest(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		verdicts, r := selftest(t, n.URL)
		for _, check := range []string{"discovery", "tls", "keys", "clock", "headers", "refusals", "large headers", "slow bodies", "large bodies", "cors"} {
			if verdicts[check] != "passed" {
				t.Errorf("%s: got %s\n%s", check, verdicts[check], r.Stdout)
			}
		}
		if verdicts["journey"] != "skipped" || verdicts["client address"] != "skipped" {
			t.Errorf("without a client: got %v", verdicts)
		}
		client := w.CreateClient(t, "--name", "Selftest", "--grant", "password", "--grant", "client_credentials", "--role", "AuditReader")
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte(client.Secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := []string{"--client-id", client.ID, "--client-secret-file", secret, "--username", "jane"}
		if verdicts, r = selftest(t, n.URL, flags...); verdicts["journey"] != "passed" || verdicts["client address"] != "passed" {
			t.Errorf("with a client: got %s", r.Stdout)
		}
		// This server trusts forwarded addresses from every process on this machine.
		n.Stop()
		trusting := w.Serve(kit.BehindProxy, "LATCHKEY_ISSUER=")
		if verdicts, r = selftest(t, trusting.URL, flags...); verdicts["client address"] != "failed" || r.ExitCode != 1 {
			t.Errorf("with a forged address: got %s", r.Stdout)
		}
	})
}

// TestSelftestOfOtherIssuer tests that the metadata must name the target.
func TestSelftestOfOtherIssuer(t *testing.T) {
	t.Parallel()
	w := &kit.Fixture{T: t, DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db"), Inbox: kit.NewInbox(t)}
	n := w.Serve("LATCHKEY_ISSUER=https://login.example.com")
	if verdicts, r := selftest(t, n.URL); verdicts["discovery"] != "failed" || r.ExitCode != 1 {
		t.Errorf("got %s", r.Stdout)
	}
	mustFail(t, nil, "--target", "selftest", "--target", "login.example.com")
	mustFail(t, nil, "target", "selftest")
}

// TestSelftestBehindProxy tests that faults of a proxy are found.
func TestSelftestBehindProxy(t *testing.T) {
	t.Parallel()
	type fault struct {
		change func(http.ResponseWriter, *http.Request) bool // changes a request; false means that it has answered
		answer func(*http.Response) error
	}
	var present atomic.Pointer[fault]
	var proxy atomic.Pointer[httputil.ReverseProxy]
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f := present.Load(); f.change == nil || f.change(rw, r) {
			proxy.Load().ServeHTTP(rw, r)
		}
	}))
	defer front.Close()
	w := &kit.Fixture{T: t, DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db"), Inbox: kit.NewInbox(t)}
	n := w.Serve("LATCHKEY_ISSUER=" + front.URL)
	back, err := url.Parse(n.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Store(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(back) },
		ModifyResponse: func(r *http.Response) error {
			if f := present.Load(); f.answer != nil {
				return f.answer(r)
			}
			return nil
		},
	})
	present.Store(&fault{})
	if verdicts, r := selftest(t, front.URL); r.ExitCode != 0 {
		t.Errorf("a transparent proxy: got %v %s", verdicts, r.Stdout)
	}
	for check, f := range map[string]fault{
		"headers": {answer: func(r *http.Response) error { r.Header.Del("Cache-Control"); return nil }},
		"cors":    {answer: func(r *http.Response) error { r.Header.Set("Access-Control-Allow-Origin", "*"); return nil }},
		"clock":   {answer: func(r *http.Response) error { r.Header.Set("Date", "Mon, 02 Jan 2006 15:04:05 GMT"); return nil }},
		"large headers": {change: func(w http.ResponseWriter, r *http.Request) bool {
			if len(r.Header.Get("Authorization")) > 4096 {
				w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
				return false
			}
			return true
		}},
		"slow bodies": {change: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost && r.ContentLength < 0 {
				w.WriteHeader(http.StatusLengthRequired)
				return false
			}
			return true
		}},
		"refusals": {answer: func(r *http.Response) error {
			if r.StatusCode == http.StatusBadRequest {
				r.Body = http.NoBody
				r.ContentLength = 0
				r.Header.Del("Content-Length")
			}
			return nil
		}},
	} {
		present.Store(&f)
		verdicts, r := selftest(t, front.URL)
		if verdicts[check] != "failed" || r.ExitCode != 1 || !strings.Contains(r.Stderr, "a check failed") {
			t.Errorf("%s: got %s %s", check, r.Stdout, r.Stderr)
		}
	}
}
