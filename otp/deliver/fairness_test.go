package deliver_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// hang adds senders whose IDs begin with prefix and whose receivers never answer. The transport
// ends such an attempt after 15 seconds.
func (f *fixture) hang(prefix string, senders int) {
	for i := range senders {
		id := fmt.Sprint(prefix, i)
		f.senders[id] = storage.Sender{ID: id, Kind: storage.WebhookSender, Active: true}
	}
	f.receiver.answer = func(ctx context.Context, e deliver.Envelope) error {
		if strings.HasPrefix(e.Message.SenderID, prefix) {
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// delivered returns the number of delivered messages of the sender.
func (f *fixture) delivered(sender string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, m := range f.messages {
		if m.SenderID == sender && m.State == storage.MessageDelivered {
			n++
		}
	}
	return n
}

// TestHangingReceiversDelayNobodyElse tests that the messages of one sender are delivered at
// once while the receivers of other senders hang. The other senders have older messages, and
// more of them than the worker has attempts.
func TestHangingReceiversDelayNobodyElse(t *testing.T) {
	t.Parallel()
	for _, hanging := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.hang("slow", hanging)
				for i := range 200 {
					for j := range hanging {
						f.putTo(t, fmt.Sprint("slow", j), fmt.Sprintf("s-%d-%d", i, j), 10*time.Minute)
					}
				}
				w, stop := f.start(t, 128)
				for round := range 40 { // long enough for hanging attempts to end and others to start
					time.Sleep(700 * time.Millisecond)
					for i := range 50 {
						f.put(t, fmt.Sprintf("f-%d-%d", round, i), time.Minute)
					}
					w.Wake()
					synctest.Wait()
					if n := f.delivered("mail"); n != 50*(round+1) {
						t.Errorf("got %d of %d messages at once, in round %d", n, 50*(round+1), round)
					}
				}
				began := time.Now()
				stop()
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("the last attempt ended after %v, want at most 15s", took)
				}
				if m := f.message("s-0-0"); m.LastError != "timed out" || m.State != storage.MessageQueued {
					t.Errorf("got the message %+v, want it queued and timed out", m)
				}
			})
		})
	}
}

// TestSingleSenderIsServedQuickly tests that a single sender uses all attempts of the worker,
// with few claims.
func TestSingleSenderIsServedQuickly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(context.Context, deliver.Envelope) error { time.Sleep(50 * time.Millisecond); return nil }
		for i := range 1000 {
			f.put(t, fmt.Sprint("m", i), time.Minute)
		}
		began := time.Now()
		_, stop := f.start(t, 128)
		for f.delivered("mail") < 1000 {
			time.Sleep(10 * time.Millisecond)
		}
		took := time.Since(began)
		stop()
		if took > 1300*time.Millisecond || f.claims > 150 {
			t.Errorf("took %v and %d claims, want at most 1.3s and 150", took, f.claims)
		}
	})
}

// TestMessagesWaitForHangingAttemptsOnly tests that with as many hanging receivers as attempts,
// other messages wait until those attempts end, and no longer.
func TestMessagesWaitForHangingAttemptsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.hang("slow", 4)
		for i := range 4 {
			f.putTo(t, fmt.Sprint("slow", i), fmt.Sprint("s", i), time.Minute)
		}
		f.put(t, "fast", time.Minute)
		_, stop := f.start(t, 4)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if m := f.message("fast"); m.State != storage.MessageDelivered || m.Attempts != 1 {
			t.Errorf("got the message %+v, want it delivered by the first attempt", m)
		}
		stop()
	})
}

// TestOverflow tests that the worker calls Overflow only if due messages wait.
func TestOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.hang("slow", 1)
		f.putTo(t, "slow0", "s0", time.Minute)
		_, stop := f.start(t, 4)
		synctest.Wait()
		if f.overflows.Load() != 0 {
			t.Error("Overflow was called for one message, want no call")
		}
		for i := range 10 {
			f.putTo(t, "slow0", fmt.Sprint("more", i), time.Minute)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if f.overflows.Load() == 0 {
			t.Error("Overflow was not called for waiting messages")
		}
		stop()
	})
}
