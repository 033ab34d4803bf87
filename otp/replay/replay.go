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

// Result is what a policy would have done.
type Result struct {
	Logins  []lockout.Result // of the logins in the events, named "profile/username"
	Unknown int              // attempts at usernames that do not exist
}

// Run replays the events from a time on. If profileID is not empty, it replays only
// the logins of that password profile. Errors are those of the store.
func Run(ctx context.Context, store Store, policy storage.LockoutPolicy, profileID string, since time.Time) (Result, error) {
	r := &reader{store: store, profileID: profileID, replay: lockout.NewReplay(policy), logins: map[string]string{}}
	filter := storage.AuditFilter{Since: since, Actions: []string{"sign_in", "login.unlocked", "password.renewed"}}
	err := store.EachAuditEvent(ctx, filter, func(e storage.AuditRecord) error { return r.add(ctx, e.AuditEvent) })
	if err != nil {
		return Result{}, err
	}
	return Result{Logins: r.replay.Results(), Unknown: r.unknown}, nil
}

// reader turns audit events into events of a lockout.Replay.
type reader struct {
	store     Store
	profileID string // empty: all
	replay    *lockout.Replay
	logins    map[string]string // name of a login by user and username; empty: not of the profile
	unknown   int
}

func (r *reader) add(ctx context.Context, e storage.AuditEvent) error {
	event := lockout.Event{At: e.Time, Source: sourceOf(e.Source), OTP: e.Factor == "otp"}
	switch {
	case e.Action == "login.unlocked":
		event.Kind = lockout.Cleared
		event.Login = strings.TrimPrefix(e.Object, "Login/")
		if r.profileID == "" || strings.HasPrefix(event.Login, r.profileID+"/") {
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
	if r.profileID != "" && !strings.HasPrefix(name, r.profileID+"/") {
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
