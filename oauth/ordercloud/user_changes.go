package ordercloud

import (
	"errors"
	"net/http"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/storage"
)

var errUsername = refuse(http.StatusConflict, "User.UsernameMustBeUnique", "Username must be unique.")

// apply returns p with the members of the shape. It hashes a new password.
func (u users) apply(c *call, w wire.User, p person) (person, error) {
	if err := u.mayManage(c, p); err != nil {
		return p, err
	}
	if err := u.checkUser(c, w, p); err != nil {
		return p, err
	}
	user, login := w.ToRecord(p.User), w.ToLogin(p.Login)
	login.ProfileID = p.profileID(w)
	if p.version == storage.MustBeNew {
		return u.newPerson(c, w, p, user, login)
	}
	if err := checkOwnCredentials(c, w, p); err != nil {
		return p, err
	}
	p.User, p.Login = user, withName(p.Login, login)
	if w.Password == nil {
		return p, nil
	}
	change, err := u.cfg.Passwords.Prepare(c.Context(), p.principal, *w.Password)
	if isOwn(c, p) {
		change.KeepSession = c.caller.KeptSession()
	}
	p.password = &change
	return p, passwordRefusal(err)
}

// checkUser returns the faults of the shape. It reads the caller and other records to find some
// of them.
func (a *API) checkUser(c *call, w wire.User, p person) error {
	if p.Login.ID == "" && p.version != storage.MustBeNew {
		return checkWithoutLogin(w)
	}
	faults := w.Validate("")
	if w.EmailVerified != nil && *w.EmailVerified != p.User.EmailVerified() && !c.caller.SellerSide() {
		faults.Add("EmailVerified", "can be changed by the seller's administrators only")
	}
	id := p.profileID(w)
	if w.PasswordProfileID != nil && storage.PasswordProfileID(*w.PasswordProfileID) != id {
		faults.Add("PasswordProfileID", "cannot be changed")
	}
	profile, err := a.cfg.Stores.Clients.PasswordProfile(c.Context(), id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if err != nil || profile.RealmID != storage.DefaultRealmID {
		faults.Add("PasswordProfileID", "there is no such password profile")
	}
	if profile.UsernameFormat == "email" && !surface.IsEmail(w.Username) {
		faults.Add("Username", "must be an e-mail address")
	}
	return faults.Err()
}

// checkWithoutLogin checks the shape of a user without a login, whose login was deleted
// below /v2. It refuses a username and a password: only /v2 can give the user a new login.
func checkWithoutLogin(w wire.User) error {
	var faults wire.Faults
	if w.Username != "" || w.Password != nil {
		faults.Add("Username", "cannot be given to a user who has none any more")
	}
	w.Username, w.Password = "-", nil
	return append(faults, w.Validate("")...).Err()
}

// withName returns named, the login with its new name. It returns base if the user has no
// login.
func withName(base, named storage.Login) storage.Login {
	if base.ID == "" {
		return base
	}
	return named
}

// newPerson completes a user and its login, which are not stored yet.
func (u users) newPerson(c *call, w wire.User, p person, user storage.User, login storage.Login) (person, error) {
	var err error
	login.UserUID, login.Active = user.UID, true
	if login.ID, err = storage.NewUUID(u.cfg.Rand); err != nil {
		return p, err
	}
	p.User, p.Login = user, login
	if w.Password == nil {
		return p, nil
	}
	rules, err := u.cfg.Stores.Logins.Rules(c.Context(), login.ProfileID, user)
	if err != nil {
		return p, err
	}
	change, err := u.cfg.Passwords.Prepare(c.Context(), &storage.Principal{Rules: rules}, *w.Password)
	p.Login.PasswordHash, p.Login.PasswordSetAt = change.Hash, change.Now
	return p, passwordRefusal(err)
}

// save stores user, login and password, all or nothing.
func (u users) save(c *call, w wire.User, p person) (person, error) {
	stored, err := u.store(c, p)
	if err != nil {
		return p, err
	}
	if w.Password != nil {
		u.record(c, "password.set", u.object+"/"+u.auditID(c, stored.User.ID))
	}
	return u.complete(c, person{UserLogin: stored, company: p.company})
}

func (u users) store(c *call, p person) (storage.UserLogin, error) {
	if p.version != storage.MustBeNew {
		return u.changeUser(c, p)
	}
	invitation, err := u.invitation(c, p)
	if err != nil {
		return storage.UserLogin{}, err
	}
	added, err := u.cfg.Stores.Users.AddUser(c.Context(), storage.NewUser{User: p.User, Login: &p.Login, Invitation: invitation})
	switch {
	case errors.Is(err, storage.ErrUsernameTaken):
		err = u.usernameTaken(c, p)
	case errors.Is(err, storage.ErrNotFound):
		err = notFound(objectType(u.of), p.company.ID) // deleted meanwhile
	}
	if err == nil && invitation != nil {
		u.cfg.Codes.Wake()
	}
	return added, err
}

// actionUsername is what audit events call a username that was refused.
const actionUsername = "username.refused"

// usernameTaken records that the caller learned of somebody else's username, and
// returns the refusal.
func (a *API) usernameTaken(c *call, p person) error {
	a.recordOutcome(c, actionUsername, "taken", p.auditObject())
	return errUsername
}

// admitUsername refuses a user who has tried too many usernames for itself, since
// each answer reports whether somebody has the name.
func (a *API) admitUsername(c *call, wanted string, p person) error {
	if otp.NormalizeUsername(wanted) == p.Login.UsernameKey {
		return nil
	}
	err := a.cfg.AdmitUsername(c.Context(), p.User.UID)
	var limit *storage.LimitError
	if errors.As(err, &limit) {
		a.recordOutcome(c, actionUsername, "limited", p.auditObject())
	}
	return err
}

// changeUser stores a changed user and its login. It returns storage.ErrStale if either was
// changed or deleted meanwhile.
func (a *API) changeUser(c *call, p person) (storage.UserLogin, error) {
	var login *storage.Login
	if p.Login.ID != "" {
		login = &p.Login
	}
	changed, err := a.cfg.Stores.Users.ChangeUser(c.Context(), p.User, login, p.password)
	switch {
	case errors.Is(err, storage.ErrUsernameTaken):
		err = a.usernameTaken(c, p)
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrRefused):
		err = storage.ErrStale // user or login were deleted meanwhile
	}
	return changed, err
}

// invitation returns the request for the message that invites a new user, or nil if no
// message sender serves the user.
func (u users) invitation(c *call, p person) (*storage.CodeRequest, error) {
	served, err := u.cfg.Rules.IsServed(c.Context(), storage.MessageNewUserInvitation, p.User)
	if err != nil || !served || !p.User.Active {
		return nil, err
	}
	request, err := u.cfg.Codes.Invitation(c.Context(), otp.Request{
		UserUID: p.User.UID, ProfileID: p.Login.ProfileID,
		Address: u.cfg.Address(c.Context()), TraceID: u.cfg.TraceID(c.Context()),
	})
	return &request, err
}
