package otp

import (
	"slices"
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
	digestPurpose       = "otp/code"
	verificationPurpose = "otp/verification"
	decoyPurpose        = "otp/decoy"
	decoyLoginID        = "000000000000000000000000000000" // as long as a real one
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
// at the time now, asked for with one of the purposes, and issued for the client
// clientID or for none in particular. It always computes one digest, whether or
// not there is a login, a code or any hope, so that its time tells nothing.
func (c *Codes) Match(p storage.Principal, clientID string, purposes []storage.Purpose, presented string, now time.Time) bool {
	code := &p.Login.Code
	same := c.matches(code.ID != "", code.Digest, digestPurpose, p.Login.ID, Normalize(presented))
	meant := slices.Contains(purposes, code.Purpose) && isFor(code.ClientID, clientID)
	return same && meant && code.Live(now)
}

// DigestVerification returns what is kept of a verification code of the login.
// Upper and lower case differ in it: it is copied, not typed.
func (c *Codes) DigestVerification(loginID, code string) storage.Digest {
	return c.digester.Digest(verificationPurpose, loginID, code)
}

// MatchVerification tells whether presented is the verification code, still
// live at the time now, and issued for the client clientID or for none in
// particular. The zero code matches nothing, at the cost of any other: one
// digest.
func (c *Codes) MatchVerification(code storage.VerificationCode, clientID, presented string, now time.Time) bool {
	same := c.matches(code.ID != "", code.Digest, verificationPurpose, code.LoginID, presented)
	return same && isFor(code.ClientID, clientID) && code.Live(now)
}

// matches compares what was presented with the digest of a code if there is
// one, and with a decoy if not.
func (c *Codes) matches(exists bool, digest storage.Digest, purpose, loginID, presented string) bool {
	if !exists {
		digest = c.decoy
	}
	if loginID == "" {
		loginID = decoyLoginID
	}
	return c.digester.Matches(digest, purpose, loginID, presented)
}

// isFor tells whether a code that was issued for the client bound, empty for
// any, may be presented by the client of that id.
func isFor(bound, clientID string) bool { return bound == "" || bound == clientID }
