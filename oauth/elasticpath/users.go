package elasticpath

import (
	"net/http"
	"strings"

	"latchkey/otp"
	"latchkey/storage"
)

const typeUser = "user_authentication_info"

// UserFields are the members of a user that can be written. What is left out
// stays; null empties the last three.
type UserFields struct {
	Name       *string `json:"name"`  // required for a new one
	Email      *string `json:"email"` // likewise
	GivenName  *string `json:"given_name"`
	MiddleName *string `json:"middle_name"`
	FamilyName *string `json:"family_name"`
}

// UserBody is a user as it is sent.
type UserBody struct {
	Type *string `json:"type"`
	UserFields
}

// User is a user authentication info. Its id is that of the account member as
// well.
type User struct {
	ID   string `json:"id"`
	Type string `json:"type"`
	UserFields
	Meta  UserMeta `json:"meta"`
	Links *Links   `json:"links,omitempty"` // in lists
}

// UserMeta is the meta of a user. Nobody is ever half created here.
type UserMeta struct {
	Times
	CreationStatus string `json:"creation_status"`
}

var userList = byTime(map[string]filterable{
	"email":       {record: "Email", ops: peopleOps, fold: true},
	"name":        {record: "Name", ops: peopleOps, fold: true},
	"given_name":  {record: "FirstName", ops: nameOps, fold: true},
	"middle_name": {record: "MiddleName", ops: nameOps, fold: true},
	"family_name": {record: "LastName", ops: nameOps, fold: true},
	"id":          {record: "UID", ops: "eq in"},
}, "name", "email").withID("UID")

func userPath(u storage.User) string {
	return realmPath(u.RealmID) + "/user-authentication-info/" + u.UID
}

// check returns the refusal of fields that no user can have.
func (f UserFields) check(isNew bool) error {
	var c check
	c.filled("name", f.Name, isNew)
	c.email("email", f.Email, isNew)
	c.text("given_name", f.GivenName, maxText)
	c.text("middle_name", f.MiddleName, maxText)
	c.text("family_name", f.FamilyName, maxText)
	return c.err()
}

// apply writes what was given into the user.
func (f UserFields) apply(u *storage.User, body members) {
	take(&u.Name, f.Name)
	take(&u.Email, f.Email)
	u.EmailKey = otp.NormalizeUsername(u.Email)
	takeNullable(&u.FirstName, f.GivenName, body, "given_name")
	takeNullable(&u.MiddleName, f.MiddleName, body, "middle_name")
	takeNullable(&u.LastName, f.FamilyName, body, "family_name")
}

// fullName is a user's name; those of OrderCloud have it in two parts.
func fullName(u storage.User) string {
	if u.Name != "" {
		return u.Name
	}
	return strings.TrimSpace(u.FirstName + " " + u.LastName)
}

func userFields(u storage.User) UserFields {
	return UserFields{
		Name: new(fullName(u)), Email: &u.Email,
		GivenName: orNil(u.FirstName), MiddleName: orNil(u.MiddleName), FamilyName: orNil(u.LastName),
	}
}

func user(u storage.User) User {
	return User{
		ID: u.UID, Type: typeUser, UserFields: userFields(u),
		Meta: UserMeta{Times: times(u.CreatedAt, u.UpdatedAt), CreationStatus: "COMPLETE"},
	}
}

func (a *API) userReply(status int, u storage.User) reply {
	return a.document(status, user(u), userPath(u), u.Version)
}

// membersOf are the users of a realm that this dialect knows: buyers. What runs
// the shop is out of its reach.
func membersOf(realmID string) storage.UserScope {
	return storage.UserScope{RealmID: realmID, Kind: storage.Buyer}
}

func (a *API) listUsers(c *call) (reply, error) {
	realm, err := a.realmOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := userList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	found, err := a.cfg.Users.ListUsers(c.Context(), membersOf(realm.ID), q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, func(u storage.UserLogin) User {
		shown := user(u.User)
		shown.Links = &Links{Self: a.base + userPath(u.User)}
		return shown
	}), nil
}

func (a *API) postUser(c *call) (reply, error) {
	realm, err := a.realmOf(c)
	if err != nil {
		return reply{}, err
	}
	var body UserBody
	if _, err := c.read(&body, typeUser); err != nil {
		return reply{}, err
	}
	if err := body.check(true); err != nil {
		return reply{}, err
	}
	made, err := a.newUser(realm, body.UserFields)
	if err != nil {
		return reply{}, err
	}
	added, err := a.cfg.Users.AddUser(c.Context(), made)
	if err != nil {
		return reply{}, err
	}
	done := a.userReply(http.StatusCreated, added.User).changedFrom(nil)
	a.record(c, typeUser, "created", added.User.UID, done.changed...)
	return done, nil
}

// newUser returns a user of the realm, with an account of its own if the realm
// gives every member one.
func (a *API) newUser(realm storage.Realm, f UserFields) (storage.NewUser, error) {
	id, err := storage.NewUserUID(a.cfg.Rand)
	if err != nil {
		return storage.NewUser{}, err
	}
	made := storage.NewUser{User: storage.User{UID: id, RealmID: realm.ID, Kind: storage.Buyer, ID: id, Active: true}}
	f.apply(&made.User, nil)
	if realm.AutoCreateAccount && realm.ID == settingsRealm {
		account, err := a.newAccount(deref(f.Name))
		if err != nil {
			return made, err
		}
		account.LegalName, account.RealmID = account.Name, realm.ID
		made.Account = &account
	}
	return made, nil
}

func (a *API) getUser(c *call) (reply, error) {
	u, err := a.userOf(c)
	return a.userReply(http.StatusOK, u), err
}

func (a *API) putUser(c *call) (reply, error) {
	var body UserBody
	sent, err := c.read(&body, typeUser)
	if err != nil {
		return reply{}, err
	}
	if err := body.check(false); err != nil {
		return reply{}, err
	}
	var before storage.User
	u, err := rewrite(c,
		func() (storage.User, error) { return a.userOf(c) },
		func(u storage.User) int64 { return u.Version },
		func(u storage.User) (storage.User, error) {
			before = u
			body.apply(&u, sent)
			if err := c.mayManage(before); err != nil || u.Email == before.Email {
				return u, err
			}
			return u, c.mayChangeCredentials()
		},
		func(u storage.User) (storage.User, error) {
			stored, err := a.cfg.Users.ChangeUser(c.Context(), u, nil, nil)
			return stored.User, err
		})
	if err != nil {
		return reply{}, orNotFound(err, "user")
	}
	done := a.userReply(http.StatusOK, u).changedFrom(user(before))
	a.record(c, typeUser, "updated", u.UID, done.changed...)
	return done, nil
}

func (a *API) deleteUser(c *call) (reply, error) {
	wanted, err := c.wantsVersion()
	if err != nil {
		return reply{}, err
	}
	u, err := a.userOf(c)
	if err == nil {
		err = c.mayManage(u)
	}
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Users.DeleteUser(c.Context(), u.UID, wanted); err != nil {
		return reply{}, orNotFound(err, "user")
	}
	a.record(c, typeUser, "deleted", u.UID)
	return reply{status: http.StatusNoContent}, nil
}

// userOf returns the user that the path names, which is the caller itself if
// that is a member; what is another's looks as if it did not exist. A member who
// may not manage itself is told so only about itself.
func (a *API) userOf(c *call) (storage.User, error) {
	realm, err := a.realmOf(c)
	if err != nil {
		return storage.User{}, err
	}
	id, ok := c.id("user")
	if !ok || !c.isOwn(id) {
		return storage.User{}, notFound("user")
	}
	if err := c.mayManageItself(realm); err != nil {
		return storage.User{}, err
	}
	u, err := a.cfg.Users.UserByUID(c.Context(), id)
	if err == nil && (u.RealmID != realm.ID || u.Kind != storage.Buyer) {
		err = storage.ErrNotFound
	}
	return u, orNotFound(err, "user")
}
