package limit

import (
	"net/netip"
	"slices"
)

const networkIPv6 = 64 // prefix length; a subscriber has at least a /64 (RFC 6177 §2)

// carrierGrade is the shared address space for carrier-grade NAT (RFC 6598 §7).
var carrierGrade = netip.MustParsePrefix("100.64.0.0/10")

// CountedNetwork returns the Network of an address whose callers may be limited
// together. It returns false for an address that many callers may share, because
// one attacker could lock out all of them: unknown, loopback, private, link-local
// and carrier-grade NAT addresses, and those of the proxies.
func CountedNetwork(a netip.Addr, proxies []netip.Prefix) (netip.Prefix, bool) {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified() || carrierGrade.Contains(a) {
		return netip.Prefix{}, false
	}
	if slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Prefix{}, false
	}
	return Network(a), true
}

// Network returns the prefix under which attempts and requests from an address are
// counted: the /32 of an IPv4 address, the /64 of an IPv6 address. The prefix of an
// invalid address is invalid.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = networkIPv6
	}
	p, _ := a.Prefix(bits) // fails for an invalid address only, and then returns the zero prefix
	return p
}

// Source returns the text under which attempts and requests from an address are
// counted: an IPv4 address itself, the /64 of an IPv6 address, "" for an invalid
// address.
func Source(a netip.Addr) string {
	n := Network(a)
	switch {
	case !n.IsValid():
		return ""
	case n.Addr().Is6():
		return n.String()
	}
	return n.Addr().String()
}
