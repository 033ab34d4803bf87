package elasticpath

import (
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var profileList = byTime(map[string]filterable{"name": {record: "Name", ops: textOps}}, "name")

// profiles is the resource password profile.
type profiles struct{}

func (profiles) kind() string { return wire.TypeProfile }

// find reads the profile with a list, because PasswordProfile may answer from a
// cache.
func (profiles) find(c *call) (storage.PasswordProfile, error) {
	realm, err := realms{}.find(c)
	if err != nil {
		return storage.PasswordProfile{}, err
	}
	id, ok := c.id("profile")
	if !ok {
		return storage.PasswordProfile{}, notFound("password profile")
	}
	one := storage.Query{Limit: 1, Where: []storage.Condition{equals("ID", id)}}
	found, err := c.cfg.Profiles.ListPasswordProfiles(c.Context(), realm.ID, one)
	if err == nil && len(found.Items) == 0 {
		err = notFound("password profile")
	}
	if err != nil {
		return storage.PasswordProfile{}, err
	}
	return found.Items[0], nil
}

func (profiles) show(c *call, p storage.PasswordProfile) (any, string, error) {
	return showProfile(c, p), wire.ProfilePath(p), nil
}

func (profiles) key(p storage.PasswordProfile) (string, int64) { return p.ID, p.Version }

func (profiles) put(c *call, p storage.PasswordProfile) (storage.PasswordProfile, error) {
	return c.cfg.Profiles.PutPasswordProfile(c.Context(), p)
}

func showProfile(c *call, p storage.PasswordProfile) wire.PasswordProfile {
	if c.caller.SellerSide() && c.caller.Has(readProfiles...) {
		return wire.ProfileFromRecord(p)
	}
	return wire.PublicProfile(p)
}

// listProfiles leaves out the preset profile until it is used. Otherwise a client
// that looks for the only profile, which it created itself, could find the preset
// one.
func listProfiles(c *call) (surface.Answer, error) {
	realm, err := realms{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	fetch := func(q storage.Query) (storage.Page[storage.PasswordProfile], error) {
		q.Where = append(q.Where, equals("Used", "true"))
		return c.cfg.Profiles.ListPasswordProfiles(c.Context(), realm.ID, q)
	}
	return list(c, profileList, fetch, func(p storage.PasswordProfile) (wire.PasswordProfile, error) {
		shown := showProfile(c, p)
		shown.Links = &wire.Links{Self: c.base + wire.ProfilePath(p)}
		return shown, nil
	})
}

func postProfile(c *call) (surface.Answer, error) {
	realm, err := realms{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	body, err := readProfile(c, true)
	if err != nil {
		return surface.Answer{}, err
	}
	id, err := c.newID()
	if err != nil {
		return surface.Answer{}, err
	}
	p, err := changeProfile(c, body, storage.NewPasswordProfile(id, realm.ID))
	if err != nil {
		return surface.Answer{}, err
	}
	p.Version = storage.MustBeNew
	if p, err = (profiles{}).put(c, p); err != nil {
		return surface.Answer{}, err
	}
	return created(c, profiles{}, p)
}

func getProfile(c *call) (surface.Answer, error) { return get(c, profiles{}) }

func putProfile(c *call) (surface.Answer, error) {
	body, err := readProfile(c, false)
	if err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, profiles{}, func(p storage.PasswordProfile) (storage.PasswordProfile, error) {
		if err := checkChangeProfile(c, p); err != nil {
			return p, err
		}
		return changeProfile(c, body, p)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return updated(c, profiles{}, before, stored)
}

func deleteProfile(c *call) (surface.Answer, error) {
	check := func(p storage.PasswordProfile) error { return checkChangeProfile(c, p) }
	return remove(c, profiles{}, "password profile", check, func(p storage.PasswordProfile, version int64) error {
		return c.cfg.Profiles.DeletePasswordProfile(c.Context(), p.ID, version)
	})
}

func readProfile(c *call, isNew bool) (body wire.ProfileBody, err error) {
	if _, err := c.read(&body, wire.TypeProfile); err != nil {
		return body, err
	}
	return body, body.Check(isNew)
}

// changeProfile returns the profile with the members of the body, or an error if its
// codes or passwords would be too easy to guess.
func changeProfile(c *call, body wire.ProfileBody, p storage.PasswordProfile) (storage.PasswordProfile, error) {
	p = body.ToRecord(p)
	if faults := wire.ProfileFaults(p, c.cfg.GuessCeiling); len(faults) > 0 {
		return p, faults[0].InvalidError()
	}
	return p, nil
}

func checkChangeProfile(c *call, p storage.PasswordProfile) error {
	return c.cfg.Rules.ChangePasswordProfile(c.Context(), c.caller.Authority(), p.ID)
}
