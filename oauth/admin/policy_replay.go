package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"latchkey/otp/lockout"
	"latchkey/otp/replay"
	"latchkey/storage"
)

// Bounds of one replay. A login takes some hundred bytes of memory, and an event some
// microseconds.
const (
	maxReplayedLogins = 100_000
	maxReplayedEvents = 5_000_000
	// maxChangedLogins is how many of the changed logins a result names.
	maxChangedLogins = 100
)

// PolicyReplay is the request of a task of the kind storage.TaskPolicyReplay. The result is
// a PolicyReplayResult.
type PolicyReplay struct {
	ProfileID string
	Policy    storage.LockoutPolicy
	Since     time.Time
}

// PolicyReplayResult is what a policy would have done; see replay.Summary for the figures.
type PolicyReplayResult struct {
	Logins, Locked, Guesses, Stopped, Passed, Refused, Unknown int

	Changed []ReplayedLogin // those with the most refused sign-ins and locks first
	Omitted int             // how many more there are
}

// ReplayedLogin is what the policy would have done to one login.
type ReplayedLogin struct {
	Login                             string // "profile/username"
	Locks                             int
	FirstLock                         time.Time     // zero: none
	LongestLock                       time.Duration // more than a year: until an administrator unlocks
	Guesses, Stopped, Passed, Refused int
}

// ReplayPolicies returns the tasks that replay a lockout policy over past events. now is the
// clock.
func ReplayPolicies(store replay.Store, now func() time.Time) TaskKind {
	return TaskKind{Action: "passwordprofile.replayed", Work: func(ctx context.Context, t storage.Task, progress func(read, all int64) error) (any, string, error) {
		var request PolicyReplay
		if err := json.Unmarshal(t.Request, &request); err != nil {
			return nil, "", err
		}
		all := now().Sub(request.Since)
		result, err := replay.Run(ctx, store, replay.Config{
			Policy: request.Policy, ProfileID: request.ProfileID, Since: request.Since,
			MaxLogins: maxReplayedLogins, MaxEvents: maxReplayedEvents,
			Progress: func(at time.Time) error {
				read := max(0, min(at.Sub(request.Since), all))
				return progress(int64(read/time.Second), int64(all/time.Second))
			},
		})
		if errors.Is(err, replay.ErrTooMuch) {
			err = &TaskFailure{"there are too many sign-ins in this time; replay a shorter one"}
		}
		return resultOf(result.Summary()), "success", err
	}}
}

func resultOf(s replay.Summary) PolicyReplayResult {
	slices.SortStableFunc(s.Changed, func(a, b lockout.Result) int {
		return cmp.Or(cmp.Compare(len(b.RefusedSignIns), len(a.RefusedSignIns)), cmp.Compare(len(b.Locks), len(a.Locks)))
	})
	r := PolicyReplayResult{
		Logins: s.Logins, Locked: s.Locked, Guesses: s.Guesses, Stopped: s.Stopped, Passed: s.Passed, Refused: s.Refused, Unknown: s.Unknown,
		Omitted: max(0, len(s.Changed)-maxChangedLogins),
	}
	for _, l := range s.Changed[:min(len(s.Changed), maxChangedLogins)] {
		changed := ReplayedLogin{
			Login: l.Login, Locks: len(l.Locks), Guesses: l.Guesses, Stopped: l.NewlyRefused, Passed: l.NewlyCompared, Refused: len(l.RefusedSignIns),
		}
		for _, lock := range l.Locks {
			changed.LongestLock = max(changed.LongestLock, lock.Until.Sub(lock.At))
		}
		if len(l.Locks) > 0 {
			changed.FirstLock = l.Locks[0].At
		}
		r.Changed = append(r.Changed, changed)
	}
	return r
}
