package elasticpath

import (
	"errors"

	"latchkey/grants/signin"
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

// MinPasswordLength is the least number of characters of a password in this dialect,
// whatever the password profile says (Elastic Path).
const MinPasswordLength = 8

// actionUsername is the verb of audit events about refused usernames.
const actionUsername = "username_refused"

var loginList = byTime(map[string]filterable{"username": {record: "Username", ops: textOps, fold: true}}, "username")

// logins is the resource user authentication password profile info.
type logins struct {
	password *storage.PasswordChange // stored by put together with the login; nil: the password stays
}

func (*logins) kind() string { return wire.TypeLogin }

func (*logins) find(c *call) (storage.UserLogin, error) {
	u, err := users{}.find(c)
	if err != nil {
		return storage.UserLogin{}, err
	}
	id, ok := c.id("info")
	if !ok {
		return storage.UserLogin{}, notFound("password profile info")
	}
	l, err := c.cfg.Logins.LoginByID(c.Context(), id)
	if err == nil && l.UserUID != u.UID {
		err = storage.ErrNotFound
	}
	return storage.UserLogin{User: u, Login: l}, orNotFound(err, "password profile info")
}

func (*logins) show(_ *call, l storage.UserLogin) (any, string, error) {
	return wire.LoginFromRecord(l.Login), wire.LoginPath(l.User, l.Login), nil
}

func (*logins) key(l storage.UserLogin) (string, int64) { return l.Login.ID, l.Login.Version }

func (k *logins) put(c *call, l storage.UserLogin) (storage.UserLogin, error) {
	return c.cfg.Users.ChangeUser(c.Context(), l.User, &l.Login, k.password)
}

func listLogins(c *call) (surface.Answer, error) {
	u, err := users{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	fetch := func(q storage.Query) (storage.Page[storage.Login], error) {
		return c.cfg.Logins.ListLogins(c.Context(), u.UID, q)
	}
	return list(c, loginList, fetch, func(l storage.Login) (wire.Login, error) {
		shown := wire.LoginFromRecord(l)
		shown.Links = &wire.Links{Self: c.base + wire.LoginPath(u, l)}
		return shown, nil
	})
}

func postLogin(c *call) (surface.Answer, error) {
	u, err := users{}.find(c)
	if err != nil {
		return surface.Answer{}, err
	}
	body, err := readLogin(c, true)
	if err != nil {
		return surface.Answer{}, err
	}
	if err := c.checkManage(u); err != nil {
		return surface.Answer{}, err
	}
	l, err := c.cfg.SignUps.NewLogin(c.Context(), u, loginRequest(body))
	if err != nil {
		return surface.Answer{}, err
	}
	l.Version = storage.MustBeNew
	stored, err := c.cfg.Logins.PutLogin(c.Context(), l)
	if err != nil {
		return surface.Answer{}, usernameTaken(c, l.ID, err)
	}
	return created(c, &logins{}, storage.UserLogin{User: u, Login: stored}, "password")
}

func readLogin(c *call, isNew bool) (body wire.LoginBody, err error) {
	if _, err := c.read(&body, wire.TypeLogin); err != nil {
		return body, err
	}
	return body, body.Check(isNew)
}

// loginRequest returns the login that a checked body asks for.
func loginRequest(b wire.LoginBody) signin.LoginRequest {
	return signin.LoginRequest{ProfileID: storage.PasswordProfileID(*b.ProfileID), Username: *b.Username, Password: *b.Password}
}

// usernameTaken replaces storage.ErrConflict of a login: only its username can be
// that of another one. It records that the caller has learned of the other login.
func usernameTaken(c *call, loginID string, err error) error {
	if errors.Is(err, storage.ErrConflict) {
		c.recordOutcome(wire.TypeLogin, actionUsername, "taken", loginID)
		return errConstraint
	}
	return err
}

func getLogin(c *call) (surface.Answer, error) { return get(c, &logins{}) }

func putLogin(c *call) (surface.Answer, error) {
	body, err := readLogin(c, false)
	if err != nil {
		return surface.Answer{}, err
	}
	kind := &logins{}
	before, stored, err := rewrite(c, kind, func(l storage.UserLogin) (storage.UserLogin, error) {
		old := l.Login
		if err := c.checkManage(l.User); err != nil {
			return l, err
		}
		if err := changeUsername(c, &l.Login, body); err != nil {
			return l, err
		}
		if body.Password == nil && l.Login.Username == old.Username {
			return l, nil
		}
		if err := c.checkChangeCredentials(); err != nil {
			return l, err
		}
		if l.Login.Username != old.Username {
			if err := admitUsername(c, l.User.UID); err != nil {
				return l, err
			}
		}
		if body.Password == nil || kind.password != nil {
			return l, nil // a repeated change does not hash the password again
		}
		kind.password, err = newPassword(c, l.Login, *body.Password)
		return l, err
	})
	if err != nil {
		return surface.Answer{}, usernameTaken(c, c.PathValue("info"), orNotFound(err, "password profile info"))
	}
	if kind.password == nil {
		return updated(c, kind, before, stored)
	}
	done, err := updated(c, kind, before, stored, "password")
	c.record(wire.TypeLogin, "password_changed", stored.Login.ID)
	return done, err
}

// changeUsername gives a login the username of the body. The password profile cannot
// be changed.
func changeUsername(c *call, l *storage.Login, body wire.LoginBody) error {
	if body.ProfileID != nil && storage.PasswordProfileID(*body.ProfileID) != l.ProfileID {
		return errConstraint
	}
	if body.Username == nil || *body.Username == l.Username {
		return nil
	}
	p, err := c.cfg.Profiles.PasswordProfile(c.Context(), l.ProfileID)
	if err != nil {
		return err
	}
	return otp.SetUsername(l, p, *body.Username)
}

// admitUsername limits how many usernames a member may try, because each answer shows
// whether somebody has the name.
func admitUsername(c *call, userUID string) error {
	if c.holder == nil {
		return nil
	}
	err := c.cfg.AdmitUsername(c.Context(), userUID)
	if limit := (*storage.LimitError)(nil); errors.As(err, &limit) {
		c.recordOutcome(wire.TypeLogin, actionUsername, "limited", userUID)
	}
	return err
}

// newPassword returns the change of the password of a login. The session of a member
// who changes its own password goes on.
func newPassword(c *call, l storage.Login, password string) (*storage.PasswordChange, error) {
	p, err := c.cfg.Logins.PrincipalOf(c.Context(), l.ID)
	if err != nil {
		return nil, err
	}
	p.Rules = p.Rules.WithMinLength(MinPasswordLength)
	if c.holder == nil {
		change, err := c.cfg.Passwords.Prepare(c.Context(), &p, password)
		return &change, err
	}
	change, err := c.cfg.Passwords.PrepareOwn(c.Context(), &p, password)
	change.KeepSession = c.holder.SessionID
	return &change, err
}

func deleteLogin(c *call) (surface.Answer, error) {
	check := func(l storage.UserLogin) error { return c.checkManage(l.User) }
	return remove(c, &logins{}, "password profile info", check, func(l storage.UserLogin, version int64) error {
		return c.cfg.Logins.DeleteLogin(c.Context(), l.Login.ID, version)
	})
}
