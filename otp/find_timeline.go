package otp

import (
	"context"
	"errors"
	"slices"
	"time"

	"latchkey/storage"
)

// TimelineStore holds the methods that FindTimeline needs; *gormstore.Store implements it.
type TimelineStore interface {
	// Message returns the message of that ID, or ErrNotFound.
	Message(ctx context.Context, id string) (storage.Message, error)
	// Timeline returns the history of a request, or ErrNotFound.
	Timeline(ctx context.Context, requestID string) (storage.Timeline, error)
}

// FindTimeline returns the history of the code request with the ID or, if the ID is that
// of a message, the part of its request's history that is about the message. If there is
// neither, the error is storage.ErrNotFound.
func FindTimeline(ctx context.Context, store TimelineStore, id string) (storage.Timeline, error) {
	t, err := store.Timeline(ctx, id)
	if !errors.Is(err, storage.ErrNotFound) {
		return t, err
	}
	m, err := store.Message(ctx, id)
	if err != nil {
		return storage.Timeline{}, err
	}
	if t, err = store.Timeline(ctx, m.RequestID); err != nil {
		return storage.Timeline{}, err
	}
	t.Codes = slices.DeleteFunc(slices.Clone(t.Codes), func(c storage.CodeHistory) bool { return c.ID != m.CodeID })
	return withMessages(t, func(o storage.Message) bool { return o.ID == m.ID }), nil
}

// OfUsers returns the part of a timeline that is about the users for whom theirs returns
// true: their codes and messages.
func OfUsers(t storage.Timeline, theirs func(userUID string) bool) storage.Timeline {
	t.Codes = slices.DeleteFunc(slices.Clone(t.Codes), func(c storage.CodeHistory) bool { return !theirs(c.UserUID) })
	return withMessages(t, func(m storage.Message) bool { return theirs(m.UserUID) })
}

// withMessages returns the timeline with the messages for which keep returns true, and
// their attempts.
func withMessages(t storage.Timeline, keep func(storage.Message) bool) storage.Timeline {
	kept := map[string]bool{}
	t.Messages = slices.DeleteFunc(slices.Clone(t.Messages), func(m storage.Message) bool {
		kept[m.ID] = keep(m)
		return !kept[m.ID]
	})
	t.Attempts = slices.DeleteFunc(slices.Clone(t.Attempts), func(a storage.AttemptRecord) bool { return !kept[a.MessageID] })
	return t
}

// RequestState is the state of a code request.
type RequestState string

// The states of requests.
const (
	RequestWaiting    RequestState = "waiting"    // nobody has resolved it yet
	RequestUnserved   RequestState = "unserved"   // it led to no code and no message
	RequestSuperseded RequestState = "superseded" // a newer request had issued the code
	RequestQueued     RequestState = "queued"     // a message is to be delivered
	RequestDelivered  RequestState = "delivered"  // a receiver accepted a message
	RequestRedeemed   RequestState = "redeemed"   // a code was used
	RequestReplaced   RequestState = "replaced"   // the codes were replaced or withdrawn
	RequestExpired    RequestState = "expired"    // the codes, or the messages, expired
	RequestDead       RequestState = "dead"       // no message can be delivered
)

// StateOf returns the state of a request at the time now. It ignores delivery attempts. If
// the codes or messages of the request have different states, the best one counts.
func StateOf(t storage.Timeline, now time.Time) RequestState {
	states := map[storage.MessageState]bool{}
	for _, m := range t.Messages {
		states[m.State] = true
	}
	some := func(holds func(storage.CodeHistory) bool) bool { return slices.ContainsFunc(t.Codes, holds) }
	switch {
	case t.ResolvedAt.IsZero() && !now.Before(t.Request.ExpiresAt):
		return RequestExpired
	case t.ResolvedAt.IsZero():
		return RequestWaiting
	case some(func(c storage.CodeHistory) bool { return !c.RedeemedAt.IsZero() }):
		return RequestRedeemed
	case len(t.Codes)+len(t.Messages) == 0 && t.Superseded:
		return RequestSuperseded
	case len(t.Codes)+len(t.Messages) == 0:
		return RequestUnserved
	case len(t.Codes) > 0 && !some(func(c storage.CodeHistory) bool { return c.RetiredAt.IsZero() }):
		return RequestReplaced
	case states[storage.MessageQueued]:
		return RequestQueued
	case states[storage.MessageDead] && !states[storage.MessageDelivered]:
		return RequestDead
	case len(t.Codes) > 0 && !some(func(c storage.CodeHistory) bool { return c.Live(now) }), !states[storage.MessageDelivered]:
		return RequestExpired
	}
	return RequestDelivered
}

// CanRetry reports whether Retry would send the message of the timeline again.
func CanRetry(t storage.Timeline, m storage.Message, now time.Time) bool {
	i := slices.IndexFunc(t.Codes, func(c storage.CodeHistory) bool { return c.ID == m.CodeID })
	return retryRefusal(m, t, i, now) == ""
}
