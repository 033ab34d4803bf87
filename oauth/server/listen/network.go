package listen

import "net/netip"

const networkBitsIP6 = 64 // what one subscriber has at least (RFC 6177 §2)

// countedNetwork returns the network by which the connections and failures of
// an address are counted: an IPv4 address itself, an IPv6 address' /64. It
// returns false if nothing is counted for the address. Loopback, private and
// link-local addresses and proxies are not counted: a proxy there stands for
// everybody, and one attacker behind it would shut out all.
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
