package ordercloud

import (
	"errors"
	"net/http"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage"
)

var (
	errNoUser      = refuse(http.StatusForbidden, "Auth.UserRequired", "The access token stands for an API client, not for a user.")
	errSignInAgain = refuse(http.StatusForbidden, "Auth.PasswordSignInRequired", "A change of Username, Password, Email or Phone takes a sign-in with the permanent password.")
	errAnonymous   = refuse(http.StatusForbidden, "Auth.AnonymousUser", "The user that everybody may be can only be changed by an administrator.")
)

func (a *API) meRoutes() []route {
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
	return []route{
		{Operation: get, who: everyUser, serve: a.asMe(func(k me, c *call) (surface.Answer, error) { return k.serveGet(c) })},
		{Operation: put, who: everyUser, serve: a.asOneself(func(k me, c *call) (surface.Answer, error) { return k.servePut(c) })},
		{Operation: patch, who: everyUser, serve: a.asOneself(func(k me, c *call) (surface.Answer, error) { return k.servePatch(c) })},
		{Operation: password, who: everyUser, serve: a.asOneself(a.serveOwnPassword)},
		{Operation: tokens, who: everyUser, serve: a.asOneself(a.serveOwnTokens)},
	}
}

// me is the collection of one: the user who calls.
type me = collection[wire.MeUser, person]

// asMe serves a user what is its own. A client that acts for itself has nothing
// there.
func (a *API) asMe(serve func(me, *call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		if c.caller.Principal == nil {
			return surface.Answer{}, errNoUser
		}
		return serve(a.meOf(c), c)
	}
}

// asOneself is asMe for what only the user itself may do: not everybody who
// shops as the user of a client that asks nobody who he is.
func (a *API) asOneself(serve func(me, *call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return a.asMe(func(k me, c *call) (surface.Answer, error) {
		client, user := c.caller.Client, c.caller.Principal
		shared := client.AnonymousBuyer && otp.NormalizeUsername(client.DefaultContextUser) == user.Login.UsernameKey
		if shared && len(c.caller.AMR) == 0 {
			return surface.Answer{}, errAnonymous
		}
		return serve(k, c)
	})
}

func (a *API) meOf(c *call) me {
	u := c.caller.Principal.User
	return me{
		object: userObject(u.Kind),
		get:    func(c *call, _ string) (person, error) { return a.self(c) },
		check:  a.checkMe,
		merge:  a.mergeMe,
		save:   a.saveMe,
		show: func(_ *call, p person) wire.MeUser {
			return wire.MeUserFromRecord(p.User, p.Login, p.company.ID, p.roles())
		},
		id:     func(w *wire.MeUser) *string { return &w.ID },
		stamp:  func(p *person) *int64 { return &p.version },
		named:  func(c *call, _ string) string { return ownName(c) },
		secret: changedPassword,
		fixed:  true,
	}
}

// userObject is what errors and audit events call a user of the kind.
func userObject(kind storage.UserKind) string {
	switch kind {
	case storage.Supplier:
		return "SupplierUser"
	case storage.Admin:
		return "AdminUser"
	case storage.Buyer:
	}
	return "User"
}

// ownName is how audit events call the caller.
func ownName(c *call) string {
	p := c.caller.Principal
	if p.Account.ID == "" {
		return p.User.ID
	}
	return p.Account.ID + "/" + p.User.ID
}

// self reads the caller, with the login that it has signed in with.
func (a *API) self(c *call) (person, error) {
	p := c.caller.Principal
	user, err := a.cfg.Stores.Users.UserByUID(c.Context(), p.User.UID)
	if errors.Is(err, storage.ErrNotFound) {
		err = token.ErrInvalidToken // deleted since the token was looked at
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

func (a *API) checkMe(c *call, w wire.MeUser, p person) error {
	if w.Active != nil && *w.Active != p.User.Active {
		return wire.Faults{{Path: "Active", Problem: "cannot be changed by the user"}}
	}
	return a.checkUser(c, w.ToUser(p.User.Active), p)
}

func (a *API) mergeMe(c *call, w wire.MeUser, p person) (person, error) {
	given := w.ToUser(p.User.Active)
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

// checkOwnCredentials refuses callers who change what they sign in with, or are
// reached by themselves, unless their sign-in allows it. Changes of other users
// pass.
func checkOwnCredentials(c *call, w wire.User, p person) error {
	changed := w.Password != nil || w.Username != p.Login.Username || w.Email != p.User.Email || surface.ValueOr(w.Phone, "") != p.User.Phone
	if !changed || !isOwn(c, p) {
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

func (a *API) saveMe(c *call, w wire.MeUser, p person) (person, error) {
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

func (a *API) serveOwnPassword(_ me, c *call) (surface.Answer, error) {
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
		err = token.ErrInvalidToken // the login was disabled since the token was looked at
	}
	return surface.Answer{Status: http.StatusNoContent}, passwordRefusal(err)
}

func (a *API) serveOwnTokens(k me, c *call) (surface.Answer, error) {
	err := a.cfg.Stores.Logins.RevokeUserTokens(c.Context(), c.caller.Principal.User.UID, a.cfg.Now().UTC())
	if err == nil {
		a.record(c, strings.ToLower(k.object)+".tokens_revoked", k.object+"/"+ownName(c))
	}
	return surface.Answer{Status: http.StatusNoContent}, err
}
