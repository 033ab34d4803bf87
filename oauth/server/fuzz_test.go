package server

import (
	"net/http"
	"net/netip"
	"testing"
)

// FuzzClientAddr holds the address of a request to what the connection and
// trusted proxies vouch for, whatever stands in X-Forwarded-For.
func FuzzClientAddr(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.7", "198.51.100.1, 10.0.0.2", "[2001:db8::1]:443,10.0.0.1", ",,", "fe80::1%eth0", "::ffff:10.0.0.3", "unknown, 203.0.113.7\x00"} {
		f.Add(seed, "192.0.2.1")
	}
	f.Add("10.0.0.9", "10.0.0.1")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	f.Fuzz(func(t *testing.T, made, last string) {
		request := func(peer string, hops ...string) *http.Request {
			return &http.Request{RemoteAddr: netip.AddrPortFrom(netip.MustParseAddr(peer), 4711).String(), Header: http.Header{forwardedHeader: hops}}
		}
		if got := clientAddr(request("203.0.113.9", made), trusted); got != netip.MustParseAddr("203.0.113.9") {
			t.Errorf("a stranger who says %q is taken for %v", made, got)
		}
		got := clientAddr(request("10.0.0.1", made), trusted)
		if !got.IsValid() || got.Is4In6() {
			t.Errorf("by %q: %v", made, got)
		}
		hop, ok := parseHop(last)
		if !ok || contains(trusted, hop) {
			return
		}
		// What the proxy saw itself counts, not what its peer made up before.
		if got := clientAddr(request("10.0.0.1", made, last), trusted); got != hop {
			t.Errorf("after %q, a proxy's %q is read as %v", made, last, got)
		}
	})
}
