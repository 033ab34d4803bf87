package grants

import (
	"net/netip"
	"time"

	"latchkey/storage"
)

// subscriberBits is what one subscriber has of an IPv6 address at least
// (RFC 6177 §2); within it an address costs nothing.
const subscriberBits = 64

// sourceOf is what an address is known as: an IPv4 address as itself, one of
// IPv6 as its /64, none as "".
func sourceOf(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.Is4() {
		return shown(a)
	}
	network, _ := a.Prefix(subscriberBits) // an IPv6 address has as many
	return network.String()
}

// shown is the address as text, "" if there is none.
func shown(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// seenAnew is how old the last sight of a source gets before another one is
// written down.
const seenAnew = 24 * time.Hour

// worthRemembering tells whether a success from the principal's source changes
// what is known of sources.
func worthRemembering(p *storage.Principal, now time.Time) bool {
	known := p.Source.ID != ""
	return !known || p.Lockout.Source.Failures > 0 || now.Sub(p.Source.SeenAt) > seenAnew
}
