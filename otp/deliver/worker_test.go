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

func TestNewWantsWhatHasNoDefault(t *testing.T) {
	t.Parallel()
	if w, err := deliver.New(deliver.Config{}); err == nil || w != nil {
		t.Errorf("New of nothing = %v, %v", w, err)
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		w, stop := p.start(t, 0)
		time.Sleep(300 * time.Millisecond) // between two polls
		began := time.Now()
		p.put(t, "m1", time.Minute)
		queued := p.message("m1")
		w.Wake()
		synctest.Wait()
		if !time.Now().Equal(began) {
			t.Error("the worker did not wake at once")
		}
		stop()
		queued.Attempts = 1
		want := deliver.Envelope{
			Message: queued, Username: "bob", Code: "CODE-m1", ClientID: "shop", UserUID: "usr_bob",
			ExpiresAt: queued.ExpiresAt,
		}
		if diff := cmp.Diff([]deliver.Envelope{want}, p.receiver.got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		m := p.message("m1")
		if m.State != storage.MessageDelivered || m.Payload.Data != nil || !m.EndedAt.Equal(began) {
			t.Errorf("message %+v", m)
		}
		event := storage.AuditEvent{
			Time: began.UTC(), Action: "message.delivered", Outcome: "success", ClientID: "shop", UserUID: "usr_bob",
			Username: "bob", Factor: "otp", TraceID: "t1",
		}
		if diff := cmp.Diff([]storage.AuditEvent{event}, p.diary.events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// The pauses double up to a minute, give or take a fifth, and nothing is sent
// any more when the code has expired.
func TestTriesUntilTheCodeExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.random = rand.NewChaCha8([32]byte{1}) // always the same jitter
		p.receiver.answer = func(context.Context, deliver.Envelope) error { return deliver.Reason("no room") }
		p.put(t, "m1", 10*time.Minute)
		_, stop := p.start(t, 0)
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		stop()
		at := p.receiver.at
		for i := range len(at) - 1 {
			want := min(time.Second<<i, time.Minute)
			pause := at[i+1].Sub(at[i])
			if i == len(at)-2 {
				break // the last attempt is made shortly before the code expires
			}
			if pause < want*4/5 || pause > want*6/5+time.Second { // the poll may come a second late
				t.Errorf("pause %d: %v, want about %v", i+1, pause, want)
			}
		}
		m := p.message("m1")
		if left := m.ExpiresAt.Sub(at[len(at)-1]); len(at) < 12 || left <= 0 || left > 4*time.Second {
			t.Errorf("%d attempts, the last at %v; code expired at %v", len(at), at[len(at)-1], m.ExpiresAt)
		}
		if m.State != storage.MessageExpired || m.Payload.Data != nil || m.LastError != "no room" {
			t.Errorf("message %+v", m)
		}
		if diff := cmp.Diff([]string{"message.delayed no room bob", "message.expired no room bob"}, p.diary.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if n := strings.Count(p.log.String(), `"warn"`); n != 2 {
			t.Errorf("%d warnings, want one for the first failure and one for the end:\n%s", n, p.log)
		}
	})
}

// A message lives until its code expires, however long the next pause would be.
func TestLastAttemptIsMadeNearTheEnd(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{30 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost()
			back := time.Now().Add(life - 5*time.Second)
			p.receiver.answer = func(context.Context, deliver.Envelope) error {
				if time.Now().Before(back) {
					return deliver.Reason("down")
				}
				return nil
			}
			p.put(t, "m1", life)
			_, stop := p.start(t, 0)
			time.Sleep(life + time.Second)
			synctest.Wait()
			stop()
			if m := p.message("m1"); m.State != storage.MessageDelivered {
				t.Errorf("receiver back 5 s before the end of %v: %+v", life, m)
			}
		})
	}
}

// A receiver that asks for time gets it, but the last attempt is still made.
func TestReceiverAsksForTime(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ wait, want time.Duration }{
		{20 * time.Second, 20 * time.Second},
		{time.Millisecond, time.Second},          // less than our own pause
		{time.Hour, time.Minute - 3*time.Second}, // longer than the code lives
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost()
			p.receiver.answer = func(context.Context, deliver.Envelope) error {
				if p.receiver.count() == 1 {
					return fmt.Errorf("wrapped: %w", deliver.RetryAfter(deliver.Reason("busy"), test.wait))
				}
				return nil
			}
			p.put(t, "m1", time.Minute)
			_, stop := p.start(t, 0)
			time.Sleep(time.Minute)
			synctest.Wait()
			stop()
			if p.receiver.count() != 2 {
				t.Fatalf("wait %v: %d attempts", test.wait, p.receiver.count())
			}
			pause := p.receiver.at[1].Sub(p.receiver.at[0])
			if pause < test.want*4/5 || pause > test.want*6/5+time.Second || test.wait == 20*time.Second && pause < test.wait {
				t.Errorf("asked for %v, waited %v", test.wait, pause)
			}
		})
	}
}

func TestRetryTimesEndsTheMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(context.Context, deliver.Envelope) error {
			return deliver.RetryTimes(deliver.Reason("not found"), 3)
		}
		p.put(t, "m1", 10*time.Minute)
		_, stop := p.start(t, 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDead || p.receiver.count() != 3 {
			t.Errorf("%d attempts, message %+v", p.receiver.count(), m)
		}
	})
}

// What lives long is not tried every minute of a week.
func TestPausesGrowWithTheLife(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ life, longest time.Duration }{
		{10 * time.Minute, time.Minute},
		{2 * time.Hour, 5 * time.Minute},
		{7 * 24 * time.Hour, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPost()
			p.receiver.answer = func(context.Context, deliver.Envelope) error { return deliver.Reason("no room") }
			p.put(t, "m1", test.life)
			_, stop := p.start(t, 0)
			time.Sleep(min(test.life, 5*time.Hour)) // idle polls cost real time
			synctest.Wait()
			stop()
			most := time.Duration(0)
			for i := range len(p.receiver.at) - 1 {
				most = max(most, p.receiver.at[i+1].Sub(p.receiver.at[i]))
			}
			if most < test.longest*4/5 || most > test.longest*6/5+time.Second {
				t.Errorf("with a life of %v the longest pause is %v, want about %v", test.life, most, test.longest)
			}
		})
	}
}

// Nothing of the payload is lost on its way, and only what signs in is a factor.
func TestEnvelopeOfAnotherType(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		now := time.Now().UTC()
		payload := otp.Payload{
			Username: "bob", Code: "CODE", ClientID: "shop", UserUID: "usr_bob", ExpiresAt: now.Add(time.Hour), RequestedAt: now,
			Purpose: storage.PurposeResetPassword, URL: "https://x.example", RealmID: "r", ProfileID: "p", LoginID: "lgn_bob",
		}
		sealed, err := payload.Seal(envelopePaper{}, "m1")
		if err != nil {
			t.Fatal(err)
		}
		p.put(t, "m1", time.Hour)
		p.messages[0].Payload, p.messages[0].Type = sealed, storage.MessageForgottenPassword
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		want := deliver.Envelope{
			Message: p.receiver.got[0].Message, Username: "bob", Code: "CODE", ClientID: "shop", UserUID: "usr_bob",
			ExpiresAt: now.Add(time.Hour), RequestedAt: now, Purpose: storage.PurposeResetPassword,
			URL: "https://x.example", RealmID: "r", ProfileID: "p", LoginID: "lgn_bob",
		}
		if diff := cmp.Diff([]deliver.Envelope{want}, p.receiver.got); diff != "" {
			t.Errorf("received (-want +got):\n%s", diff)
		}
		if len(p.diary.events) != 1 || p.diary.events[0].Factor != "" {
			t.Errorf("events %+v", p.diary.events)
		}
	})
}

func TestReceiverThatComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		back := time.Now().Add(3 * time.Minute)
		p.receiver.answer = func(context.Context, deliver.Envelope) error {
			if time.Now().Before(back) {
				return deliver.Reason("down")
			}
			return nil
		}
		p.put(t, "m1", 10*time.Minute)
		_, stop := p.start(t, 0)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDelivered || m.LastError != "" {
			t.Errorf("message %+v", m)
		}
		if diff := cmp.Diff([]string{"message.delayed down bob", "message.delivered success bob"}, p.diary.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestPermanentFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		arrange func(*post)
		tries   int
		reason  string
	}{
		{"says the transport", func(p *post) {
			p.receiver.answer = func(context.Context, deliver.Envelope) error {
				return fmt.Errorf("wrapped: %w", deliver.Permanent(deliver.Reason("no such address")))
			}
		}, 1, "no such address"},
		{"no sender", func(p *post) { p.senders = nil }, 0, "the message sender does not exist any more"},
		{"sender disabled", func(p *post) { p.senders["mail"] = storage.Sender{Kind: storage.WebhookSender} }, 0, "the message sender is disabled"},
		{"no transport", func(p *post) { p.senders["mail"] = storage.Sender{Kind: "pigeon", Active: true} }, 0, `no transport for senders of kind "pigeon"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPost()
				test.arrange(p)
				p.put(t, "m1", time.Minute)
				_, stop := p.start(t, 0)
				time.Sleep(30 * time.Second)
				synctest.Wait()
				stop()
				m := p.message("m1")
				if m.State != storage.MessageDead || m.LastError != test.reason || m.Payload.Data != nil || p.receiver.count() != test.tries {
					t.Errorf("%d attempts, message %+v", p.receiver.count(), m)
				}
				if len(p.diary.events) != 1 || p.diary.events[0].Action != "message.failed" || p.diary.events[0].Outcome != test.reason {
					t.Errorf("events %v", p.diary.lines())
				}
			})
		})
	}
}

// A payload under a key that this replica does not know yet is no lost one.
func TestUnknownKeyIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put(t, "m1", time.Minute)
		p.messages[0].Payload.KeyID = "unknown"
		_, stop := p.start(t, 0)
		synctest.Wait()
		p.change(func(q *queue) { q.messages[0].Payload.KeyID = "message:m1" })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDelivered || m.Attempts != 2 {
			t.Errorf("message %+v", m)
		}
	})
}

// An attempt does not outlive the code.
func TestAttemptEndsWithTheCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error { <-ctx.Done(); return ctx.Err() }
		p.put(t, "m1", 2*time.Second)
		began := time.Now()
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageExpired || !m.EndedAt.Equal(began.Add(2*time.Second)) {
			t.Errorf("message %+v", m)
		}
	})
}

// The database is slow to name the sender, and meanwhile the code expires.
func TestNothingIsSentLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put(t, "m1", 2*time.Second)
		late := &slowSenders{queue: p.queue, delay: 2 * time.Second}
		w, err := deliver.New(deliver.Config{
			Store: late, Sealer: envelopePaper{}, Rand: strings.NewReader(""),
			Transports: map[storage.SenderKind]deliver.Transport{storage.WebhookSender: p.receiver},
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
		if m := p.message("m1"); m.State != storage.MessageExpired || m.LastError != "code expired" || p.receiver.count() != 0 {
			t.Errorf("%d attempts, message %+v", p.receiver.count(), m)
		}
	})
}

type slowSenders struct {
	*queue
	delay time.Duration
}

func (s *slowSenders) Sender(ctx context.Context, id string) (storage.Sender, error) {
	time.Sleep(s.delay)
	return s.queue.Sender(ctx, id)
}

// What expired while nobody was there is swept up and told.
func TestExpiredWhileNobodyWasThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		for i := range 3 {
			p.put(t, fmt.Sprint("m", i), time.Second)
		}
		time.Sleep(time.Minute)
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageExpired || p.receiver.count() != 0 {
			t.Errorf("%d attempts, message %+v", p.receiver.count(), m)
		}
		if diff := cmp.Diff(slices.Repeat([]string{"message.expired unsent in time"}, 3), p.diary.lines()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestStopFinishesAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(ctx context.Context, _ deliver.Envelope) error {
			time.Sleep(5 * time.Second)
			return ctx.Err()
		}
		p.put(t, "m1", time.Minute)
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		if m := p.message("m1"); m.State != storage.MessageDelivered {
			t.Errorf("message %+v", m)
		}
	})
}

// A receiver may echo the code into whatever it answers.
func TestNothingTellsTheCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(_ context.Context, e deliver.Envelope) error {
			return fmt.Errorf("garbage: \x00\xff%s %s", strings.Repeat(".", 283), e.Code)
		}
		p.put(t, "m1", time.Second)
		p.put(t, "m2", time.Minute)
		_, stop := p.start(t, 0)
		synctest.Wait()
		stop()
		if told := p.told(t); strings.Contains(told, "CODE-") || !strings.Contains(told, "garbage") {
			t.Errorf("told: %s", told)
		}
		if text := p.message("m2").LastError; len(text) > 300 || strings.ContainsAny(text, "\x00\xff") {
			t.Errorf("kept %q", text)
		}
	})
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	if err := deliver.Permanent(nil); err != nil {
		t.Errorf("Permanent(nil) = %v", err)
	}
	cause := errors.New("cause")
	err := fmt.Errorf("wrapped: %w", deliver.Permanent(cause))
	if !deliver.IsPermanent(err) || !errors.Is(err, cause) || deliver.IsPermanent(cause) || deliver.IsPermanent(nil) {
		t.Errorf("%v: permanent %v", err, deliver.IsPermanent(err))
	}
}
