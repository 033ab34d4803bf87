package signin

import (
	"net/netip"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// sourceOf is what an address is known as: an IPv4 address as itself, one of
// IPv6 as its /64, none as "".
func sourceOf(a netip.Addr) string { return otp.Source(a) }

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
