package deliver

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// GuardedDialer returns a dialer that connects to no address of a
// special-purpose network (private, loopback, link-local and so on), on any
// port, but for the allowed prefixes. It checks each address right before it
// connects, after the name was resolved, so a name that changes its mind gains
// nothing. timeout limits a dial. It fails if a prefix is invalid.
func GuardedDialer(allow []netip.Prefix, timeout time.Duration) (*net.Dialer, error) {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		switch {
		case !p.IsValid():
			return nil, errors.New("deliver: invalid prefix among the allowed ones")
		case p.Addr().Is4():
			v4 = append(v4, p)
		default:
			v6 = append(v6, p)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	return &net.Dialer{Timeout: timeout, Control: guard.Safe}, nil
}

// Forbidden tells whether a dial failed because a GuardedDialer may not connect
// to the address.
func Forbidden(err error) bool { return errors.Is(err, ssrf.ErrProhibitedIP) }
