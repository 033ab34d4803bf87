package elasticpath

import (
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var realmList = byTime(map[string]filterable{"name": {record: "Name", ops: textOps}}, "name")

// realms is the resource authentication realm.
type realms struct{}

func (realms) kind() string { return wire.TypeRealm }

func (realms) find(c *call) (storage.Realm, error) {
	id, ok := c.id("realm")
	if !ok {
		return storage.Realm{}, notFound("authentication realm")
	}
	r, err := c.cfg.Realms.Realm(c.Context(), id)
	return r, orNotFound(err, "authentication realm")
}

func (realms) show(_ *call, r storage.Realm) (any, string, error) {
	return wire.RealmFromRecord(r), wire.RealmPath(r.ID), nil
}

func (realms) key(r storage.Realm) (string, int64) { return r.ID, r.Version }

func (realms) put(c *call, r storage.Realm) (storage.Realm, error) {
	return c.cfg.Realms.PutRealm(c.Context(), r)
}

func listRealms(c *call) (surface.Answer, error) {
	fetch := func(q storage.Query) (storage.Page[storage.Realm], error) {
		return c.cfg.Realms.ListRealms(c.Context(), q)
	}
	return list(c, realmList, fetch, func(r storage.Realm) (wire.Realm, error) {
		shown := wire.RealmFromRecord(r)
		shown.Links = &wire.Links{Self: c.base + wire.RealmPath(r.ID)}
		return shown, nil
	})
}

func getRealm(c *call) (surface.Answer, error) { return get(c, realms{}) }

func putRealm(c *call) (surface.Answer, error) {
	var body wire.RealmChange
	if _, err := c.read(&body, wire.TypeRealm, wire.TypeRealmUnderscore); err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(); err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, realms{}, changeRealm(c, body.Apply))
	if err != nil {
		return surface.Answer{}, err
	}
	return updated(c, realms{}, before, stored)
}

// changeRealm returns the change of a realm by apply, if the caller may change it.
func changeRealm(c *call, apply func(*storage.Realm)) func(storage.Realm) (storage.Realm, error) {
	return func(r storage.Realm) (storage.Realm, error) {
		before := r
		apply(&r)
		return r, c.cfg.Rules.ChangeRealm(c.caller.Authority(), before, r)
	}
}

// membersOf returns the users of a realm that this dialect has: buyers. Users who run
// the shop are not among them.
func membersOf(realmID string) storage.UserScope {
	return storage.UserScope{RealmID: realmID, Kind: storage.Buyer}
}
