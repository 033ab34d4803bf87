package ordercloud

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// AuditEvent is something that whoever answers for the server wants to know of
// later. The resource is Latchkey's own.
type AuditEvent struct {
	ID       string
	Time     time.Time
	Action   string   // "sign_in", "apiclient.updated", …
	Outcome  string   // "success", or why not
	ClientID *string  // through which it happened
	UserID   *string  // who did it: the subject of its tokens
	Username *string  // as presented
	Factor   *string  // "otp" or "pwd"
	Object   *string  // what was changed: "ApiClient/shop"
	Changed  []string // members of Object that have another value now, secrets included; never the value
	TraceID  *string  // of the HTTP request
	Source   *string  // address of who sent that
	Took     int64    // milliseconds from the queueing of a message to its end
	Count    int64    `json:",omitempty"` // how many equal events it stands for; absent: itself alone
}

func auditEventOf(e storage.AuditEvent) AuditEvent {
	return AuditEvent{
		ID: e.ID, Time: e.Time, Action: e.Action, Outcome: e.Outcome, ClientID: surface.Optional(e.ClientID),
		UserID: surface.Optional(e.UserUID), Username: surface.Optional(e.Username), Factor: surface.Optional(e.Factor), Object: surface.Optional(e.Object), Changed: listed(e.Changed),
		TraceID: surface.Optional(e.TraceID), Source: surface.Optional(e.Source), Took: e.Took.Milliseconds(), Count: e.Count,
	}
}

func (a *API) auditRoutes() []route {
	list := a.cfg.Stores.Records.ListAuditEvents
	return collection[AuditEvent, storage.AuditEvent]{
		object: "AuditEvent", path: "/v1/auditevents", param: "auditEventID", reader: []string{"AuditReader"},
		fields: text("ID", "Action", "Outcome", "ClientID", "Username", "Factor", "Object", "TraceID", "Source", "Changed").
			with("UserID", "UserUID", textField).with("Time", "Time", timeField),
		search: []string{"Action", "Outcome", "Username", "Object"},
		sort:   []storage.Order{{Field: "ID", Descending: true}}, // the newest first
		list: func(c *call, q storage.Query) (storage.Page[storage.AuditEvent], error) {
			return list(c.Context(), q)
		},
		get: func(c *call, id string) (storage.AuditEvent, error) {
			byID := storage.Condition{Fields: []string{"ID"}, Tests: []storage.Test{{Op: storage.OpEqual, Value: id}}}
			found, err := list(c.Context(), storage.Query{Where: []storage.Condition{byID}, Limit: 1})
			if err == nil && len(found.Items) == 0 {
				err = storage.ErrNotFound
			}
			if err != nil {
				return storage.AuditEvent{}, err
			}
			return found.Items[0], nil
		},
		show:  func(_ *call, e storage.AuditEvent) AuditEvent { return auditEventOf(e) },
		stamp: func(*storage.AuditEvent) *int64 { return new(int64) }, // what happened does not change
	}.routes()
}
