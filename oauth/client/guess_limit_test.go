package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/otp/limit"
	"latchkey/storage"
)

// start is the time at which every test begins.
var start = time.Date(2026, 5, 4, 12, 0, 0, 250_007_000, time.UTC)

// limiterFixture is a limiter with a clock, an address and a store of budgets.
type limiterFixture struct {
	*guessLimiter
	clock   time.Time
	from    string
	charges []storage.Charge
	answer  error // result of Charge
	mu      sync.Mutex
}

type fixedDigester struct{}

func (fixedDigester) Digest(purpose string, parts ...string) storage.Digest {
	return storage.Digest{Sum: fmt.Appendf(nil, "%s%q", purpose, parts)}
}

func (fixedDigester) Matches(storage.Digest, string, ...string) bool { return false }

func (w *limiterFixture) Charge(_ context.Context, _ time.Time, charges ...storage.Charge) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.charges = append(w.charges, charges...)
	return w.answer
}

func newLimiterFixture(burst int) *limiterFixture {
	w := &limiterFixture{clock: start, from: "192.0.2.1"}
	w.guessLimiter = newGuessLimiter(&Config{
		Charges: w, Peppers: nil, Recorder: storage.DiscardEvents{},
		SecretLimit: limit.Limit{Burst: burst, Per: time.Duration(burst) * time.Minute},
		Address:     func(context.Context) netip.Addr { a, _ := netip.ParseAddr(w.from); return a },
		Now:         func() time.Time { return w.clock },
	})
	w.digester = fixedDigester{}
	return w
}

// guess presents a secret for a client and reports whether it was compared.
func (w *limiterFixture) guess(client string, right bool) (compared bool, err error) {
	err = w.secret(context.Background(), w.key(context.Background(), client), func() bool { compared = true; return right })
	return compared, err
}

func (w *limiterFixture) mustGuess(t *testing.T, client string, right, compared bool, want error) {
	t.Helper()
	if got, err := w.guess(client, right); got != compared || !errors.Is(err, want) {
		t.Errorf("compared: got %v, want %v; error %v, want %v", got, compared, err, want)
	}
}

func TestGuessLimit(t *testing.T) {
	t.Parallel()
	w := newLimiterFixture(3)
	for range 3 {
		w.mustGuess(t, "Shop", false, true, ErrInvalid)
	}
	w.mustGuess(t, "shop", false, false, ErrTooManyGuesses)
	w.mustGuess(t, "shop", true, false, ErrTooManyGuesses)
	w.mustGuess(t, "other", true, true, nil)
	if len(w.charges) != 6 {
		t.Errorf("got %d charges, want two for each wrong guess that was compared", len(w.charges))
	}

	w.from = "192.0.2.2"
	w.mustGuess(t, "shop", true, true, nil)

	w.from, w.clock = "192.0.2.1", w.clock.Add(time.Minute)
	w.mustGuess(t, "shop", false, true, ErrInvalid) // the budget allows one guess again
	w.mustGuess(t, "shop", true, false, ErrTooManyGuesses)
	w.clock = w.clock.Add(time.Minute)
	w.mustGuess(t, "shop", true, true, nil)
}

// TestRightSecretCostsNoStatement tests that right secrets are never charged.
func TestRightSecretCostsNoStatement(t *testing.T) {
	t.Parallel()
	w := newLimiterFixture(3)
	for range 50 {
		w.mustGuess(t, "shop", true, true, nil)
	}
	if len(w.charges) != 0 {
		t.Errorf("got %d charges, want none", len(w.charges))
	}
}

// TestGuessLimitCountsParallelGuesses tests that parallel guesses do not exceed the limit.
func TestGuessLimitCountsParallelGuesses(t *testing.T) {
	t.Parallel()
	w := newLimiterFixture(5)
	var compared atomic.Int64
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			_ = w.secret(t.Context(), w.key(t.Context(), "shop"), func() bool { compared.Add(1); return false })
		})
	}
	group.Wait()
	if n := compared.Load(); n != 5 {
		t.Errorf("got %d compared guesses of 200 in parallel, want 5", n)
	}
}

// TestGuessLimitOfAllServers tests that a budget that other servers have used up limits this
// server too.
func TestGuessLimitOfAllServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		budget string
		until  time.Duration
	}{{budgetAddress, 30 * time.Second}, {budgetClient, 3 * time.Minute}} {
		w := newLimiterFixture(3)
		w.answer = &storage.LimitError{Budget: test.budget, Until: start.Add(30 * time.Second)}
		w.mustGuess(t, "shop", false, true, ErrTooManyGuesses)
		w.answer = nil
		w.clock = start.Add(test.until - time.Second)
		w.mustGuess(t, "shop", true, false, ErrTooManyGuesses)
		w.clock = start.Add(test.until)
		w.mustGuess(t, "shop", true, true, nil)
	}
}

// TestGuessLimitWithoutDatabase tests that a wrong secret is not called wrong while the
// database is down. The limit of this process still applies.
func TestGuessLimitWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newLimiterFixture(2)
	w.answer = storage.ErrUnavailable
	for range 2 {
		w.mustGuess(t, "shop", false, true, storage.ErrUnavailable)
	}
	w.mustGuess(t, "shop", true, false, ErrTooManyGuesses)
}

func TestGuessLimitOfNetworks(t *testing.T) {
	t.Parallel()
	w := newLimiterFixture(1)
	for _, test := range []struct {
		from string
		want error
	}{
		{"2001:db8::1", ErrInvalid},
		{"2001:db8::ffff:1", ErrTooManyGuesses}, // an address of the same subscriber
		{"2001:db8:0:1::1", ErrInvalid},
		{"::ffff:192.0.2.9", ErrInvalid},
		{"192.0.2.9", ErrTooManyGuesses},
		{"", ErrInvalid},
		{"", ErrInvalid}, // an unknown address is not limited
	} {
		w.from = test.from
		if _, err := w.guess("shop", false); !errors.Is(err, test.want) {
			t.Errorf("%q: got %v, want %v", test.from, err, test.want)
		}
	}
}
