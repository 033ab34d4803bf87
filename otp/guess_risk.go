package otp

import (
	"errors"
	"fmt"
	"math"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// DefaultGuessCeiling is the highest probability of a right guess, for each login and
// day, that CheckRisk allows by default.
const DefaultGuessCeiling = 1e-5

// ErrGuessable says that the one-time passwords of a profile are too easy to guess
// with the number of guesses that the profile allows.
var ErrGuessable = errors.New("guessing pays off too often")

// Risk computes how likely it is to guess a one-time password of one login, with as
// many guesses as the lockout allows.
//
// It includes the guesses of all counters: the counter of the login, and one for each
// address that the user signed in from, because an attacker may use those addresses
// too. Each replica lets as many attempts run at once as a counter has guesses left,
// so each replica may allow as many guesses as the counter.
//
// It does not include that a sign-in of the user, and an administrator's unlock,
// clear the failures.
type Risk struct {
	Codes    float64           // number of different codes of the format
	Counter  lockout.Allowance // guesses that one counter allows
	Counters int
	Replicas int
}

// RiskOf returns the risk of a profile that allows one-time passwords. replicas is the
// number of server processes on the database.
func RiskOf(p storage.PasswordProfile, replicas int) Risk {
	return Risk{
		Codes:    math.Pow(float64(len(symbols(p.Code.Alphabet))), float64(p.Code.Length)),
		Counter:  lockout.AllowanceOf(p.Lockout),
		Counters: 1 + storage.MaxSources, Replicas: max(1, replicas),
	}
}

// Bits returns the entropy of a code in bits.
func (r Risk) Bits() float64 { return math.Log2(r.Codes) }

// FirstHour returns the number of guesses at a login within the first hour.
func (r Risk) FirstHour() int { return r.Counter.FirstHour * r.Counters * r.Replicas }

// FirstDay returns the number of guesses at a login within the first day.
func (r Risk) FirstDay() int { return r.Counter.FirstDay * r.Counters * r.Replicas }

// LongRun returns the number of guesses at a login in a day in the long run.
func (r Risk) LongRun() float64 {
	return r.Counter.LongRun * float64(r.Counters*r.Replicas)
}

// Odds returns the probability that one of the guesses is right. guesses is their
// number.
func (r Risk) Odds(guesses float64) float64 {
	if r.Codes <= 1 {
		return 1
	}
	return -math.Expm1(guesses * math.Log1p(-1/r.Codes))
}

// PerDay returns the probability that one of the guesses of the first day is right.
func (r Risk) PerDay() float64 { return r.Odds(float64(r.FirstDay())) }

// CheckRisk returns an error if a profile allows too many guesses:
// lockout.ErrTooManyGuesses for permanent passwords, and ErrGuessable for one-time
// passwords. The error contains the figures and how to fix the profile.
func CheckRisk(p storage.PasswordProfile, ceiling float64) error {
	if err := lockout.Check(p.Lockout); err != nil {
		return fmt.Errorf("password profile %s: %w", p.ID, err)
	}
	return CheckCodes(p, ceiling)
}

// CheckCodes returns ErrGuessable if the profile allows one-time passwords and Risk.PerDay
// on one replica is above the ceiling. A ceiling of 0 stands for
// DefaultGuessCeiling.
func CheckCodes(p storage.PasswordProfile, ceiling float64) error {
	if ceiling == 0 {
		ceiling = DefaultGuessCeiling
	}
	if !p.OneTimeCodes || CheckFormat(p.Code) != nil {
		return nil //nolint:nilerr // an invalid format is reported elsewhere
	}
	risk := RiskOf(p, 1)
	odds := risk.PerDay()
	if odds <= ceiling {
		return nil
	}
	return fmt.Errorf("%w: password profile %s allows %d guesses a day at codes of %.1f bits, so that one is right with odds of %.1e for each login and day, above the ceiling of %.1e: %s, tighten the lockout (threshold, duration), or raise guess_ceiling",
		ErrGuessable, p.ID, risk.FirstDay(), risk.Bits(), odds, ceiling, suggestedLength(p, risk, ceiling))
}

// suggestedLength returns advice on the length that codes need to stay below the
// ceiling.
func suggestedLength(p storage.PasswordProfile, r Risk, ceiling float64) string {
	one := math.Pow(r.Codes, 1/float64(p.Code.Length))
	for n := p.Code.Length + 1; n <= maxCodeLength; n++ {
		if r.Codes *= one; r.PerDay() <= ceiling {
			return fmt.Sprintf("give codes %d characters", n)
		}
	}
	return "give codes more characters"
}
