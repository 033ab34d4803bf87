package elasticpath

import (
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var userList = byTime(map[string]filterable{
	"email":       {record: "Email", ops: textOps, fold: true},
	"name":        {record: "Name", ops: textOps, fold: true},
	"given_name":  {record: "FirstName", ops: nameOps, fold: true},
	"middle_name": {record: "MiddleName", ops: nameOps, fold: true},
	"family_name": {record: "LastName", ops: nameOps, fold: true},
	"id":          {record: "UID", ops: "eq in"},
}, "name", "email").withID("UID")

// users is the resource user authentication info.
type users struct{}

func (users) kind() string { return wire.TypeUser }

// find returns the user that the path names. A member finds only itself. If members may not
// manage themselves, only a request for itself answers so; one for another user answers 404.
func (users) find(c *call) (storage.User, error) {
	realm, err := realms{}.find(c)
	if err != nil {
		return storage.User{}, err
	}
	id, ok := c.id("user")
	if !ok || !c.isOwn(id) {
		return storage.User{}, notFound("user")
	}
	if err := c.checkSelfManagement(realm); err != nil {
		return storage.User{}, err
	}
	u, err := c.cfg.Users.UserByUID(c.Context(), id)
	if err == nil && (u.RealmID != realm.ID || u.Kind != storage.Buyer) {
		err = storage.ErrNotFound
	}
	return u, orNotFound(err, "user")
}

func (users) show(_ *call, u storage.User) (any, string, error) {
	return wire.UserFromRecord(u), wire.UserPath(u), nil
}

func (users) key(u storage.User) (string, int64) { return u.UID, u.Version }

func (users) put(c *call, u storage.User) (storage.User, error) {
	stored, err := c.cfg.Users.ChangeUser(c.Context(), u, nil, nil)
	return stored.User, err
}

func listUsers(c *call) (surface.Answer, error) {
	realm, err := realms{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	fetch := func(q storage.Query) (storage.Page[storage.UserLogin], error) {
		return c.cfg.Users.ListUsers(c.Context(), membersOf(realm.ID), q)
	}
	return list(c, userList, fetch, func(u storage.UserLogin) (wire.User, error) {
		shown := wire.UserFromRecord(u.User)
		shown.Links = &wire.Links{Self: c.base + wire.UserPath(u.User)}
		return shown, nil
	})
}

func postUser(c *call) (surface.Answer, error) {
	realm, err := realms{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	var body wire.UserBody
	if _, err := c.read(&body, wire.TypeUser); err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(true); err != nil {
		return surface.Answer{}, err
	}
	fresh, err := newMember(c, realm, body.UserFields)
	if err != nil {
		return surface.Answer{}, err
	}
	added, err := c.cfg.Users.AddUser(c.Context(), fresh)
	if err != nil {
		return surface.Answer{}, err
	}
	return created(c, users{}, added.User)
}

// newMember returns a new user of the realm.
func newMember(c *call, realm storage.Realm, fields wire.UserFields) (storage.NewUser, error) {
	var u storage.User
	fields.Apply(&u, nil)
	return realm.NewMember(c.cfg.Rand, u)
}

func getUser(c *call) (surface.Answer, error) { return get(c, users{}) }

func putUser(c *call) (surface.Answer, error) {
	var body wire.UserBody
	sent, err := c.read(&body, wire.TypeUser)
	if err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(false); err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, users{}, func(u storage.User) (storage.User, error) {
		old := u
		body.Apply(&u, sent)
		if err := c.checkManage(old); err != nil || u.Email == old.Email {
			return u, err
		}
		return u, c.checkChangeCredentials()
	})
	if err != nil {
		return surface.Answer{}, orNotFound(err, "user")
	}
	return updated(c, users{}, before, stored)
}

func deleteUser(c *call) (surface.Answer, error) {
	return remove(c, users{}, "user", c.checkManage, func(u storage.User, version int64) error {
		return c.cfg.Users.DeleteUser(c.Context(), u.UID, version)
	})
}
