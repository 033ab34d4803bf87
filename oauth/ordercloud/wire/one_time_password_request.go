package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// CodeRequest is a request for one-time passwords or another message, with what
// happened to it. It never has a code. The resource is Latchkey's own.
type CodeRequest struct {
	ID         string
	Type       string     // of the messages: "OneTimePassword", …
	ClientID   *string    // through which it was asked for
	Username   *string    // as asked
	Email      *string    // as asked
	TraceID    *string    // of the HTTP request
	CreatedAt  time.Time  // when it was asked for
	ExpiresAt  time.Time  // when its codes expire
	ResolvedAt *time.Time // when its users were found; null: not yet

	Timeline []TimelineStep `json:",omitempty"` // of a single request only
}

// TimelineStep is an event of a request, a code or a message.
type TimelineStep struct {
	At           time.Time
	Step         string // "asked", "nobody_served", "superseded", "issued", "queued", "failed", "accepted", "dead", "redeemed", "retired", "expired"
	MessageID    *string
	CodeID       *string // not the code
	Attempt      *int
	Milliseconds *int64  // that the attempt took
	Detail       *string // what went wrong
}

// MessageRetry is the answer to the retry of a message.
type MessageRetry struct {
	RequestID string // a new request if the code was lost and another one is issued
	MessageID string
}

// CodeRequestFromRecord returns the request as it is shown to administrators.
func CodeRequestFromRecord(r storage.RequestSummary) CodeRequest {
	return CodeRequest{
		ID: r.Request.ID, Type: string(r.Request.Type), ClientID: surface.Optional(r.Request.ClientID),
		Username: surface.Optional(r.Request.Username), Email: surface.Optional(r.Request.Email), TraceID: surface.Optional(r.Request.TraceID),
		CreatedAt: r.Request.CreatedAt, ExpiresAt: r.Request.ExpiresAt, ResolvedAt: surface.Optional(r.ResolvedAt),
	}
}

// TimelineStepFromStep returns the step of a delivery as it is shown to administrators.
func TimelineStepFromStep(s otp.Step) TimelineStep {
	w := TimelineStep{
		At: s.At, Step: s.Name, MessageID: surface.Optional(s.MessageID), CodeID: surface.Optional(s.CodeID),
		Attempt: surface.Optional(s.Attempt), Detail: surface.Optional(s.Detail),
	}
	if s.Attempt > 0 {
		w.Milliseconds = new(s.Took.Milliseconds())
	}
	return w
}
