package ordercloud

import (
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// securityProfiles are named sets of roles, with rules for passwords.
type securityProfiles struct {
	*API
	standard[storage.SecurityProfile]
}

func (a securityProfiles) routes() []route {
	return newCollection(kind{
		object: "SecurityProfile", path: "/v1/securityprofiles", param: "securityProfileID",
		admin: []string{"SecurityProfileAdmin"}, reader: []string{"SecurityProfileReader"},
		fields: text("ID", "Name"), search: []string{"ID", "Name"},
		sameID: equalID, atomic: true,
	}, a).routes()
}

func (a securityProfiles) list(c *call, q storage.Query) (storage.Page[storage.SecurityProfile], error) {
	return a.cfg.Stores.Profiles.ListSecurityProfiles(c.Context(), q)
}

func (a securityProfiles) get(c *call, id string) (storage.SecurityProfile, error) {
	return a.cfg.Stores.Profiles.SecurityProfile(c.Context(), id)
}

func (a securityProfiles) show(r storage.SecurityProfile) wire.SecurityProfile {
	return wire.SecurityProfileFromRecord(r)
}

func (a securityProfiles) id(w *wire.SecurityProfile) *string { return &w.ID }

func (a securityProfiles) version(r storage.SecurityProfile) int64 { return r.Version }

func (a securityProfiles) blank(*call) (storage.SecurityProfile, error) {
	return storage.SecurityProfile{RealmID: storage.DefaultRealmID, Version: storage.MustBeNew}, nil
}

func (a securityProfiles) apply(c *call, w wire.SecurityProfile, base storage.SecurityProfile) (storage.SecurityProfile, error) {
	if err := w.Validate("").Err(); err != nil {
		return base, err
	}
	want, before := w.ToRecord(base), &base
	if base.Version == storage.MustBeNew {
		before = nil
	}
	return want, a.cfg.Rules.ChangeSecurityProfile(c.Context(), c.caller.Authority(), before, &want)
}

func (a securityProfiles) save(c *call, _ wire.SecurityProfile, r storage.SecurityProfile) (storage.SecurityProfile, error) {
	return a.cfg.Stores.Profiles.PutSecurityProfile(c.Context(), r)
}

func (a securityProfiles) remove(c *call, r storage.SecurityProfile) error {
	if err := a.cfg.Rules.ChangeSecurityProfile(c.Context(), c.caller.Authority(), &r, nil); err != nil {
		return err
	}
	return a.cfg.Stores.Profiles.DeleteSecurityProfile(c.Context(), r.ID, r.Version)
}
