// Package replay applies a proposed lockout policy to the audit events of the past:
// which logins it would have locked, and which attempts it would have refused.
//
// The computation itself is lockout.Replay. This package reads the events.
package replay

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"latchkey/otp/limit"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// Store reads audit events and logins.
type Store interface {
	// EachAuditEvent calls do with the events that match, oldest first.
	EachAuditEvent(ctx context.Context, filter storage.AuditFilter, do func(storage.AuditRecord) error) error
	// LoginsOfUser returns the logins of a user, or storage.ErrNotFound.
	LoginsOfUser(ctx context.Context, userUID string) ([]storage.Login, error)
}

// Config says what is replayed.
type Config struct {
	Policy    storage.LockoutPolicy
	ProfileID string // only logins of this password profile; empty: all
	Since     time.Time

	// MaxLogins and MaxEvents bound the memory and the time; 0: no bound.
	MaxLogins, MaxEvents int
	// Progress, if it is set, is called with the time of each event. Its error ends the
	// replay.
	Progress func(at time.Time) error
}

// ErrTooMuch says that there are more logins or events than Config allows.
var ErrTooMuch = errors.New("too many events to replay")

// Result is what a policy would have done.
type Result struct {
	Logins  []lockout.Result // of the logins in the events, named "profile/username"
	Unknown int              // attempts at usernames that do not exist
}

// Run replays events. Errors are ErrTooMuch, those of the store and those of Progress.
func Run(ctx context.Context, store Store, cfg Config) (Result, error) {
	r := &reader{store: store, cfg: cfg, replay: lockout.NewReplay(cfg.Policy), logins: map[string]string{}}
	filter := storage.AuditFilter{Since: cfg.Since, Actions: []string{"sign_in", "login.unlocked", "password.renewed"}}
	err := store.EachAuditEvent(ctx, filter, func(e storage.AuditRecord) error { return r.add(ctx, e.AuditEvent) })
	if err != nil {
		return Result{}, err
	}
	return Result{Logins: r.replay.Results(), Unknown: r.unknown}, nil
}

// Summary is a Result in figures.
type Summary struct {
	Logins  int // in the events
	Locked  int // of them, how many would have been locked
	Guesses int // wrong attempts
	Stopped int // of Guesses: were compared, and would have been refused
	Passed  int // of Guesses: were refused, and would have been compared
	Refused int // sign-ins that succeeded, and would have been refused
	Unknown int // attempts at usernames that do not exist

	Changed []lockout.Result // the logins with a lock, a refusal or a guess of Passed
}

// Summary returns the figures of the result.
func (r Result) Summary() Summary {
	s := Summary{Unknown: r.Unknown, Logins: len(r.Logins)}
	for _, l := range r.Logins {
		s.Guesses, s.Stopped, s.Passed, s.Refused = s.Guesses+l.Guesses, s.Stopped+l.NewlyRefused, s.Passed+l.NewlyCompared, s.Refused+len(l.RefusedSignIns)
		if len(l.Locks) > 0 {
			s.Locked++
		}
		if len(l.Locks)+len(l.RefusedSignIns)+l.NewlyCompared > 0 {
			s.Changed = append(s.Changed, l)
		}
	}
	return s
}

// reader turns audit events into events of a lockout.Replay.
type reader struct {
	store   Store
	cfg     Config
	replay  *lockout.Replay
	logins  map[string]string // name of a login by user and username; empty: not of the profile
	events  int
	unknown int
}

func (r *reader) add(ctx context.Context, e storage.AuditEvent) error {
	if r.events++; r.cfg.MaxEvents > 0 && r.events > r.cfg.MaxEvents {
		return ErrTooMuch
	}
	if r.cfg.Progress != nil {
		if err := r.cfg.Progress(e.Time); err != nil {
			return err
		}
	}
	event := lockout.Event{At: e.Time, Source: sourceOf(e.Source), OTP: e.Factor == "otp"}
	switch {
	case e.Action == "login.unlocked":
		event.Kind = lockout.Cleared
		event.Login = strings.TrimPrefix(e.Object, "Login/")
		if r.cfg.ProfileID == "" || strings.HasPrefix(event.Login, r.cfg.ProfileID+"/") {
			r.replay.Add(event)
		}
		return nil
	case e.Action == "sign_in" && e.Outcome == "success":
		event.Kind = lockout.Succeeded
	case e.Action == "sign_in" && e.Outcome == "wrong_credentials":
		event.Kind = lockout.Failed
	case e.Action == "sign_in" && e.Outcome == storage.RefusedLocked:
		event.Kind = lockout.RefusedByLock
	case e.Action != "sign_in" && e.Outcome == "success":
		event.Kind = lockout.Cleared
	case e.Action == "sign_in" && e.UserUID == "":
		r.unknown++
		return nil
	default:
		return nil // refused for another reason, so no secret was compared
	}
	var err error
	if event.Login, err = r.loginName(ctx, e); err == nil && event.Login != "" {
		r.replay.Add(event)
	}
	return err
}

// loginName returns the name of an event's login, "profile/username".
func (r *reader) loginName(ctx context.Context, e storage.AuditEvent) (string, error) {
	key := e.UserUID + " " + e.Username
	name, known := r.logins[key]
	if known || e.UserUID == "" {
		return name, nil
	}
	if r.cfg.MaxLogins > 0 && len(r.logins) >= r.cfg.MaxLogins {
		return "", ErrTooMuch
	}
	logins, err := r.store.LoginsOfUser(ctx, e.UserUID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return "", err
	}
	name = "/" + e.Username // of a login that was deleted later
	for _, l := range logins {
		if l.Username == e.Username {
			name = l.ProfileID + "/" + l.Username
		}
	}
	if r.cfg.ProfileID != "" && !strings.HasPrefix(name, r.cfg.ProfileID+"/") {
		name = ""
	}
	r.logins[key] = name
	return name, nil
}

// sourceOf returns the form in which lockouts know an address: an IPv6 address is
// its /64.
func sourceOf(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return limit.Source(a)
	}
	return text
}
