package listen

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

const forwardedHeader = "X-Forwarded-For"

type clientAddrKey struct{}

// ClientAddr returns the address of the client that sent the request of ctx. It is
// invalid outside of a request, and if the connection has no IP address.
func ClientAddr(ctx context.Context) netip.Addr {
	addr, _ := ctx.Value(clientAddrKey{}).(netip.Addr)
	return addr
}

// clientAddr returns the address of the connection. If that is a trusted proxy, it
// returns the last address in X-Forwarded-For that is not a trusted proxy. Each
// proxy appends the address of its own peer. So the list can be trusted from its
// end up to the first address that is not a trusted proxy; the client may have
// invented the part before that.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	client := peer.Addr().Unmap()
	hops := r.Header[forwardedHeader]
	for i := len(hops) - 1; i >= 0 && contains(trusted, client); i-- {
		list := strings.Split(hops[i], ",")
		for j := len(list) - 1; j >= 0 && contains(trusted, client); j-- {
			hop, ok := parseHop(list[j])
			if !ok {
				return client // the last known proxy did not append an address
			}
			client = hop
		}
	}
	return client
}

// parseHop parses an address in X-Forwarded-For. Some proxies append a port.
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
