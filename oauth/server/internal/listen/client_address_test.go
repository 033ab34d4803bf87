package listen

import (
	"net/http"
	"net/netip"
	"testing"
)

// TestClientAddr tests clients that forge the addresses before the one that the trusted proxy
// saw.
func TestClientAddr(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.1:4711", nil, "192.0.2.1"},
		{"a stranger's header", "192.0.2.1:4711", []string{"198.51.100.7"}, "192.0.2.1"},
		{"a stranger names a proxy", "192.0.2.1:4711", []string{"10.0.0.1"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:4711", []string{"198.51.100.7"}, "198.51.100.7"},
		{"what the client made up", "10.0.0.1:4711", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7"},
		{"made up in a header of its own", "10.0.0.1:4711", []string{"203.0.113.9", "198.51.100.7"}, "198.51.100.7"},
		{"made up as a proxy", "10.0.0.1:4711", []string{"203.0.113.9, 10.0.0.9, 198.51.100.7"}, "198.51.100.7"},
		{"two proxies", "10.0.0.1:4711", []string{"203.0.113.9, 198.51.100.7, 10.2.3.4"}, "198.51.100.7"},
		{"two proxies, two headers", "10.0.0.1:4711", []string{"198.51.100.7", "10.2.3.4"}, "198.51.100.7"},
		{"proxies only", "10.0.0.1:4711", []string{"10.2.3.4, 10.5.6.7"}, "10.2.3.4"},
		{"nonsense at the end", "10.0.0.1:4711", []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		{"nonsense behind a proxy", "10.0.0.1:4711", []string{"198.51.100.7, , 10.2.3.4"}, "10.2.3.4"},
		{"a proxy without the header", "10.0.0.1:4711", nil, "10.0.0.1"},
		{"with a port", "10.0.0.1:4711", []string{"198.51.100.7:99"}, "198.51.100.7"},
		{"IPv6", "[fd00::1]:4711", []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 with a port", "[fd00::1]:4711", []string{"[2001:db8::7]:99"}, "2001:db8::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:4711", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"no address", "@", []string{"198.51.100.7"}, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.forwarded}}
			if got := clientAddr(r, trusted).String(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
