package otp

import (
	"errors"
	"fmt"
	"math"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// DefaultGuessCeiling is the highest odds, for each login and day, that CheckRisk
// allows unless it is told otherwise.
const DefaultGuessCeiling = 1e-5

// ErrGuessable says that the one-time passwords of a profile are too easily
// guessed for the number of guesses that it allows.
var ErrGuessable = errors.New("guessing pays off too often")

// Risk is what it is worth to guess at the one-time passwords of one login, all
// day and as fast as the lockout lets one.
//
// It reckons with every counter that there is: the login's, and one for each
// address that the user signed in from, from where an attacker may come as well.
// A replica lets as many attempts run at once as a counter has guesses left, so
// each replica may let through as many as the counter allows.
//
// What it does not reckon with is what the user does: a sign-in clears the
// failures, and so does an administrator's unlock.
type Risk struct {
	Codes    float64           // how many there are of the format
	Counter  lockout.Allowance // what one counter lets through
	Counters int
	Replicas int
}

// RiskOf returns the risk of a profile that allows one-time passwords, on so
// many replicas.
func RiskOf(p storage.PasswordProfile, replicas int) Risk {
	return Risk{
		Codes:    math.Pow(float64(len(symbols(p.Code.Alphabet))), float64(p.Code.Length)),
		Counter:  lockout.AllowanceOf(p.Lockout),
		Counters: 1 + storage.MaxSources, Replicas: max(1, replicas),
	}
}

// Bits is the entropy of a code.
func (r Risk) Bits() float64 { return math.Log2(r.Codes) }

// FirstHour is how many guesses at a login are possible within an hour.
func (r Risk) FirstHour() int { return r.Counter.FirstHour * r.Counters * r.Replicas }

// FirstDay is how many are possible within a day.
func (r Risk) FirstDay() int { return r.Counter.FirstDay * r.Counters * r.Replicas }

// LongRun is how many are possible a day for somebody who goes on for good.
func (r Risk) LongRun() float64 {
	return r.Counter.LongRun * float64(r.Counters*r.Replicas)
}

// Odds is the probability that one of so many guesses is right.
func (r Risk) Odds(guesses float64) float64 {
	if r.Codes <= 1 {
		return 1
	}
	return -math.Expm1(guesses * math.Log1p(-1/r.Codes))
}

// PerDay is the probability that one of a day's guesses at a login is right.
func (r Risk) PerDay() float64 { return r.Odds(float64(r.FirstDay())) }

// CheckRisk returns the fault of a profile that allows too many guesses at either
// factor, with the figures and what to do about it: lockout.ErrTooManyGuesses for permanent
// passwords, and ErrGuessable for codes.
func CheckRisk(p storage.PasswordProfile, ceiling float64) error {
	if err := lockout.Check(p.Lockout); err != nil {
		return fmt.Errorf("password profile %s: %w", p.ID, err)
	}
	return CheckCodes(p, ceiling)
}

// CheckCodes returns ErrGuessable if the profile allows one-time passwords and
// the odds of a day's guesses at a login, on one replica, are above the ceiling;
// 0 is DefaultGuessCeiling.
func CheckCodes(p storage.PasswordProfile, ceiling float64) error {
	if ceiling == 0 {
		ceiling = DefaultGuessCeiling
	}
	if !p.OneTimeCodes || CheckFormat(p.Code) != nil {
		return nil //nolint:nilerr // what makes no codes is a fault of another kind
	}
	risk := RiskOf(p, 1)
	odds := risk.PerDay()
	if odds <= ceiling {
		return nil
	}
	return fmt.Errorf("%w: password profile %s allows %d guesses a day at codes of %.1f bits, so that one is right with odds of %.1e for each login and day, above the ceiling of %.1e: %s, tighten the lockout (threshold, duration), or raise guess_ceiling",
		ErrGuessable, p.ID, risk.FirstDay(), risk.Bits(), odds, ceiling, longer(p, risk, ceiling))
}

// longer says how long codes would have to be.
func longer(p storage.PasswordProfile, r Risk, ceiling float64) string {
	one := math.Pow(r.Codes, 1/float64(p.Code.Length))
	for n := p.Code.Length + 1; n <= maxCodeLength; n++ {
		if r.Codes *= one; r.PerDay() <= ceiling {
			return fmt.Sprintf("give codes %d characters", n)
		}
	}
	return "give codes more characters"
}
