package listen

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"
)

// FuzzClientAddr tests that the address of a request comes from the connection or from trusted
// proxies, for any X-Forwarded-For.
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
			t.Errorf("an untrusted peer that sends %q: got %v, want its own address", made, got)
		}
		got := clientAddr(request("10.0.0.1", made), trusted)
		if !got.IsValid() || got.Is4In6() {
			t.Errorf("%q: got %v, want a valid address", made, got)
		}
		hop, ok := parseHop(last)
		if !ok || contains(trusted, hop) {
			return
		}
		// The address that the proxy saw counts, not the ones that its peer sent.
		if got := clientAddr(request("10.0.0.1", made, last), trusted); got != hop {
			t.Errorf("%q from the peer and %q from the proxy: got %v, want %v", made, last, got, hop)
		}
	})
}

// FuzzBelow tests that a request below the base path reaches next without the base path, and
// that every other request reaches next unchanged.
func FuzzBelow(f *testing.F) {
	for _, seed := range []string{
		"/tenant/v1/me", "/tenant", "/tenant/", "/tenant//v1", "/tenantx/v1", "/v1/tenant", "/%74enant/v1", "/tenant/a%2Fb", "/tenant/..",
		"/.well-known/x/tenant", "/.well-known/x/y/tenant", "/.well-known/tenant", "/.well-known//tenant", "*", "/tenant/%zz", "//tenant/v1",
	} {
		f.Add(seed)
	}
	const base = "/tenant"
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		var seen string
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			seen = r.URL.EscapedPath()
			if plain, err := url.PathUnescape(seen); err != nil || plain != r.URL.Path {
				t.Errorf("%q: got the path %q, escaped %q", target, r.URL.Path, seen)
			}
			r.Pattern = "found"
		})
		r := &http.Request{Method: http.MethodGet, URL: u}
		before := u.EscapedPath()
		Below(base, next).ServeHTTP(httptest.NewRecorder(), r)
		if seen != before && base+seen != before && seen+base != before || r.Pattern != "found" || u.EscapedPath() != before {
			t.Errorf("%q: got %q", target, seen)
		}
	})
}
