package apply

import (
	"context"
	"errors"
	"fmt"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// plan is the difference between a document and the stored records. Building it only
// reads. Slow work, such as hashing, is done while building and not in the
// transaction. New identifiers are created then too, so that records can refer to
// each other before they are written.
type plan struct {
	Config
	dryRun bool
	faults wire.Faults
	result Result
	writes []func(ctx context.Context) error

	// Records as they will be after the run, changed or not.
	profiles map[string]storage.PasswordProfile
	accounts map[string]storage.Account // by kind/id
	users    map[string]storage.User    // by account UID/id
	byID     map[string][]storage.User
	logins   map[string]string // path of the item, by profile/username key

	securityProfiles map[string]plannedProfile // those of the document
	passwords        []plannedPassword
}

// plannedProfile is a security profile of the document as it will be.
type plannedProfile struct {
	storage.SecurityProfile
	parties  []storage.Party // who will have it
	assigned bool            // parties lists them; false: the parties that have it now
}

// plannedPassword is a password of the document, whether or not it is stored
// already.
type plannedPassword struct {
	path, value string
	profile     storage.PasswordProfile
	user        storage.User
}

func newPlan(cfg Config, dryRun bool) *plan {
	return &plan{
		Config: cfg, dryRun: dryRun,
		result:   Result{DryRun: dryRun, Changes: []Change{}, Warnings: []string{}},
		profiles: map[string]storage.PasswordProfile{},
		accounts: map[string]storage.Account{},
		users:    map[string]storage.User{},
		byID:     map[string][]storage.User{},
		logins:   map[string]string{},

		securityProfiles: map[string]plannedProfile{},
	}
}

// each plans the items of the list at path.
func each[T any](ctx context.Context, items []T, path string, do func(ctx context.Context, path string, item T) error) error {
	for i, item := range items {
		path := wire.Index(path, i)
		if err := do(ctx, path, item); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// change adds a Change if a record differs, and reports whether it does.
func (p *plan) change(kind, id string, isNew bool, fields []string) bool {
	switch {
	case isNew:
		p.result.Changes = append(p.result.Changes, Change{Action: Create, Kind: kind, ID: id})
	case len(fields) > 0:
		p.result.Changes = append(p.result.Changes, Change{Action: Update, Kind: kind, ID: id, Fields: fields})
	default:
		return false
	}
	return true
}

func (p *plan) write(do func(ctx context.Context) error) { p.writes = append(p.writes, do) }

// put plans to write a whole record.
func put[T any](p *plan, record T, with func(context.Context, T) (T, error)) {
	p.write(func(ctx context.Context) error {
		_, err := with(ctx, record)
		return err
	})
}

// found reports whether a record was found: it returns false for storage.ErrNotFound.
func found(err error) (bool, error) {
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// orNew returns the stored record, or fresh if the record does not exist.
func orNew[T any](stored T, err error, fresh T) (record T, isNew bool, _ error) {
	ok, err := found(err)
	if !ok {
		return fresh, true, err
	}
	return stored, false, nil
}
