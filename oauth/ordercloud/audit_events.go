package ordercloud

import (
	"net/http"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// auditEvents are what was done, by whom, and with which outcome.
type auditEvents struct{ *API }

func (a auditEvents) routes() []route {
	k := kind{object: "AuditEvent", path: "/v1/auditevents", reader: []string{"AuditReader"}}
	list := k.operation(http.MethodGet, k.path, "List", "List the AuditEvent objects", k.reader)
	list.Query, list.Answers, list.Refuses = listParameters(), map[int]any{http.StatusOK: wire.List[wire.AuditEvent]{}}, []int{400}
	get := k.operation(http.MethodGet, k.path+"/{auditEventID}", "Get", "Get a AuditEvent", k.reader)
	get.Answers, get.Refuses = map[int]any{http.StatusOK: wire.AuditEvent{}}, []int{404}
	return []route{{Operation: list, serve: a.list}, {Operation: get, serve: a.get}}
}

func (a auditEvents) list(c *call) (surface.Answer, error) {
	f := text("ID", "Action", "Outcome", "ClientID", "Username", "Factor", "Object", "TraceID", "Source", "Changed").
		with("UserID", "UserUID", textField).with("Time", "Time", timeField).withMembersOf(wire.AuditEvent{})
	q, err := c.query(f, []string{"Action", "Outcome", "Username", "Object"})
	if err != nil {
		return surface.Answer{}, err
	}
	if len(q.Sort) == 0 {
		q.Sort = []storage.Order{{Field: "ID", Descending: true}} // the newest first
	}
	found, err := a.cfg.Stores.Records.ListAuditEvents(c.Context(), q)
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, wire.AuditEventFromRecord)
}

func (a auditEvents) get(c *call) (surface.Answer, error) {
	id := c.PathValue("auditEventID")
	found, err := a.cfg.Stores.Records.ListAuditEvents(c.Context(), storage.Query{Where: []storage.Condition{equals("ID", id)}, Limit: 1})
	if err != nil {
		return surface.Answer{}, err
	}
	if len(found.Items) == 0 {
		return surface.Answer{}, notFound("AuditEvent", id)
	}
	return surface.Answer{Status: http.StatusOK, Body: wire.AuditEventFromRecord(found.Items[0])}, nil
}
