package storage

import (
	"context"
	"time"
)

// AuditEvent is an entry of the audit log. It contains no secrets.
type AuditEvent struct {
	ID       string // assigned by the store; later events have higher ones
	Time     time.Time
	Action   string // "sign_in", "refresh", "code.requested", "message.delivered", …
	Outcome  string // "success" or the reason of the refusal
	ClientID string
	UserUID  string
	Username string        // as presented
	Factor   string        // "otp", "pwd" or empty
	Grant    string        // grant type of a sign-in; for metrics, not stored
	TraceID  string        // correlation id of the HTTP request
	Source   string        // network address that the request came from
	Object   string        // what an administrator changed, as "ApiClient/shop"; the other fields then describe the administrator
	Changed  []string      // members of Object whose value changed, as "ClientSecret"; never the value
	Took     time.Duration // from queueing a message to its final state
	Count    int64         // how many equal events this one stands for; 0: one
}

// Recorder receives audit events. Record must not block.
type Recorder interface {
	Record(context.Context, AuditEvent)
}

// DiscardEvents is a Recorder that discards all events.
type DiscardEvents struct{}

// Record implements Recorder.
func (DiscardEvents) Record(context.Context, AuditEvent) {}
