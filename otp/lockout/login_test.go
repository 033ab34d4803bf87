package lockout_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey/otp/lockout"
	"latchkey/storage"
)

// TestNext: what a failure counts to, and that a lock which refuses it whatever
// was presented keeps it from counting anywhere.
func TestNext(t *testing.T) {
	t.Parallel()
	now := start()
	open := storage.Counter{Failures: 2, LastFailureAt: now.Add(-time.Hour)}
	last := storage.Counter{Failures: 9, LastFailureAt: now.Add(-time.Hour)}
	shut := storage.Counter{Failures: 10, LastFailureAt: now.Add(-time.Minute), LockedUntil: now.Add(time.Minute)}
	third := storage.Counter{Failures: 3, LastFailureAt: now}
	tenth := storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(2 * time.Minute)}
	noted := storage.Counter{Failures: 10, LastFailureAt: now, LockedUntil: now.Add(time.Minute)}
	password, code := lockout.Guess{Password: true}, lockout.Guess{Code: true, Live: true}
	either, noCode := lockout.Guess{Password: true, Code: true, Live: true}, lockout.Guess{Password: true, Code: true}
	none := storage.Counter{}
	tests := []struct {
		name  string
		guess lockout.Guess
		known bool
		had   [3]storage.Counter // of all guesses, of those at codes, from the source
		has   [3]storage.Counter
	}{
		{"password from elsewhere", password, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, open, none}},
		{"code from elsewhere", code, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, third, none}},
		{"either from elsewhere", either, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, third, none}},
		{"either without a code", noCode, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{third, open, none}},
		{"from a known source", either, true, [3]storage.Counter{open, open, open}, [3]storage.Counter{third, third, third}},
		{"password from a known source", password, true, [3]storage.Counter{open, open, open}, [3]storage.Counter{third, open, third}},
		{"the last ones", either, true, [3]storage.Counter{last, last, last}, [3]storage.Counter{tenth, tenth, tenth}},
		{"password under its lock", password, false, [3]storage.Counter{shut, open, none}, [3]storage.Counter{shut, open, none}},
		{"code under its lock", code, false, [3]storage.Counter{open, shut, none}, [3]storage.Counter{open, shut, none}},
		{"either under both", either, false, [3]storage.Counter{shut, shut, none}, [3]storage.Counter{shut, shut, none}},
		{"no code there, under both", noCode, false, [3]storage.Counter{shut, shut, none}, [3]storage.Counter{shut, shut, none}},
		{"either, passwords locked", either, false, [3]storage.Counter{shut, open, none}, [3]storage.Counter{noted, third, none}},
		{"either, codes locked", either, false, [3]storage.Counter{open, shut, none}, [3]storage.Counter{third, noted, none}},
		{"code, passwords locked", code, false, [3]storage.Counter{shut, last, none}, [3]storage.Counter{noted, tenth, none}},
		{"known source, all else locked", either, true, [3]storage.Counter{shut, shut, open}, [3]storage.Counter{noted, noted, third}},
		{"locked source, all else open", either, true, [3]storage.Counter{open, open, shut}, [3]storage.Counter{open, open, shut}},
		{"at nothing", lockout.Guess{}, false, [3]storage.Counter{open, open, none}, [3]storage.Counter{open, open, none}},
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
				t.Errorf("a new lock: %v, want %v", !newLock, newLock)
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

func TestAtOnce(t *testing.T) {
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
		{"untouched", false, [3]storage.Counter{}, 10},
		{"the least of both", false, [3]storage.Counter{open, last, {}}, 1},
		{"the other way round", false, [3]storage.Counter{last, open, {}}, 1},
		{"codes can win", false, [3]storage.Counter{shut, open, {}}, 6},
		{"passwords can win", false, [3]storage.Counter{open, shut, {}}, 6},
		{"nothing can", false, [3]storage.Counter{shut, shut, {}}, 10},
		{"its own alone", true, [3]storage.Counter{last, shut, open}, 6},
		{"locked", true, [3]storage.Counter{last, last, shut}, 10},
	}
	for _, test := range tests {
		p := storage.Principal{Policy: lockout.DefaultPolicy(), Lockout: lockoutOf(test.had)}
		if test.known {
			p.Source.ID = "src"
		}
		if got := lockout.AtOnce(&p, now); got != test.want {
			t.Errorf("%s: AtOnce = %d, want %d", test.name, got, test.want)
		}
	}
}

// Whatever else is guessed at a login, and from wherever, a counter lets no more
// guesses through than the threshold and one for each lock that was waited out;
// guesses at passwords never touch the codes, nor those from elsewhere a source.
func TestNextIsBoundedByCounter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		policy, now := policies().Draw(t, "policy"), start()
		var login storage.Lockout
		var home storage.Counter
		var passwords, codes, atHome spent
		for range rapid.IntRange(1, 150).Draw(t, "guesses") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "wait")))
			g := lockout.Guess{
				Password: rapid.Bool().Draw(t, "password"), Code: rapid.Bool().Draw(t, "code"), Live: rapid.Bool().Draw(t, "live"),
			}
			p := storage.Principal{Policy: policy, Lockout: login}
			if rapid.Bool().Draw(t, "from home") {
				p.Source.ID, p.Lockout.Source = "src", home
			}
			next := lockout.Next(&p, g, now)
			known := p.Source.ID != ""
			switch {
			case known:
				atHome.count(t, policy, !p.Locked(now) && (g.Password || g.Code), next.Source.Locked(now))
			default:
				passwords.count(t, policy, g.Password && !p.Locked(now), next.Locked(now))
				codes.count(t, policy, g.Code && g.Live && !p.CodesLocked(now), next.Codes.Locked(now))
				if next.Source != (storage.Counter{}) {
					t.Fatalf("a guess from elsewhere touched a source: %+v", next)
				}
			}
			if !(g.Code && g.Live) && next.Codes != login.Codes {
				t.Fatalf("%+v touched the codes", g)
			}
			if known {
				home = next.Source
			}
			login, login.Source = next, storage.Counter{}
		}
	})
}

// spent counts what got past one counter.
type spent struct {
	guesses, locks int
}

func (s *spent) count(t *rapid.T, p storage.LockoutPolicy, through, locked bool) {
	if !through {
		return
	}
	if s.guesses++; s.guesses > p.Threshold+s.locks {
		t.Fatalf("guess %d after %d elapsed locks with threshold %d", s.guesses, s.locks, p.Threshold)
	}
	if locked {
		s.locks++
	}
}
