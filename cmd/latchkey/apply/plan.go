package apply

import (
	"context"
	"errors"
	"fmt"

	"latchkey/oauth/ordercloud"
	"latchkey/otp"
	"latchkey/otp/lockout"
	"latchkey/storage"
)

// plan is the difference between a document and the stored records. Building it only
// reads. Slow work, such as hashing, is done while building and not in the
// transaction. New identifiers are created then too, so that records can refer to
// each other before they are written.
type plan struct {
	Config
	dryRun bool
	faults ordercloud.Faults
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

// build plans the items in an order in which references point backwards. It collects
// faults and goes on; an error ends it.
func (p *plan) build(ctx context.Context, doc Document) error {
	for _, part := range []func() error{
		func() error { return each(ctx, doc.Realms, "authentication_realms", p.realm) },
		func() error { return each(ctx, doc.Buyers, "Buyers", p.buyer) },
		func() error { return each(ctx, doc.Suppliers, "Suppliers", p.supplier) },
		func() error { return each(ctx, doc.AdminUsers, "AdminUsers", p.adminUser) },
		func() error { return each(ctx, doc.SecurityProfiles, "SecurityProfiles", p.securityProfile) },
		func() error { return p.checkPasswords(ctx) },
		func() error { return each(ctx, doc.ApiClients, "ApiClients", p.client) },
		func() error { return each(ctx, doc.MessageSenders, "MessageSenders", p.sender) },
		func() error { return each(ctx, doc.Memberships, "account_memberships", p.membership) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// each plans the items of the list at path.
func each[T any](ctx context.Context, items []T, path string, do func(ctx context.Context, path string, item T) error) error {
	for i, item := range items {
		path := ordercloud.Index(path, i)
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

func (p *plan) realm(ctx context.Context, path string, item Realm) error {
	item.ID = storage.RealmID(item.ID)
	stored, err := p.Realms.Realm(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.Realm{ID: item.ID, Name: item.ID})
	if err != nil {
		return err
	}
	want := base
	take(&want.Name, item.Name)
	var fields []string
	if want.Name != base.Name {
		fields = []string{"name"}
	}
	if p.change("authentication_realm", item.ID, isNew, fields) {
		put(p, want, p.Realms.PutRealm)
	}
	return each(ctx, item.PasswordProfiles, path+".password_profiles", func(ctx context.Context, path string, profile PasswordProfile) error {
		return p.passwordProfile(ctx, path, profile, item.ID)
	})
}

func (p *plan) passwordProfile(ctx context.Context, path string, item PasswordProfile, realmID string) error {
	item.ID = storage.PasswordProfileID(item.ID)
	stored, err := p.Realms.PasswordProfile(ctx, item.ID)
	base, isNew, err := orNew(stored, err, newProfile(item.ID, realmID))
	if err != nil {
		return err
	}
	if base.RealmID != realmID {
		p.faults.Add(ordercloud.Join(path, "id"), "belongs to realm %s", base.RealmID)
	}
	want := item.toRecord(base)
	if err := otp.CheckFormat(want.Code); err != nil {
		p.faults.Add(ordercloud.Join(path, "code_length"), "%v", err)
	}
	err = otp.CheckRisk(want, p.GuessCeiling)
	switch {
	case errors.Is(err, lockout.ErrTooManyGuesses):
		p.faults.Add(ordercloud.Join(path, "lockout_threshold"), "%v", err)
	case err != nil:
		p.faults.Add(ordercloud.Join(path, "code_length"), "%v", err)
	}
	p.profiles[want.ID] = want
	if p.change("password_profile", item.ID, isNew, differences(profileFromRecord(base), profileFromRecord(want))) {
		put(p, want, p.Realms.PutPasswordProfile)
	}
	return nil
}

// profile returns a password profile as it will be after the run. Users and clients
// of the /v1 vocabulary are in the default realm.
func (p *plan) profile(ctx context.Context, path, id string) (profile storage.PasswordProfile, ok bool, err error) {
	profile, ok = p.profiles[id]
	if !ok {
		profile, err = p.Realms.PasswordProfile(ctx, id)
		if ok, err = found(err); err != nil {
			return profile, false, err
		}
	}
	if !ok {
		p.faults.Add(ordercloud.Join(path, "PasswordProfileID"), "there is no password profile %s", id)
		return profile, false, nil
	}
	p.profiles[id] = profile
	if profile.RealmID != storage.DefaultRealmID {
		p.faults.Add(ordercloud.Join(path, "PasswordProfileID"), "belongs to realm %s, not to %s", profile.RealmID, storage.DefaultRealmID)
		return profile, false, nil
	}
	return profile, true, nil
}
