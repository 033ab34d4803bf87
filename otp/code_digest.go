package otp

import (
	"slices"
	"time"

	"latchkey/storage"
)

// Digester computes keyed digests; *keys.Peppers implements it. Matches compares in
// constant time.
type Digester interface {
	Digest(purpose string, parts ...string) storage.Digest
	Matches(d storage.Digest, purpose string, parts ...string) bool
}

const (
	digestPurpose       = "otp/code"
	namePurpose         = "otp/code-by-name"
	verificationPurpose = "otp/verification"
	decoyPurpose        = "otp/decoy"
	decoyLoginID        = "000000000000000000000000000000" // as long as a real one
)

// Codes computes the digests of codes and compares presented codes with them.
type Codes struct {
	digester Digester
	decoy    storage.Digest
}

// NewCodes returns Codes that use the digester.
func NewCodes(d Digester) *Codes {
	return &Codes{digester: d, decoy: d.Digest(decoyPurpose)}
}

// Digest returns the digest that is stored for a one-time password of the login. It
// includes the login ID, so a code never matches at another login.
func (c *Codes) Digest(loginID, code string) storage.Digest {
	return c.digester.Digest(digestPurpose, loginID, Normalize(code))
}

// Bind returns the text that replaces a code which is valid only together with binding.
// Digests are computed of this text, and a sign-in must present it. So a right code without
// the binding is refused. binding is hexadecimal. If it is empty, Bind returns the code
// unchanged.
func Bind(code, binding string) string {
	if binding == "" {
		return code
	}
	return Normalize(code) + "." + binding
}

// SetDigests sets the digests of a new one-time password of the login. The pepper may
// change in between; then the code has no digest by name.
func (c *Codes) SetDigests(code *storage.Code, login *storage.Login, text string) {
	code.Digest = c.Digest(login.ID, text)
	byName := c.DigestByName(storage.LoginKey{ProfileID: login.ProfileID, UsernameKey: login.UsernameKey}, text)
	if byName.PepperID == code.Digest.PepperID {
		code.NameDigest = byName.Sum
	}
}

// DigestByName returns a second digest of a one-time password. It includes the name of
// the login instead of the login ID, so it can be computed before the login is read. The
// source in the key does not matter.
func (c *Codes) DigestByName(key storage.LoginKey, code string) storage.Digest {
	return c.digester.Digest(namePurpose, key.ProfileID, key.UsernameKey, Normalize(code))
}

// CodeLength returns the number of characters of a code as it was generated.
func (c *Codes) CodeLength(presented string) int { return len(Normalize(presented)) }

// Match reports whether presented is the principal's one-time password. The code
// must be live at the time now, have one of the purposes, and be bound to the client
// clientID or to none. Match always computes one digest, even without a login or a
// code, so its time does not show whether they exist.
func (c *Codes) Match(p storage.Principal, clientID string, purposes []storage.Purpose, presented string, now time.Time) bool {
	code := &p.Login.Code
	same := c.matches(code.ID != "", code.Digest, digestPurpose, p.Login.ID, Normalize(presented))
	meant := slices.Contains(purposes, code.Purpose) && isFor(code.ClientID, clientID)
	return same && meant && code.Live(now)
}

// DigestVerification returns the digest that is stored for a verification code of
// the login. Case matters in these codes: users copy them and do not type them.
func (c *Codes) DigestVerification(loginID, code string) storage.Digest {
	return c.digester.Digest(verificationPurpose, loginID, code)
}

// MatchVerification reports whether presented is the verification code. The code
// must be live at the time now and be bound to the client clientID or to none.
// MatchVerification always computes one digest. The zero code matches nothing.
func (c *Codes) MatchVerification(code storage.VerificationCode, clientID, presented string, now time.Time) bool {
	same := c.matches(code.ID != "", code.Digest, verificationPurpose, code.LoginID, presented)
	return same && isFor(code.ClientID, clientID) && code.Live(now)
}

// matches compares what was presented with the digest of the code, and with a decoy
// if the code does not exist.
func (c *Codes) matches(exists bool, digest storage.Digest, purpose, loginID, presented string) bool {
	if !exists {
		digest = c.decoy
	}
	if loginID == "" {
		loginID = decoyLoginID
	}
	return c.digester.Matches(digest, purpose, loginID, presented)
}

// isFor reports whether the client clientID may present a code. bound is the ID of
// the client that the code is bound to, empty for none.
func isFor(bound, clientID string) bool { return bound == "" || bound == clientID }
