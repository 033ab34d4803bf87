package storage

import (
	"context"
	"time"
)

// AuditEvent is something that somebody who answers for the server wants to
// know of later. It holds no secret.
type AuditEvent struct {
	ID       string // the store gives one, rising with time
	Time     time.Time
	Action   string // "sign_in", "refresh", "code.requested", "message.delivered", …
	Outcome  string // "success" or the reason of the refusal
	ClientID string
	UserUID  string
	Username string        // as presented
	Factor   string        // "otp", "pwd" or empty
	TraceID  string        // correlation id of the HTTP request
	Source   string        // address of who sent that request
	Object   string        // what an administrator changed, "ApiClient/shop"; the others are then who did it
	Changed  []string      // members of Object that have another value now, "ClientSecret"; never the value
	Took     time.Duration // from the message's queueing to its end
	Count    int64         // how many equal events this one stands for; 0: itself alone
}

// Recorder takes audit events. It must not block.
type Recorder interface {
	Record(context.Context, AuditEvent)
}

// DiscardEvents is a Recorder that keeps nothing.
type DiscardEvents struct{}

// Record implements Recorder.
func (DiscardEvents) Record(context.Context, AuditEvent) {}
