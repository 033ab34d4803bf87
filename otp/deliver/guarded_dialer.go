package deliver

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// GuardedDialer returns a dialer that refuses addresses of special-purpose networks
// (private, loopback, link-local and so on) on every port, except those in the
// prefixes allow. It checks the address right before it connects, after the name was
// resolved, so DNS rebinding cannot get around it. timeout limits a dial. It returns
// an error if a prefix is invalid.
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

// IsForbiddenAddress reports whether a dial failed because the GuardedDialer refused
// the address.
func IsForbiddenAddress(err error) bool { return errors.Is(err, ssrf.ErrProhibitedIP) }
