package signin

import (
	"net/netip"
	"time"

	"latchkey/otp"
	"latchkey/otp/limit"
	"latchkey/storage"
)

// LoginKey returns the key for an attempt at a login of the password profile. username is
// as typed. from is the address of the user; an invalid one means that it is unknown.
// Addresses of one network may be one source, see limit.Source.
func LoginKey(profileID, username string, from netip.Addr) storage.LoginKey {
	return storage.LoginKey{
		ProfileID: profileID, UsernameKey: otp.NormalizeUsername(username), Source: limit.Source(from),
	}
}

// addressText returns the address as audit events show it; empty: unknown.
func addressText(a netip.Addr) string {
	a = a.Unmap()
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// sourcePrefix is the prefix of the ids of sources.
const sourcePrefix = "src_"

// sourceUpdateInterval is how old the time of a source's last sign-in gets before
// another sign-in from there updates it.
const sourceUpdateInterval = 24 * time.Hour

// shouldRememberSource reports whether a sign-in from the principal's source has
// something to write: the source is new, has failures to clear, or its time is older
// than sourceUpdateInterval.
func shouldRememberSource(p *storage.Principal, now time.Time) bool {
	known := p.Source.ID != ""
	return !known || p.Lockout.Source.Failures > 0 || now.Sub(p.Source.SeenAt) > sourceUpdateInterval
}
