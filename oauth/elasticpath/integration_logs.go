package elasticpath

import (
	"strconv"

	"github.com/google/uuid"

	"latchkey/storage"
)

// IntegrationLog is one attempt to deliver an event. What was delivered is not
// told: it is a secret.
type IntegrationLog struct {
	ID             string           `json:"id"`
	Type           string           `json:"type"`
	Succeeded      bool             `json:"succeeded"`
	Attempt        int              `json:"attempt"`
	ProcessingTime int64            `json:"processing_time"` // milliseconds
	ErrorDetail    string           `json:"error_detail,omitempty"`
	Relationships  LogRelationships `json:"relationships"`
	Meta           LogMeta          `json:"meta"`
}

// LogRelationships lead to the integration and to its job: one event with all
// attempts to deliver it.
type LogRelationships struct {
	Integration Relation `json:"integration"`
	Job         Relation `json:"job"`
}

// LogMeta says when an attempt was made.
type LogMeta struct {
	Timestamps LogTimes `json:"timestamps"`
}

// LogTimes is when an attempt was made.
type LogTimes struct {
	CreatedAt string `json:"created_at"`
}

const typeJob = "integration-job"

// IntegrationJob is one event for an integration, with all attempts to deliver
// it.
type IntegrationJob struct {
	ID            string           `json:"id"`
	Type          string           `json:"type"`
	Relationships JobRelationships `json:"relationships"`
	Meta          LogMeta          `json:"meta"`
}

// JobRelationships lead to the integration of a job.
type JobRelationships struct {
	Integration Relation `json:"integration"`
}

// jobID returns the id of the job that delivers a message.
func jobID(messageID string) string { return storage.IDToUUID(storage.MessagePrefix, messageID) }

func integrationJob(m storage.Message) IntegrationJob {
	return IntegrationJob{
		ID: jobID(m.ID), Type: typeJob,
		Relationships: JobRelationships{Integration: Relation{Data: &Reference{ID: m.SenderID, Type: typeIntegration}}},
		Meta:          LogMeta{Timestamps: LogTimes{CreatedAt: wireTime(m.CreatedAt)}},
	}
}

var jobList = listing{
	filters: map[string]filterable{"created_at": {record: "CreatedAt", ops: timeOps, time: true}},
	sorts:   map[string]string{"created_at": "CreatedAt"},
}

// listJobs lists the events of an integration.
func (a *API) listJobs(c *call) (reply, error) {
	s, err := a.integrationOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := jobList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	found, err := a.cfg.Senders.ListMessages(c.Context(), s.ID, q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, integrationJob), nil
}

var logList = listing{
	filters: map[string]filterable{"created_at": {record: "EndedAt", ops: timeOps, time: true}},
	sorts:   map[string]string{"created_at": "EndedAt"},
}

func integrationLog(d storage.DeliveryRecord) IntegrationLog {
	return IntegrationLog{
		ID:        uuid.NewSHA1(eventSpace, []byte(d.Message.ID+"-"+strconv.Itoa(d.Attempt.Number))).String(),
		Type:      "integration-log",
		Succeeded: d.Attempt.Error == "", Attempt: d.Attempt.Number, ErrorDetail: d.Attempt.Error,
		ProcessingTime: d.Attempt.EndedAt.Sub(d.Attempt.BeganAt).Milliseconds(),
		Relationships: LogRelationships{
			Integration: Relation{Data: &Reference{ID: d.Message.SenderID, Type: typeIntegration}},
			Job:         Relation{Data: &Reference{ID: jobID(d.Message.ID), Type: typeJob}},
		},
		Meta: LogMeta{Timestamps: LogTimes{CreatedAt: wireTime(d.Attempt.EndedAt)}},
	}
}

// listAllLogs lists the attempts of all integrations.
func (a *API) listAllLogs(c *call) (reply, error) {
	all, err := a.cfg.Senders.ListSenders(c.Context(), storage.Query{Where: isIntegration(), Limit: maxPageLimit})
	if err != nil {
		return reply{}, err
	}
	one := storage.Condition{Fields: []string{"Message.SenderID"}}
	for _, s := range all.Items {
		one.Tests = append(one.Tests, storage.Test{Op: storage.OpEqual, Value: s.ID})
	}
	return a.logs(c, "", one)
}

// listLogs lists the attempts of one integration.
func (a *API) listLogs(c *call) (reply, error) {
	s, err := a.integrationOf(c)
	if err != nil {
		return reply{}, err
	}
	return a.logs(c, s.ID)
}

// listJobLogs lists the attempts to deliver one event.
func (a *API) listJobLogs(c *call) (reply, error) {
	s, err := a.integrationOf(c)
	if err != nil {
		return reply{}, err
	}
	id, ok := c.id("job")
	if !ok {
		return reply{}, notFound("integration job")
	}
	return a.logs(c, s.ID, equals("MessageID", id))
}

func (a *API) logs(c *call, senderID string, also ...storage.Condition) (reply, error) {
	q, err := logList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	if len(c.values["sort"]) == 0 {
		q.Sort = []storage.Order{{Field: "EndedAt", Descending: true}}
	}
	q.Where = append(q.Where, also...)
	found, err := a.cfg.Senders.ListDeliveries(c.Context(), senderID, q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, integrationLog), nil
}

func (a *API) integrationRoutes() []route {
	const (
		all = "/v2/integrations"
		one = all + "/{integration}"
	)
	body, shown, logs := Body[IntegrationBody]{}, Document[Integration]{}, List[IntegrationLog]{}
	deleted := remove("Integrations.Delete", one, "Delete an integration", a.deleteIntegration).with(changeSenders)
	deleted.Answers = map[int]any{200: Document[Reference]{}}
	return []route{
		list("Integrations.List", all, "List the integrations", List[Integration]{}, a.listIntegrations).with(readSenders),
		post("Integrations.Create", all, "Make an integration", body, shown, a.postIntegration).with(changeSenders),
		get("Integrations.Get", one, "Get an integration", shown, a.getIntegration).with(readSenders),
		put("Integrations.Update", one, "Change an integration", body, shown, a.putIntegration).with(changeSenders),
		deleted,
		list("Integrations.ListAllLogs", all+"/logs", "List the attempts to deliver events", logs, a.listAllLogs).with(readSenders),
		list("Integrations.ListLogs", one+"/logs", "List the attempts of an integration", logs, a.listLogs).with(readSenders),
		list("Integrations.ListJobs", one+"/jobs", "List the events of an integration", List[IntegrationJob]{}, a.listJobs).with(readSenders),
		list("Integrations.ListJobLogs", one+"/jobs/{job}/logs", "List the attempts to deliver one event", logs, a.listJobLogs).with(readSenders),
	}
}
