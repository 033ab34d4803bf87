package lockout

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/storage"
)

const day = 24 * time.Hour

// MaxGuesses is how many guesses at a permanent password one counter may allow in
// any 24 hours (NIST SP 800-63B-4 §3.2.2). What a guess is worth depends on the
// password, so unlike that of codes it cannot be computed.
const MaxGuesses = 100

// ErrLax says that a policy allows more than MaxGuesses.
var ErrLax = errors.New("too many guesses at permanent passwords")

// Check returns ErrLax, with the figures and what to do about it, if the policy
// allows more than MaxGuesses.
func Check(p storage.LockoutPolicy) error {
	guesses := AllowanceOf(p).FirstDay
	if guesses <= MaxGuesses {
		return nil
	}
	return fmt.Errorf("%w: the lockout policy allows %d a day, above the ceiling of %d: lower the threshold, or let locks last or be remembered longer",
		ErrLax, guesses, MaxGuesses)
}

// Allowance is how many guesses one counter of failures lets through to somebody
// who knows the policy and wastes no time.
type Allowance struct {
	FirstHour int
	FirstDay  int     // no other 24 hours hold more
	LongRun   float64 // a day, if it goes on for good
}

// AllowanceOf returns the allowance of a policy. Nobody unlocks meanwhile, and the
// user does not sign in.
//
// Two things can be wise: to guess as soon as a lock ends, or to stop and let
// everything be forgotten. Of all ways to mix them it finds the best: to wait
// for less than either gains nothing. Times are rounded down to seconds, which
// favours the attacker.
func AllowanceOf(p storage.LockoutPolicy) Allowance {
	r := newRush(p)
	rests := r.rests(p.ForgetsAfter)
	best := r.best(rests, day)
	a := Allowance{FirstHour: best[time.Hour/time.Second], FirstDay: best[day/time.Second]}
	if r.gap > 0 {
		a.LongRun = float64(day) / float64(r.gap)
	}
	for _, rest := range rests {
		a.LongRun = max(a.LongRun, float64(rest.guesses)*float64(day)/float64(max(rest.over, 1)))
	}
	return a
}

// rush is what becomes of guesses without a pause.
type rush struct {
	guesses []guess
	gap     time.Duration // between the last of them and all that follow; 0: none follows
}

// guess is one of them, or several at once, in times since the first.
type guess struct {
	times int
	at    time.Duration
	free  time.Duration // when the next is possible
}

// newRush lets guesses fail until the locks grow no more.
func newRush(p storage.LockoutPolicy) rush {
	var r rush
	var c storage.Counter
	start := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	free := 0
	for c = Fail(p, c, start); !c.Locked(start); c = Fail(p, c, start) {
		free++
	}
	if free > 0 {
		r.guesses = append(r.guesses, guess{free, 0, 0})
	}
	for now := start; ; c = Fail(p, c, now) {
		last := guess{1, now.Sub(start), c.LockedUntil.Sub(start)}
		r.guesses = append(r.guesses, last)
		lock := last.free - last.at
		if !c.LockedUntil.Before(endOfTime()) || lock == r.gap {
			return r
		}
		r.gap, now = lock, c.LockedUntil
	}
}

// counts returns how many guesses are possible before each number of seconds
// since the first.
func (r rush) counts(within time.Duration) []int {
	counts := make([]int, within/time.Second+1)
	last, next, n := r.guesses[len(r.guesses)-1], 0, 0
	for t := range counts {
		before := time.Duration(t) * time.Second
		for ; next < len(r.guesses) && r.guesses[next].at < before; next++ {
			n += r.guesses[next].times
		}
		counts[t] = n
		if r.gap > 0 && last.free < before {
			counts[t] += int((before - last.free + r.gap - 1) / r.gap)
		}
	}
	return counts
}

// rest is a number of guesses and a pause after which they are forgotten.
type rest struct {
	guesses int
	over    time.Duration
}

// rests lists the pauses that can be wise. To rest before the first lock costs
// nothing more with all the guesses that need none, and after the locks have
// stopped growing another guess is as cheap now as later.
func (r rush) rests(forgetsAfter time.Duration) []rest {
	if forgetsAfter <= 0 {
		return nil
	}
	var all []rest
	so := 0
	for i, g := range r.guesses {
		so += g.times
		if forever := r.gap == 0 && i == len(r.guesses)-1; !forever {
			all = append(all, rest{so, g.free + forgetsAfter})
		}
	}
	return all
}

// best returns the most guesses that are possible within each number of seconds.
func (r rush) best(rests []rest, within time.Duration) []int {
	rests = slices.DeleteFunc(slices.Clone(rests), func(r rest) bool { return r.over >= within })
	best := r.counts(within)
	for t := 1; t < len(best); t++ {
		for _, rest := range rests {
			if s := max(1, int(rest.over/time.Second)); s < t {
				best[t] = max(best[t], rest.guesses+best[t-s])
			}
		}
	}
	return best
}
