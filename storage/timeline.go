package storage

import "time"

// Timeline is a code request with its codes, messages and delivery attempts. It
// never contains a code itself.
type Timeline struct {
	Request    CodeRequest
	ResolvedAt time.Time // zero: not yet
	Superseded bool      // a login got no code, because a newer request had issued one
	Codes      []CodeHistory
	Messages   []Message // without their payload
	Attempts   []AttemptRecord
}

// CodeHistory is the history of one code. At most one of RedeemedAt and RetiredAt is
// set.
type CodeHistory struct {
	ID         string
	RequestID  string
	LoginID    string
	Username   string // current username of the login; empty: the login was deleted
	UserUID    string // of the login; empty: the login was deleted
	IssuedAt   time.Time
	ExpiresAt  time.Time
	RedeemedAt time.Time
	RetiredAt  time.Time // when it ended early, mostly because of a newer code
}

// Live reports whether the code can be redeemed at the time now.
func (c *CodeHistory) Live(now time.Time) bool {
	return c.RedeemedAt.IsZero() && c.RetiredAt.IsZero() && now.Before(c.ExpiresAt)
}

// AttemptRecord is one finished attempt to deliver a message.
type AttemptRecord struct {
	MessageID string
	Number    int          // from 1; a number is missing if the process died during the attempt
	State     MessageState // of the message afterwards
	Error     string       // empty: the receiver accepted the message
	BeganAt   time.Time
	EndedAt   time.Time
}

// MessageFilter selects messages. Empty fields select all.
type MessageFilter struct {
	State    MessageState
	SenderID string
	Limit    int // at least 1
}
