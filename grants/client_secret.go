package grants

import (
	"strings"
	"time"

	"latchkey/storage"
)

// clientSecretPurpose separates the digests of client secrets from all others.
const clientSecretPurpose = "client_secret"

// Digester makes and checks keyed digests; *keys.Peppers is one.
type Digester interface {
	Digest(purpose string, parts ...string) storage.Digest
	Matches(d storage.Digest, purpose string, parts ...string) bool
}

// DigestClientSecret returns the digest of a client secret to store. Client ids ignore
// letter case, so the digest ignores it too.
func DigestClientSecret(d Digester, clientID, secret string) storage.Digest {
	return d.Digest(clientSecretPurpose, strings.ToLower(clientID), secret)
}

// MatchClientSecret reports whether secret is one of the client's secrets and has not
// expired at the time now. A client without secrets costs one digest too, and so does
// nil. So an unknown client takes as long as a wrong secret.
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
