package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

var (
	errNoUser    = refuse(http.StatusForbidden, "Auth.UserRequired", "The access token stands for an API client, not for a user.")
	errAnonymous = refuse(http.StatusForbidden, "Auth.AnonymousUser", "The user that everybody may be can only be changed by an administrator.")
)

// me is the user who calls.
type me struct{ *API }

func (a me) routes() []route {
	operation := func(method, path, verb, summary string, roles ...string) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: "me." + verb, Tag: "Me", Summary: summary, Roles: roles,
			Answers: map[int]any{http.StatusNoContent: nil}, Refuses: []int{http.StatusForbidden},
		}
	}
	get := operation(http.MethodGet, "/v1/me", "Get", "Get the user that the token stands for")
	get.Answers = map[int]any{http.StatusOK: wire.MeUser{}}
	put := operation(http.MethodPut, "/v1/me", "Save", "Replace what the user may change about itself", "MeAdmin")
	put.Body, put.Answers, put.Refuses = wire.MeUser{}, get.Answers, []int{400, 403, 409, 412, 429}
	put.Headers = []openapi.Parameter{{Name: "If-Match", About: "Entity tag that the object must still have"}}
	patch := put
	patch.Method, patch.ID, patch.Summary, patch.Partial = http.MethodPatch, "me.Patch", "Change what the user may change about itself", true
	password := operation(http.MethodPost, "/v1/me/password", "ResetPassword", "Set the user's password, which ends its other sessions", token.RolePasswordReset)
	password.Body, password.Refuses = wire.TokenPasswordReset{}, []int{400, 403}
	tokens := operation(http.MethodDelete, "/v1/me/tokens", "RevokeTokens", "Revoke all tokens of the user, this one included")
	return append(a.sessionRoutes(), []route{
		{Operation: get, who: everyUser, serve: asUser(a.getSelf)},
		{Operation: put, who: everyUser, serve: asItself(func(c *call) (surface.Answer, error) { return a.editor(c).servePut(c) })},
		{Operation: patch, who: everyUser, serve: asItself(func(c *call) (surface.Answer, error) { return a.editor(c).servePatch(c) })},
		{Operation: password, who: everyUser, serve: asItself(a.resetPassword)},
		{Operation: tokens, who: everyUser, serve: asFirstParty(a.revokeTokens)},
	}...)
}

// asUser refuses clients that act for themselves.
func asUser(serve func(*call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		if c.caller.Principal == nil {
			return surface.Answer{}, errNoUser
		}
		return serve(c)
	}
}

// asItself is asUser for changes that only the user itself may make. It also refuses
// anonymous buyers, who all share the default context user of a client.
func asItself(serve func(*call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return asUser(func(c *call) (surface.Answer, error) {
		if admin.IsSharedUser(c.caller.Client, c.caller.Principal, c.caller.AMR) {
			return surface.Answer{}, errAnonymous
		}
		return serve(c)
	})
}

// getSelf shows the user. A third-party client needs the role MeAdmin, because the answer
// has more than the user may have consented to. The userinfo endpoint shows what the scopes
// profile, email and phone allow.
func (a me) getSelf(c *call) (surface.Answer, error) {
	if c.caller.Client.ThirdParty && !c.caller.Has("MeAdmin") {
		return surface.Answer{}, errThirdParty
	}
	return a.editor(c).serveGet(c)
}

func (a me) editor(c *call) editor[wire.MeUser, person] {
	return editor[wire.MeUser, person]{kind{object: userObject(c.caller.Principal.User.Kind), sameID: equalID}, a}
}

func (a me) get(c *call, _ string) (person, error) { return a.self(c) }

func (a me) show(p person) wire.MeUser {
	return wire.MeUserFromRecord(p.User, p.Login, p.company.ID, p.roles())
}

func (a me) id(w *wire.MeUser) *string { return &w.ID }

func (a me) version(p person) int64 { return p.version }

func (a me) auditID(c *call, _ string) string { return ownName(c) }

func (a me) changedSecrets(before, after person) []string { return changedPassword(before, after) }

func (a me) notice(*call, person, person) (string, error) { return "", nil }

// ownName returns the name of the caller in audit events.
func ownName(c *call) string {
	p := c.caller.Principal
	if p.Account.ID == "" {
		return p.User.ID
	}
	return p.Account.ID + "/" + p.User.ID
}

// self reads the caller, with the login that it has signed in with.
func (a me) self(c *call) (person, error) {
	p := c.caller.Principal
	user, err := a.cfg.Stores.Users.UserByUID(c.Context(), p.User.UID)
	if errors.Is(err, storage.ErrNotFound) {
		err = token.ErrInvalidToken // the user was deleted after the token was checked
	}
	if err != nil {
		return person{}, err
	}
	logins, err := a.cfg.Stores.Logins.LoginsOfUser(c.Context(), user.UID)
	if err != nil {
		return person{}, err
	}
	for _, l := range logins {
		if l.ID == p.Login.ID {
			of := storage.UserLogin{User: user, Login: l}
			return person{UserLogin: of, company: p.Account, principal: p, version: versionOf(of)}, nil
		}
	}
	return person{}, token.ErrInvalidToken
}

func (a me) apply(c *call, w wire.MeUser, p person) (person, error) {
	if w.Active != nil && *w.Active != p.User.Active {
		return p, wire.Faults{{Path: "Active", Problem: "cannot be changed by the user"}}
	}
	given := w.ToUser(p.User.Active)
	if err := a.checkUser(c, given, p); err != nil {
		return p, err
	}
	if err := checkOwnCredentials(c, given, p); err != nil {
		return p, err
	}
	if err := a.admitUsername(c, w.Username, p); err != nil {
		return p, err
	}
	profile := p.Login.ProfileID
	p.User, p.Login = given.ToRecord(p.User), given.ToLogin(p.Login)
	p.Login.ProfileID = profile
	if w.Password == nil {
		return p, nil
	}
	change, err := a.cfg.Passwords.PrepareOwn(c.Context(), p.principal, *w.Password)
	change.KeepSession = c.caller.KeptSession()
	p.password = &change
	return p, passwordRefusal(err)
}

func (a me) save(c *call, w wire.MeUser, p person) (person, error) {
	stored, err := a.changeUser(c, p)
	if err != nil {
		return p, err
	}
	if w.Password != nil {
		a.record(c, "password.changed", userObject(p.User.Kind)+"/"+ownName(c))
	}
	p.UserLogin, p.version, p.password = stored, versionOf(stored), nil
	return p, nil
}

func (a me) resetPassword(c *call) (surface.Answer, error) {
	var w wire.TokenPasswordReset
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	err := w.Validate("").Err()
	if err == nil {
		err = mayChangeCredentials(c.caller)
	}
	if err == nil {
		err = a.cfg.Passwords.Change(c.Context(), c.caller.Principal, w.NewPassword, c.caller.KeptSession())
	}
	if errors.Is(err, storage.ErrRefused) {
		err = token.ErrInvalidToken // the login was disabled after the token was checked
	}
	return surface.Answer{Status: http.StatusNoContent}, passwordRefusal(err)
}

func (a me) revokeTokens(c *call) (surface.Answer, error) {
	err := a.cfg.Stores.Logins.RevokeUserTokens(c.Context(), c.caller.Principal.User.UID, a.cfg.Now().UTC())
	if err == nil {
		object := userObject(c.caller.Principal.User.Kind)
		a.record(c, strings.ToLower(object)+".tokens_revoked", object+"/"+ownName(c))
	}
	return surface.Answer{Status: http.StatusNoContent}, err
}
