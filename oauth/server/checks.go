package server

import (
	"context"
	"errors"
	"fmt"

	"latchkey/config"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// listPageSize is how many records of a list are read at once.
const listPageSize = 100

// CheckSenders returns config.Faults for senders that the settings do not allow: a
// console sender together with PostgreSQL, which several servers share, and an SMTP
// sender without TLS.
func CheckSenders(cfg config.Config, senders []storage.Sender) error {
	var faults config.Faults
	add := func(setting, problem, id string) {
		faults = append(faults, config.Fault{Setting: setting, Problem: fmt.Sprintf(problem, id)})
	}
	for i := range senders {
		s := &senders[i]
		switch {
		case s.Kind == storage.ConsoleSender && cfg.DatabaseURL.Postgres() && !cfg.ConsoleSenderForced:
			add("console_sender_forced", "must be true for the console sender %q with PostgreSQL", s.ID)
		case s.Kind == storage.SMTPSender && s.SMTP.TLS == storage.PlainSMTP && !cfg.SMTPPlaintext:
			add("smtp_plaintext", "must be true for the sender %q, which has TLS none", s.ID)
		}
	}
	if faults == nil {
		return nil
	}
	return faults
}

// CheckProfiles returns config.Faults for password profiles that allow too many
// guesses at one-time passwords or at permanent passwords.
func CheckProfiles(cfg config.Config, profiles []storage.PasswordProfile) error {
	var faults config.Faults
	for _, p := range profiles {
		err := otp.CheckRisk(p, cfg.GuessCeiling)
		switch {
		case errors.Is(err, lockout.ErrTooManyGuesses):
			faults = append(faults, config.Fault{Setting: "lockout", Problem: err.Error()})
		case err != nil:
			faults = append(faults, config.Fault{Setting: "guess_ceiling", Problem: err.Error()})
		}
	}
	if faults == nil {
		return nil
	}
	return faults
}

// ProfileLister lists realms and their password profiles page by page.
type ProfileLister interface {
	ListRealms(ctx context.Context, q storage.Query) (storage.Page[storage.Realm], error)
	ListPasswordProfiles(ctx context.Context, realmID string, q storage.Query) (storage.Page[storage.PasswordProfile], error)
}

// PasswordProfiles reads the password profiles of all realms.
func PasswordProfiles(ctx context.Context, store ProfileLister) ([]storage.PasswordProfile, error) {
	realms, err := readAll(func(q storage.Query) (storage.Page[storage.Realm], error) { return store.ListRealms(ctx, q) })
	var all []storage.PasswordProfile
	for _, realm := range realms {
		var profiles []storage.PasswordProfile
		if err != nil {
			break
		}
		profiles, err = readAll(func(q storage.Query) (storage.Page[storage.PasswordProfile], error) {
			return store.ListPasswordProfiles(ctx, realm.ID, q)
		})
		all = append(all, profiles...)
	}
	if err != nil {
		return nil, fmt.Errorf("read the password profiles: %w", err)
	}
	return all, nil
}

// readAll reads a list page by page.
func readAll[R any](page func(storage.Query) (storage.Page[R], error)) ([]R, error) {
	var all []R
	for q := (storage.Query{Limit: listPageSize}); ; {
		found, err := page(q)
		if err != nil {
			return nil, err
		}
		all = append(all, found.Items...)
		if q.After = found.Next; q.After == "" {
			return all, nil
		}
	}
}
