package listen

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/surface"
)

// stopped is a clock that stands still until it is told to go on.
type stopped struct {
	mu  sync.Mutex
	now time.Time
}

func (c *stopped) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *stopped) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func netOf(t *testing.T, addr string) netip.Prefix {
	t.Helper()
	network, counted := countedNetwork(netip.MustParseAddr(addr), nil)
	if !counted {
		t.Fatalf("%s is not counted", addr)
	}
	return network
}

func TestShieldCountsFailures(t *testing.T) {
	t.Parallel()
	clock := &stopped{now: time.Unix(1_700_000_000, 0)}
	s := newShield(Limit{Burst: 3, Per: 30 * time.Second}, testSurfaces, clock.Now)
	a, b := netOf(t, "192.0.2.1"), netOf(t, "192.0.2.2")
	for i := range 3 {
		if wait := s.wait(a); wait != 0 {
			t.Fatalf("has to wait %v after %d failures", wait, i)
		}
		s.fail(a)
	}
	if wait := s.wait(a); wait != 10*time.Second {
		t.Errorf("has to wait %v for the next try, want 10s", wait)
	}
	if wait := s.wait(b); wait != 0 {
		t.Errorf("another address has to wait %v", wait)
	}
	clock.advance(10 * time.Second)
	if wait := s.wait(a); wait != 0 {
		t.Errorf("has to wait another %v", wait)
	}
	s.fail(a)
	if wait := s.wait(a); wait != 10*time.Second {
		t.Errorf("one place became two: %v", wait)
	}
	clock.advance(time.Hour)
	for range 3 {
		s.fail(a)
	}
	if wait := s.wait(a); wait != 10*time.Second {
		t.Errorf("a quiet hour saves up tries: %v", wait)
	}
}

// The number of remembered addresses is limited.
func TestShieldForgetsTheQuietest(t *testing.T) {
	t.Parallel()
	s := newShield(Limit{Burst: 1, Per: time.Hour}, testSurfaces, time.Now)
	s.most = 100
	first := netOf(t, "192.0.2.1")
	for i := range 10_000 {
		s.fail(netOf(t, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}).String()))
		s.fail(first) // fails all the time, and stays
	}
	if len(s.byAddr) != 100 || s.recent.Len() != 100 {
		t.Errorf("remembers %d and %d addresses, want 100", len(s.byAddr), s.recent.Len())
	}
	if s.wait(first) == 0 {
		t.Error("forgot the one that fails all the time")
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:0:0:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"2001:db8::1%eth0", "2001:db8::2%eth1", true},
	} {
		if same := netOf(t, test.a) == netOf(t, test.b); same != test.same {
			t.Errorf("%s and %s: same is %v", test.a, test.b, same)
		}
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for _, addr := range []string{"127.8.0.1", "::1", "10.1.2.3", "::ffff:192.168.0.1", "fd00::1", "fe80::1%eth0", "198.51.100.7"} {
		if network, counted := countedNetwork(netip.MustParseAddr(addr), proxies); counted {
			t.Errorf("%s is counted as %s", addr, network)
		}
	}
	if network, counted := countedNetwork(netip.Addr{}, nil); counted {
		t.Errorf("an unknown address is counted as %s", network)
	}
}

// refusing answers every request with the status in its header Want, and counts
// those that it sees.
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
		c.Shield = Limit{Burst: burst, Per: time.Hour}
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
			t.Errorf("%s: got %d %v", path, got.StatusCode, got.Header)
		}
		if got.Header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: pages cannot read the answer", path)
		}
	}
	if seen := h.seen.Load(); seen != 5 {
		t.Errorf("the handler saw %d requests, want 5", seen)
	}
	for path, method := range map[string]string{"/v1/buyers": "POST", "/oauth/certs": "GET", "/v2/accounts": "POST"} {
		if got := r.post(t, method, path, "192.0.2.1", 200); got.StatusCode != 200 {
			t.Errorf("%s %s: got %d", method, path, got.StatusCode)
		}
	}
	if got := r.post(t, "POST", "/oauth/token", "192.0.2.2", 200); got.StatusCode != 200 {
		t.Errorf("another address: got %d", got.StatusCode)
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

// TestShieldAnswersAsSurfaces gives the answer of the surface that a path belongs
// to.
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
			t.Fatalf("got %d", got.StatusCode)
		}
	}
}
