package listen

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

const forwardedHeader = "X-Forwarded-For"

type clientAddrKey struct{}

// ClientAddr returns the address that the request of ctx came from; invalid
// outside of a request, or when it came by something that has no addresses.
func ClientAddr(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(clientAddrKey{}).(netip.Addr)
	return addr
}

// clientAddr is the address of the connection unless that is a trusted proxy:
// then it is the last address in X-Forwarded-For that no trusted proxy has. A
// proxy appends the address of its own peer, so the list is true from its end
// up to the first that nobody vouches for; what stands before it is whatever
// the client made up.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	client := peer.Addr().Unmap()
	hops := r.Header[forwardedHeader]
	for i := len(hops) - 1; i >= 0 && contains(trusted, client); i-- {
		list := strings.Split(hops[i], ",")
		for j := len(list) - 1; j >= 0 && contains(trusted, client); j-- {
			hop, ok := parseHop(list[j])
			if !ok {
				return client // whoever wrote this, the last one known vouched for nobody
			}
			client = hop
		}
	}
	return client
}

// parseHop reads an address, as proxies write it: some add a port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap(), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return addr.Unmap(), err == nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	addr = addr.WithZone("")
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

func shown(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}
