package gormstore_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// registered is a store that is registered as a server.
type registered struct {
	*gormstore.Store
	*gormstore.Registration
}

// register opens the database and registers the store, as another server does.
func register(t *testing.T, url, issuer string) registered {
	t.Helper()
	s := open(t, gormstore.Config{URL: url})
	r, err := s.RegisterServer(t.Context(), issuer, func(string) { t.Error("a server waits for the heartbeat of another") })
	if err != nil {
		t.Fatal(err)
	}
	return registered{s, r}
}

const issuerOne = "https://one.example"

// TestServersLeftBehind tests that a killed server is removed from the list when its row has
// not changed for some seconds, and that a server whose row changes stays.
func TestServersLeftBehind(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx, now := t.Context(), time.Now()
		running, alive, killed := register(t, url, issuerOne), register(t, url, issuerOne), register(t, url, issuerOne)
		for range 5 {
			if err := errors.Join(alive.Beat(ctx), running.Look(ctx, now)); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
		}
		for r, want := range map[*gormstore.Registration]bool{running.Registration: true, alive.Registration: true, killed.Registration: false} {
			if got, err := r.Listed(ctx); err != nil || got != want {
				t.Errorf("listed %t, %v, want %t", got, err, want)
			}
		}
		if err := killed.Beat(ctx); err != nil { // it was frozen
			t.Fatal(err)
		}
		if got, err := killed.Listed(ctx); err != nil || !got {
			t.Errorf("a server that continues: listed %t, %v; want it listed", got, err)
		}
		if err := errors.Join(running.End(ctx), alive.End(ctx), killed.End(ctx)); err != nil {
			t.Fatal(err)
		}
		register(t, url, "https://two.example")
	})
}

// TestLookAfterAPause tests that a server that was frozen, or had no database, does not regard
// the others as dead.
func TestLookAfterAPause(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx, now := t.Context(), time.Now()
		looking, other := register(t, url, issuerOne), register(t, url, issuerOne)
		for _, pause := range []time.Duration{0, time.Second, time.Minute, time.Second, time.Second, time.Second} {
			now = now.Add(pause)
			if err := looking.Look(ctx, now); err != nil {
				t.Fatal(err)
			}
			if got, err := other.Listed(ctx); err != nil || !got {
				t.Fatalf("after a pause of %v: listed %t, %v; want it listed", pause, got, err)
			}
		}
	})
}

// TestBusyServerIsAlive uses all connections of a server for six seconds. The server continues
// its heartbeat, so others do not take over what it has claimed.
func TestBusyServerIsAlive(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const conns = 2
		busy := open(t, gormstore.Config{URL: url, MaxConns: conns})
		r, err := busy.RegisterServer(t.Context(), issuerOne, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var keeping, using sync.WaitGroup
		for _, each := range []*gormstore.Registration{r, register(t, url, issuerOne).Registration} {
			keeping.Go(func() {
				if err := each.Keep(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		end := time.Now().Add(6 * time.Second)
		for range conns {
			using.Go(func() {
				err := busy.InTx(t.Context(), func(ctx context.Context) (err error) {
					for time.Now().Before(end) && err == nil {
						time.Sleep(200 * time.Millisecond)
						err = busy.Ping(ctx)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		db, id := direct(t, url), ""
		for listed := true; listed && time.Now().Before(end.Add(2*time.Second)); time.Sleep(100 * time.Millisecond) {
			if id, listed, err = r.ListedIn(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			if !listed {
				t.Errorf("the busy server %s was removed", id)
			}
		}
		using.Wait()
		stop()
		keeping.Wait()
	})
}

// claimed adds a request and a message and claims both for a server.
func claimed(t *testing.T, by registered, id string) {
	t.Helper()
	ctx := t.Context()
	message := storage.Message{ID: "m" + id, RequestID: "done", Type: storage.MessageOneTimePassword, State: storage.MessageQueued, RunAt: noon, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)}
	err := by.AddCodeRequest(ctx, storage.CodeRequest{ID: "done", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)})
	if err == nil {
		_, err = by.IssueCodes(ctx, storage.Issuance{RequestID: "done", Now: noon, Notices: []storage.IssuedNotice{{Messages: []storage.Message{message}}}})
	}
	if err == nil {
		err = by.AddCodeRequest(ctx, storage.CodeRequest{ID: "r" + id, CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)})
	}
	if err != nil {
		t.Fatal(err)
	}
	wantClaims(t, by, 1)
}

// wantClaims claims everything and checks the number of requests and the number of messages.
func wantClaims(t *testing.T, by registered, want int) (messages []storage.Message) {
	t.Helper()
	requests, err := by.ClaimCodeRequests(t.Context(), noon, noon.Add(30*time.Second), 10)
	if err == nil {
		messages, err = by.ClaimMessages(t.Context(), noon, noon.Add(30*time.Second), 10)
	}
	if err != nil || len(requests) != want || len(messages) != want {
		t.Fatalf("claimed %d requests and %d messages, %v; want %d of each", len(requests), len(messages), err, want)
	}
	return messages
}

// TestLeasesEndWithTheirServer tests that another server takes over what a killed or frozen
// server has claimed. If the frozen one continues, it cannot complete what the other has
// claimed.
func TestLeasesEndWithTheirServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx, now := t.Context(), time.Now()
		running, frozen := register(t, url, issuerOne), register(t, url, issuerOne)
		claimed(t, frozen, "1")
		woken := 0
		running.OnWork(func() { woken++ })
		for range 4 {
			if err := running.Look(ctx, now); err != nil {
				t.Fatal(err)
			}
			wantClaims(t, running, 0)
			now = now.Add(time.Second)
		}
		if err := running.Look(ctx, now); err != nil {
			t.Fatal(err)
		}
		if woken != 1 {
			t.Errorf("the workers were woken %d times, want once", woken)
		}
		messages := wantClaims(t, running, 1)
		finish := func(by registered, number int) error {
			return by.FinishAttempt(ctx, storage.Attempt{MessageID: messages[0].ID, Number: number, State: storage.MessageDelivered, BeganAt: noon, Now: noon})
		}
		if err := errors.Join(frozen.Beat(ctx), running.Look(ctx, now.Add(time.Second))); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"extends the lease":    frozen.ExtendLease(ctx, messages[0].ID, 1, noon.Add(time.Hour)),
			"finishes the attempt": finish(frozen, 1),
		} {
			if !errors.Is(err, storage.ErrStale) {
				t.Errorf("the late server %s: got %v, want storage.ErrStale", what, err)
			}
		}
		issue := func(by registered) error {
			_, err := by.IssueCodes(ctx, storage.Issuance{RequestID: "r1", Now: noon})
			return err
		}
		if err := errors.Join(finish(running, 2), issue(running)); err != nil {
			t.Errorf("the new owner: got %v, want no error", err)
		}
		if err := issue(frozen); !errors.Is(err, storage.ErrStale) {
			t.Errorf("the late server resolves the request: got %v, want storage.ErrStale", err)
		}
	})
}

// TestStoppedServerLeavesNoLease tests that the claims of a server end when it stops.
func TestStoppedServerLeavesNoLease(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		running, stopped := register(t, url, issuerOne), register(t, url, issuerOne)
		claimed(t, stopped, "1")
		if err := stopped.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantClaims(t, running, 1)
	})
}

// TestRestartTakesLeasesOver tests when a server takes over the leases of its predecessor. On
// SQLite it knows at its start whether another server runs, so it does not wait. On PostgreSQL
// it knows some seconds later.
func TestRestartTakesLeasesOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		killed := register(t, url, issuerOne)
		claimed(t, killed, "1")
		beside := register(t, url, issuerOne)
		wantClaims(t, beside, 0) // the first server runs
		if err := beside.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		killed.Kill()
		if killed.Dialect() == "sqlite" {
			wantClaims(t, register(t, url, "https://two.example"), 1)
			return
		}
		ctx, now := t.Context(), time.Now()
		restarted := register(t, url, issuerOne)
		for range 5 {
			if err := restarted.Look(ctx, now); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
		}
		wantClaims(t, restarted, 1)
	})
}

// TestPostponedRequestHasNoOwner tests that a request that waits for its budget continues to
// wait when the server that postponed it stops.
func TestPostponedRequestHasNoOwner(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx := t.Context()
		running, stopped := register(t, url, issuerOne), register(t, url, issuerOne)
		charge := storage.Charge{Budget: "login", Key: "k", Gap: time.Minute, Burst: 1}
		err := running.Charge(ctx, noon, charge)
		if err == nil {
			err = running.AddCodeRequest(ctx, storage.CodeRequest{ID: "r", CreatedAt: noon, ExpiresAt: noon.Add(time.Hour)})
		}
		if err != nil {
			t.Fatal(err)
		}
		claim := func(by registered, now time.Time) int {
			requests, err := by.ClaimCodeRequests(ctx, now, now.Add(30*time.Second), 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(requests)
		}
		if claim(stopped, noon) != 1 {
			t.Fatal("no request was claimed")
		}
		result, err := stopped.IssueCodes(ctx, storage.Issuance{
			RequestID: "r", Now: noon, ChargedAt: noon, Postpone: true, Charges: map[string][]storage.Charge{"l": {charge}},
		})
		if err == nil {
			err = stopped.End(context.Background())
		}
		if err != nil || len(result.Limited) != 1 {
			t.Fatalf("got result %v, error %v", result, err)
		}
		if n := claim(running, noon); n != 0 {
			t.Error("the request no longer waits for its budget")
		}
		if n := claim(running, noon.Add(2*time.Minute)); n != 1 {
			t.Error("the request is not claimed although its budget allows it")
		}
	})
}

// TestTasksOfKilledServers tests that a task belongs to one server while the server is listed,
// and then to the next server that claims it.
func TestTasksOfKilledServers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx, now := t.Context(), time.Now()
		killed, other := register(t, url, issuerOne), register(t, url, issuerOne)
		if err := killed.AddTask(ctx, storage.Task{ID: "t", Kind: storage.TaskAuditVerification, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}, 1); err != nil {
			t.Fatal(err)
		}
		state := func(want storage.TaskState) {
			t.Helper()
			if got, err := other.Task(ctx, storage.TaskAuditVerification, "", "t"); err != nil || got.State != want {
				t.Errorf("state %s, %v, want %s", got.State, err, want)
			}
		}
		state(storage.TaskWaiting)
		var claims sync.WaitGroup
		var taken atomic.Int32
		for range 8 {
			claims.Go(func() {
				if _, err := killed.ClaimTask(ctx); err == nil {
					taken.Add(1)
				}
			})
		}
		claims.Wait()
		if taken.Load() != 1 {
			t.Errorf("got %d claims, want 1", taken.Load())
		}
		state(storage.TaskRunning)
		if _, err := other.ClaimTask(ctx); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("a claim from a running server: got %v, want ErrNotFound", err)
		}
		for range 5 {
			if err := errors.Join(other.Beat(ctx), other.Look(ctx, now)); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
		}
		state(storage.TaskWaiting)
		if _, err := other.ClaimTask(ctx); err != nil {
			t.Fatal(err)
		}
		state(storage.TaskRunning)
		if err := killed.AdvanceTask(ctx, "t", 1, 2); !errors.Is(err, storage.ErrStale) {
			t.Errorf("the first server advances the task: got %v, want ErrStale", err)
		}
		if err := killed.FinishTask(ctx, storage.Task{ID: "t", State: storage.TaskDone, EndedAt: now}); !errors.Is(err, storage.ErrStale) {
			t.Errorf("the first server ends the task: got %v, want ErrStale", err)
		}
		if err := other.FinishTask(ctx, storage.Task{ID: "t", State: storage.TaskDone, EndedAt: now}); err != nil {
			t.Error(err)
		}
		state(storage.TaskDone)
	})
}

// TestUnawareServersAreCounted checks that a server that does not watch for changes says so with
// each sign of life.
func TestUnawareServersAreCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		ctx, stop := context.WithCancel(t.Context())
		s := open(t, gormstore.Config{URL: url})
		r, err := s.RegisterServer(ctx, "https://a.example", func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.End(context.Background()) })
		ended := make(chan error, 2)
		go func() { ended <- r.Keep(ctx) }()
		counts := func(want storage.RunningServers) {
			t.Helper()
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				got, err := s.RunningServers(ctx)
				if err == nil && got == want {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("got %+v %v, want %+v", got, err, want)
				}
			}
		}
		counts(storage.RunningServers{All: 1, Unaware: 1})
		go func() { ended <- s.Run(ctx) }()
		counts(storage.RunningServers{All: 1})
		stop()
		<-ended
		<-ended
	})
}
