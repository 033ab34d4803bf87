package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// AuditEvent is a recorded action. The resource is Latchkey's own.
type AuditEvent struct {
	ID       string
	Time     time.Time
	Action   string   // "sign_in", "apiclient.updated", …
	Outcome  string   // "success", or the reason of a failure
	ClientID *string  // through which it happened
	UserID   *string  // who did it: the subject of its tokens
	Username *string  // as presented
	Factor   *string  // "otp" or "pwd"
	Object   *string  // what was changed: "ApiClient/shop"
	Changed  []string // members of Object that have another value now, secrets included; never the value
	TraceID  *string  // of the HTTP request
	Source   *string  // address of the sender
	Took     int64    // milliseconds from the queueing of a message to its end
	Count    int64    `json:",omitempty"` // number of equal events it stands for; absent: 1
}

// AuditEventFromRecord returns the event as /v1/auditevents shows it.
func AuditEventFromRecord(e storage.AuditEvent) AuditEvent {
	return AuditEvent{
		ID: e.ID, Time: e.Time, Action: e.Action, Outcome: e.Outcome, ClientID: surface.Optional(e.ClientID),
		UserID: surface.Optional(e.UserUID), Username: surface.Optional(e.Username), Factor: surface.Optional(e.Factor), Object: surface.Optional(e.Object), Changed: surface.OrEmpty(e.Changed),
		TraceID: surface.Optional(e.TraceID), Source: surface.Optional(e.Source), Took: e.Took.Milliseconds(), Count: e.Count,
	}
}
