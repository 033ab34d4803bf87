package lockout

import (
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

// Event is one thing that happened to a login.
type Event struct {
	At     time.Time
	Login  string // any name that is unique among the logins of the replay
	Source string // source address, as in storage.LoginKey; empty: not known
	Kind   Kind
	OTP    bool // signed in by one-time password; if Failed: the login had a live code
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

// replayedLogin is the state of a login under the replayed policy. The ID of a source is
// its address.
type replayedLogin struct {
	state  State
	result Result
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
	switch e.Kind {
	case Cleared:
		l.state, _ = Apply(r.policy, l.state, Outcome{Kind: Cleared}, e.At)
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

func (l *replayedLogin) fail(policy storage.LockoutPolicy, e Event) {
	_, before := l.state.From(e.Source)
	next, counted := Apply(policy, l.state, Outcome{
		Kind: Failed, SourceID: e.Source, Guess: Guess{Password: true, Code: e.OTP, CodeLive: e.OTP},
	}, e.At)
	l.result.Guesses++
	switch {
	case !counted && e.Kind == Failed:
		l.result.NewlyRefused++
	case counted && e.Kind == RefusedByLock:
		l.result.NewlyCompared++
	}
	_, after := next.From(e.Source)
	l.addLocks(e.At, before, after, e.Source)
	l.state = next
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

// succeed settles a sign-in, which makes its source known.
func (l *replayedLogin) succeed(policy storage.LockoutPolicy, e Event) {
	o := Outcome{Kind: Succeeded, SourceID: e.Source, Code: e.OTP}
	if e.Source != "" {
		o.Remember = &storage.Source{ID: e.Source, Address: e.Source, SeenAt: e.At}
	}
	next, accepted := Apply(policy, l.state, o, e.At)
	if !accepted {
		l.result.RefusedSignIns = append(l.result.RefusedSignIns, e.At)
	}
	l.state = next
}
