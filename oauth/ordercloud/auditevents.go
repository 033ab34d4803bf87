package ordercloud

import (
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (a *API) auditRoutes() []route {
	list := a.cfg.Stores.Records.ListAuditEvents
	return collection[wire.AuditEvent, storage.AuditEvent]{
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
		show:  func(_ *call, e storage.AuditEvent) wire.AuditEvent { return wire.AuditEventFromRecord(e) },
		stamp: func(*storage.AuditEvent) *int64 { return new(int64) }, // what happened does not change
	}.routes()
}
