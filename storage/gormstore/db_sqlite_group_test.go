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
	"latchkey/storage/gormstore/gormtest"
)

// groupFixture is a store with claimed messages. hold keeps its writer busy, so that calls
// gather in a group.
type groupFixture struct {
	*testing.T

	store *gormstore.Store
	held  chan error // result of the transaction that holds the writer
	free  chan struct{}
}

func newGroupFixture(t *testing.T, messages int, seen func(string)) *groupFixture {
	t.Helper()
	ctx := t.Context()
	s := open(t, gormstore.Config{URL: gormtest.SQLite(t), OnStatement: seen})
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
		t.Fatalf("got %d claimed messages, error %v", len(claimed), err)
	}
	return &groupFixture{T: t, store: s, held: make(chan error, 1), free: make(chan struct{})}
}

// hold keeps the writer busy until release is called.
func (s *groupFixture) hold() {
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

func (s *groupFixture) release() {
	s.Helper()
	close(s.free)
	if err := <-s.held; err != nil {
		s.Fatal(err)
	}
}

// finish settles message i as delivered in a goroutine, and returns the channel of its result.
func (s *groupFixture) finish(ctx context.Context, i int) <-chan error {
	outcome := make(chan error, 1)
	go func() {
		outcome <- s.store.FinishAttempt(ctx, storage.Attempt{
			MessageID: fmt.Sprint("msg", i), Number: 1, State: storage.MessageDelivered, Now: noon, BeganAt: noon,
		})
	}()
	return outcome
}

// gather holds the writer, starts the calls, and returns when all of them wait for it.
func (s *groupFixture) gather(calls ...int) (outcomes []<-chan error) {
	s.Helper()
	s.hold()
	outcomes = append(outcomes, s.finish(s.Context(), calls[0])) // the first call is a group of its own
	s.await(0, true)
	for i, call := range calls[1:] {
		outcomes = append(outcomes, s.finish(s.Context(), call))
		s.await(i+1, true)
	}
	return outcomes
}

// await waits until n calls wait for the next group, and running reports whether a group runs.
func (s *groupFixture) await(n int, running bool) {
	s.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		waiting, busy := s.store.Grouped()
		if waiting == n && busy == running {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("got %d waiting calls, want %d", waiting, n)
		}
	}
}

func (s *groupFixture) state(i int) storage.MessageState {
	s.Helper()
	m, err := s.store.Message(context.Background(), fmt.Sprint("msg", i))
	if err != nil {
		s.Fatal(err)
	}
	return m.State
}

// TestGroup settles attempts in one group. Each must get its own result.
func TestGroup(t *testing.T) {
	t.Parallel()
	var c counter
	s := newGroupFixture(t, 8, c.add)
	// The attempt on message 4 cannot be stored, because a row with its number exists. So it
	// must not settle the message.
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
				t.Errorf("call %d: got error %v, want ErrStale for call 2 alone", i, err)
			}
		}
		seen := c.during(t, func() error { return nil })
		commits := 0
		for _, sql := range seen[before:] {
			if sql == "COMMIT" {
				commits++
			}
		}
		if commits > 3 { // those of hold, of the first call and of the group
			t.Errorf("got %d commits for five calls, want at most 3: %q", commits, seen)
		}
	})
	s.await(0, false)
	s.free = make(chan struct{})
	t.Run("failing", func(t *testing.T) {
		outcomes := s.gather(5, 6, 4, 7)
		s.release()
		for i, outcome := range outcomes {
			if err := <-outcome; errors.Is(err, storage.ErrConflict) != (i == 2) || (err != nil) != (i == 2) {
				t.Errorf("call %d: got error %v, want ErrConflict for call 2 alone", i, err)
			}
		}
	})
	for i := range 8 {
		want := storage.MessageDelivered
		if i == 4 {
			want = storage.MessageQueued
		}
		if got := s.state(i); got != want {
			t.Errorf("message %d: got %s, want %s", i, got, want)
		}
	}
}

// TestGroupOutlivesACaller cancels the contexts of two callers. Only their own wait ends. The
// call that had not begun does not run.
func TestGroupOutlivesACaller(t *testing.T) {
	t.Parallel()
	s := newGroupFixture(t, 4, nil)
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
			t.Errorf("canceled caller %d: got %v, want context.Canceled", i, err)
		}
	}
	s.release()
	if err := <-third; err != nil {
		t.Errorf("the caller that stayed: got %v, want no error", err)
	}
	if states := []storage.MessageState{s.state(1), s.state(2)}; !slices.Equal(states, []storage.MessageState{storage.MessageQueued, storage.MessageDelivered}) {
		t.Errorf("got states %q, want queued and delivered", states)
	}
}

// TestGroupWithoutDatabase tests that all callers of a group get ErrUnavailable if the database
// is gone.
func TestGroupWithoutDatabase(t *testing.T) {
	t.Parallel()
	s := newGroupFixture(t, 4, nil)
	outcomes := s.gather(0, 1, 2, 3)
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	close(s.free)
	<-s.held
	for i, outcome := range outcomes {
		if err := <-outcome; !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("call %d: got %v, want ErrUnavailable", i, err)
		}
	}
}
