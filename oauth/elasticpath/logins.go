package elasticpath

import (
	"errors"
	"net/http"

	"latchkey/otp"
	"latchkey/storage"
)

const typeLogin = "user_authentication_password_profile_info"

// LoginBody is a name that a user signs in with, as it is sent. A change takes
// any of the members; what is left out stays.
type LoginBody struct {
	Type      *string `json:"type"`
	ID        *string `json:"id"`                  // not looked at: clients send all sorts of ids
	ProfileID *string `json:"password_profile_id"` // cannot be changed
	Username  *string `json:"username"`
	Password  *string `json:"password"`
}

// Login is a user authentication password profile info. The password is never
// shown.
type Login struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	ProfileID string `json:"password_profile_id"`
	Username  string `json:"username"`
	Meta      Times  `json:"meta"`
	Links     *Links `json:"links,omitempty"` // in lists
}

var loginList = byTime(map[string]filterable{"username": {record: "Username", ops: peopleOps, fold: true}}, "username")

func loginPath(u storage.User, l storage.Login) string {
	return userPath(u) + "/user-authentication-password-profile-info/" + l.ID
}

func login(l storage.Login) Login {
	return Login{
		ID: l.ID, Type: typeLogin, ProfileID: storage.PasswordProfileUUID(l.ProfileID), Username: l.Username,
		Meta: times(l.CreatedAt, l.UpdatedAt),
	}
}

// check returns the refusal of a body that no login can have.
func (b LoginBody) check(isNew bool) error {
	var c check
	c.filled("username", b.Username, isNew)
	c.filled("password_profile_id", b.ProfileID, isNew)
	c.secret("password", b.Password, isNew)
	return c.err()
}

func (a *API) listLogins(c *call) (reply, error) {
	u, err := a.userOf(c)
	if err != nil {
		return reply{}, err
	}
	q, err := loginList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	found, err := a.cfg.Logins.ListLogins(c.Context(), u.UID, q)
	if err != nil {
		return reply{}, err
	}
	return listOf(c, q, found, func(l storage.Login) Login {
		shown := login(l)
		shown.Links = &Links{Self: a.base + loginPath(u, l)}
		return shown
	}), nil
}

func (a *API) postLogin(c *call) (reply, error) {
	u, err := a.userOf(c)
	if err != nil {
		return reply{}, err
	}
	var body LoginBody
	if _, err := c.read(&body, typeLogin); err != nil {
		return reply{}, err
	}
	if err := body.check(true); err != nil {
		return reply{}, err
	}
	if err := c.mayManage(u); err != nil {
		return reply{}, err
	}
	l, err := a.newLogin(c, u, body)
	if err != nil {
		return reply{}, err
	}
	l.Version = storage.MustBeNew
	stored, err := a.cfg.Logins.PutLogin(c.Context(), l)
	if err != nil {
		return reply{}, a.taken(c, l.ID, err)
	}
	l = stored
	done := a.document(http.StatusCreated, login(l), loginPath(u, l), l.Version).changedFrom(nil, "password")
	a.record(c, typeLogin, "created", l.ID, done.changed...)
	return done, nil
}

// taken turns a login that exists already into the wire's word for it: there is
// nothing about one that could be in the way but its username. That the caller
// learned of the other login is recorded.
func (a *API) taken(c *call, loginID string, err error) error {
	if errors.Is(err, storage.ErrConflict) {
		a.recordOutcome(c, typeLogin, verbUsername, "taken", loginID)
		return errConstraint
	}
	return err
}

// verbUsername is what audit events call a try to take a username.
const verbUsername = "username_refused"

// admitUsername refuses a member who has tried too many usernames, since each
// answer reports whether somebody has the name.
func (a *API) admitUsername(c *call, userUID string) error {
	if c.holder == nil {
		return nil
	}
	err := a.cfg.AdmitUsername(c.Context(), userUID)
	var limit *storage.LimitError
	if errors.As(err, &limit) {
		a.recordOutcome(c, typeLogin, verbUsername, "limited", userUID)
	}
	return err
}

// newLogin returns a login of the user in the profile that the body names. The
// user need not be stored yet.
func (a *API) newLogin(c *call, u storage.User, body LoginBody) (storage.Login, error) {
	p, err := a.cfg.Profiles.PasswordProfile(c.Context(), storage.PasswordProfileID(deref(body.ProfileID)))
	if errors.Is(err, storage.ErrNotFound) || err == nil && p.RealmID != u.RealmID {
		return storage.Login{}, refuse(http.StatusUnprocessableEntity, "password_profile_id is of no password profile of the realm")
	}
	if err != nil {
		return storage.Login{}, err
	}
	id, err := a.newID()
	if err != nil {
		return storage.Login{}, err
	}
	l := storage.Login{ID: id, ProfileID: p.ID, UserUID: u.UID, Active: true}
	if err := rename(&l, p, *body.Username); err != nil {
		return l, err
	}
	return l, c.passwordFor(p.ID, u, &l, *body.Password)
}

// rename gives a login another name, if the profile admits it.
func rename(l *storage.Login, p storage.PasswordProfile, username string) error {
	if p.UsernameFormat == formatEmail && !isEmail(username) {
		return refuse(http.StatusUnprocessableEntity, validation("username", "email"))
	}
	if otp.HasInvisible(username) {
		return refuse(http.StatusBadRequest, validation("username", "printable"))
	}
	l.Username, l.UsernameKey = username, otp.NormalizeUsername(username)
	if l.UsernameKey == "" {
		return refuse(http.StatusBadRequest, validation("username", "required"))
	}
	return nil
}

func (a *API) getLogin(c *call) (reply, error) {
	l, err := a.loginOf(c)
	return a.document(http.StatusOK, login(l.Login), loginPath(l.User, l.Login), l.Login.Version), err
}

func (a *API) putLogin(c *call) (reply, error) {
	var body LoginBody
	if _, err := c.read(&body, typeLogin); err != nil {
		return reply{}, err
	}
	if err := body.check(false); err != nil {
		return reply{}, err
	}
	var password *storage.PasswordChange
	var before storage.Login
	l, err := rewrite(c,
		func() (storage.UserLogin, error) { return a.loginOf(c) },
		func(l storage.UserLogin) int64 { return l.Login.Version },
		func(l storage.UserLogin) (_ storage.UserLogin, err error) {
			before = l.Login
			if err := c.mayManage(l.User); err != nil {
				return l, err
			}
			err = a.changeName(c, &l.Login, body)
			if err == nil && (body.Password != nil || l.Login.Username != before.Username) {
				err = c.mayChangeCredentials()
			}
			if err == nil && l.Login.Username != before.Username {
				err = a.admitUsername(c, l.User.UID)
			}
			if err != nil || body.Password == nil || password != nil {
				return l, err // a change that is tried anew need not hash again
			}
			password, err = c.newPassword(l.Login, *body.Password)
			return l, err
		},
		func(l storage.UserLogin) (storage.UserLogin, error) {
			return a.cfg.Users.ChangeUser(c.Context(), l.User, &l.Login, password)
		})
	if err != nil {
		return reply{}, a.taken(c, c.PathValue("info"), orNotFound(err, "password profile info"))
	}
	var secrets []string
	if password != nil {
		secrets = []string{"password"}
	}
	done := a.document(http.StatusOK, login(l.Login), loginPath(l.User, l.Login), l.Login.Version).changedFrom(login(before), secrets...)
	a.record(c, typeLogin, "updated", l.Login.ID, done.changed...)
	if password != nil {
		a.record(c, typeLogin, "password_changed", l.Login.ID)
	}
	return done, nil
}

// changeName gives a login the name that the body asks for. Its password
// profile must be so already.
func (a *API) changeName(c *call, l *storage.Login, body LoginBody) error {
	if body.ProfileID != nil && storage.PasswordProfileID(*body.ProfileID) != l.ProfileID {
		return errConstraint
	}
	if body.Username == nil || *body.Username == l.Username {
		return nil
	}
	p, err := a.cfg.Profiles.PasswordProfile(c.Context(), l.ProfileID)
	if err != nil {
		return err
	}
	return rename(l, p, *body.Username)
}

func (a *API) deleteLogin(c *call) (reply, error) {
	wanted, err := c.wantsVersion()
	if err != nil {
		return reply{}, err
	}
	l, err := a.loginOf(c)
	if err == nil {
		err = c.mayManage(l.User)
	}
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Logins.DeleteLogin(c.Context(), l.Login.ID, wanted); err != nil {
		return reply{}, orNotFound(err, "password profile info")
	}
	a.record(c, typeLogin, "deleted", l.Login.ID)
	return reply{status: http.StatusNoContent}, nil
}

// loginOf returns the login that the path names, with its user.
func (a *API) loginOf(c *call) (storage.UserLogin, error) {
	u, err := a.userOf(c)
	if err != nil {
		return storage.UserLogin{}, err
	}
	id, ok := c.id("info")
	if !ok {
		return storage.UserLogin{}, notFound("password profile info")
	}
	l, err := a.cfg.Logins.LoginByID(c.Context(), id)
	if err == nil && l.UserUID != u.UID {
		err = storage.ErrNotFound
	}
	return storage.UserLogin{User: u, Login: l}, orNotFound(err, "password profile info")
}
