package otp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"latchkey/storage"
)

// RetryStore holds the methods that Retry needs; *gormstore.Store implements it.
type RetryStore interface {
	// Message returns the message of that ID, or ErrNotFound.
	Message(ctx context.Context, id string) (storage.Message, error)
	// Timeline returns the history of a request, or ErrNotFound.
	Timeline(ctx context.Context, requestID string) (storage.Timeline, error)
	// HurryMessage makes a queued message due now; ErrStale if it is not
	// queued, has expired or is being delivered.
	HurryMessage(ctx context.Context, id string, now time.Time) error
	// AddCodeRequest stores a request.
	AddCodeRequest(context.Context, storage.CodeRequest, ...storage.Charge) error
}

// ErrNoRetry is wrapped by errors that say why a message cannot be sent again.
var ErrNoRetry = errors.New("no retry")

// Retry sends a message again while its code is live. A queued message becomes due at
// once. The code of a message that ended undelivered was deleted with its payload.
// So Retry requests a new code for the same login, which expires when the old one
// would have, and returns the ID of that request. For a message without a code it
// repeats the original request.
func Retry(ctx context.Context, store RetryStore, random io.Reader, messageID string, now time.Time) (requestID string, err error) {
	m, err := store.Message(ctx, messageID)
	if err != nil {
		return "", err
	}
	t, err := store.Timeline(ctx, m.RequestID)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(t.Codes, func(c storage.CodeHistory) bool { return c.ID == m.CodeID })
	if reason := retryRefusal(m, t, i, now); reason != "" {
		return "", fmt.Errorf("%w: %s", ErrNoRetry, reason)
	}
	if m.State != storage.MessageQueued {
		r := t.Request
		if i >= 0 {
			r.Username = t.Codes[i].Username
		}
		if client, ok := storage.LogoutClientID(m.SenderID); ok { // the other clients have messages of their own
			r.ClientID = client
		}
		return repeatRequest(ctx, store, random, r, now)
	}
	err = store.HurryMessage(ctx, m.ID, now)
	if errors.Is(err, storage.ErrStale) {
		err = fmt.Errorf("%w: it is being delivered just now", ErrNoRetry)
	}
	return "", err
}

// retryRefusal returns the reason why a message cannot be sent again, empty if it can
// be. i is the index of its code in the timeline, negative if the code is not there.
func retryRefusal(m storage.Message, t storage.Timeline, i int, now time.Time) string {
	at := func(t time.Time) string { return t.Format(time.RFC3339) }
	reminder := !m.Type.HasCode()
	expiry := m.ExpiresAt
	if i >= 0 { // the message of a code that was replaced expires with it
		expiry = t.Codes[i].ExpiresAt
	}
	switch {
	case m.State == storage.MessageDelivered:
		return "it was delivered at " + at(m.EndedAt)
	case !now.Before(expiry) && reminder:
		return "it expired at " + at(expiry) + "; the user has to ask again"
	case !now.Before(expiry):
		return "its code expired at " + at(expiry) + "; the user has to ask for another one"
	case reminder:
		return ""
	case i < 0 || t.Codes[i].Username == "":
		return "its code or its login does not exist any more"
	case !t.Codes[i].RedeemedAt.IsZero():
		return "its code was redeemed at " + at(t.Codes[i].RedeemedAt)
	case !t.Codes[i].RetiredAt.IsZero():
		return "its code was replaced or withdrawn at " + at(t.Codes[i].RetiredAt)
	}
	return ""
}

// repeatRequest stores the request again with a new ID, and returns that ID.
func repeatRequest(ctx context.Context, store RetryStore, random io.Reader, r storage.CodeRequest, now time.Time) (string, error) {
	id, err := storage.NewID(random, requestPrefix)
	if err != nil {
		return "", err
	}
	r.ID, r.CreatedAt = id, now.UTC()
	return id, store.AddCodeRequest(ctx, r)
}
