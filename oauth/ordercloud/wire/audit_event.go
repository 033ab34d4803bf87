package wire

import (
	"encoding/base64"
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

// ExportedAuditEvent is one line of an export, both of /v1 and of the command line. The
// names are stable. Empty members are left out, except the first five.
type ExportedAuditEvent struct {
	Seq      int64    `json:"seq"` // 0: older than the chain
	ID       string   `json:"id"`
	Time     string   `json:"time"` // RFC 3339, UTC
	Action   string   `json:"action"`
	Outcome  string   `json:"outcome"`
	ClientID string   `json:"client_id,omitempty"`
	User     string   `json:"user,omitempty"`
	Username string   `json:"username,omitempty"`
	Factor   string   `json:"factor,omitempty"`
	Object   string   `json:"object,omitempty"`
	Changed  []string `json:"changed,omitempty"`
	Source   string   `json:"source,omitempty"`
	Request  string   `json:"request_id,omitempty"`
	Took     int64    `json:"took_ms,omitempty"`
	Count    int64    `json:"count,omitempty"` // number of equal events that this one counts
	Key      string   `json:"key_id,omitempty"`
	MAC      string   `json:"mac,omitempty"` // base64url
}

// ExportedAuditEventFromRecord returns the line of an event.
func ExportedAuditEventFromRecord(r storage.AuditRecord) ExportedAuditEvent {
	return ExportedAuditEvent{
		Seq: r.Seq, ID: r.ID, Time: r.Time.UTC().Format(time.RFC3339Nano), Action: r.Action, Outcome: r.Outcome,
		ClientID: r.ClientID, User: r.UserUID, Username: r.Username, Factor: r.Factor, Object: r.Object, Changed: r.Changed,
		Source: r.Source, Request: r.TraceID, Took: r.Took.Milliseconds(), Count: r.Count,
		Key: r.KeyID, MAC: base64.RawURLEncoding.EncodeToString(r.MAC),
	}
}
