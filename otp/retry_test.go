package otp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp"
	"latchkey/storage"
)

// retryStore is an otp.RetryStore with one message.
type retryStore struct {
	message  storage.Message
	timeline storage.Timeline
	added    []storage.CodeRequest
	hurried  []string
}

func (r *retryStore) Message(_ context.Context, id string) (storage.Message, error) {
	if id != r.message.ID {
		return storage.Message{}, storage.ErrNotFound
	}
	return r.message, nil
}

func (r *retryStore) Timeline(context.Context, string) (storage.Timeline, error) {
	return r.timeline, nil
}

func (r *retryStore) HurryMessage(_ context.Context, id string, _ time.Time) error {
	r.hurried = append(r.hurried, id)
	return nil
}

func (r *retryStore) AddCodeRequest(_ context.Context, c storage.CodeRequest, _ ...storage.Charge) error {
	r.added = append(r.added, c)
	return nil
}

func TestRetryAsksForTheSameAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 5, 17, 12, 0, 0, 0, time.UTC)
	request := storage.CodeRequest{
		ID: "otr_1", ClientID: "shop", ProfileID: "default", Email: "bob@example.com", URL: "https://shop.example/renew",
		CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(time.Hour),
	}
	tests := []struct {
		kind   storage.MessageType
		codeID string
		want   string // username of the new request
	}{
		{storage.MessageOneTimePassword, "otc_1", "bob"},
		{storage.MessageForgottenPassword, "vfc_1", "bob"},
		{storage.MessageForgottenUsername, "", ""},
		{storage.MessageAccountLocked, "", ""},
		{storage.MessageContactChanged, "", ""},
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			t.Parallel()
			r := request
			r.Type = test.kind
			store := &retryStore{
				message: storage.Message{
					ID: "msg_1", RequestID: "otr_1", CodeID: test.codeID, Type: test.kind,
					State: storage.MessageDead, ExpiresAt: r.ExpiresAt,
				},
				timeline: storage.Timeline{Request: r},
			}
			if test.codeID != "" {
				store.timeline.Codes = []storage.CodeHistory{{ID: test.codeID, Username: "bob", ExpiresAt: r.ExpiresAt}}
			}
			id, err := otp.Retry(t.Context(), store, rand.Reader, "msg_1", now)
			if err != nil {
				t.Fatal(err)
			}
			want := r
			want.ID, want.Username, want.CreatedAt = id, test.want, now
			if diff := cmp.Diff([]storage.CodeRequest{want}, store.added); diff != "" || id == "otr_1" {
				t.Errorf("request %s (-want +got):\n%s", id, diff)
			}
			if _, err := otp.Retry(t.Context(), store, rand.Reader, "msg_1", r.ExpiresAt); !errors.Is(err, otp.ErrNoRetry) {
				t.Errorf("after the expiry: got %v, want otp.ErrNoRetry", err)
			}
			store.message.State = storage.MessageQueued
			if id, err := otp.Retry(t.Context(), store, rand.Reader, "msg_1", now); err != nil || id != "" || len(store.hurried) != 1 {
				t.Errorf("queued: got %q, error %v, hurried %v", id, err, store.hurried)
			}
		})
	}
}
