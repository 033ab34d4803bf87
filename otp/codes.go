package otp

import (
	"time"

	"latchkey/storage"
)

// Digester makes keyed digests; *keys.Peppers is one. Matches compares in
// constant time.
type Digester interface {
	Digest(purpose string, parts ...string) storage.Digest
	Matches(d storage.Digest, purpose string, parts ...string) bool
}

const (
	digestPurpose = "otp/code"
	decoyPurpose  = "otp/decoy"
	decoyLoginID  = "000000000000000000000000000000" // as long as a real one
)

// Codes digests codes and matches what is presented against them.
type Codes struct {
	digester Digester
	decoy    storage.Digest
}

// NewCodes returns Codes over the digester.
func NewCodes(d Digester) *Codes {
	return &Codes{digester: d, decoy: d.Digest(decoyPurpose)}
}

// Digest returns what is kept of a code of the login. It binds the code to the
// login, so one login's code never matches at another.
func (c *Codes) Digest(loginID, code string) storage.Digest {
	return c.digester.Digest(digestPurpose, loginID, Normalize(code))
}

// Match tells whether presented is the principal's one-time code, still live
// at the time now, asked for with the wanted purpose, and issued for the client
// clientID or for none in particular. It always computes one digest, whether or
// not there is a login, a code or any hope, so that its time tells nothing.
func (c *Codes) Match(p storage.Principal, clientID string, purpose storage.Purpose, presented string, now time.Time) bool {
	code, digest, loginID := &p.Login.Code, p.Login.Code.Digest, p.Login.ID
	if loginID == "" {
		loginID = decoyLoginID
	}
	if code.ID == "" {
		digest = c.decoy
	}
	same := c.digester.Matches(digest, digestPurpose, loginID, Normalize(presented))
	meant := code.Purpose == purpose && (code.ClientID == "" || code.ClientID == clientID)
	return same && meant && code.Live(now)
}
