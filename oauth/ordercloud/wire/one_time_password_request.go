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
	State      string     // "waiting", "unserved", "superseded", "queued", "delivered", "redeemed", "replaced", "expired", "dead"

	Timeline []TimelineStep   `json:",omitempty"` // of a single request only
	Messages []RequestMessage `json:",omitempty"` // likewise
}

// RequestMessage is a message of a request.
type RequestMessage struct {
	ID              string
	MessageSenderID string
	State           string // "queued", "delivered", "expired", "dead"
	CanRetry        bool   // it waits, or its code lives and it can be sent again
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

// CodeRequestFromTimeline returns the request as a list shows it to administrators at the
// time now.
func CodeRequestFromTimeline(t storage.Timeline, now time.Time) CodeRequest {
	r := &t.Request
	return CodeRequest{
		ID: r.ID, Type: string(r.Type), ClientID: surface.Optional(r.ClientID),
		Username: surface.Optional(r.Username), Email: surface.Optional(r.Email), TraceID: surface.Optional(r.TraceID),
		CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, ResolvedAt: surface.Optional(t.ResolvedAt), State: string(otp.StateOf(t, now)),
	}
}

// WithTimeline returns the request with the steps and the messages of its timeline.
func (r CodeRequest) WithTimeline(t storage.Timeline, now time.Time) CodeRequest {
	for _, step := range otp.Steps(t, now) {
		r.Timeline = append(r.Timeline, timelineStepFromStep(step))
	}
	for _, m := range t.Messages {
		r.Messages = append(r.Messages, RequestMessage{
			ID: m.ID, MessageSenderID: m.SenderID, State: string(m.State), CanRetry: otp.CanRetry(t, m, now),
		})
	}
	return r
}

// timelineStepFromStep returns the step of a delivery as it is shown to administrators.
func timelineStepFromStep(s otp.Step) TimelineStep {
	w := TimelineStep{
		At: s.At, Step: s.Name, MessageID: surface.Optional(s.MessageID), CodeID: surface.Optional(s.CodeID),
		Attempt: surface.Optional(s.Attempt), Detail: surface.Optional(s.Detail),
	}
	if s.Attempt > 0 {
		w.Milliseconds = new(s.Took.Milliseconds())
	}
	return w
}
