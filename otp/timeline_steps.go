package otp

import (
	"slices"
	"time"

	"latchkey/storage"
)

// Step is an event in the history of a request, of one of its codes or of one of its
// messages.
type Step struct {
	At        time.Time
	Name      string // "asked", "issued", "queued", …; see Steps
	MessageID string
	CodeID    string        // ID of the code, not the code itself
	Attempt   int           // number of the delivery attempt; 0: the step is none
	Took      time.Duration // duration of the attempt
	Detail    string
}

// Steps returns the steps of a timeline up to the time now, in order of time.
func Steps(t storage.Timeline, now time.Time) []Step {
	steps := []Step{{At: t.Request.CreatedAt, Name: "asked"}}
	switch {
	case t.Superseded:
		steps = append(steps, Step{At: t.ResolvedAt, Name: "superseded", Detail: "a newer request has issued the code"})
	case !t.ResolvedAt.IsZero() && len(t.Codes) == 0 && len(t.Messages) == 0:
		steps = append(steps, Step{At: t.ResolvedAt, Name: "nobody_served", Detail: "the log has the reason"})
	}
	for _, code := range t.Codes {
		steps = append(steps, codeSteps(code, now)...)
	}
	for _, m := range t.Messages {
		steps = append(steps, Step{At: m.CreatedAt, Name: "queued", MessageID: m.ID, Detail: "sender " + m.SenderID})
	}
	for _, a := range t.Attempts {
		steps = append(steps, Step{
			At: a.EndedAt, Name: attemptStep(a), MessageID: a.MessageID, Attempt: a.Number,
			Took: a.EndedAt.Sub(a.BeganAt), Detail: a.Error,
		})
	}
	for _, m := range t.Messages {
		if m.State == storage.MessageExpired && !endedByAttempt(t, m) {
			steps = append(steps, Step{At: m.EndedAt, Name: "expired", MessageID: m.ID, Detail: m.Unsent()})
		}
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) })
	return steps
}

// codeSteps returns the steps of one code.
func codeSteps(code storage.CodeHistory, now time.Time) []Step {
	steps := []Step{{At: code.IssuedAt, Name: "issued", CodeID: code.ID}}
	switch {
	case !code.RedeemedAt.IsZero():
		steps = append(steps, Step{At: code.RedeemedAt, Name: "redeemed", CodeID: code.ID})
	case !code.RetiredAt.IsZero():
		steps = append(steps, Step{At: code.RetiredAt, Name: "retired", CodeID: code.ID})
	case !now.Before(code.ExpiresAt):
		steps = append(steps, Step{At: code.ExpiresAt, Name: "expired", CodeID: code.ID})
	}
	return steps
}

// attemptStep returns the name of the step for a delivery attempt.
func attemptStep(a storage.AttemptRecord) string {
	switch a.State {
	case storage.MessageDelivered:
		return "accepted"
	case storage.MessageQueued:
		return "failed"
	default:
		return string(a.State)
	}
}

// endedByAttempt reports whether a delivery attempt ended the message.
func endedByAttempt(t storage.Timeline, m storage.Message) bool {
	return slices.ContainsFunc(t.Attempts, func(a storage.AttemptRecord) bool { return a.MessageID == m.ID && a.State == m.State })
}
