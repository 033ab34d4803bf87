package elasticpath

import (
	"net/http"

	"latchkey/storage"
)

const typeRealm = "authentication-realm"

// RealmChange is what can be changed about an authentication realm. What is left
// out stays.
type RealmChange struct {
	Type                 *string  `json:"type"`
	Name                 *string  `json:"name"`
	RedirectURIs         []string `json:"redirect_uris"`
	DuplicateEmailPolicy *string  `json:"duplicate_email_policy"` // allowed, api_only or disallowed
}

// Realm is an authentication realm.
type Realm struct {
	ID                   string             `json:"id"`
	Type                 string             `json:"type"`
	Name                 string             `json:"name"`
	RedirectURIs         []string           `json:"redirect_uris"`
	DuplicateEmailPolicy string             `json:"duplicate_email_policy"`
	Relationships        RealmRelationships `json:"relationships"`
	Meta                 Times              `json:"meta"`
	Links                *Links             `json:"links,omitempty"` // in lists
}

// RealmRelationships lead to what the realm was made for.
type RealmRelationships struct {
	Origin Relation `json:"origin"`
}

var realmList = byTime(map[string]filterable{"name": {record: "Name", ops: peopleOps}}, "name")

func realmPath(id string) string { return "/v2/authentication-realms/" + storage.RealmUUID(id) }

func (a *API) realm(r storage.Realm) Realm {
	shown := Realm{
		ID: storage.RealmUUID(r.ID), Type: typeRealm, Name: r.Name, RedirectURIs: r.RedirectURIs,
		DuplicateEmailPolicy: r.DuplicateEmailPolicy, Meta: times(r.CreatedAt, r.UpdatedAt),
	}
	if shown.RedirectURIs == nil {
		shown.RedirectURIs = []string{}
	}
	if shown.DuplicateEmailPolicy == "" {
		shown.DuplicateEmailPolicy = "allowed"
	}
	if r.ID == settingsRealm {
		shown.Relationships.Origin.Data = &Reference{ID: storage.RealmUUID(r.ID), Type: typeSettings}
	}
	return shown
}

func (a *API) listRealms(c *call) (reply, error) {
	q, err := realmList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	found, err := a.cfg.Realms.ListRealms(c.Context(), q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, func(r storage.Realm) Realm {
		shown := a.realm(r)
		shown.Links = &Links{Self: a.base + realmPath(r.ID)}
		return shown
	}), nil
}

func (a *API) getRealm(c *call) (reply, error) {
	r, err := a.realmOf(c)
	return a.document(http.StatusOK, a.realm(r), realmPath(r.ID), r.Version), err
}

func (a *API) putRealm(c *call) (reply, error) {
	var body RealmChange
	if _, err := c.read(&body, typeRealm, "authentication_realm"); err != nil {
		return reply{}, err
	}
	var check check
	check.filled("name", body.Name, false)
	check.redirectURIs("redirect_uris", body.RedirectURIs)
	check.oneOf("duplicate_email_policy", body.DuplicateEmailPolicy, "allowed", "api_only", "disallowed")
	if err := check.err(); err != nil {
		return reply{}, err
	}
	found, err := a.realmOf(c)
	if err != nil {
		return reply{}, err
	}
	before, r, err := a.changeRealm(c, found.ID, func(r *storage.Realm) {
		take(&r.Name, body.Name)
		take(&r.DuplicateEmailPolicy, body.DuplicateEmailPolicy)
		if body.RedirectURIs != nil {
			r.RedirectURIs = body.RedirectURIs
		}
	})
	if err != nil {
		return reply{}, err
	}
	done := a.document(http.StatusOK, a.realm(r), realmPath(r.ID), r.Version).changedFrom(a.realm(before))
	a.record(c, typeRealm, "updated", r.ID, done.changed...)
	return done, nil
}

// realmOf returns the realm that the path names.
func (a *API) realmOf(c *call) (storage.Realm, error) {
	id, ok := c.id("realm")
	if !ok {
		return storage.Realm{}, notFound("authentication realm")
	}
	r, err := a.cfg.Realms.Realm(c.Context(), id)
	return r, orNotFound(err, "authentication realm")
}

// changeRealm writes a realm with what change makes of it, if the caller may. It
// returns the realm before and after.
func (a *API) changeRealm(c *call, id string, change func(*storage.Realm)) (before, after storage.Realm, err error) {
	after, err = rewrite(c,
		func() (storage.Realm, error) { return a.cfg.Realms.Realm(c.Context(), id) },
		func(r storage.Realm) int64 { return r.Version },
		func(r storage.Realm) (storage.Realm, error) {
			before = r
			change(&r)
			return r, a.cfg.Rules.ChangeRealm(c.caller.Authority(), before, r)
		},
		func(r storage.Realm) (storage.Realm, error) { return a.cfg.Realms.PutRealm(c.Context(), r) })
	return before, after, err
}
