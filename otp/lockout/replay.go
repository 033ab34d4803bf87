package lockout

import (
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

// Outcome is what an Event did to a login.
type Outcome int

// The outcomes of events.
const (
	Failed        Outcome = iota + 1 // a wrong secret was compared
	Succeeded                        // the sign-in took effect
	RefusedByLock                    // a lock refused the attempt, so its secret was not compared
	Cleared                          // no attempt: an administrator unlocked the login, or its password changed
)

// Event is one thing that happened to a login.
type Event struct {
	At      time.Time
	Login   string // any name that is unique among the logins of the replay
	Source  string // source address, as in storage.LoginKey; empty: not known
	Outcome Outcome
	OTP     bool // signed in by one-time password; if Failed: the login had a live code
}

// Lock is a lock that the replayed policy would have caused.
type Lock struct {
	At, Until time.Time
	Source    string // the known source that alone is locked; empty: all other sources
	Codes     bool   // locks one-time passwords instead of passwords
}

// Result is what the replayed policy would have done to one login. Attempts that
// a lock refused are taken for wrong ones.
type Result struct {
	Login          string
	Locks          []Lock
	Guesses        int         // wrong attempts
	NewlyRefused   int         // of Guesses: were compared, and would have been refused
	NewlyCompared  int         // of Guesses: were refused, and would have been compared
	RefusedSignIns []time.Time // sign-ins that succeeded, and would have been refused
}

// Replay applies another policy to past events. It is pure and keeps a state for
// each login. It assumes that at the first event no login has failures or known
// sources.
type Replay struct {
	policy storage.LockoutPolicy
	logins map[string]*replayedLogin
}

// replayedLogin is the state of a login under the replayed policy.
type replayedLogin struct {
	state   storage.Lockout
	sources []*replayedSource // least recently used first
	result  Result
}

// replayedSource is a known source of a login.
type replayedSource struct {
	address string
	counter storage.Counter
}

// NewReplay returns an empty Replay of the policy.
func NewReplay(p storage.LockoutPolicy) *Replay {
	return &Replay{policy: p, logins: map[string]*replayedLogin{}}
}

// Add applies the next event. The events of one login must come in order of time.
func (r *Replay) Add(e Event) {
	l := r.logins[e.Login]
	if l == nil {
		l = &replayedLogin{result: Result{Login: e.Login}}
		r.logins[e.Login] = l
	}
	switch e.Outcome {
	case Cleared:
		l.clearFailures()
	case Succeeded:
		l.succeed(r.policy, e)
	case Failed, RefusedByLock:
		l.fail(r.policy, e)
	}
}

// Results returns the results of all logins, in the order of their names.
func (r *Replay) Results() []Result {
	results := make([]Result, 0, len(r.logins))
	for _, l := range r.logins {
		results = append(results, l.result)
	}
	slices.SortFunc(results, func(a, b Result) int { return strings.Compare(a.Login, b.Login) })
	return results
}

// principal returns what an attempt from the address would read from the store.
// The source is nil if it is not known.
func (l *replayedLogin) principal(p storage.LockoutPolicy, address string) (*storage.Principal, *replayedSource) {
	read := &storage.Principal{Known: true, Policy: p, Lockout: l.state}
	i := slices.IndexFunc(l.sources, func(s *replayedSource) bool { return s.address == address })
	if address == "" || i < 0 {
		return read, nil
	}
	read.Source, read.Lockout.Source = storage.Source{ID: address, Address: address}, l.sources[i].counter
	return read, l.sources[i]
}

// clearFailures clears all counters. Known sources stay known.
func (l *replayedLogin) clearFailures() {
	l.state = storage.Lockout{}
	for _, s := range l.sources {
		s.counter = storage.Counter{}
	}
}

func (l *replayedLogin) fail(policy storage.LockoutPolicy, e Event) {
	p, source := l.principal(policy, e.Source)
	guess := Guess{Password: true, Code: e.OTP, CodeLive: e.OTP}
	l.result.Guesses++
	refused := Refused(p, guess, e.At)
	switch {
	case refused && e.Outcome == Failed:
		l.result.NewlyRefused++
	case !refused && e.Outcome == RefusedByLock:
		l.result.NewlyCompared++
	}
	after := Next(p, guess, e.At)
	l.addLocks(e.At, p.Lockout, after, e.Source)
	if source != nil {
		source.counter = after.Source
	}
	after.Source = storage.Counter{}
	l.state = after
}

// addLocks adds the locks that an attempt caused to the result.
func (l *replayedLogin) addLocks(at time.Time, before, after storage.Lockout, source string) {
	if after.LockedUntil.After(before.LockedUntil) {
		l.result.Locks = append(l.result.Locks, Lock{At: at, Until: after.LockedUntil})
	}
	if after.Codes.LockedUntil.After(before.Codes.LockedUntil) {
		l.result.Locks = append(l.result.Locks, Lock{At: at, Until: after.Codes.LockedUntil, Codes: true})
	}
	if after.Source.LockedUntil.After(before.Source.LockedUntil) {
		l.result.Locks = append(l.result.Locks, Lock{At: at, Until: after.Source.LockedUntil, Source: source})
	}
}

// succeed does what settling a sign-in does in the store: it clears the counters
// that are not locked, and makes the source known.
func (l *replayedLogin) succeed(policy storage.LockoutPolicy, e Event) {
	p, source := l.principal(policy, e.Source)
	locked := p.Locked(e.At)
	if e.OTP {
		locked = p.CodesLocked(e.At)
	}
	if locked {
		l.result.RefusedSignIns = append(l.result.RefusedSignIns, e.At)
		return
	}
	if !l.state.Locked(e.At) {
		l.state = storage.Lockout{Codes: l.state.Codes}
	}
	if !l.state.Codes.Locked(e.At) {
		l.state.Codes = storage.Counter{}
	}
	if e.Source == "" {
		return
	}
	if source == nil {
		source = &replayedSource{address: e.Source}
	}
	source.counter = storage.Counter{}
	l.sources = slices.DeleteFunc(l.sources, func(s *replayedSource) bool { return s == source })
	l.sources = append(l.sources, source)
	l.sources = l.sources[max(0, len(l.sources)-storage.MaxSources):]
}
