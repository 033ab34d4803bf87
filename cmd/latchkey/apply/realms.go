package apply

import (
	"context"
	"slices"
	"strings"

	elasticpathwire "latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

func (r Realm) validate(path string) wire.Faults {
	v := shape{path: path, faults: wire.CheckID(wire.Join(path, "id"), r.ID)}
	v.kind(r.Type, "authentication-realm")
	for i, p := range r.PasswordProfiles {
		v.faults = append(v.faults, p.validate(wire.Index(path+".password_profiles", i))...)
	}
	return v.faults
}

func (p PasswordProfile) validate(path string) wire.Faults {
	v := shape{path: path, faults: wire.CheckID(wire.Join(path, "id"), p.ID)}
	v.kind(p.Type, elasticpathwire.TypeProfile)
	if formats := elasticpathwire.UsernameFormats(); p.UsernameFormat != nil && !slices.Contains(formats, *p.UsernameFormat) {
		v.fail("username_format", "must be one of %s", strings.Join(formats, ", "))
	}
	for _, n := range p.NumberBounds() {
		if n.Value != nil && (*n.Value < n.Low || *n.Value > n.High) {
			v.fail(n.Field, "must be between %d and %d", n.Low, n.High)
		}
	}
	return v.faults
}

func (m Membership) validate(path string) wire.Faults {
	v := shape{path: path, faults: wire.CheckID(wire.Join(path, "account_id"), m.AccountID)}
	v.kind(m.Type, "account_membership")
	if m.MemberID == "" {
		v.fail("account_member_id", "is required")
	}
	v.faults = append(v.faults, wire.CheckRoles(wire.Join(path, "roles"), m.Roles)...)
	return v.faults
}

// shape collects the faults of an item in the words of /v2.
type shape struct {
	path   string
	faults wire.Faults
}

func (v *shape) fail(field, format string, args ...any) {
	v.faults.Add(wire.Join(v.path, field), format, args...)
}

func (v *shape) kind(kind *string, want string) {
	if kind != nil && *kind != want {
		v.fail("type", "must be %s, or absent", want)
	}
}

func (p *plan) realm(ctx context.Context, path string, item Realm) error {
	item.ID = storage.RealmID(item.ID)
	stored, err := p.Realms.Realm(ctx, item.ID)
	base, isNew, err := orNew(stored, err, storage.Realm{ID: item.ID, Name: item.ID})
	if err != nil {
		return err
	}
	want := base
	surface.Overwrite(&want.Name, item.Name)
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
	fresh := storage.NewPasswordProfile(item.ID, realmID)
	fresh.Name = item.ID
	base, isNew, err := orNew(stored, err, fresh)
	if err != nil {
		return err
	}
	if base.RealmID != realmID {
		p.faults.Add(wire.Join(path, "id"), "belongs to realm %s", base.RealmID)
	}
	want := item.ToRecord(base)
	for _, fault := range elasticpathwire.ProfileFaults(want, p.GuessCeiling) {
		p.faults.Add(wire.Join(path, fault.Field), "%v", fault.Err)
	}
	p.profiles[want.ID] = want
	fields := differences(elasticpathwire.ProfileFieldsFromRecord(base), elasticpathwire.ProfileFieldsFromRecord(want))
	if p.change(elasticpathwire.TypeProfile, item.ID, isNew, fields) {
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
		p.faults.Add(wire.Join(path, "PasswordProfileID"), "there is no password profile %s", id)
		return profile, false, nil
	}
	p.profiles[id] = profile
	if profile.RealmID != storage.DefaultRealmID {
		p.faults.Add(wire.Join(path, "PasswordProfileID"), "belongs to realm %s, not to %s", profile.RealmID, storage.DefaultRealmID)
		return profile, false, nil
	}
	return profile, true, nil
}
