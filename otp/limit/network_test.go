package limit_test

import (
	"net/netip"
	"testing"

	"latchkey/otp/limit"
)

func TestCountedNetwork(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28"), netip.MustParsePrefix("2001:db8:ffff::/48")}
	for _, spared := range []string{
		"127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "::ffff:192.168.0.1", "fd00::1",
		"169.254.0.1", "fe80::1%eth0", "100.64.0.1", "100.127.255.255", "0.0.0.0", "::", "203.0.113.5", "::ffff:203.0.113.5", "2001:db8:ffff::1",
	} {
		if network, counted := limit.CountedNetwork(netip.MustParseAddr(spared), proxies); counted || network.IsValid() {
			t.Errorf("%s: got the network %s, want it not counted", spared, network)
		}
	}
	if network, counted := limit.CountedNetwork(netip.Addr{}, nil); counted {
		t.Errorf("an unknown address: got the network %s, want it not counted", network)
	}
	for address, want := range map[string]string{
		"203.0.113.16": "203.0.113.16/32", "192.0.2.1": "192.0.2.1/32", "172.32.0.1": "172.32.0.1/32", "100.128.0.1": "100.128.0.1/32",
		"100.63.255.255": "100.63.255.255/32", "::ffff:198.51.100.1": "198.51.100.1/32",
		"2001:db8::1": "2001:db8::/64", "2001:db8:0:1::1%eth0": "2001:db8:0:1::/64",
	} {
		network, counted := limit.CountedNetwork(netip.MustParseAddr(address), proxies)
		if !counted || network.String() != want || network != limit.Network(netip.MustParseAddr(address)) {
			t.Errorf("%s: got the network %s (%v), want %s", address, network, counted, want)
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "10.0.0.1": "10.0.0.1",
	} {
		if got := limit.Source(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
	if got := limit.Source(netip.Addr{}); got != "" {
		t.Errorf("an unknown address: got %q, want none", got)
	}
}
