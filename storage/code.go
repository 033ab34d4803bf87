package storage

import "time"

// Code is one one-time password of a login. A login has at most one; issuing
// another replaces it.
type Code struct {
	ID        string
	RequestID string
	ClientID  string // the client it was issued for; empty: any of the profile
	Purpose   Purpose
	Digest    Digest
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Live tells whether the code can still be redeemed at the time now.
func (c *Code) Live(now time.Time) bool {
	return c.ID != "" && c.UsedAt.IsZero() && now.Before(c.ExpiresAt)
}

// Purpose is what a code was asked for.
type Purpose string

// The purposes of a code.
const (
	PurposeSignIn        Purpose = "sign_in"
	PurposeResetPassword Purpose = "reset_password"
)

// VerificationCode lets a login set a new permanent password (OrderCloud:
// password renewal). A login has at most one; issuing another replaces it. It
// is no one-time password: nobody signs in with it.
type VerificationCode struct {
	ID        string
	LoginID   string
	RequestID string
	ClientID  string // the client it was asked for through; empty: any of the profile
	Digest    Digest
	IssuedAt  time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Live tells whether the code can still be used at the time now.
func (c *VerificationCode) Live(now time.Time) bool {
	return c.ID != "" && c.UsedAt.IsZero() && now.Before(c.ExpiresAt)
}
