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

// hang makes senders whose names begin with prefix, and whose receivers never
// answer. The transport gives up after 15 seconds.
func (p *post) hang(prefix string, senders int) {
	for i := range senders {
		id := fmt.Sprint(prefix, i)
		p.senders[id] = storage.Sender{ID: id, Kind: storage.WebhookSender, Active: true}
	}
	p.receiver.answer = func(ctx context.Context, e deliver.Envelope) error {
		if strings.HasPrefix(e.Message.SenderID, prefix) {
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// delivered counts the messages to the sender that have arrived.
func (p *post) delivered(sender string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, m := range p.messages {
		if m.SenderID == sender && m.State == storage.MessageDelivered {
			n++
		}
	}
	return n
}

// Receivers hang, with more messages waiting for each than there are workers
// and all of them older: nobody else's message waits for them, and an attempt
// ends with its time.
func TestHangingReceiversDelayNobodyElse(t *testing.T) {
	t.Parallel()
	for _, hanging := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPost()
				p.hang("slow", hanging)
				for i := range 200 {
					for j := range hanging {
						p.putTo(t, fmt.Sprint("slow", j), fmt.Sprintf("s-%d-%d", i, j), 10*time.Minute)
					}
				}
				w, stop := p.start(t, 128)
				for round := range 40 { // the whole time, also when attempts end and others begin
					time.Sleep(700 * time.Millisecond)
					for i := range 50 {
						p.put(t, fmt.Sprintf("f-%d-%d", round, i), time.Minute)
					}
					w.Wake()
					synctest.Wait()
					if n := p.delivered("mail"); n != 50*(round+1) {
						t.Errorf("%d of %d messages arrived at once, in round %d", n, 50*(round+1), round)
					}
				}
				began := time.Now()
				stop()
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("the last attempt ended after %v", took)
				}
				if m := p.message("s-0-0"); m.LastError != "timed out" || m.State != storage.MessageQueued {
					t.Errorf("message %+v", m)
				}
			})
		})
	}
}

// A sender gets half of the workers at once, one that is alone keeps them busy,
// and the claims stay few.
func TestLoneSenderIsServedQuickly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.receiver.answer = func(context.Context, deliver.Envelope) error { time.Sleep(50 * time.Millisecond); return nil }
		for i := range 1000 {
			p.put(t, fmt.Sprint("m", i), time.Minute)
		}
		began := time.Now()
		_, stop := p.start(t, 128)
		for p.delivered("mail") < 1000 {
			time.Sleep(10 * time.Millisecond)
		}
		took := time.Since(began)
		stop()
		if took > 1300*time.Millisecond || p.claims > 150 {
			t.Errorf("took %v and %d claims", took, p.claims)
		}
	})
}

// More receivers hang than there are workers: the others wait until the
// attempts end, no longer.
func TestFullHouseOpensAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.hang("slow", 4)
		for i := range 4 {
			p.putTo(t, fmt.Sprint("slow", i), fmt.Sprint("s", i), time.Minute)
		}
		p.put(t, "fast", time.Minute)
		_, stop := p.start(t, 4)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if m := p.message("fast"); m.State != storage.MessageDelivered || m.Attempts != 1 {
			t.Errorf("message %+v", m)
		}
		stop()
	})
}

// A worker that leaves due messages says so; one that has room does not.
func TestOverflowIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.hang("slow", 1)
		p.putTo(t, "slow0", "s0", time.Minute)
		_, stop := p.start(t, 4)
		synctest.Wait()
		if p.overflows.Load() != 0 {
			t.Error("told of an overflow with one message")
		}
		for i := range 10 {
			p.putTo(t, "slow0", fmt.Sprint("more", i), time.Minute)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if p.overflows.Load() == 0 {
			t.Error("nobody was told of the messages that wait")
		}
		stop()
	})
}
