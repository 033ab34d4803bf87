package elasticpath

import (
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var (
	jobList = listing{
		filters: map[string]filterable{"created_at": {record: "CreatedAt", ops: timeOps, time: true}},
		sorts:   map[string]string{"created_at": "CreatedAt"},
	}
	logList = listing{
		filters: map[string]filterable{"created_at": {record: "EndedAt", ops: timeOps, time: true}},
		sorts:   map[string]string{"created_at": "EndedAt"},
	}
)

// listJobs lists the events of an integration.
func listJobs(c *call) (surface.Answer, error) {
	s, err := integrations{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	fetch := func(q storage.Query) (storage.Page[storage.Message], error) {
		return c.cfg.Senders.ListMessages(c.Context(), s.ID, q)
	}
	return list(c, jobList, fetch, func(m storage.Message) (wire.IntegrationJob, error) { return wire.JobFromRecord(m), nil })
}

// listAllLogs lists the attempts of all integrations.
func listAllLogs(c *call) (surface.Answer, error) {
	all, err := c.cfg.Senders.ListSenders(c.Context(), storage.Query{Where: ofThisDialect(), Limit: maxPageLimit})
	if err != nil {
		return surface.Answer{}, err
	}
	oneOfThem := storage.Condition{Fields: []string{"Message.SenderID"}}
	for _, s := range all.Items {
		oneOfThem.Tests = append(oneOfThem.Tests, storage.Test{Op: storage.OpEqual, Value: s.ID})
	}
	return listAttempts(c, "", oneOfThem)
}

// listLogs lists the attempts of one integration.
func listLogs(c *call) (surface.Answer, error) {
	s, err := integrations{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	return listAttempts(c, s.ID)
}

// listJobLogs lists the attempts to deliver one event.
func listJobLogs(c *call) (surface.Answer, error) {
	s, err := integrations{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	id, ok := c.id("job")
	if !ok {
		return surface.Answer{}, notFound("integration job")
	}
	return listAttempts(c, s.ID, equals("MessageID", id))
}

// listAttempts lists the attempts of a sender, or of all senders if senderID is
// empty, that satisfy the conditions.
func listAttempts(c *call, senderID string, conditions ...storage.Condition) (surface.Answer, error) {
	fetch := func(q storage.Query) (storage.Page[storage.DeliveryRecord], error) {
		if len(c.values["sort"]) == 0 {
			q.Sort = []storage.Order{{Field: "EndedAt", Descending: true}}
		}
		q.Where = append(q.Where, conditions...)
		return c.cfg.Senders.ListDeliveries(c.Context(), senderID, q)
	}
	return list(c, logList, fetch, func(d storage.DeliveryRecord) (wire.IntegrationLog, error) { return wire.LogFromRecord(d), nil })
}
