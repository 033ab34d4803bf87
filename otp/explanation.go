package otp

import (
	"time"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

const daysInYear = 365.25

// Explanation says how many guesses a password profile allows, and how likely guesses at
// its one-time passwords succeed.
type Explanation struct {
	Risk
	Profile      storage.PasswordProfile
	GuessCeiling float64 // highest PerDay on one replica that a profile may have
	Curve        []GuessPoint

	// PasswordsAboveCeiling reports whether one counter allows more guesses at permanent
	// passwords than lockout.MaxGuessesPerDay, CodesAboveCeiling whether guesses at
	// one-time passwords succeed more often than GuessCeiling. No server starts with either.
	PasswordsAboveCeiling, CodesAboveCeiling bool
}

// GuessPoint is how many guesses are possible up to a moment of an attack.
type GuessPoint struct {
	After   time.Duration
	Counter int     // guesses that one counter allows
	All     int     // guesses of all counters and replicas
	Odds    float64 // probability that one of them is the right one-time password; 0: there are none
}

// Explain explains a password profile. replicas is the number of server processes on the
// database. A ceiling of 0 stands for DefaultGuessCeiling.
func Explain(p storage.PasswordProfile, replicas int, ceiling float64) Explanation {
	if ceiling == 0 {
		ceiling = DefaultGuessCeiling
	}
	e := Explanation{
		Risk: RiskOf(p, replicas), Profile: p, GuessCeiling: ceiling,
		PasswordsAboveCeiling: lockout.Check(p.Lockout) != nil, CodesAboveCeiling: CheckCodes(p, ceiling) != nil,
	}
	times := curveTimes()
	for i, guesses := range lockout.GuessesWithin(p.Lockout, times...) {
		point := GuessPoint{After: times[i], Counter: guesses, All: guesses * e.Counters * e.Replicas}
		if p.OneTimeCodes {
			point.Odds = e.Odds(float64(point.All))
		}
		e.Curve = append(e.Curve, point)
	}
	return e
}

// curveTimes returns the moments of Explanation.Curve: often in the first minutes, where
// most guesses are, and then each quarter of an hour of a day.
func curveTimes() []time.Duration {
	const quarter, day = 15 * time.Minute, 24 * time.Hour
	times := []time.Duration{0, time.Second}
	for minute := time.Duration(1); minute < 15; minute++ {
		times = append(times, minute*time.Minute)
	}
	for at := quarter; at <= day; at += quarter {
		times = append(times, at)
	}
	return times
}

// Stranger returns the part of PerDay that comes from addresses which the user never
// signed in from.
func (r Risk) Stranger() float64 { return r.Odds(float64(r.Counter.FirstDay * r.Replicas)) }

// PerMillion returns how many guesses a day succeed if a million logins are attacked.
func (r Risk) PerMillion() float64 { return r.PerDay() * aMillion }

// YearsToOne returns the expected number of years until one guess succeeds while a million
// logins are attacked without end; 0: no guess can succeed.
func (r Risk) YearsToOne() float64 {
	perDay := r.Odds(r.LongRun()) * aMillion
	if perDay <= 0 {
		return 0
	}
	return 1 / perDay / daysInYear
}

const aMillion = 1e6
