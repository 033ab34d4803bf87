package signin

import (
	"strings"

	"latchkey/storage"
)

// SignIn is a verified attempt that has not taken effect yet; see
// Authenticator.Settle.
type SignIn struct {
	Principal storage.Principal
	AMR       string          // authentication method: "otp" or "pwd" (RFC 8176 §2)
	Purpose   storage.Purpose // of the one-time password; empty: none, or to sign in
	action    string          // of the audit event
	clientID  string
	grant     string         // grant type, for audit events
	address   string         // of the user, for audit events; empty: unknown
	refusal   error          // see Refusal
	source    storage.Source // of the attempt, new or known; zero: unknown
	codeID    string         // empty: no code was presented
	newHash   string         // replaces the password hash; empty: it stays
	resumed   bool           // see Resume
	redeemed  *redeemed      // it took effect in Verify; see Attempt.Direct. nil: it did not
}

// TookEffect reports whether the sign-in took effect in Verify; see Attempt.Direct.
func (s *SignIn) TookEffect() bool { return s.redeemed != nil }

// SourceID returns the id of the source of the sign-in, for its tokens; empty:
// unknown.
func (s *SignIn) SourceID() string { return s.source.ID }

// Refusal returns the error that answers a verified sign-in which is refused later:
// the same as for a wrong credential.
func (s *SignIn) Refusal() error { return s.refusal }

// Resume returns a sign-in that took effect before and now begins a refresh token
// family. Settle refuses it with the error refusal if the login was locked or
// disabled since, or its password changed. It does not clear failures, because no
// credential is presented.
//
// Parameters: p as it is now; amr of the first sign-in; sourceID of its source, or
// empty.
func Resume(c *storage.Client, p storage.Principal, amr []string, sourceID string, refusal error) *SignIn {
	return &SignIn{
		Principal: p, AMR: strings.Join(amr, " "), clientID: c.ID,
		action: "account.chosen", refusal: refusal, resumed: true,
		source: storage.Source{ID: sourceID},
	}
}
