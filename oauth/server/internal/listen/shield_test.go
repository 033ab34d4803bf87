package listen

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/surface"
	"latchkey/otp/limit"
)

// refusing answers every request with the status in its header Want, and counts the requests.
type refusing struct{ seen atomic.Int64 }

func (h *refusing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.seen.Add(1)
	var status int
	_, _ = fmt.Sscan(r.Header.Get("Want"), &status)
	w.WriteHeader(status)
}

func shielded(t *testing.T, burst int) (*running, *refusing) {
	t.Helper()
	h := &refusing{}
	return start(t, h, func(c *Config) {
		c.Shield = limit.Limit{Burst: burst, Per: time.Hour}
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Origins, c.BasePath = []string{"https://shop.example"}, "/base"
	}), h
}

// post sends a request that the handler answers with the status.
func (r *running) post(t *testing.T, method, path, from string, want int) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url(path), strings.NewReader("a=b"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Forwarded-For": {"203.0.113.9, " + from}, "Want": {fmt.Sprint(want)}, "Origin": {"https://shop.example"}}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func TestShieldRefusesBeforeTheHandler(t *testing.T) {
	t.Parallel()
	r, h := shielded(t, 5)
	for _, status := range []int{400, 401, 403, 429, 400} {
		if got := r.post(t, "POST", "/oauth/token", "192.0.2.1", status); got.StatusCode != status || got.Header.Get("Connection") == "close" {
			t.Fatalf("got %d, want %d", got.StatusCode, status)
		}
	}
	for _, path := range []string{
		"/oauth/token", "/%6fauth/token", "/base/oauth/introspect", "/v1/password/onetimepassword", "/v1/password/reset", "/v2/account-members/tokens",
	} {
		got := r.post(t, "POST", path, "192.0.2.1", 200)
		after := got.Header.Get("Retry-After")
		if got.StatusCode != 429 || after == "" || after == "0" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %v, want 429", path, got.StatusCode, got.Header)
		}
		if got.Header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: got no Access-Control-Allow-Origin, so pages cannot read the answer", path)
		}
	}
	if seen := h.seen.Load(); seen != 5 {
		t.Errorf("the handler got %d requests, want 5", seen)
	}
	for path, method := range map[string]string{"/v1/buyers": "POST", "/oauth/certs": "GET", "/v2/accounts": "POST"} {
		if got := r.post(t, method, path, "192.0.2.1", 200); got.StatusCode != 200 {
			t.Errorf("%s %s: got %d, want 200", method, path, got.StatusCode)
		}
	}
	if got := r.post(t, "POST", "/oauth/token", "192.0.2.2", 200); got.StatusCode != 200 {
		t.Errorf("another address: got %d, want 200", got.StatusCode)
	}
}

func TestShieldCountsNoSuccess(t *testing.T) {
	t.Parallel()
	r, _ := shielded(t, 1)
	for _, status := range []int{200, 204, 404, 413, 415, 422, 500, 503, 200} {
		if got := r.post(t, "POST", "/oauth/token", "192.0.2.1", status); got.StatusCode != status {
			t.Fatalf("got %d, want %d", got.StatusCode, status)
		}
	}
}

// TestShieldSparesSharedAddresses tests that addresses that many callers may share are not
// counted, including those of carrier-grade NAT.
func TestShieldSparesSharedAddresses(t *testing.T) {
	t.Parallel()
	r, _ := shielded(t, 1)
	for from, limited := range map[string]bool{"100.64.0.1": false, "10.0.0.1": false, "fd00::1": false, "100.128.0.1": true, "2001:db8::1": true} {
		r.post(t, "POST", "/oauth/token", from, 401)
		got := r.post(t, "POST", "/oauth/token", from, 401)
		if want := map[bool]int{false: 401, true: 429}[limited]; got.StatusCode != want {
			t.Errorf("%s: got %d, want %d", from, got.StatusCode, want)
		}
		if wait := got.Header.Get("Retry-After"); limited && wait != "3600" {
			t.Errorf("%s: got Retry-After %q, want 3600", from, wait)
		}
	}
}

// TestShieldAnswersAsSurfaces tests that the answer is that of the surface that the path
// belongs to.
func TestShieldAnswersAsSurfaces(t *testing.T) {
	t.Parallel()
	r, _ := shielded(t, 1)
	r.post(t, "POST", "/oauth/token", "192.0.2.1", 400)
	for path, want := range map[string]surface.GuessablePath{
		"/oauth/token":               testSurfaces[0].Guessable[0],
		"/v1/password/reset":         testSurfaces[1].Guessable[0],
		"/v2/account-members/tokens": testSurfaces[2].Guessable[0],
	} {
		resp := r.post(t, "POST", path, "192.0.2.1", 200)
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Body, string(got)); diff != "" || resp.Header.Get("Content-Type") != want.Type {
			t.Errorf("%s: Content-Type %q (-want +got):\n%s", path, resp.Header.Get("Content-Type"), diff)
		}
	}
}

func TestNoShield(t *testing.T) {
	t.Parallel()
	r, _ := shielded(t, 0)
	for range 50 {
		if got := r.post(t, "POST", "/oauth/token", "192.0.2.1", 400); got.StatusCode != 400 {
			t.Fatalf("got %d, want 400", got.StatusCode)
		}
	}
}
