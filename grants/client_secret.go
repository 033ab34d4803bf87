package grants

import (
	"strings"
	"time"

	"latchkey/storage"
)

// clientSecretPurpose separates digests of client secrets from all others.
const clientSecretPurpose = "client_secret"

// Digester makes and checks keyed digests: *keys.Peppers.
type Digester interface {
	Digest(purpose string, parts ...string) storage.Digest
	Matches(d storage.Digest, purpose string, parts ...string) bool
}

// DigestClientSecret returns the digest under which a secret of the client is
// kept. Client ids are matched ignoring letter case, so the digest ignores it
// too.
func DigestClientSecret(d Digester, clientID, secret string) storage.Digest {
	return d.Digest(clientSecretPurpose, strings.ToLower(clientID), secret)
}

// MatchClientSecret tells whether secret is one of the client's that has not
// expired at the time now. A client without secrets, which is also how an
// unknown one is presented, and a nil one cost one digest like any other.
func MatchClientSecret(d Digester, c *storage.Client, secret string, now time.Time) bool {
	if c == nil {
		c = &storage.Client{}
	}
	tried, matches := 0, false
	for i := range c.Secrets {
		own := &c.Secrets[i]
		if !own.ExpiresAt.IsZero() && !now.Before(own.ExpiresAt) {
			continue
		}
		tried++
		if d.Matches(own.Digest, clientSecretPurpose, strings.ToLower(c.ID), secret) {
			matches = true
		}
	}
	if tried == 0 {
		DigestClientSecret(d, c.ID, secret)
	}
	return matches
}
