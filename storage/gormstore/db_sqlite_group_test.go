package gormstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// settling is a store with a claimed message for each caller, whose writer is
// held until the group is complete.
type settling struct {
	*testing.T

	store *gormstore.Store
	held  chan error // end of the transaction that holds the writer
	free  chan struct{}
}

func newSettling(t *testing.T, messages int, seen func(string)) *settling {
	t.Helper()
	ctx := t.Context()
	s := open(t, gormstore.Config{URL: sqliteFile(t), OnStatement: seen})
	seed(t, s)
	x := storage.Issuance{RequestID: "otr", Now: noon}
	var notice storage.IssuedNotice
	for i := range messages {
		notice.Messages = append(notice.Messages, storage.Message{
			ID: fmt.Sprint("msg", i), RequestID: "otr", SenderID: "sink", State: storage.MessageQueued,
			RunAt: noon, ExpiresAt: noon.Add(time.Hour), CreatedAt: noon,
		})
	}
	x.Notices = append(x.Notices, notice)
	err := s.AddCodeRequest(ctx, storage.CodeRequest{ID: "otr", ClientID: "web", ProfileID: "default", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)})
	if err == nil {
		_, err = s.IssueCodes(ctx, x)
	}
	if err != nil {
		t.Fatal(err)
	}
	if claimed, err := s.ClaimMessages(ctx, noon, noon.Add(time.Minute), messages); len(claimed) != messages || err != nil {
		t.Fatalf("%d messages claimed, %v", len(claimed), err)
	}
	return &settling{T: t, store: s, held: make(chan error, 1), free: make(chan struct{})}
}

// hold keeps the writer busy until release.
func (s *settling) hold() {
	began := make(chan struct{})
	go func() {
		s.held <- s.store.InTx(context.Background(), func(context.Context) error {
			close(began)
			<-s.free
			return nil
		})
	}()
	<-began
}

func (s *settling) release() {
	s.Helper()
	close(s.free)
	if err := <-s.held; err != nil {
		s.Fatal(err)
	}
}

// finish settles message i as delivered in a goroutine.
func (s *settling) finish(ctx context.Context, i int) <-chan error {
	outcome := make(chan error, 1)
	go func() {
		outcome <- s.store.FinishAttempt(ctx, storage.Attempt{
			MessageID: fmt.Sprint("msg", i), Number: 1, State: storage.MessageDelivered, Now: noon, BeganAt: noon,
		})
	}()
	return outcome
}

// gather holds the writer, and returns when all callers wait for it.
func (s *settling) gather(calls ...int) (outcomes []<-chan error) {
	s.Helper()
	s.hold()
	outcomes = append(outcomes, s.finish(s.Context(), calls[0])) // a group of its own
	s.await(0, true)
	for i, call := range calls[1:] {
		outcomes = append(outcomes, s.finish(s.Context(), call))
		s.await(i+1, true)
	}
	return outcomes
}

// await waits until so many wait for the next group.
func (s *settling) await(n int, running bool) {
	s.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		waiting, busy := s.store.Grouped()
		if waiting == n && busy == running {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("%d wait, want %d", waiting, n)
		}
	}
}

func (s *settling) state(i int) storage.MessageState {
	s.Helper()
	m, err := s.store.Message(context.Background(), fmt.Sprint("msg", i))
	if err != nil {
		s.Fatal(err)
	}
	return m.State
}

// TestGroup has attempts settle together, and each keep its own outcome.
func TestGroup(t *testing.T) {
	t.Parallel()
	var c counter
	s := newSettling(t, 8, c.add)
	// The attempt on message 4 cannot be written down, so it must not end it.
	err := s.store.Exec(t.Context(), "INSERT INTO message_attempts (message_id, number, state, error, began_at, ended_at) VALUES ('msg4', 1, 'queued', '', 0, 0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("stale", func(t *testing.T) {
		before := len(c.during(t, func() error { return nil }))
		outcomes := s.gather(0, 1, 1, 2, 3)
		s.release()
		for i, outcome := range outcomes {
			if err := <-outcome; errors.Is(err, storage.ErrStale) != (i == 2) || (err != nil) != (i == 2) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		seen := c.during(t, func() error { return nil })
		commits := 0
		for _, sql := range seen[before:] {
			if sql == "COMMIT" {
				commits++
			}
		}
		if commits > 3 { // the holder's, the first call's and the group's
			t.Errorf("%d commits for five calls: %q", commits, seen)
		}
	})
	s.await(0, false)
	s.free = make(chan struct{})
	t.Run("failing", func(t *testing.T) {
		outcomes := s.gather(5, 6, 4, 7)
		s.release()
		for i, outcome := range outcomes {
			if err := <-outcome; errors.Is(err, storage.ErrConflict) != (i == 2) || (err != nil) != (i == 2) {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
	for i := range 8 {
		want := storage.MessageDelivered
		if i == 4 {
			want = storage.MessageQueued
		}
		if got := s.state(i); got != want {
			t.Errorf("message %d is %s, want %s", i, got, want)
		}
	}
}

// TestGroupOutlivesACaller: who goes ends only their own wait, and what had not
// begun then never does.
func TestGroupOutlivesACaller(t *testing.T) {
	t.Parallel()
	s := newSettling(t, 4, nil)
	s.hold()
	leading, lead := context.WithCancel(t.Context())
	following, follow := context.WithCancel(t.Context())
	first := s.finish(leading, 0)
	s.await(0, true)
	second := s.finish(following, 1)
	s.await(1, true)
	third := s.finish(t.Context(), 2)
	s.await(2, true)
	lead()
	follow()
	for i, gone := range []<-chan error{first, second} {
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("caller %d, who went: %v", i, err)
		}
	}
	s.release()
	if err := <-third; err != nil {
		t.Errorf("who stayed: %v", err)
	}
	if states := []storage.MessageState{s.state(1), s.state(2)}; !slices.Equal(states, []storage.MessageState{storage.MessageQueued, storage.MessageDelivered}) {
		t.Errorf("states %q", states)
	}
}

// TestGroupWithoutDatabase: that it is away is everybody's answer.
func TestGroupWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newSettling(t, 4, nil)
	outcomes := s.gather(0, 1, 2, 3)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	close(s.free)
	<-s.held
	for i, outcome := range outcomes {
		if err := <-outcome; !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
