package signin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// inBubble runs a test with a fake clock and a hasher with two slots. Computing a hash takes no
// time on that clock.
func inBubble(t *testing.T, test func(t *testing.T, h *Hasher)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := NewHasher(HasherConfig{Concurrency: 2, MaxWait: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		test(t, h)
	})
}

// remember adds s to the samples of h.
func remember(h *Hasher, s sample) {
	s.end = time.Now()
	h.times.ring[h.times.next] = s
	h.times.next++
}

// samples returns the samples of h.
func samples(h *Hasher) []sample {
	var all []sample
	for _, s := range h.times.ring {
		if !s.end.IsZero() {
			all = append(all, s)
		}
	}
	return all
}

func TestDecoyTakesAsLong(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		remember(h, sample{took: 40 * time.Millisecond, work: 25 * time.Millisecond})
		if !h.slots.TryAcquire(2) { // both slots are taken: a decoy needs none
			t.Fatal("no free slots")
		}
		begin := time.Now()
		if err := h.DecoyVerify(t.Context(), "secret"); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 40*time.Millisecond {
			t.Errorf("the decoy took %v, want 40ms", took)
		}
		if n := len(samples(h)); n != 1 {
			t.Errorf("got %d samples, want 1: a decoy is not a verification", n)
		}
	})
}

// TestDecoyDrawsAmongSamples tests that each sample is drawn equally often.
func TestDecoyDrawsAmongSamples(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		for i := range 4 {
			remember(h, sample{took: time.Duration(i+1) * time.Millisecond})
		}
		remember(h, sample{took: 5 * time.Millisecond, busy: true})
		tally := map[time.Duration]int{}
		for range 1000 {
			begin := time.Now()
			err := h.DecoyVerify(t.Context(), "secret")
			took := time.Since(begin)
			if tally[took]++; errors.Is(err, ErrBusy) != (took == 5*time.Millisecond) {
				t.Fatalf("got error %v after %v", err, took)
			}
		}
		for i := range 5 {
			if n := tally[time.Duration(i+1)*time.Millisecond]; n < 130 || n > 280 {
				t.Errorf("%d ms: got %d of 1000, want about 200", i+1, n)
			}
		}
	})
}

// TestDecoyWithoutSamples tests that without recent samples exactly one decoy computes a hash.
func TestDecoyWithoutSamples(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		remember(h, sample{took: time.Hour, busy: true})
		time.Sleep(sampleLife)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if err := h.DecoyVerify(t.Context(), "secret"); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if all := samples(h); len(all) != 2 || all[1].busy {
			t.Errorf("got samples %+v, want one more, of a verification", all)
		}
	})
}

// TestDecoysWaitForEachOther tests that ten decoys at the same time queue for two slots, as ten
// verifications would.
func TestDecoysWaitForEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		remember(h, sample{took: 25 * time.Millisecond, work: 25 * time.Millisecond})
		tally := decoysTogether(t, h, 10)
		for i := range 5 {
			if ends := time.Duration(i+1) * 25 * time.Millisecond; tally[ends] != 2 {
				t.Errorf("got %d that ended after %v, want 2: %v", tally[ends], ends, tally)
			}
		}
	})
}

func TestDecoysAreBusy(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		remember(h, sample{took: 400 * time.Millisecond, work: 400 * time.Millisecond})
		tally := decoysTogether(t, h, 9) // six of them get a slot within a second
		if tally[400*time.Millisecond] != 2 || tally[800*time.Millisecond] != 2 || tally[1200*time.Millisecond] != 2 || tally[-time.Second] != 3 {
			t.Error(tally)
		}
	})
}

// decoysTogether starts n decoys at the same time. It counts how many end after which time.
// Decoys that fail with ErrBusy count under their negative time.
func decoysTogether(t *testing.T, h *Hasher, n int) map[time.Duration]int {
	var mu sync.Mutex
	var group sync.WaitGroup
	tally := map[time.Duration]int{}
	begin := time.Now()
	for range n {
		group.Go(func() {
			err := h.DecoyVerify(t.Context(), "secret")
			took := time.Since(begin)
			if errors.Is(err, ErrBusy) {
				took = -took
			} else if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			tally[took]++
		})
	}
	group.Wait()
	return tally
}

func TestDecoyEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		remember(h, sample{took: time.Minute})
		begin := time.Now()
		if err := h.DecoyVerify(ctx, "secret"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrBusy) || time.Since(begin) != 10*time.Millisecond {
			t.Errorf("got %v after %v, want the deadline after 10ms", err, time.Since(begin))
		}
		h.times.ring[0] = sample{}
		h.times.calibrating <- struct{}{}
		if err := h.DecoyVerify(ctx, "secret"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another decoy computes: got %v, want the deadline", err)
		}
	})
}

// TestVerificationsAreRemembered tests that verifications with the current parameters are
// remembered, with the time that they waited. Canceled verifications and those of imported
// hashes are not remembered.
func TestVerificationsAreRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, h *Hasher) {
		foreign, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost+1)
		if err != nil {
			t.Fatal(err)
		}
		current, err := h.Hash(t.Context(), "secret")
		if err != nil {
			t.Fatal(err)
		}
		mustVerify := func(encoded string) {
			if _, _, err := h.Verify(t.Context(), encoded, "secret"); err != nil {
				t.Fatal(err)
			}
		}
		mustVerify(string(foreign))
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if !h.slots.TryAcquire(2) {
			t.Fatal("no free slots")
		}
		if _, _, err := h.Verify(gone, current, "secret"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if all := samples(h); len(all) != 0 {
			t.Fatalf("got samples %+v, want none", all)
		}
		time.AfterFunc(30*time.Millisecond, func() { h.slots.Release(2) })
		mustVerify(current)
		mustVerify("")
		if !h.slots.TryAcquire(2) {
			t.Fatal("no free slots")
		}
		if _, _, err := h.Verify(t.Context(), "", "x"); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		want := []sample{{took: 30 * time.Millisecond}, {}, {took: time.Second, busy: true}}
		for i, s := range samples(h) {
			if s.end = (time.Time{}); i >= len(want) || s != want[i] {
				t.Errorf("got sample %d: %+v", i, s)
			}
		}
		if n := len(samples(h)); n != len(want) {
			t.Errorf("got %d samples, want %d", n, len(want))
		}
	})
}
