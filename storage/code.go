package storage

import "time"

// Code is the one-time password of a login. A login has at most one: a new code
// replaces it.
type Code struct {
	ID        string
	RequestID string
	ClientID  string // the client that it is bound to; empty: any client of the profile may redeem it
	Purpose   Purpose
	Digest    Digest
	// NameDigest is the sum of a second digest, under the pepper of Digest: of the code
	// and the name of the login instead of its ID. So it can be computed before the
	// login is read; see Redemption. Empty: there is none.
	NameDigest []byte
	MailedTo   string // User.EmailKey, if it went to that mailbox and nowhere else; otherwise empty
	IssuedAt   time.Time
	ExpiresAt  time.Time
	UsedAt     time.Time
}

// Live reports whether the code can be redeemed at the time now.
func (c *Code) Live(now time.Time) bool {
	return c.ID != "" && c.UsedAt.IsZero() && now.Before(c.ExpiresAt)
}

// Purpose is the purpose that a code was requested for.
type Purpose string

// The purposes of a code.
const (
	PurposeSignIn        Purpose = "sign_in"
	PurposeResetPassword Purpose = "reset_password"
)

// VerificationCode allows to set a new permanent password (OrderCloud: password
// reset). A login has at most one: a new code replaces it. It cannot be used to
// sign in.
type VerificationCode struct {
	ID        string
	LoginID   string
	RequestID string
	ClientID  string // the client that it is bound to; empty: any client of the profile may use it
	Digest    Digest
	MailedTo  string // User.EmailKey, if it went to that mailbox and nowhere else; otherwise empty
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Live reports whether the code can be used at the time now.
func (c *VerificationCode) Live(now time.Time) bool {
	return c.ID != "" && c.UsedAt.IsZero() && now.Before(c.ExpiresAt)
}
