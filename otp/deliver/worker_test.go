package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

func TestNewRefusesMissingFields(t *testing.T) {
	t.Parallel()
	if w, err := deliver.New(deliver.Config{}); err == nil || w != nil {
		t.Errorf("New of an empty Config: got %v, error %v; want an error", w, err)
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		w, stop := f.start(t, 0)
		time.Sleep(300 * time.Millisecond) // between two polls
		began := time.Now()
		f.put(t, "m1", time.Minute)
		queued := f.message("m1")
		w.Wake()
		synctest.Wait()
		if !time.Now().Equal(began) {
			t.Error("the worker did not start at once")
		}
		stop()
		queued.Attempts = 1
		want := deliver.Envelope{
			Message: queued, Username: "bob", Code: "CODE-m1", ClientID: "shop", UserUID: "usr_bob",
			ExpiresAt: queued.ExpiresAt,
		}
		if diff := cmp.Diff([]deliver.Envelope{want}, f.receiver.got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		m := f.message("m1")
		if m.State != storage.MessageDelivered || m.Payload.Data != nil || !m.EndedAt.Equal(began) {
			t.Errorf("got the message %+v, want it delivered", m)
		}
		event := storage.AuditEvent{
			Time: began.UTC(), Action: "message.delivered", Outcome: "success", ClientID: "shop", UserUID: "usr_bob",
			Username: "bob", Factor: "otp", TraceID: "t1",
		}
		if diff := cmp.Diff([]storage.AuditEvent{event}, f.recorder.events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// TestRetriesUntilTheCodeExpires tests that the delays double up to a minute, with a jitter of
// 20 %, and that nothing is sent after the code has expired.
func TestRetriesUntilTheCodeExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.random = rand.NewChaCha8([32]byte{1}) // the same jitter in each run
		f.receiver.answer = func(context.Context, deliver.Envelope) error { return deliver.Reason("no room") }
		f.put(t, "m1", 10*time.Minute)
		_, stop := f.start(t, 0)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		stop()
		at := f.receiver.at
		for i := range len(at) - 1 {
			want := min(time.Second<<i, time.Minute)
			delay := at[i+1].Sub(at[i])
			if at[i+1].After(f.message("m1").ExpiresAt.Add(-4 * time.Second)) {
				break // the last attempts are made shortly before the code expires
			}
			if delay < want*4/5 || delay > want*6/5+time.Second { // a poll may come a second late
				t.Errorf("delay %d: got %v, want about %v", i+1, delay, want)
			}
		}
		m := f.message("m1")
		if left := m.ExpiresAt.Sub(at[len(at)-1]); len(at) < 12 || left <= 0 || left > 2*time.Second {
			t.Errorf("got %d attempts, the last at %v; the code expired at %v", len(at), at[len(at)-1], m.ExpiresAt)
		}
		if m.State != storage.MessageExpired || m.Payload.Data != nil || m.LastError != "no room" {
			t.Errorf("got the message %+v, want it expired", m)
		}
		if diff := cmp.Diff([]string{"message.delayed no room bob", "message.expired no room bob"}, f.recorder.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if n := strings.Count(f.log.String(), `"warn"`); n != 2 {
			t.Errorf("got %d warnings, want one for the first failure and one for the end:\n%s", n, f.log)
		}
	})
}

// TestLastAttemptIsMadeNearTheEnd tests that the last attempt is made shortly before the code
// expires, even if the next delay would be longer.
func TestLastAttemptIsMadeNearTheEnd(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{30 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			back := time.Now().Add(life - 5*time.Second)
			f.receiver.answer = func(context.Context, deliver.Envelope) error {
				if time.Now().Before(back) {
					return deliver.Reason("down")
				}
				return nil
			}
			f.put(t, "m1", life)
			_, stop := f.start(t, 0)
			time.Sleep(life + time.Second)
			synctest.Wait()
			stop()
			if m := f.message("m1"); m.State != storage.MessageDelivered {
				t.Errorf("receiver available 5s before the end of %v: got %+v, want it delivered", life, m)
			}
		})
	}
}

// TestHungAttemptIsNotTheLast tests that a message whose attempt timed out shortly before the
// code expires is sent again in the remaining time.
func TestHungAttemptIsNotTheLast(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{30 * time.Second, time.Minute, 10 * time.Minute} {
		for hang := 2 * time.Second; hang < 12*time.Second; hang += time.Second {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				back := time.Now().Add(life - 5*time.Second)
				f.receiver.answer = func(context.Context, deliver.Envelope) error {
					if time.Now().Before(back) {
						time.Sleep(hang)
						return deliver.Reason("no answer")
					}
					return nil
				}
				f.put(t, "m1", life)
				_, stop := f.start(t, 0)
				time.Sleep(life + time.Second)
				synctest.Wait()
				stop()
				// The attempt that the outage interrupted may take all the remaining time.
				if m := f.message("m1"); m.State != storage.MessageDelivered && f.receiver.at[len(f.receiver.at)-1].Add(hang+2*time.Second).Before(m.ExpiresAt) {
					t.Errorf("life %v, attempts hang for %v: got %d attempts, %+v", life, hang, f.receiver.count(), m)
				}
			})
		}
	}
}

// TestRetryAfter tests that the worker waits as long as the receiver asks, and that it makes
// the last attempt in any case.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ wait, want time.Duration }{
		{20 * time.Second, 20 * time.Second},
		{time.Millisecond, time.Second},          // less than the worker's own delay
		{time.Hour, time.Minute - 3*time.Second}, // longer than the code lives
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.receiver.answer = func(context.Context, deliver.Envelope) error {
				if f.receiver.count() == 1 {
					return fmt.Errorf("wrapped: %w", deliver.RetryAfter(deliver.Reason("busy"), test.wait))
				}
				return nil
			}
			f.put(t, "m1", time.Minute)
			_, stop := f.start(t, 0)
			time.Sleep(time.Minute)
			synctest.Wait()
			stop()
			if f.receiver.count() != 2 {
				t.Fatalf("wait %v: got %d attempts, want 2", test.wait, f.receiver.count())
			}
			delay := f.receiver.at[1].Sub(f.receiver.at[0])
			if delay < test.want*4/5 || delay > test.want*6/5+time.Second || test.wait == 20*time.Second && delay < test.wait {
				t.Errorf("want a wait of %v, got %v", test.wait, delay)
			}
		})
	}
}

func TestRetryTimesEndsTheMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(context.Context, deliver.Envelope) error {
			return deliver.RetryTimes(deliver.Reason("not found"), 3)
		}
		f.put(t, "m1", 10*time.Minute)
		_, stop := f.start(t, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDead || f.receiver.count() != 3 {
			t.Errorf("got %d attempts, message %+v; want 3 and dead", f.receiver.count(), m)
		}
	})
}

// TestLongestDelayGrowsWithTheLifetime tests that messages with a long lifetime are retried
// less often.
func TestLongestDelayGrowsWithTheLifetime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ lifetime, longest time.Duration }{
		{10 * time.Minute, time.Minute},
		{2 * time.Hour, 5 * time.Minute},
		{7 * 24 * time.Hour, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture()
			f.receiver.answer = func(context.Context, deliver.Envelope) error { return deliver.Reason("no room") }
			f.put(t, "m1", test.lifetime)
			_, stop := f.start(t, 0)
			time.Sleep(min(test.lifetime, 5*time.Hour)) // idle polls cost real time
			synctest.Wait()
			stop()
			most := time.Duration(0)
			for i := range len(f.receiver.at) - 1 {
				most = max(most, f.receiver.at[i+1].Sub(f.receiver.at[i]))
			}
			if most < test.longest*4/5 || most > test.longest*6/5+time.Second {
				t.Errorf("lifetime of %v: got a longest delay of %v, want about %v", test.lifetime, most, test.longest)
			}
		})
	}
}

// TestEnvelopeOfAnotherType tests that the envelope has the whole payload, and that the event
// of a message that is not a one-time password has no factor.
func TestEnvelopeOfAnotherType(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		now := time.Now().UTC()
		payload := otp.Payload{
			Username: "bob", Code: "CODE", ClientID: "shop", UserUID: "usr_bob", ExpiresAt: now.Add(time.Hour), RequestedAt: now,
			Purpose: storage.PurposeResetPassword, URL: "https://x.example", RealmID: "r", ProfileID: "p", LoginID: "lgn_bob",
		}
		sealed, err := payload.Seal(fakeSealer{}, "m1")
		if err != nil {
			t.Fatal(err)
		}
		f.put(t, "m1", time.Hour)
		f.messages[0].Payload, f.messages[0].Type = sealed, storage.MessageForgottenPassword
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		want := deliver.Envelope{
			Message: f.receiver.got[0].Message, Username: "bob", Code: "CODE", ClientID: "shop", UserUID: "usr_bob",
			ExpiresAt: now.Add(time.Hour), RequestedAt: now, Purpose: storage.PurposeResetPassword,
			URL: "https://x.example", RealmID: "r", ProfileID: "p", LoginID: "lgn_bob",
		}
		if diff := cmp.Diff([]deliver.Envelope{want}, f.receiver.got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		if len(f.recorder.events) != 1 || f.recorder.events[0].Factor != "" {
			t.Errorf("got the events %+v, want one without a factor", f.recorder.events)
		}
	})
}

func TestReceiverBackAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		back := time.Now().Add(3 * time.Minute)
		f.receiver.answer = func(context.Context, deliver.Envelope) error {
			if time.Now().Before(back) {
				return deliver.Reason("down")
			}
			return nil
		}
		f.put(t, "m1", 10*time.Minute)
		_, stop := f.start(t, 0)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDelivered || m.LastError != "" {
			t.Errorf("got the message %+v, want it delivered", m)
		}
		if diff := cmp.Diff([]string{"message.delayed down bob", "message.delivered success bob"}, f.recorder.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestPermanentFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		arrange func(*fixture)
		tries   int
		reason  string
	}{
		{"permanent error of the transport", func(f *fixture) {
			f.receiver.answer = func(context.Context, deliver.Envelope) error {
				return fmt.Errorf("wrapped: %w", deliver.Permanent(deliver.Reason("no such address")))
			}
		}, 1, "no such address"},
		{"sender deleted", func(f *fixture) { f.senders = nil }, 0, "the message sender does not exist any more"},
		{"sender disabled", func(f *fixture) { f.senders["mail"] = storage.Sender{Kind: storage.WebhookSender} }, 0, "the message sender is disabled"},
		{"no transport for the kind", func(f *fixture) { f.senders["mail"] = storage.Sender{Kind: "unknown", Active: true} }, 0, `no transport for senders of kind "unknown"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				test.arrange(f)
				f.put(t, "m1", time.Minute)
				_, stop := f.start(t, 0)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				stop()
				m := f.message("m1")
				if m.State != storage.MessageDead || m.LastError != test.reason || m.Payload.Data != nil || f.receiver.count() != test.tries {
					t.Errorf("got %d attempts, message %+v", f.receiver.count(), m)
				}
				if len(f.recorder.events) != 1 || f.recorder.events[0].Action != "message.failed" || f.recorder.events[0].Outcome != test.reason {
					t.Errorf("got the events %v", f.recorder.lines())
				}
			})
		})
	}
}

// TestUnknownKeyIsRetried tests that a payload under a key that this replica does not know yet
// is retried.
func TestUnknownKeyIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.put(t, "m1", time.Minute)
		f.messages[0].Payload.KeyID = "unknown"
		_, stop := f.start(t, 0)
		synctest.Wait()
		f.change(func(s *fakeStore) { s.messages[0].Payload.KeyID = "message:m1" })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDelivered || m.Attempts != 2 {
			t.Errorf("got the message %+v, want it delivered by the second attempt", m)
		}
	})
}

// TestAttemptEndsWithTheCode tests that an attempt ends when the code expires.
func TestAttemptEndsWithTheCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error { <-ctx.Done(); return ctx.Err() }
		f.put(t, "m1", 2*time.Second)
		began := time.Now()
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageExpired || !m.EndedAt.Equal(began.Add(2*time.Second)) {
			t.Errorf("got the message %+v, want it expired after 2s", m)
		}
	})
}

// TestExpiredCodeIsNotSent tests that nothing is sent if the code expires while the database
// reads the sender.
func TestExpiredCodeIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.put(t, "m1", 2*time.Second)
		slow := &slowStore{fakeStore: f.fakeStore, delay: 2 * time.Second}
		w, err := deliver.New(deliver.Config{
			Store: slow, Sealer: fakeSealer{}, Rand: strings.NewReader(""),
			Transports: map[storage.SenderKind]deliver.Transport{storage.WebhookSender: f.receiver},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		returned := make(chan error)
		go func() { returned <- w.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-returned
		if m := f.message("m1"); m.State != storage.MessageExpired || m.LastError != "code expired" || f.receiver.count() != 0 {
			t.Errorf("got %d attempts, message %+v; want none and expired", f.receiver.count(), m)
		}
	})
}

// slowStore is a fakeStore that reads senders slowly.
type slowStore struct {
	*fakeStore
	delay time.Duration
}

func (s *slowStore) Sender(ctx context.Context, id string) (storage.Sender, error) {
	time.Sleep(s.delay)
	return s.fakeStore.Sender(ctx, id)
}

// TestMessagesExpireWithoutAWorker tests that messages that expired while no worker was running
// are ended and recorded.
func TestMessagesExpireWithoutAWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		for i := range 3 {
			f.put(t, fmt.Sprint("m", i), time.Second)
		}
		time.Sleep(time.Minute)
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageExpired || f.receiver.count() != 0 {
			t.Errorf("got %d attempts, message %+v; want none and expired", f.receiver.count(), m)
		}
		if diff := cmp.Diff(slices.Repeat([]string{"message.expired unsent in time"}, 3), f.recorder.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestStopWaitsForAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			time.Sleep(5 * time.Second)
			return ctx.Err()
		}
		f.put(t, "m1", time.Minute)
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		if m := f.message("m1"); m.State != storage.MessageDelivered {
			t.Errorf("got the message %+v, want it delivered", m)
		}
	})
}

// TestCodeIsNotStoredOrLogged tests that the code is not stored, logged or recorded, even if
// the error of the transport contains it.
func TestCodeIsNotStoredOrLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.receiver.answer = func(_ context.Context, e deliver.Envelope) error {
			return fmt.Errorf("garbage: \x00\xff%s %s", strings.Repeat(".", 283), e.Code)
		}
		f.put(t, "m1", time.Second)
		f.put(t, "m2", time.Minute)
		_, stop := f.start(t, 0)
		synctest.Wait()
		stop()
		if text := f.visibleText(t); strings.Contains(text, "CODE-") || !strings.Contains(text, "garbage") {
			t.Errorf("got the code, or no error, in: %s", text)
		}
		if text := f.message("m2").LastError; len(text) > 300 || strings.ContainsAny(text, "\x00\xff") {
			t.Errorf("got the stored error %q, want at most 300 printable bytes", text)
		}
	})
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	if err := deliver.Permanent(nil); err != nil {
		t.Errorf("Permanent(nil): got %v, want nil", err)
	}
	cause := errors.New("cause")
	err := fmt.Errorf("wrapped: %w", deliver.Permanent(cause))
	if !deliver.IsPermanent(err) || !errors.Is(err, cause) || deliver.IsPermanent(cause) || deliver.IsPermanent(nil) {
		t.Errorf("%v: got permanent %v", err, deliver.IsPermanent(err))
	}
}
