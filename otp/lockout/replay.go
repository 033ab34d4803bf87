package lockout

import (
	"slices"
	"strings"
	"time"

	"latchkey/storage"
)

// Ending is how an attempt ended.
type Ending int

// How attempts end, and what else ends the count of failures.
const (
	Wrong   Ending = iota + 1 // what was presented was compared, and wrong
	Right                     // it was right, and the sign-in took effect
	Barred                    // a lock refused it; nobody knows what was presented
	Cleared                   // no attempt: an administrator unlocked the login, or its password was changed
)

// Past is something that happened to a login.
type Past struct {
	At     time.Time
	Login  string // any name that no other login has
	Source string // address that it came from, as in storage.LoginKey; empty: not known
	Ending Ending
	OTP    bool // by a one-time password; of a wrong attempt: there was one to hit
}

// Lock is a lock that a policy would have brought about.
type Lock struct {
	At, Until time.Time
	Source    string // the known source that it is for alone; empty: all others, or all codes
	Codes     bool   // it is for one-time passwords
}

// Fate is what a policy would have made of a login.
type Fate struct {
	Login   string
	Locks   []Lock
	Guesses int         // wrong attempts, those that a lock refused taken for wrong ones
	Stopped int         // of them, those that were compared and would have been refused
	Passed  int         // of them, those that were refused and would have been compared
	Refused []time.Time // successes that would have been refused
}

// Replay runs what happened through a policy other than the one that was in
// force. It is pure, and keeps a state for each login. What was before the first
// event it does not know: no failures, and no known source.
type Replay struct {
	policy storage.LockoutPolicy
	logins map[string]*replayed
}

// replayed is a login in the world of the other policy.
type replayed struct {
	state   storage.Lockout
	sources []*seen // the one that was quiet longest first
	fate    Fate
}

// seen is a known source.
type seen struct {
	address string
	counter storage.Counter
}

// NewReplay begins a replay under the policy.
func NewReplay(p storage.LockoutPolicy) *Replay {
	return &Replay{policy: p, logins: map[string]*replayed{}}
}

// See takes the next event. Those of a login must come in the order of time.
func (r *Replay) See(e Past) {
	l := r.logins[e.Login]
	if l == nil {
		l = &replayed{fate: Fate{Login: e.Login}}
		r.logins[e.Login] = l
	}
	switch e.Ending {
	case Cleared:
		l.clear()
	case Right:
		l.succeed(r.policy, e)
	case Wrong, Barred:
		l.fail(r.policy, e)
	}
}

// Fates tells of all logins that were seen, in the order of their names.
func (r *Replay) Fates() []Fate {
	fates := make([]Fate, 0, len(r.logins))
	for _, l := range r.logins {
		fates = append(fates, l.fate)
	}
	slices.SortFunc(fates, func(a, b Fate) int { return strings.Compare(a.Login, b.Login) })
	return fates
}

// principal is the login as an attempt from the address sees it.
func (l *replayed) principal(p storage.LockoutPolicy, address string) (*storage.Principal, *seen) {
	view := &storage.Principal{Known: true, Policy: p, Lockout: l.state}
	i := slices.IndexFunc(l.sources, func(s *seen) bool { return s.address == address })
	if address == "" || i < 0 {
		return view, nil
	}
	view.Source, view.Lockout.Source = storage.Source{ID: address, Address: address}, l.sources[i].counter
	return view, l.sources[i]
}

// clear forgets the failures. What is known stays known.
func (l *replayed) clear() {
	l.state = storage.Lockout{}
	for _, s := range l.sources {
		s.counter = storage.Counter{}
	}
}

func (l *replayed) fail(policy storage.LockoutPolicy, e Past) {
	p, source := l.principal(policy, e.Source)
	guess := Guess{Password: true, Code: e.OTP, Live: e.OTP}
	l.fate.Guesses++
	refused := Refused(p, guess, e.At)
	switch {
	case refused && e.Ending == Wrong:
		l.fate.Stopped++
	case !refused && e.Ending == Barred:
		l.fate.Passed++
	}
	after := Next(p, guess, e.At)
	l.note(e.At, p.Lockout, after, e.Source)
	if source != nil {
		source.counter = after.Source
	}
	after.Source = storage.Counter{}
	l.state = after
}

// note keeps the locks that an attempt brought about.
func (l *replayed) note(at time.Time, before, after storage.Lockout, source string) {
	if after.LockedUntil.After(before.LockedUntil) {
		l.fate.Locks = append(l.fate.Locks, Lock{At: at, Until: after.LockedUntil})
	}
	if after.Codes.LockedUntil.After(before.Codes.LockedUntil) {
		l.fate.Locks = append(l.fate.Locks, Lock{At: at, Until: after.Codes.LockedUntil, Codes: true})
	}
	if after.Source.LockedUntil.After(before.Source.LockedUntil) {
		l.fate.Locks = append(l.fate.Locks, Lock{At: at, Until: after.Source.LockedUntil, Source: source})
	}
}

// succeed clears what a settlement clears: the counters whose lock is not in
// force. The source is known from then on.
func (l *replayed) succeed(policy storage.LockoutPolicy, e Past) {
	p, source := l.principal(policy, e.Source)
	locked := p.Locked(e.At)
	if e.OTP {
		locked = p.CodesLocked(e.At)
	}
	if locked {
		l.fate.Refused = append(l.fate.Refused, e.At)
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
		source = &seen{address: e.Source}
	}
	source.counter = storage.Counter{}
	l.sources = slices.DeleteFunc(l.sources, func(s *seen) bool { return s == source })
	l.sources = append(l.sources, source)
	l.sources = l.sources[max(0, len(l.sources)-storage.MaxSources):]
}
