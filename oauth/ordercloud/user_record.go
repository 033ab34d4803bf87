package ordercloud

import (
	"net/http"

	"latchkey/oauth/admin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// person is a user with its login, company and roles, and with a new password.
type person struct {
	storage.UserLogin
	company   storage.Account    // zero for an admin user
	principal *storage.Principal // of the login; nil: there is no login, or it was not looked up, as in lists
	version   int64              // of user and login together; see versionOf

	password *storage.PasswordChange // stored together with the user; nil: the password stays
}

// auditObject returns the name of the user in audit events: its type, the ID of
// its company if it has one, and its ID.
func (p person) auditObject() string {
	if p.company.ID == "" {
		return userObject(p.User.Kind) + "/" + p.User.ID
	}
	return userObject(p.User.Kind) + "/" + p.company.ID + "/" + p.User.ID
}

// roles returns the roles of a user whose login was looked up, or nil.
func (p person) roles() []string {
	if p.principal == nil {
		return nil
	}
	return surface.OrEmpty(p.principal.Roles)
}

// complete sets the version of p and, if the user has a login, its principal.
func (a *API) complete(c *call, p person) (person, error) {
	p.version = versionOf(p.UserLogin)
	if p.Login.ID == "" {
		return p, nil
	}
	principal, err := a.cfg.Stores.Logins.PrincipalOf(c.Context(), p.Login.ID)
	p.principal = &principal
	return p, err
}

// versionOf returns one version for a user and its login, which the wire shows as one
// object. No two states of both have the same version, unless the login is changed 16
// million times.
func versionOf(u storage.UserLogin) int64 { return u.User.Version<<24 + u.Login.Version }

// profileID returns the ID of the password profile of the user's login, or of the login
// that w asks for.
func (p person) profileID(w wire.User) string {
	if p.Login.ID != "" {
		return p.Login.ProfileID
	}
	return storage.PasswordProfileID(surface.ValueOr(w.PasswordProfileID, storage.DefaultProfileID))
}

// mayManage decides whether the caller may manage the user, or make it.
func (a *API) mayManage(c *call, p person) error {
	caller, rules := c.caller.Authority(), a.cfg.Rules
	if p.version == storage.MustBeNew {
		return rules.CreateUser(c.Context(), caller, p.User.Kind)
	}
	return rules.ManageUser(c.Context(), caller, p.User, p.roles())
}

var errSignInAgain = refuse(http.StatusForbidden, "Auth.PasswordSignInRequired", "A change of Username, Password, Email or Phone takes a sign-in with the permanent password.")

// checkOwnCredentials refuses callers who change their own credentials, unless
// their sign-in allows it. Changes of other users pass.
func checkOwnCredentials(c *call, w wire.User, p person) error {
	after := storage.UserLogin{User: w.ToRecord(p.User), Login: w.ToLogin(p.Login)}
	if !isOwn(c, p) || !admin.ChangesCredentials(p.UserLogin, after, w.Password != nil) {
		return nil
	}
	return mayChangeCredentials(c.caller)
}

// isOwn reports whether the person is the caller's own user.
func isOwn(c *call, p person) bool {
	own := c.caller.Principal
	return own != nil && own.User.UID == p.User.UID
}

// mayChangeCredentials returns nil if the caller may change what its user signs
// in with or is reached by, and otherwise the refusal.
func mayChangeCredentials(c *token.Caller) error {
	switch {
	case c.MayChangeCredentials():
		return nil
	case len(c.AMR) == 0:
		return insufficientRoles([]string{token.RolePasswordReset}, c.Roles)
	}
	return errSignInAgain
}

// changedPassword names Password if the user has another one than before.
func changedPassword(before, after person) []string {
	if before.Login.PasswordHash == after.Login.PasswordHash {
		return nil
	}
	return []string{"Password"}
}
