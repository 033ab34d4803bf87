package lockout

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/storage"
)

const day = 24 * time.Hour

// MaxGuessesPerDay is how many guesses at a permanent password one counter may
// allow in any 24 hours (NIST SP 800-63B-4 §3.2.2). It is a fixed number because
// the chance of a guess at a password is not known. For codes it can be computed.
const MaxGuessesPerDay = 100

// ErrTooManyGuesses says that a policy allows more than MaxGuessesPerDay.
var ErrTooManyGuesses = errors.New("too many guesses at permanent passwords")

// Check returns ErrTooManyGuesses, with the figures and a remedy, if the policy
// allows more than MaxGuessesPerDay.
func Check(p storage.LockoutPolicy) error {
	guesses := AllowanceOf(p).FirstDay
	if guesses <= MaxGuessesPerDay {
		return nil
	}
	return fmt.Errorf("%w: the lockout policy allows %d a day, above the ceiling of %d: lower the threshold, or let locks last or be remembered longer",
		ErrTooManyGuesses, guesses, MaxGuessesPerDay)
}

// Allowance is how many guesses one counter allows to an attacker who knows the
// policy and loses no time.
type Allowance struct {
	FirstHour int
	FirstDay  int     // the most that any 24 hours allow
	LongRun   float64 // per day, if the attack never ends
}

// AllowanceOf returns the allowance of a policy. It assumes that no administrator
// unlocks and that the user does not sign in meanwhile.
//
// An attacker has two useful moves: guess as soon as a lock ends, or pause until
// the failures are forgotten. A wait of any other length gains nothing. AllowanceOf
// finds the best mix of the two. Times are rounded down to seconds, in favour of
// the attacker.
func AllowanceOf(p storage.LockoutPolicy) Allowance {
	s := newGuessSeries(p)
	pauses := s.pauses(p.ForgetsAfter)
	best := s.best(pauses, day)
	a := Allowance{FirstHour: best[time.Hour/time.Second], FirstDay: best[day/time.Second]}
	if s.interval > 0 {
		a.LongRun = float64(day) / float64(s.interval)
	}
	for _, pause := range pauses {
		a.LongRun = max(a.LongRun, float64(pause.guesses)*float64(day)/float64(max(pause.length, 1)))
	}
	return a
}

// GuessesWithin returns for each of the times how many guesses one counter allows in less
// than that time, under the assumptions of AllowanceOf. Times are read in seconds, up to a
// day.
func GuessesWithin(p storage.LockoutPolicy, times ...time.Duration) []int {
	s := newGuessSeries(p)
	best := s.best(s.pauses(p.ForgetsAfter), day)
	guesses := make([]int, len(times))
	for i, t := range times {
		guesses[i] = best[max(0, min(t, day))/time.Second]
	}
	return guesses
}

// guessSeries is a series of guesses, each made as soon as the lock of the one
// before ends.
type guessSeries struct {
	steps    []guessStep   // until the locks stop growing
	interval time.Duration // between all later guesses; 0: no later guess is possible
}

// guessStep is one guess, or several at the same time. Its times count from the
// first guess of the series.
type guessStep struct {
	guesses int
	at      time.Duration
	nextAt  time.Duration // when the next guess is possible
}

// newGuessSeries simulates failing guesses until the locks stop growing.
func newGuessSeries(p storage.LockoutPolicy) guessSeries {
	var s guessSeries
	var c storage.Counter
	start := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	withoutLock := 0
	for c = Fail(p, c, start); !c.Locked(start); c = Fail(p, c, start) {
		withoutLock++
	}
	if withoutLock > 0 {
		s.steps = append(s.steps, guessStep{withoutLock, 0, 0})
	}
	for now := start; ; c = Fail(p, c, now) {
		last := guessStep{1, now.Sub(start), c.LockedUntil.Sub(start)}
		s.steps = append(s.steps, last)
		lock := last.nextAt - last.at
		if !c.LockedUntil.Before(endOfTime()) || lock == s.interval {
			return s
		}
		s.interval, now = lock, c.LockedUntil
	}
}

// counts returns how many guesses the series makes in less than t seconds, for
// each t up to the duration within.
func (s guessSeries) counts(within time.Duration) []int {
	counts := make([]int, within/time.Second+1)
	last, next, n := s.steps[len(s.steps)-1], 0, 0
	for t := range counts {
		before := time.Duration(t) * time.Second
		for ; next < len(s.steps) && s.steps[next].at < before; next++ {
			n += s.steps[next].guesses
		}
		counts[t] = n
		if s.interval > 0 && last.nextAt < before {
			counts[t] += int((before - last.nextAt + s.interval - 1) / s.interval)
		}
	}
	return counts
}

// pause is a number of guesses followed by a pause that forgets them.
type pause struct {
	guesses int
	length  time.Duration // of the guesses and the pause together
}

// pauses returns the pauses that can be useful. A pause before the first lock
// takes as long after one guess as after all guesses that cause no lock, so only
// the latter is listed. Once the locks have stopped growing, each further guess
// takes the same time, so later pauses are left out as well.
func (s guessSeries) pauses(forgetsAfter time.Duration) []pause {
	if forgetsAfter <= 0 {
		return nil
	}
	var all []pause
	guesses := 0
	for i, step := range s.steps {
		guesses += step.guesses
		if lockNeverEnds := s.interval == 0 && i == len(s.steps)-1; !lockNeverEnds {
			all = append(all, pause{guesses, step.nextAt + forgetsAfter})
		}
	}
	return all
}

// best returns the most guesses that are possible in less than t seconds, for each
// t up to the duration within.
func (s guessSeries) best(pauses []pause, within time.Duration) []int {
	pauses = slices.DeleteFunc(slices.Clone(pauses), func(p pause) bool { return p.length >= within })
	best := s.counts(within)
	for t := 1; t < len(best); t++ {
		for _, pause := range pauses {
			if length := max(1, int(pause.length/time.Second)); length < t {
				best[t] = max(best[t], pause.guesses+best[t-length])
			}
		}
	}
	return best
}
