package ordercloud

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// users are the users of one kind: of buyers, of suppliers, or admin users.
type users struct {
	*API
	kind
	of storage.UserKind
}

func (a *API) userRoutes() []route {
	var all []route
	for _, u := range []users{
		{a, kind{
			object: "User", path: "/v1/buyers/{buyerID}/users", who: companyUsers,
			admin: []string{"BuyerUserAdmin"}, reader: []string{"BuyerUserReader"},
		}, storage.Buyer},
		{a, kind{
			object: "SupplierUser", path: "/v1/suppliers/{supplierID}/users", who: companyUsers,
			admin: []string{"SupplierUserAdmin"}, reader: []string{"SupplierUserReader"},
		}, storage.Supplier},
		{a, kind{
			object: "AdminUser", path: "/v1/adminusers",
			admin: []string{"AdminUserAdmin"}, reader: []string{"AdminUserReader"},
		}, storage.Admin},
	} {
		all = append(all, u.routes()...)
	}
	everyBuyer := usersOfAllBuyers{users{a, kind{
		object: "User", path: "/v1/buyerusers",
		admin: []string{"BuyerUserAdmin"}, reader: []string{"BuyerUserReader"},
	}, storage.Buyer}}
	list := newCollection(everyBuyer.described(), everyBuyer).listRoute()
	list.Summary, list.Query = "List the users of all buyers", append(list.Query, groupParameter())
	return append(all, list, userSearch{a}.route())
}

// described returns the kind with the members that users of all kinds have in common.
func (u users) described() kind {
	k := u.kind
	k.param = "userID"
	k.fields = text("ID", "Username", "FirstName", "LastName", "Email", "Phone").with("Active", "Active", otherField).
		with("DateCreated", "CreatedAt", timeField).with("TermsAccepted", "TermsAccepted", timeField).with("xp", "XP", textField)
	k.search = []string{"Username", "FirstName", "LastName", "Email"}
	return k
}

func (u users) routes() []route {
	all := append(newCollection(u.described(), u).routes(), u.lockoutRoute(), u.unlockRoute(), u.tokensRoute())
	all = append(all, slices.Concat(u.sessionRoutes(), u.consentRoutes(), u.messageRoutes())...)
	for i := range all {
		if r := &all[i]; r.Method == http.MethodGet && r.Path == u.path && u.of != storage.Admin {
			r.Query = append(r.Query, groupParameter())
		}
	}
	return all
}

// usersOfAllBuyers lists the users of all buyers at once, for the seller's side.
type usersOfAllBuyers struct{ users }

func (u usersOfAllBuyers) list(c *call, q storage.Query) (storage.Page[person], error) {
	if c.queryID("userGroupID") != nil {
		q.Where = append(q.Where, matchesNothing("UID"))
	}
	found, err := u.cfg.Stores.Users.ListUsers(c.Context(),
		storage.UserScope{RealmID: storage.DefaultRealmID, Kind: storage.Buyer}, q)
	if err != nil {
		return storage.Page[person]{}, err
	}
	var uids []string
	for _, of := range found.Items {
		uids = append(uids, of.User.AccountUID)
	}
	buyers, err := u.accountsByUID(c, uids)
	people := make([]person, 0, len(found.Items))
	for _, of := range found.Items {
		people = append(people, person{UserLogin: of, company: buyers[of.User.AccountUID], version: versionOf(of)})
	}
	return storage.WithItems(found, people), err
}

// lockoutRoute shows why a user is locked, for which addresses and until when.
func (u users) lockoutRoute() route {
	o := u.action(http.MethodGet, "/lockout", "GetLockout", "Get what is locked for a user, and until when")
	o.Roles, o.Answers = u.readers(), map[int]any{http.StatusOK: wire.UserLockout{}}
	return route{Operation: o, who: u.who, serve: func(c *call) (surface.Answer, error) {
		p, err := u.existing(c)
		if err != nil {
			return surface.Answer{}, err
		}
		all, err := u.cfg.Lockouts.OfUser(c.Context(), p.User.UID)
		return surface.Answer{Status: http.StatusOK, Body: wire.UserLockoutFromRecords(all, u.cfg.Now())}, err
	}}
}

// unlockRoute clears a user's failed sign-ins. It ignores the body: some of OrderCloud's
// clients send one, and others do not.
func (u users) unlockRoute() route {
	o := u.action(http.MethodPost, "/unlock", "Unlock", "Forget a user's failed sign-ins")
	return route{Operation: o, who: u.who, serve: u.act("unlocked", func(c *call, p person) error {
		return u.cfg.Lockouts.UnlockUser(c.Context(), p.User.UID)
	})}
}

// tokensRoute revokes all tokens of a user.
func (u users) tokensRoute() route {
	o := u.action(http.MethodDelete, "/tokens", "RevokeTokens", "Revoke all tokens of a user")
	return route{Operation: o, who: u.who, serve: u.act("tokens_revoked", func(c *call, p person) error {
		return u.cfg.Stores.Logins.RevokeUserTokens(c.Context(), p.User.UID, u.cfg.Now().UTC())
	})}
}

func (u users) action(method, under, verb, summary string) openapi.Operation {
	return openapi.Operation{
		Method: method, Path: u.path + "/{userID}" + under, ID: operationID(u.path[len("/v1/"):], verb), Tag: u.object,
		Summary: summary, Roles: u.admin, Answers: map[int]any{http.StatusNoContent: nil}, Refuses: []int{http.StatusNotFound},
	}
}

// act returns the handler of an operation that does not change the record of the user. It
// calls do if the caller may manage the user, and records an audit event with the verb.
func (u users) act(verb string, do func(*call, person) error) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		p, err := u.manageable(c)
		if err == nil {
			err = do(c, p)
		}
		if err != nil {
			return surface.Answer{}, err
		}
		u.record(c, strings.ToLower(u.object)+"."+verb, u.object+"/"+u.auditID(c, p.User.ID))
		return surface.Answer{Status: http.StatusNoContent}, nil
	}
}

// existing reads the user in the path.
func (u users) existing(c *call) (person, error) {
	p, err := u.get(c, c.PathValue("userID"))
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(u.object, c.PathValue("userID"))
	}
	return p, err
}

// manageable reads the user in the path, whom the caller must be allowed to manage.
func (u users) manageable(c *call) (person, error) {
	p, err := u.existing(c)
	if err == nil {
		err = u.mayManage(c, p)
	}
	return p, err
}

// auditID returns the ID of a user with that of its company in front.
func (u users) auditID(c *call, id string) string {
	if u.of == storage.Admin {
		return id
	}
	return c.PathValue(u.companyParameter()) + "/" + id
}

func (u users) companyParameter() string {
	if u.of == storage.Supplier {
		return "supplierID"
	}
	return "buyerID"
}

// company finds the buyer or supplier in the path; admin users have none.
func (u users) company(c *call) (storage.Account, error) {
	if u.of == storage.Admin {
		return storage.Account{}, nil
	}
	id := c.PathValue(u.companyParameter())
	found, err := u.account(c, u.of, id)
	if errors.Is(err, storage.ErrNotFound) {
		err = notFound(objectType(u.of), id)
	}
	return found, err
}

func (u users) list(c *call, q storage.Query) (storage.Page[person], error) {
	company, err := u.company(c)
	if err != nil {
		return storage.Page[person]{}, err
	}
	if c.queryID("userGroupID") != nil {
		q.Where = append(q.Where, matchesNothing("UID"))
	}
	found, err := u.cfg.Stores.Users.ListUsers(c.Context(),
		storage.UserScope{RealmID: storage.DefaultRealmID, Kind: u.of, AccountUID: company.UID}, q)
	people := make([]person, 0, len(found.Items))
	for _, of := range found.Items {
		people = append(people, person{UserLogin: of, company: company, version: versionOf(of)})
	}
	return storage.WithItems(found, people), err
}

func (u users) get(c *call, id string) (person, error) {
	company, err := u.company(c)
	if err != nil {
		return person{}, err
	}
	user, err := u.cfg.Stores.Users.User(c.Context(), storage.DefaultRealmID, u.of, company.UID, id)
	if err != nil {
		return person{}, err
	}
	logins, err := u.cfg.Stores.Logins.LoginsOfUser(c.Context(), user.UID)
	if err != nil {
		return person{}, err
	}
	p := person{UserLogin: storage.UserLogin{User: user}, company: company}
	if len(logins) > 0 {
		p.Login = logins[0] // by profile, as in lists
	}
	return u.complete(c, p)
}

func (u users) show(p person) wire.User {
	w := wire.UserFromRecord(p.User, p.Login, p.company.ID)
	w.AvailableRoles = p.roles()
	return w
}

func (u users) id(w *wire.User) *string { return &w.ID }

func (u users) version(p person) int64 { return p.version }

func (u users) changedSecrets(before, after person) []string { return changedPassword(before, after) }

func (u users) notice(*call, person, person) (string, error) { return "", nil }

func (u users) blank(c *call) (person, error) {
	company, err := u.company(c)
	if err != nil {
		return person{}, err
	}
	uid, err := storage.NewUserUID(u.cfg.Rand)
	return person{company: company, version: storage.MustBeNew, UserLogin: storage.UserLogin{User: storage.User{
		UID: uid, RealmID: storage.DefaultRealmID, Kind: u.of, AccountUID: company.UID,
	}}}, err
}

func (u users) remove(c *call, p person) error {
	if err := u.mayManage(c, p); err != nil {
		return err
	}
	return u.cfg.Stores.Users.DeleteUserLogin(c.Context(), p.UserLogin)
}
