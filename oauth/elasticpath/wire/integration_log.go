package wire

import (
	"strconv"

	"github.com/google/uuid"

	"latchkey/storage"
)

// TypeJob is the type of the job of an integration.
const TypeJob = "integration-job"

// eventSpace is the name space (RFC 9562 §6.6) of the ids of events and attempts.
// They are made of the id of the message, so the id of an event is the same in every
// attempt.
var eventSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:latchkey:message"))

// IntegrationLog is one attempt to deliver an event. It does not contain the body,
// which has a secret in it.
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

// LogRelationships lead to the integration and to the job of an attempt.
type LogRelationships struct {
	Integration Relation `json:"integration"`
	Job         Relation `json:"job"`
}

// LogMeta says when an attempt ended or a job was created.
type LogMeta struct {
	Timestamps LogTimes `json:"timestamps"`
}

// LogTimes has the time of a LogMeta.
type LogTimes struct {
	CreatedAt string `json:"created_at"`
}

// IntegrationJob is one event for an integration, with all attempts to deliver it.
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

// JobFromRecord returns the job of a message as it is shown.
func JobFromRecord(m storage.Message) IntegrationJob {
	return IntegrationJob{
		ID: jobID(m.ID), Type: TypeJob,
		Relationships: JobRelationships{Integration: Relation{Data: &Reference{ID: m.SenderID, Type: TypeIntegration}}},
		Meta:          LogMeta{Timestamps: LogTimes{CreatedAt: Time(m.CreatedAt)}},
	}
}

// LogFromRecord returns an attempt as it is shown.
func LogFromRecord(d storage.DeliveryRecord) IntegrationLog {
	return IntegrationLog{
		ID:        uuid.NewSHA1(eventSpace, []byte(d.Message.ID+"-"+strconv.Itoa(d.Attempt.Number))).String(),
		Type:      "integration-log",
		Succeeded: d.Attempt.Error == "", Attempt: d.Attempt.Number, ErrorDetail: d.Attempt.Error,
		ProcessingTime: d.Attempt.EndedAt.Sub(d.Attempt.BeganAt).Milliseconds(),
		Relationships: LogRelationships{
			Integration: Relation{Data: &Reference{ID: d.Message.SenderID, Type: TypeIntegration}},
			Job:         Relation{Data: &Reference{ID: jobID(d.Message.ID), Type: TypeJob}},
		},
		Meta: LogMeta{Timestamps: LogTimes{CreatedAt: Time(d.Attempt.EndedAt)}},
	}
}
