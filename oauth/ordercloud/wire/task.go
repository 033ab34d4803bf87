package wire

import (
	"encoding/json"
	"time"

	"latchkey/oauth/admin"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// AuditChain is the state of the chain of audit events.
type AuditChain struct {
	Head       *string // SEQ:MAC of the newest batch, for Expect of a later verification; null: no event yet
	Events     int64   // that should be there
	FirstEvent int64   // number of the oldest; older ones were deleted by retention, or recorded before "latchkey audit restart"
	Outside    int64   // from before events were chained; nothing protects them
	EndIntact  bool    // the record of where the chain ends is as a server wrote it. Only a verification reads the events
	Reason     *string // why EndIntact is false

	LastVerification    *AuditVerification // the newest one that is done
	CurrentVerification *AuditVerification // one that waits or runs
}

// AuditVerification is a check that all audit events are as they were written.
type AuditVerification struct {
	ID           string
	State        string // waiting, running, done or failed
	CreatedAt    time.Time
	EndedAt      *time.Time
	ClientID     *string // through which it was started
	UserID       *string // who started it
	Username     *string
	EventsRead   int64
	EventsToRead int64
	Failure      *string
	Result       *AuditVerdict // null: it is not done
}

// AuditVerificationRequest starts a verification.
type AuditVerificationRequest struct {
	Expect *string // a Head from earlier that must be part of the chain
}

// AuditVerdict is the result of a verification.
type AuditVerdict struct {
	Intact     bool
	Events     int64 // that are as they were written
	FirstEvent int64
	Outside    int64
	Head       *string
	BrokenAt   *int64 // number of the first event that is missing, changed or cannot be checked; 0: rows that are no part of the chain
	Reason     *string
	UnknownKey *string // id of the secret that is missing
}

// AuditChainFromCore returns the state of the chain. newest is the newest verifications,
// the newest first.
func AuditChainFromCore(v storage.AuditVerdict, newest []storage.Task) (AuditChain, error) {
	w := AuditChain{Head: headOf(v), Events: v.Events, FirstEvent: v.Swept + 1, Outside: v.Outside, EndIntact: v.Break == nil}
	if v.Break != nil {
		w.Reason = &v.Break.Why
	}
	for _, t := range newest {
		shown, err := AuditVerificationFromTask(t)
		if err != nil {
			return w, err
		}
		switch {
		case t.EndedAt.IsZero() && w.CurrentVerification == nil:
			w.CurrentVerification = &shown
		case t.State == storage.TaskDone && w.LastVerification == nil:
			w.LastVerification = &shown
		}
	}
	return w, nil
}

func headOf(v storage.AuditVerdict) *string {
	if v.Head.Seq == 0 {
		return nil
	}
	return new(v.Head.String())
}

// AuditVerificationFromTask returns a task of the kind storage.TaskAuditVerification.
func AuditVerificationFromTask(t storage.Task) (AuditVerification, error) {
	w := AuditVerification{
		ID: t.ID, State: string(t.State), CreatedAt: t.CreatedAt, EndedAt: surface.Optional(t.EndedAt),
		ClientID: surface.Optional(t.ClientID), UserID: surface.Optional(t.UserUID), Username: surface.Optional(t.Username),
		EventsRead: t.Read, EventsToRead: t.All, Failure: surface.Optional(t.Failure),
	}
	if t.State != storage.TaskDone {
		return w, nil
	}
	var v storage.AuditVerdict
	if err := json.Unmarshal(t.Result, &v); err != nil {
		return w, err
	}
	w.Result = &AuditVerdict{Intact: v.Break == nil, Events: v.Events, FirstEvent: v.Swept + 1, Outside: v.Outside, Head: headOf(v)}
	if v.Break != nil {
		w.Result.BrokenAt, w.Result.Reason, w.Result.UnknownKey = &v.Break.Seq, &v.Break.Why, surface.Optional(v.Break.Key)
	}
	return w, nil
}

// PolicyReplayRequest starts a replay of a lockout policy. Members that are absent are those
// of the password profile.
type PolicyReplayRequest struct {
	Since                         *time.Time // from when on; default 30 days ago
	AllowedFailedAttempts         *int
	LockoutDurationSeconds        *int
	MaximumLockoutDurationSeconds *int
	ForgetFailuresAfterSeconds    *int
}

// Proposed returns the profile with the lockout policy of the request.
func (r PolicyReplayRequest) Proposed(p PasswordProfile) PasswordProfile {
	for _, m := range []struct{ into, from **int }{
		{&p.AllowedFailedAttempts, &r.AllowedFailedAttempts},
		{&p.LockoutDurationSeconds, &r.LockoutDurationSeconds},
		{&p.MaximumLockoutDurationSeconds, &r.MaximumLockoutDurationSeconds},
		{&p.ForgetFailuresAfterSeconds, &r.ForgetFailuresAfterSeconds},
	} {
		if *m.from != nil {
			*m.into = *m.from
		}
	}
	return p
}

// PolicyReplay shows which logins a lockout policy would have locked, and what it would have
// refused.
type PolicyReplay struct {
	ID        string
	State     string // waiting, running, done or failed
	CreatedAt time.Time
	EndedAt   *time.Time
	ClientID  *string // through which it was started
	UserID    *string // who started it
	Username  *string

	Since                         time.Time
	AllowedFailedAttempts         int
	LockoutDurationSeconds        int
	MaximumLockoutDurationSeconds int
	ForgetFailuresAfterSeconds    int

	PercentRead int // of the time since Since
	Failure     *string
	Result      *PolicyReplayResult // null: it is not done
}

// PolicyReplayResult is the result of a replay. Its names are those of the logins, as they
// are in the audit events, so only callers with the role AuditReader see them.
type PolicyReplayResult struct {
	Logins           int // in the events
	LockedLogins     int // of them, how many would have been locked
	Guesses          int // wrong attempts
	NewlyRefused     int // of them: were compared, and would have been refused
	NewlyCompared    int // of them: were refused, and would have been compared
	RefusedSignIns   int // that succeeded, and would have been refused
	UnknownUsernames int // attempts with unknown usernames

	Changed        []ReplayedLogin `openapi:"nullable"` // null: the caller does not have AuditReader
	ChangedOmitted int             // how many more there are
}

// ReplayedLogin is what the policy would have done to one login.
type ReplayedLogin struct {
	Login              string // profile/username
	Locks              int
	FirstLockAt        *time.Time
	LongestLockSeconds *int // null: none, or until an administrator unlocks
	UntilUnlocked      bool // an administrator would have had to unlock it
	Guesses            int
	NewlyRefused       int
	NewlyCompared      int
	RefusedSignIns     int
}

// PolicyReplayFromTask returns a task of the kind storage.TaskPolicyReplay. names says that
// the caller may see the names of logins.
func PolicyReplayFromTask(t storage.Task, names bool) (PolicyReplay, error) {
	var request admin.PolicyReplay
	if err := json.Unmarshal(t.Request, &request); err != nil {
		return PolicyReplay{}, err
	}
	policy := request.Policy
	w := PolicyReplay{
		ID: t.ID, State: string(t.State), CreatedAt: t.CreatedAt, EndedAt: surface.Optional(t.EndedAt),
		ClientID: surface.Optional(t.ClientID), UserID: surface.Optional(t.UserUID), Username: surface.Optional(t.Username),
		Since: request.Since, AllowedFailedAttempts: policy.Threshold, LockoutDurationSeconds: int(policy.Duration / time.Second),
		MaximumLockoutDurationSeconds: int(policy.MaxDuration / time.Second), ForgetFailuresAfterSeconds: int(policy.ForgetsAfter / time.Second),
		PercentRead: int(100 * t.Read / max(t.All, 1)), Failure: surface.Optional(t.Failure),
	}
	if t.State != storage.TaskDone {
		return w, nil
	}
	var r admin.PolicyReplayResult
	if err := json.Unmarshal(t.Result, &r); err != nil {
		return w, err
	}
	w.PercentRead = 100
	w.Result = &PolicyReplayResult{
		Logins: r.Logins, LockedLogins: r.Locked, Guesses: r.Guesses, NewlyRefused: r.Stopped, NewlyCompared: r.Passed,
		RefusedSignIns: r.Refused, UnknownUsernames: r.Unknown,
	}
	if !names {
		w.Result.ChangedOmitted = r.Omitted + len(r.Changed)
		return w, nil
	}
	w.Result.Changed, w.Result.ChangedOmitted = []ReplayedLogin{}, r.Omitted
	for _, l := range r.Changed {
		shown := ReplayedLogin{
			Login: l.Login, Locks: l.Locks, FirstLockAt: surface.Optional(l.FirstLock), UntilUnlocked: l.LongestLock > 1000*day,
			Guesses: l.Guesses, NewlyRefused: l.Stopped, NewlyCompared: l.Passed, RefusedSignIns: l.Refused,
		}
		if l.Locks > 0 && !shown.UntilUnlocked {
			shown.LongestLockSeconds = new(int(l.LongestLock / time.Second))
		}
		w.Result.Changed = append(w.Result.Changed, shown)
	}
	return w, nil
}
