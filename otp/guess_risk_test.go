package otp_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

func profileWith(alphabet string, length int, policy storage.LockoutPolicy) storage.PasswordProfile {
	return storage.PasswordProfile{
		ID: "p", OneTimeCodes: true, Code: storage.CodeFormat{Alphabet: alphabet, Length: length},
		CodeTTL: 10 * time.Minute, Lockout: policy,
	}
}

// TestRiskOf compares with figures that were computed by hand. The default policy allows 19
// guesses a day for each of six counters.
func TestRiskOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		alphabet           string
		length, replicas   int
		bits               float64
		hour, day          int
		perDay, perMillion float64
	}{
		{"crockford", 8, 1, 40, 84, 114, 114 / math.Pow(2, 40), 1.0368e-4},
		{"crockford", 8, 3, 40, 252, 342, 342 / math.Pow(2, 40), 3.1105e-4},
		{"digits", 6, 1, 19.9316, 84, 114, 1.13994e-4, 113.994},
		{"digits", 6, 0, 19.9316, 84, 114, 1.13994e-4, 113.994},
		{"digits", 8, 1, 26.5754, 84, 114, 1.14e-6, 1.14},
	}
	near := func(got, want float64) bool { return math.Abs(got-want) <= 1e-4*math.Abs(want) }
	for _, test := range tests {
		r := otp.RiskOf(profileWith(test.alphabet, test.length, lockout.DefaultPolicy()), test.replicas)
		if !near(r.Bits(), test.bits) || r.FirstHour() != test.hour || r.FirstDay() != test.day {
			t.Errorf("%+v: got %.4f bits, %d guesses an hour, %d a day", test, r.Bits(), r.FirstHour(), r.FirstDay())
		}
		if !near(r.PerDay(), test.perDay) || !near(r.PerDay()*1e6, test.perMillion) {
			t.Errorf("%+v: got the odds %v", test, r.PerDay())
		}
	}
}

func TestCheckRisk(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	strict := storage.LockoutPolicy{Threshold: 1, Duration: day, MaxDuration: day, ForgetsAfter: day}
	usual := lockout.DefaultPolicy()
	without := profileWith("digits", 6, usual)
	without.OneTimeCodes = false
	tests := []struct {
		name    string
		profile storage.PasswordProfile
		ceiling float64
		want    string // part of the refusal; empty if there is none
	}{
		{"the default", profileWith("crockford", 8, usual), 0, ""},
		{"eight digits", profileWith("digits", 8, usual), 0, ""},
		{"seven digits", profileWith("digits", 7, usual), 0, "give codes 8 characters"},
		{"six digits", profileWith("digits", 6, usual), 0, "odds of 1.1e-04"},
		{"six digits, higher ceiling", profileWith("digits", 6, usual), 1.2e-4, ""},
		{"six digits, one guess a day", profileWith("digits", 6, strict), 0, ""},
		{"six digits, lower ceiling", profileWith("digits", 6, strict), 5e-6, "allows 6 guesses a day"},
		{"no codes", without, 0, ""},
		{"nothing is enough", profileWith("crockford", 64, usual), 1e-300, "give codes more characters"},
		{"a format of no use, which is refused for that", profileWith("digits", 3, usual), 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := otp.CheckRisk(test.profile, test.ceiling)
			if test.want == "" && err != nil || test.want != "" && (!errors.Is(err, otp.ErrGuessable) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
