package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"latchkey/storage"
)

// Names of checks.
const (
	CheckAuditChain  = "audit_chain"
	CheckDeadLetters = "dead_letters"
	CheckSenders     = "senders"
	CheckSigningKeys = "signing_keys"
	CheckServers     = "servers"
	CheckRetention   = "retention"
)

// CheckState is the result of a check.
type CheckState string

// The results of checks.
const (
	StateOK      CheckState = "ok"
	StateWarning CheckState = "warning"
	StateFailing CheckState = "failing"
	StateUnknown CheckState = "unknown" // the check returned an error; set by the callers of Status.Check
)

// Check says how a part of the servers on a database is doing.
type Check struct {
	Name   string
	State  CheckState
	Count  int64     // of what was counted: events, messages, senders, keys, servers or tables
	Since  time.Time // zero: none is known
	About  []string  // IDs of senders and keys, or names of tables, that the state is due to
	Detail string    // why the chain is broken
}

const (
	// recentAuditEvents is how many events at the end of the chain are verified.
	recentAuditEvents = 500
	// recentAttempts is the age up to which the attempts of a sender count.
	recentAttempts = time.Hour
	// failuresInARow is after how many failed attempts, without an accepted one in between,
	// a sender is failing.
	failuresInARow = 3
	// deadLetterTime is for how long a message that cannot be delivered counts.
	deadLetterTime = 24 * time.Hour
	// retentionDelay is for how long rows may be due for deletion without a warning.
	retentionDelay = time.Hour
)

// StatusStore reads what checks look at; *gormstore.Store is one. Each method reads a
// bounded number of rows.
type StatusStore interface {
	// VerifyRecentAudit checks the last events of the chain.
	VerifyRecentAudit(ctx context.Context, events int64) (storage.AuditVerdict, error)
	// DeadMessages counts the messages that were given up since a time.
	DeadMessages(ctx context.Context, since time.Time) (storage.DeadMessages, error)
	// SenderActivity returns the queued messages of senders, and their attempts since a time.
	SenderActivity(ctx context.Context, since time.Time) ([]storage.SenderActivity, error)
	// RunningServers counts the servers on the database.
	RunningServers(ctx context.Context) (storage.RunningServers, error)
	// Overdue returns for each table for how long its oldest row has been due for deletion.
	Overdue(ctx context.Context, now time.Time) (map[string]time.Duration, error)
}

// Status checks the servers on a database. Every server on it gives the same answer.
// All fields are required.
type Status struct {
	Store StatusStore
	// Signing returns the keys that sign, by ID, with the time since which they do.
	Signing func(context.Context) (map[string]time.Time, error)
	KeyAge  time.Duration // after which a key that signs is due for rotation
	// Verifications returns the newest verifications of the whole audit chain, the newest
	// first.
	Verifications func(context.Context) ([]storage.Task, error)
	Now           func() time.Time
}

// Check runs the check of that name, which is one of the constants. The error is that of the
// store, of Signing or of Verifications, or says that there is no such check.
func (s *Status) Check(ctx context.Context, name string) (Check, error) {
	now := s.Now().UTC()
	c := Check{Name: name, State: StateOK}
	var err error
	switch name {
	case CheckAuditChain:
		err = s.checkAudit(ctx, &c)
	case CheckDeadLetters:
		err = s.checkDeadLetters(ctx, &c, now)
	case CheckSenders:
		err = s.checkSenders(ctx, &c, now)
	case CheckSigningKeys:
		err = s.checkKeys(ctx, &c, now)
	case CheckServers:
		err = s.checkServers(ctx, &c)
	case CheckRetention:
		err = s.checkRetention(ctx, &c, now)
	default:
		err = errors.New("there is no check " + name)
	}
	return c, err
}

// checkAudit verifies only the end of the chain, because the whole chain may take minutes. It
// adds the result of the last verification of the whole chain. Since is the time of that.
func (s *Status) checkAudit(ctx context.Context, c *Check) error {
	v, err := s.Store.VerifyRecentAudit(ctx, recentAuditEvents)
	if err != nil {
		return err
	}
	c.Count = v.Events
	broken := v.Break
	verifications, err := s.Verifications(ctx)
	if i := slices.IndexFunc(verifications, func(t storage.Task) bool { return t.State == storage.TaskDone }); i >= 0 {
		var whole storage.AuditVerdict
		if err := json.Unmarshal(verifications[i].Result, &whole); err != nil {
			return err
		}
		c.Since = verifications[i].EndedAt
		broken = cmp.Or(broken, whole.Break)
	}
	if broken != nil {
		c.State, c.Detail = StateFailing, broken.Why
	}
	return err
}

func (s *Status) checkDeadLetters(ctx context.Context, c *Check, now time.Time) error {
	dead, err := s.Store.DeadMessages(ctx, now.Add(-deadLetterTime))
	c.Count, c.Since, c.About = int64(dead.Count), dead.Last, dead.Senders
	if dead.Count > 0 {
		c.State = StateFailing
	}
	return err
}

func (s *Status) checkSenders(ctx context.Context, c *Check, now time.Time) error {
	all, err := s.Store.SenderActivity(ctx, now.Add(-recentAttempts))
	for i := range all {
		state := SenderState(&all[i])
		if state == StateOK {
			continue
		}
		c.Count++
		c.About = append(c.About, all[i].SenderID)
		if c.State != StateFailing {
			c.State = state
		}
		if c.Since.IsZero() || all[i].FailedAt.After(c.Since) {
			c.Since = all[i].FailedAt
		}
	}
	return err
}

// SenderState returns the state of a sender. It is failing if three attempts failed since the
// last accepted one, or if any failed and messages are queued. Otherwise one or two failures
// are only a warning, because their recipients may be the cause.
func SenderState(a *storage.SenderActivity) CheckState {
	switch {
	case a.FailedSince >= failuresInARow, a.FailedSince > 0 && a.Queued > 0:
		return StateFailing
	case a.FailedSince > 0:
		return StateWarning
	}
	return StateOK
}

func (s *Status) checkKeys(ctx context.Context, c *Check, now time.Time) error {
	signing, err := s.Signing(ctx)
	for kid, since := range signing {
		if now.Sub(since) > s.KeyAge {
			c.About = append(c.About, kid)
		}
		if c.Since.IsZero() || since.Before(c.Since) {
			c.Since = since
		}
	}
	slices.Sort(c.About)
	if c.Count = int64(len(c.About)); c.Count > 0 {
		c.State = StateWarning
	}
	return err
}

func (s *Status) checkServers(ctx context.Context, c *Check) error {
	running, err := s.Store.RunningServers(ctx)
	if c.Count = int64(running.All); running.Unaware > 0 {
		c.State, c.Count = StateFailing, int64(running.Unaware)
	}
	return err
}

func (s *Status) checkRetention(ctx context.Context, c *Check, now time.Time) error {
	overdue, err := s.Store.Overdue(ctx, now)
	oldest := time.Duration(0)
	for table, due := range overdue {
		oldest = max(oldest, due)
		if due > retentionDelay {
			c.About = append(c.About, table)
		}
	}
	slices.Sort(c.About)
	if c.Count = int64(len(c.About)); c.Count > 0 {
		c.State, c.Since = StateWarning, now.Add(-oldest)
	}
	return err
}
