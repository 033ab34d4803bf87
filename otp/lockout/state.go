package lockout

import (
	"slices"
	"time"

	"latchkey/storage"
)

// State is all that the lockout of one login depends on. A store keeps it as one value
// that it does not look into. Only Apply and Record make a new one.
//
// The zero State is that of a login without failures and without known sources.
type State struct {
	Lockout storage.Lockout // Lockout.Source is always zero; see From
	Sources []KnownSource   // the most recently used first; at most storage.MaxSources
}

// KnownSource is an address that a login has signed in from, with its own counter.
type KnownSource struct {
	storage.Source
	Failures storage.Counter
}

// Kind says how an attempt ended.
type Kind int

// The kinds of outcomes.
const (
	Failed        Kind = iota + 1 // a wrong secret was compared
	Succeeded                     // the sign-in is to take effect
	RefusedByLock                 // a lock refused the attempt, so its secret was not compared
	Cleared                       // no attempt: an administrator unlocked the login, or its password changed
)

// Outcome is what happened to a login.
type Outcome struct {
	Kind     Kind
	SourceID string // ID of the known source of the attempt; empty: its source is not known
	Guess    Guess  // of a failure

	Code     bool            // of a success: a one-time password was presented, not the permanent password
	Resumed  bool            // of a success: an earlier sign-in goes on, so no failures are cleared
	Remember *storage.Source // of a success: is known from now on, without failures; nil: sources do not change
}

// Apply returns the state after an outcome at the time now. It is pure. accepted is
// false if a lock refuses the attempt: a success must not take effect then, and a
// failure does not count.
//
// A store that decides an outcome reads the state, calls Apply, and writes the result by
// compare-and-swap. If another outcome was written in between, it repeats all three.
//
// For an attempt from a known source, the lock of that source counts. Otherwise the lock
// for guesses at codes counts for a code, and the lock of the login for a password. A
// success clears the counters that are not locked. A failure counts as Next says.
func Apply(p storage.LockoutPolicy, s State, o Outcome, now time.Time) (next State, accepted bool) {
	switch o.Kind {
	case Failed, RefusedByLock:
		read := s.principal(p, o.SourceID)
		return s.Record(o.SourceID, Next(&read, o.Guess, now)), !Refused(&read, o.Guess, now)
	case Succeeded:
		return s.succeed(p, o, now)
	case Cleared:
		return s.cleared(), true
	}
	return s, false
}

// Record returns the state after a failure for which Next returned the lockout state
// next. sourceID is the ID of the known source of the attempt; empty: it is not known.
func (s State) Record(sourceID string, next storage.Lockout) State {
	s.Sources = slices.Clone(s.Sources)
	if at := s.indexOf(sourceID); at >= 0 {
		s.Sources[at].Failures = next.Source
	}
	version := s.Lockout.Version + 1
	s.Lockout = next
	s.Lockout.Source, s.Lockout.Version = storage.Counter{}, version
	return s
}

// From returns the known source with the address, and the lockout state with the counter of
// that source. If the address is empty or not known, the source and its counter are zero.
func (s State) From(address string) (storage.Source, storage.Lockout) {
	at := slices.IndexFunc(s.Sources, func(k KnownSource) bool { return address != "" && k.Address == address })
	return s.at(at)
}

// Of is From for the ID of a source.
func (s State) Of(sourceID string) (storage.Source, storage.Lockout) {
	return s.at(s.indexOf(sourceID))
}

// Unlocked is From for the most recently used source that is not locked at the time now.
// A message to the user uses it, so that attackers who lock the login do not stop it.
func (s State) Unlocked(now time.Time) (storage.Source, storage.Lockout) {
	return s.at(slices.IndexFunc(s.Sources, func(k KnownSource) bool { return !k.Failures.Locked(now) }))
}

func (s State) at(i int) (storage.Source, storage.Lockout) {
	l := s.Lockout
	if i < 0 {
		return storage.Source{}, l
	}
	l.Source = s.Sources[i].Failures
	return s.Sources[i].Source, l
}

// indexOf returns the index of a known source, or -1.
func (s State) indexOf(sourceID string) int {
	return slices.IndexFunc(s.Sources, func(k KnownSource) bool { return sourceID != "" && k.ID == sourceID })
}

// principal returns a principal with the policy, the source and the lockout state for an
// attempt from the source.
func (s State) principal(p storage.LockoutPolicy, sourceID string) storage.Principal {
	read := storage.Principal{Policy: p}
	read.Source, read.Lockout = s.Of(sourceID)
	return read
}

// succeed lets a success take effect unless the lock that counts for it is in force.
func (s State) succeed(p storage.LockoutPolicy, o Outcome, now time.Time) (State, bool) {
	read := s.principal(p, o.SourceID)
	if o.Code && read.CodesLocked(now) || !o.Code && read.Locked(now) {
		return s, false
	}
	if o.Resumed {
		return s, true
	}
	s.Sources = slices.Clone(s.Sources)
	all, changed := loginCounter(s.Lockout), o.Remember != nil
	counters := []*storage.Counter{&all, &s.Lockout.Codes}
	if at := s.indexOf(o.SourceID); at >= 0 {
		counters = append(counters, &s.Sources[at].Failures)
	}
	for _, c := range counters {
		if !c.Locked(now) {
			changed = changed || c.Failures != 0 || !c.LockedUntil.IsZero()
			*c = storage.Counter{}
		}
	}
	setLoginCounter(&s.Lockout, all)
	if changed { // so that a failure that was computed from the older state is stale
		s.Lockout.Version++
	}
	if o.Remember != nil {
		s.remember(*o.Remember)
	}
	return s, true
}

// remember makes a source known, or known again, without failures. A source with a known
// address keeps its ID, because tokens contain it. If there are too many, those that were
// not used for the longest time are forgotten.
func (s *State) remember(from storage.Source) {
	at := slices.IndexFunc(s.Sources, func(k KnownSource) bool { return k.Address == from.Address })
	if at >= 0 {
		from.ID = s.Sources[at].ID
		s.Sources = slices.Delete(s.Sources, at, at+1)
	}
	s.Sources = append([]KnownSource{{Source: from}}, s.Sources...)
	s.Sources = s.Sources[:min(len(s.Sources), storage.MaxSources)]
}

// cleared returns the state without failures and locks. Known sources stay known.
func (s State) cleared() State {
	s.Lockout = storage.Lockout{NotifiedAt: s.Lockout.NotifiedAt, Version: s.Lockout.Version + 1}
	s.Sources = slices.Clone(s.Sources)
	for i := range s.Sources {
		s.Sources[i].Failures = storage.Counter{}
	}
	return s
}
