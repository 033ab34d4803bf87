package storage

import "time"

// Timeline is all that is known of a code request: what it was resolved into
// and what became of that. It never holds a code.
type Timeline struct {
	Request    CodeRequest
	ResolvedAt time.Time // zero: not yet
	Codes      []CodeFate
	Messages   []Message // without their payload
	Attempts   []AttemptRecord
}

// CodeFate is what became of one code. At most one of RedeemedAt and RetiredAt
// is set.
type CodeFate struct {
	ID         string
	RequestID  string
	LoginID    string
	Username   string // of the login, as it is now; empty: the login is gone
	IssuedAt   time.Time
	ExpiresAt  time.Time
	RedeemedAt time.Time
	RetiredAt  time.Time // when it died before its time, mostly by a newer code
}

// Live tells whether the code can still be redeemed at the time now.
func (c *CodeFate) Live(now time.Time) bool {
	return c.RedeemedAt.IsZero() && c.RetiredAt.IsZero() && now.Before(c.ExpiresAt)
}

// AttemptRecord is one settled attempt to deliver a message.
type AttemptRecord struct {
	MessageID string
	Number    int          // from 1; a number is missing when a process died over it
	State     MessageState // of the message afterwards
	Error     string       // empty: the receiver took it
	BeganAt   time.Time
	EndedAt   time.Time
}

// MessageFilter selects messages; empty fields do not matter.
type MessageFilter struct {
	State    MessageState
	SenderID string
	Limit    int // at least 1
}
