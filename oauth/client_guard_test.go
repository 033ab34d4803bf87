package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/otp"
	"latchkey/storage"
)

// guardWorld is a guard with a clock, an address and a store of budgets.
type guardWorld struct {
	*clientGuard
	clock   time.Time
	from    string
	charges []storage.Charge
	answer  error // of the store
	mu      sync.Mutex
}

type fixedDigester struct{}

func (fixedDigester) Digest(purpose string, parts ...string) storage.Digest {
	return storage.Digest{Sum: fmt.Appendf(nil, "%s%q", purpose, parts)}
}

func (fixedDigester) Matches(storage.Digest, string, ...string) bool { return false }

func (w *guardWorld) Charge(_ context.Context, _ time.Time, charges ...storage.Charge) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.charges = append(w.charges, charges...)
	return w.answer
}

func newGuardWorld(burst int) *guardWorld {
	w := &guardWorld{clock: start, from: "192.0.2.1"}
	w.clientGuard = newClientGuard(&Config{
		Charges: w, Peppers: nil, Recorder: storage.DiscardEvents{},
		SecretLimit: otp.Limit{Burst: burst, Per: time.Duration(burst) * time.Minute},
		Address:     func(context.Context) netip.Addr { a, _ := netip.ParseAddr(w.from); return a },
		Now:         func() time.Time { return w.clock },
	})
	w.digester = fixedDigester{}
	return w
}

// guess presents a secret for a client and tells whether it was compared.
func (w *guardWorld) guess(client string, right bool) (compared bool, err error) {
	err = w.secret(context.Background(), w.key(context.Background(), client), func() bool { compared = true; return right })
	return compared, err
}

func (w *guardWorld) mustGuess(t *testing.T, client string, right, compared bool, want error) {
	t.Helper()
	if got, err := w.guess(client, right); got != compared || !errors.Is(err, want) {
		t.Errorf("compared: %v, want %v; error %v, want %v", got, compared, err, want)
	}
}

func TestGuardLimitsWrongSecrets(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(3)
	for range 3 {
		w.mustGuess(t, "Shop", false, true, ErrInvalidClient)
	}
	w.mustGuess(t, "shop", false, false, errTooManyGuesses)
	w.mustGuess(t, "shop", true, false, errTooManyGuesses)
	w.mustGuess(t, "other", true, true, nil)
	if len(w.charges) != 6 {
		t.Errorf("%d charges, want two for each wrong guess that was compared", len(w.charges))
	}

	w.from = "192.0.2.2"
	w.mustGuess(t, "shop", true, true, nil)

	w.from, w.clock = "192.0.2.1", w.clock.Add(time.Minute)
	w.mustGuess(t, "shop", false, true, ErrInvalidClient) // one place is free again
	w.mustGuess(t, "shop", true, false, errTooManyGuesses)
	w.clock = w.clock.Add(time.Minute)
	w.mustGuess(t, "shop", true, true, nil)
}

// The right secret costs no statement, however often and wherever it is shown.
func TestGuardAsksNobodyAboutTheRightSecret(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(3)
	for range 50 {
		w.mustGuess(t, "shop", true, true, nil)
	}
	if len(w.charges) != 0 {
		t.Errorf("%d charges", len(w.charges))
	}
}

// Guesses sent at once must not overtake the count of those before them.
func TestGuardCountsParallelGuesses(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(5)
	var compared atomic.Int64
	var group sync.WaitGroup
	for range 200 {
		group.Go(func() {
			_ = w.secret(t.Context(), w.key(t.Context(), "shop"), func() bool { compared.Add(1); return false })
		})
	}
	group.Wait()
	if n := compared.Load(); n != 5 {
		t.Errorf("%d of 200 parallel guesses were compared, want 5", n)
	}
}

// What other servers have counted holds here as well.
func TestGuardHearsOfOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		budget string
		until  time.Duration
	}{{budgetAddress, 30 * time.Second}, {budgetClient, 3 * time.Minute}} {
		w := newGuardWorld(3)
		w.answer = &storage.LimitError{Budget: test.budget, Until: start.Add(30 * time.Second)}
		w.mustGuess(t, "shop", false, true, errTooManyGuesses)
		w.answer = nil
		w.clock = start.Add(test.until - time.Second)
		w.mustGuess(t, "shop", true, false, errTooManyGuesses)
		w.clock = start.Add(test.until)
		w.mustGuess(t, "shop", true, true, nil)
	}
}

// A database that is down is no reason to call a secret wrong, nor to let
// anybody guess on.
func TestGuardWithoutDatabase(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(2)
	w.answer = storage.ErrUnavailable
	for range 2 {
		w.mustGuess(t, "shop", false, true, storage.ErrUnavailable)
	}
	w.mustGuess(t, "shop", true, false, errTooManyGuesses)
}

func TestGuardNetworks(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(1)
	for _, test := range []struct {
		from string
		want error
	}{
		{"2001:db8::1", ErrInvalidClient},
		{"2001:db8::ffff:1", errTooManyGuesses}, // of the same subscriber
		{"2001:db8:0:1::1", ErrInvalidClient},
		{"::ffff:192.0.2.9", ErrInvalidClient},
		{"192.0.2.9", errTooManyGuesses},
		{"", ErrInvalidClient},
		{"", ErrInvalidClient}, // an unknown address is nobody's
	} {
		w.from = test.from
		if _, err := w.guess("shop", false); !errors.Is(err, test.want) {
			t.Errorf("%q: %v, want %v", test.from, err, test.want)
		}
	}
}

// A flood of names takes little memory, and no place of who guessed most.
func TestGuardIsBounded(t *testing.T) {
	t.Parallel()
	w := newGuardWorld(3)
	for range 3 {
		w.mustGuess(t, "shop", false, true, ErrInvalidClient)
	}
	for i := range 3 * guardShards * maxGuarded {
		w.mustGuess(t, fmt.Sprint("name", i), false, true, ErrInvalidClient)
	}
	total := 0
	for i := range w.shards {
		total += len(w.shards[i].charged)
	}
	if total > guardShards*maxGuarded {
		t.Errorf("%d entries, want at most %d", total, guardShards*maxGuarded)
	}
	w.mustGuess(t, "shop", true, false, errTooManyGuesses)
}
