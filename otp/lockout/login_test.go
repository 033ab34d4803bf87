package lockout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// TestNext tests which counters count a failed guess, and that a guess that a lock refused
// counts nowhere.
func TestNext(t *testing.T) {
	t.Parallel()
	now := start()
	open := storage.Counter{Failures: 2, LastFailureAt: now.Add(-time.Hour)}
	last := storage.Counter{Failures: 9, LastFailureAt: now.Add(-time.Hour)}
	shut := storage.Counter{Failures: 10, LastFailureAt: now.Add(-time.Minute), LockedUntil: now.Add(time.Minute)}
	third := storage.Counter{Failures: 3, LastFailureAt: now}
	tenth := storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(2 * time.Minute)}
	renewed := storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(time.Minute)}
	password, code := lockout.Guess{Password: true}, lockout.Guess{Code: true, CodeLive: true}
	either, noCode := lockout.Guess{Password: true, Code: true, CodeLive: true}, lockout.Guess{Password: true, Code: true}
	none := storage.Counter{}
	tests := []struct {
		name  string
		guess lockout.Guess
		known bool               // whether the source is known
		had   [3]storage.Counter // counters before the guess: of all guesses, of guesses at codes, of the source
		has   [3]storage.Counter // counters after the guess
	}{
		{"password from an unknown source", password, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, open, none}},
		{"code from an unknown source", code, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, third, none}},
		{"either from an unknown source", either, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, third, none}},
		{"either without a code", noCode, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, open, none}},
		{"from a known source", either, true, [3]storage.Counter{open, open, open}, [3]storage.Counter{third, third, third}},
		{"password from a known source", password, true, [3]storage.Counter{open, open, open}, [3]storage.Counter{third, open, third}},
		{"the last guess of each counter", either, true, [3]storage.Counter{last, last, last}, [3]storage.Counter{tenth, tenth, tenth}},
		{"password while passwords are locked", password, false, [3]storage.Counter{shut, open, none}, [3]storage.Counter{shut, open, none}},
		{"code while codes are locked", code, false, [3]storage.Counter{open, shut, none}, [3]storage.Counter{open, shut, none}},
		{"either while both are locked", either, false, [3]storage.Counter{shut, shut, none}, [3]storage.Counter{shut, shut, none}},
		{"either without a code while both are locked", noCode, false, [3]storage.Counter{shut, shut, none}, [3]storage.Counter{shut, shut, none}},
		{"either while passwords are locked", either, false, [3]storage.Counter{shut, open, none}, [3]storage.Counter{renewed, third, none}},
		{"either while codes are locked", either, false, [3]storage.Counter{open, shut, none}, [3]storage.Counter{third, renewed, none}},
		{"code while passwords are locked", code, false, [3]storage.Counter{shut, last, none}, [3]storage.Counter{renewed, tenth, none}},
		{"from a known source while all others are locked", either, true, [3]storage.Counter{shut, shut, open}, [3]storage.Counter{renewed, renewed, third}},
		{"from a known source that alone is locked", either, true, [3]storage.Counter{open, open, shut}, [3]storage.Counter{open, open, shut}},
		{"guess at neither", lockout.Guess{}, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{open, open, none}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := storage.Principal{Policy: lockout.DefaultPolicy(), Lockout: lockoutOf(test.had)}
			if test.known {
				p.Source.ID = "src"
			}
			want := lockoutOf(test.has)
			p.Lockout.Version, want.Version = 7, 8
			p.Lockout.NotifiedAt, want.NotifiedAt = now.Add(-time.Hour), now.Add(-time.Hour)
			got := lockout.Next(&p, test.guess, now)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Next (-want +got):\n%s", diff)
			}
			newLock := test.has[0] == tenth || test.has[1] == tenth || test.has[2] == tenth
			if lockout.Locks(p.Lockout, got) != newLock {
				t.Errorf("a new lock: got %v, want %v", !newLock, newLock)
			}
		})
	}
}

func lockoutOf(c [3]storage.Counter) storage.Lockout {
	return storage.Lockout{
		Failures: c[0].Failures, LastFailureAt: c[0].LastFailureAt, LockedUntil: c[0].LockedUntil,
		Codes: c[1], Source: c[2],
	}
}

func TestMaxConcurrent(t *testing.T) {
	t.Parallel()
	now := start()
	open := storage.Counter{Failures: 4, LastFailureAt: now.Add(-time.Hour)}
	last := storage.Counter{Failures: 9, LastFailureAt: now.Add(-time.Hour)}
	shut := storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(1)}
	tests := []struct {
		name  string
		known bool
		had   [3]storage.Counter
		want  int
	}{
		{"no failure", false, [3]storage.Counter{}, 10},
		{"codes have the least left", false, [3]storage.Counter{open, last, {}}, 1},
		{"passwords have the least left", false, [3]storage.Counter{last, open, {}}, 1},
		{"passwords are locked", false, [3]storage.Counter{shut, open, {}}, 6},
		{"codes are locked", false, [3]storage.Counter{open, shut, {}}, 6},
		{"both are locked", false, [3]storage.Counter{shut, shut, {}}, 10},
		{"the counter of a known source alone", true, [3]storage.Counter{last, shut, open}, 6},
		{"a known source that is locked", true, [3]storage.Counter{last, last, shut}, 10},
	}
	for _, test := range tests {
		p := storage.Principal{Policy: lockout.DefaultPolicy(), Lockout: lockoutOf(test.had)}
		if test.known {
			p.Source.ID = "src"
		}
		if got := lockout.MaxConcurrent(&p, now); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// TestNextIsBoundedByCounter tests that each counter allows at most the threshold plus one
// guess for each lock that ended, whatever the other counters count. Guesses at passwords never
// change the counter of codes. Guesses from an unknown source never change the counter of a
// known source.
func TestNextIsBoundedByCounter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy, now := policies().Draw(t, "policy"), start()
		var login storage.Lockout
		var source storage.Counter
		var passwords, codes, fromSource guessCount
		for range rapid.IntRange(1, 150).Draw(t, "guesses") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "wait")))
			g := lockout.Guess{
				Password: rapid.Bool().Draw(t, "password"), Code: rapid.Bool().Draw(t, "code"), CodeLive: rapid.Bool().Draw(t, "live"),
			}
			p := storage.Principal{Policy: policy, Lockout: login}
			if rapid.Bool().Draw(t, "from the known source") {
				p.Source.ID, p.Lockout.Source = "src", source
			}
			next := lockout.Next(&p, g, now)
			known := p.Source.ID != ""
			switch {
			case known:
				fromSource.count(t, policy, !p.Locked(now) && (g.Password || g.Code), next.Source.Locked(now))
			default:
				passwords.count(t, policy, g.Password && !p.Locked(now), next.Locked(now))
				codes.count(t, policy, g.Code && g.CodeLive && !p.CodesLocked(now), next.Codes.Locked(now))
				if next.Source != (storage.Counter{}) {
					t.Fatalf("a guess from an unknown source changed a source: %+v", next)
				}
			}
			if !(g.Code && g.CodeLive) && next.Codes != login.Codes {
				t.Fatalf("%+v changed the counter of codes", g)
			}
			if known {
				source = next.Source
			}
			login, login.Source = next, storage.Counter{}
		}
	})
}

// guessCount counts the guesses that one counter allowed, and its locks.
type guessCount struct {
	guesses, locks int
}

func (s *guessCount) count(t *rapid.T, p storage.LockoutPolicy, allowed, locked bool) {
	if !allowed {
		return
	}
	if s.guesses++; s.guesses > p.Threshold+s.locks {
		t.Fatalf("got guess %d after %d elapsed locks with threshold %d", s.guesses, s.locks, p.Threshold)
	}
	if locked {
		s.locks++
	}
}
