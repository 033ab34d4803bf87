package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// TestLostLeaseIsTakenOver tests that another worker delivers the message of a process that
// died, and that the dead process cannot store an outcome afterwards.
func TestLostLeaseIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.put(t, "m1", time.Minute)
		now := time.Now()
		dead, err := f.ClaimMessages(t.Context(), now, now.Add(30*time.Second), 1)
		if err != nil || len(dead) != 1 {
			t.Fatal(dead, err)
		}
		_, stop := f.start(t, 0)
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if f.receiver.count() != 0 {
			t.Error("the message was sent while another worker had the lease")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDelivered || m.Attempts != 2 {
			t.Errorf("got the message %+v, want it delivered by the second attempt", m)
		}
		late := storage.Attempt{MessageID: "m1", Number: dead[0].Attempts, State: storage.MessageDead}
		if err := f.FinishAttempt(t.Context(), late); !errors.Is(err, storage.ErrStale) {
			t.Errorf("FinishAttempt after the lease was lost: got %v, want storage.ErrStale", err)
		}
	})
}

// TestSlowAttemptKeepsItsLease tests that two workers deliver one copy if an attempt takes
// longer than a lease.
func TestSlowAttemptKeepsItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			select {
			case <-time.After(70 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f.put(t, "m1", 10*time.Minute)
		_, stopOne := f.start(t, 0)
		_, stopOther := f.start(t, 0)
		time.Sleep(80 * time.Second)
		synctest.Wait()
		stopOne()
		stopOther()
		if m := f.message("m1"); m.State != storage.MessageDelivered || f.receiver.count() != 1 {
			t.Errorf("got %d attempts, message %+v; want one and delivered", f.receiver.count(), m)
		}
	})
}

// TestAttemptEndsWithItsLease tests that an attempt ends if another worker has claimed its
// message.
func TestAttemptEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			f.change(func(s *fakeStore) { s.messages[0].Attempts++ })
			<-ctx.Done()
			return ctx.Err()
		}
		f.put(t, "m1", 10*time.Minute)
		began := time.Now()
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("the attempt took %v, want at most 11s", took)
		}
	})
}

// TestStopEndsSlowAttempts tests that a worker that stops waits 15 seconds for a slow attempt,
// and that the message is queued again.
func TestStopEndsSlowAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			<-ctx.Done()
			return ctx.Err()
		}
		f.put(t, "m1", 10*time.Minute)
		_, stop := f.start(t, 0)
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took != 15*time.Second {
			t.Errorf("the stop took %v, want 15s", took)
		}
		if m := f.message("m1"); m.State != storage.MessageQueued || !f.find("m1").leaseUntil.IsZero() {
			t.Errorf("got the message %+v, want it queued without a lease", m)
		}
	})
}

// TestStaleSettlementIsSilent tests that a worker whose lease is lost during an attempt records
// and logs nothing.
func TestStaleSettlementIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(context.Context, deliver.Envelope) error {
			f.change(func(s *fakeStore) { s.messages[0].Attempts++ })
			return nil
		}
		f.put(t, "m1", time.Minute)
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		if f.staleAttempts != 1 || len(f.recorder.events) != 0 || f.log.Len() != 0 {
			t.Errorf("got %d stale attempts, events %v, log %q; want 1 and nothing else", f.staleAttempts, f.recorder.lines(), f.log)
		}
	})
}

// TestOutcomeIsStoredAfterAnOutage tests that the outcome of an attempt is stored when the
// database is available again, and that the receiver gets no second copy.
func TestOutcomeIsStoredAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.put(t, "m1", time.Minute)
		f.finishUnavailable = true
		_, stop := f.start(t, 0)
		time.Sleep(10 * time.Second)
		f.change(func(s *fakeStore) { s.finishUnavailable = false })
		time.Sleep(40 * time.Second)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDelivered || f.receiver.count() != 1 {
			t.Errorf("got %d copies, message %+v; want one and delivered", f.receiver.count(), m)
		}
	})
}

func TestOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.put(t, "m1", 5*time.Minute)
		f.unavailable = true
		_, stop := f.start(t, 0)
		time.Sleep(time.Minute)
		f.change(func(s *fakeStore) { s.unavailable = false })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDelivered {
			t.Errorf("got the message %+v, want it delivered", m)
		}
		if n := strings.Count(f.log.String(), "claiming fails"); n != 1 {
			t.Errorf("got %d log lines about the outage, want 1:\n%s", n, f.log)
		}
	})
}

func TestTwoWorkersDeliverOneCopyEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		for i := range 200 {
			f.put(t, fmt.Sprint("m", i), time.Minute)
		}
		_, stop1 := f.start(t, 8)
		_, stop2 := f.start(t, 8)
		synctest.Wait()
		stop1()
		stop2()
		copies := map[string]int{}
		for _, e := range f.receiver.got {
			copies[e.Message.ID]++
		}
		if len(copies) != 200 || len(f.receiver.got) != 200 {
			t.Errorf("got %d messages in %d copies, want 200 in 200", len(copies), len(f.receiver.got))
		}
	})
}
