package listen

import "net/netip"

const networkBitsIP6 = 64 // the smallest network of a subscriber (RFC 6177 §2)

// countedNetwork returns the network for which the connections and failures of an
// address are counted: an IPv4 address itself, or the /64 of an IPv6 address. It
// returns false for loopback, private and link-local addresses and for proxies,
// which are not counted: all clients behind a proxy have its address, so one
// attacker could lock out all of them.
func countedNetwork(addr netip.Addr, proxies []netip.Prefix) (netip.Prefix, bool) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || contains(proxies, addr) {
		return netip.Prefix{}, false
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = networkBitsIP6
	}
	p, err := addr.Prefix(bits)
	return p, err == nil
}
