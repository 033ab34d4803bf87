package poll_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

// queue is a queue of numbers that records claims and work.
type queue struct {
	mu      sync.Mutex
	began   time.Time
	waiting []int
	err     error           // error of claims
	claims  []time.Duration // times of claims, since began
	worked  []int
	most    int // most items in progress at a time
	busy    int // items in progress now
	work    func(context.Context, int) error
	freed   func(int) bool // optional
}

func newQueue(items ...int) *queue {
	return &queue{began: time.Now(), waiting: items, work: func(context.Context, int) error { return nil }}
}

func (q *queue) claim(_ context.Context, limit int) ([]int, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claims = append(q.claims, time.Since(q.began))
	if q.err != nil {
		return nil, false, q.err
	}
	n := min(limit, len(q.waiting))
	claimed := q.waiting[:n]
	q.waiting = q.waiting[n:]
	return claimed, n == limit, nil
}

func (q *queue) do(ctx context.Context, item int) error {
	q.mu.Lock()
	q.busy++
	q.most = max(q.most, q.busy)
	q.mu.Unlock()
	err := q.work(ctx, item)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.worked = append(q.worked, item)
	return err
}

func (q *queue) done() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.worked)
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = err
}

// start runs a loop over q. stop ends it and waits until Run has returned.
func start(t *testing.T, q *queue, concurrency int, log *bytes.Buffer) (loop *poll.Loop[int], stop func()) {
	t.Helper()
	loop = poll.New(poll.Config[int]{
		Name: "numbers", Claim: q.claim, Work: q.do, Freed: q.freed,
		WorkLimit: time.Minute, Concurrency: concurrency, Logger: zerolog.New(zerolog.SyncWriter(log)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() {
		loop.Run(ctx)
		close(returned)
	}()
	return loop, func() { cancel(); <-returned }
}

func TestClaimTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		loop, stop := start(t, q, 4, &bytes.Buffer{})
		time.Sleep(1500 * time.Millisecond)
		loop.Wake()
		time.Sleep(2 * time.Second)
		stop()
		want := []time.Duration{0, time.Second, 1500 * time.Millisecond, 2500 * time.Millisecond}
		if diff := cmp.Diff(want, q.claims[:len(want)]); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	})
}

func TestConcurrencyAndFullBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 2, 3, 4, 5, 6, 7, 8, 9)
		q.work = func(context.Context, int) error { time.Sleep(100 * time.Millisecond); return nil }
		_, stop := start(t, q, 3, &bytes.Buffer{})
		time.Sleep(350 * time.Millisecond)
		stop()
		if q.most != 3 || len(q.worked) != 9 {
			t.Errorf("got %d at a time, %d done within 350 ms; want 3 and 9", q.most, len(q.worked))
		}
	})
}

func TestSlowItemsDelayNoOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(0, 1, 2, 3, 4, 5)
		q.work = func(ctx context.Context, item int) error {
			if item < 2 {
				<-ctx.Done() // hang for the whole time limit
			}
			return nil
		}
		_, stop := start(t, q, 3, &bytes.Buffer{})
		synctest.Wait()
		if n := q.done(); n != 4 {
			t.Errorf("got %d done while two hang, want 4", n)
		}
		stop()
		if len(q.worked) != 6 {
			t.Errorf("got %d done after the limit, want 6", len(q.worked))
		}
	})
}

func TestBacksOffWhileClaimsFailAndLogsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := newQueue()
		q.fail(errors.New("gone"))
		loop, stop := start(t, q, 1, &log)
		synctest.Wait()
		loop.Wake() // this must not shorten the pause
		time.Sleep(31 * time.Second)
		q.fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		seconds := []int{0, 2, 6, 14, 22, 30, 38, 38, 39, 40} // at 38 the pending wake takes effect
		var want []time.Duration
		for _, s := range seconds {
			want = append(want, time.Duration(s)*time.Second)
		}
		if diff := cmp.Diff(want, q.claims[:len(want)]); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		failed, again := strings.Count(log.String(), "fails"), strings.Count(log.String(), "succeeds again")
		if failed != 1 || again != 1 {
			t.Errorf("got %d logged failures and %d recoveries, want one each:\n%s", failed, again, log.String())
		}
	})
}

func TestWorkThatFailsIsLoggedOnceAndDoesNotStopTheLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := newQueue(1, 2, 3, 4)
		q.work = func(context.Context, int) error { return errors.New("broken") }
		_, stop := start(t, q, 1, &log)
		synctest.Wait()
		stop()
		if len(q.worked) != 4 || strings.Count(log.String(), "broken") != 1 {
			t.Errorf("worked on %v, want 4 items and one log line; log:\n%s", q.worked, log.String())
		}
	})
}

func TestStopFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 2, 3)
		q.work = func(ctx context.Context, _ int) error { time.Sleep(5 * time.Second); return ctx.Err() }
		var log bytes.Buffer
		_, stop := start(t, q, 2, &log)
		synctest.Wait()
		stop()
		if len(q.worked) != 2 || len(q.waiting) != 1 || log.Len() > 0 {
			t.Errorf("worked on %v, left %v, log %q; want two done, one left and an empty log", q.worked, q.waiting, log.String())
		}
	})
}

// TestStopKeepsTheItemsOfAClaim tests that a claim that runs when the loop stops still counts,
// because it may have leased items. A claim that hangs delays the stop by at most two seconds.
func TestStopKeepsTheItemsOfAClaim(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ takes, stopped time.Duration }{
		"an answer on its way": {time.Second, time.Second},
		"no answer":            {time.Hour, 2 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(1, 2)
				worked := 0
				loop := poll.New(poll.Config[int]{
					Name: "numbers", Work: func(context.Context, int) error { worked++; return nil },
					WorkLimit: time.Minute, Concurrency: 1, Logger: zerolog.Nop(),
					Claim: func(ctx context.Context, limit int) ([]int, bool, error) {
						items, more, err := q.claim(ctx, limit) // the database has committed
						select {
						case <-ctx.Done():
							return nil, false, ctx.Err()
						case <-time.After(test.takes):
							return items, more, err
						}
					},
				})
				ctx, stop := context.WithCancel(t.Context())
				returned := make(chan struct{})
				go func() { loop.Run(ctx); close(returned) }()
				synctest.Wait()
				began := time.Now()
				stop()
				<-returned
				claimed := 2 - len(q.waiting)
				if test.takes == test.stopped && worked != claimed || claimed != 1 {
					t.Errorf("got %d claimed items and work on %d", claimed, worked)
				}
				if time.Since(began) != test.stopped {
					t.Errorf("the stop took %v, want %v", time.Since(began), test.stopped)
				}
			})
		})
	}
}

// TestResumeCutsTheLongPause tests that Resume makes the loop claim at once after failed
// claims. Callers use it when the database has answered them.
func TestResumeCutsTheLongPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.fail(errors.New("gone"))
		loop, stop := start(t, q, 1, &bytes.Buffer{})
		time.Sleep(15 * time.Second) // the next claim is due at 22s
		q.fail(nil)
		loop.Resume()
		synctest.Wait()
		time.Sleep(1500 * time.Millisecond)
		stop()
		want := []time.Duration{0, 2 * time.Second, 6 * time.Second, 14 * time.Second, 15 * time.Second, 16 * time.Second}
		if diff := cmp.Diff(want, q.claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	})
}

func TestFreedItemsMakeRoomForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.work = func(context.Context, int) error { time.Sleep(100 * time.Millisecond); return nil }
		q.freed = func(item int) bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			if item == 1 {
				q.waiting = []int{2}
			}
			return item == 1
		}
		q.waiting = []int{1}
		_, stop := start(t, q, 4, &bytes.Buffer{})
		time.Sleep(250 * time.Millisecond)
		stop()
		want := []time.Duration{0, 100 * time.Millisecond}
		if diff := cmp.Diff(want, q.claims); diff != "" || len(q.worked) != 2 {
			t.Errorf("worked on %v; claims (-want +got):\n%s", q.worked, diff)
		}
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	away := fmt.Errorf("no route: %w", storage.ErrUnavailable)
	tests := []struct {
		name    string
		answers []error
		want    error
		took    time.Duration
	}{
		{"success", []error{nil}, nil, 0},
		{"another error", []error{storage.ErrStale}, storage.ErrStale, 0},
		{"comes back", []error{away, away, nil}, nil, 300 * time.Millisecond},
		{"comes back with another error", []error{away, storage.ErrStale}, storage.ErrStale, 100 * time.Millisecond},
		{"stays away", []error{away}, storage.ErrUnavailable, 10 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				began, calls := time.Now(), 0
				err := poll.Retry(ctx, func(context.Context) error {
					answer := test.answers[min(calls, len(test.answers)-1)]
					calls++
					return answer
				})
				if !errors.Is(err, test.want) || time.Since(began) != test.took {
					t.Errorf("got %v after %v, want %v after %v", err, time.Since(began), test.want, test.took)
				}
			})
		})
	}
}

// TestReserve tests that an item that the caller has leased is worked on without a claim, if
// the loop has a free place and no item waits.
func TestReserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		release := make(chan struct{})
		q.work = func(_ context.Context, item int) error {
			if item < 10 {
				<-release
			}
			return nil
		}
		admitted := true
		var freed []int
		l := poll.New(poll.Config[int]{
			Name: "test", Claim: q.claim, Work: q.do, WorkLimit: time.Minute, Concurrency: 2, Logger: zerolog.Nop(),
			Admit: func(key string) bool { return admitted && key == "key" },
			Freed: func(item int) bool { freed = append(freed, item); return false },
		})
		if _, ok := l.Reserve("key"); ok {
			t.Error("got a place in a loop that does not run")
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); l.Run(ctx) }()
		synctest.Wait()
		claims := len(q.claims)
		if _, ok := l.Reserve("other"); ok {
			t.Error("got a place for an item that is not admitted")
		}
		first, ok := l.Reserve("key")
		if !ok {
			t.Fatal("got no place in an idle loop")
		}
		first(1, true)
		synctest.Wait()
		second, ok := l.Reserve("key")
		if !ok {
			t.Fatal("got no place for a second item")
		}
		if _, ok := l.Reserve("key"); ok {
			t.Error("got a place for a third item")
		}
		second(2, false) // the item was not stored: no work, and the place is free again
		synctest.Wait()
		third, ok := l.Reserve("key")
		if !ok {
			t.Fatal("got no place after an item that was not stored")
		}
		stop()
		third(10, true) // a loop that stops waits for this item
		close(release)
		<-ended
		if got := fmt.Sprint(q.worked, freed, len(q.claims)-claims); !strings.HasSuffix(got, " 0") || len(q.worked) != 2 || len(freed) != 1 {
			t.Errorf("got worked, freed and claims: %s", got)
		}
	})
}
