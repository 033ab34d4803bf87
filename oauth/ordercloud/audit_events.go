package ordercloud

import (
	"net/http"
	"strconv"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// auditEvents is the resource AuditEvent: recorded actions, which are read only.
type auditEvents struct{ *API }

func (a auditEvents) routes() []route {
	k := kind{object: "AuditEvent", path: "/v1/auditevents", reader: auditReaders()}
	about := openapi.Parameter{Name: "about", About: "Usernames or IDs of users, separated by |: the events of these users, and those about objects of that name"}
	list := k.operation(http.MethodGet, k.path, "List", "List the AuditEvent objects", k.reader)
	list.Query, list.Answers, list.Refuses = append(listParameters(), about), map[int]any{http.StatusOK: wire.List[wire.AuditEvent]{}}, []int{400}
	get := k.operation(http.MethodGet, k.path+"/{auditEventID}", "Get", "Get a AuditEvent", k.reader)
	get.Answers, get.Refuses = map[int]any{http.StatusOK: wire.AuditEvent{}}, []int{404}
	export := k.operation(http.MethodGet, k.path+"/export", "Export",
		"Get all audit events that the filters of the list select as lines of JSON, the oldest first", k.reader)
	export.Query, export.Refuses = []openapi.Parameter{listParameters()[0], listParameters()[1], about}, []int{400, 429}
	export.Answers, export.MediaType = map[int]any{http.StatusOK: wire.ExportedAuditEvent{}}, exportMediaType
	return []route{{Operation: list, serve: a.list}, {Operation: get, serve: a.get}, {Operation: export, serve: a.export}}
}

// query reads the filters of the list and of the export.
func (a auditEvents) query(c *call) (storage.Query, error) {
	f := text("ID", "Action", "Outcome", "ClientID", "Username", "Factor", "Object", "TraceID", "Source", "Changed").
		with("UserID", "UserUID", textField).with("Time", "Time", timeField).withMembersOf(wire.AuditEvent{})
	q, err := c.query(f, []string{"Action", "Outcome", "Username", "Object"})
	if about := c.values.Get("about"); err == nil && about != "" {
		var one storage.Condition
		one, err = aboutUsers(about)
		q.Where = append(q.Where, one)
	}
	return q, err
}

// aboutUsers returns the condition that an event is by one of the users in text, or that
// its Object ends with the ID or username of one, as the Object of a user or a login does.
// Every event is compared with every user, so their number is limited.
func aboutUsers(text string) (storage.Condition, error) {
	users := strings.Split(text, "|")
	if len(users) > maxAlternatives/10 {
		return storage.Condition{}, wire.Faults{{Path: "about", Problem: "at most " + strconv.Itoa(maxAlternatives/10) + " alternatives"}}
	}
	one := storage.Condition{Fields: []string{"UserUID", "Username", "Object"}}
	for _, user := range users {
		if user == "" || strings.Contains(user, "*") {
			return one, wire.Faults{{Path: "about", Problem: "must be usernames or IDs, without asterisks"}}
		}
		one.Tests = append(one.Tests, storage.Test{Op: storage.OpEqualFold, Value: user}, storage.Test{Op: storage.OpLikeFold, Value: "*/" + user})
	}
	return one, nil
}

func (a auditEvents) list(c *call) (surface.Answer, error) {
	q, err := a.query(c)
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
