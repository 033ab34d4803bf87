package ordercloud

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"latchkey/keys"
	"latchkey/keys/jose"
	"latchkey/oauth"
	"latchkey/otp"
	"latchkey/storage"
)

var (
	errOwnClient = refuse(http.StatusConflict, "ApiClient.CannotDeleteLastFullAccess",
		"The API client through which you have FullAccess cannot delete itself.")
	errNotAnonBuyer = refuse(http.StatusBadRequest, "ApiClient.RequiredNotAnonBuyer",
		"IsAnonBuyer requires a default context user who is a user of a buyer.")
)

// countedClient is a client with how many of its assignments are of which kind.
type countedClient struct {
	storage.Client
	buyers, suppliers int
}

func (a *API) clientRoutes() []route {
	routes := a.clients().routes()
	for i, r := range routes {
		if r.Body != nil {
			routes[i].serve = a.withKey(r.serve)
		}
	}
	return append(routes, a.clientAssignmentRoutes()...)
}

func (a *API) clients() collection[ApiClient, countedClient] {
	store := a.cfg.Stores.Clients
	return collection[ApiClient, countedClient]{
		object: "ApiClient", path: "/v1/apiclients", param: "apiClientID",
		admin: []string{"ApiClientAdmin"}, reader: []string{"ApiClientReader"},
		fields: clientFields(), search: []string{"ID", "AppName"},
		list: a.listClients,
		get: func(c *call, id string) (countedClient, error) {
			found, err := store.Client(c.Context(), id)
			if err != nil {
				return countedClient{}, err
			}
			counted, err := a.counted(c, []storage.Client{found})
			if err != nil {
				return countedClient{}, err
			}
			return counted[0], nil
		},
		fresh: func(*call) (countedClient, error) {
			return countedClient{Client: storage.Client{SigningAlg: a.cfg.ClientSigningAlg}}, nil
		},
		check: a.checkClient,
		merge: func(_ *call, w ApiClient, r countedClient) (countedClient, error) {
			r.Client = w.ToRecord(r.Client)
			r.Public = r.Public && w.ClientSecret == nil
			return r, nil
		},
		save: a.saveClient,
		remove: func(c *call, r countedClient, version int64) error {
			if c.caller.Client.ID == r.ID && c.caller.Has(roleFullAccess) {
				return errOwnClient
			}
			if err := a.mayActAs(c, r.Client); err != nil {
				return err
			}
			return store.DeleteClient(c.Context(), r.ID, version)
		},
		show: func(_ *call, r countedClient) ApiClient {
			w := ApiClientFromRecord(r.Client)
			w.AssignedBuyerCount, w.AssignedSupplierCount = r.buyers, r.suppliers
			return w
		},
		id: func(w *ApiClient) *string { return &w.ID },
		newID: func(*call) (string, error) {
			id, err := uuid.NewRandomFromReader(a.cfg.Rand)
			return id.String(), err
		},
		stamp: func(r *countedClient) *int64 { return &r.Version },
		fixed: true, same: strings.EqualFold, atomic: true,
	}
}

func clientFields() fields {
	return text("ID", "SigningAlg").
		with("AppName", "Name", textField).
		with("DefaultContextUserName", "DefaultContextUser", textField).
		with("PasswordProfileID", "ProfileID", textField).
		with("xp", "XP", textField).
		with("Active", "Active", otherField).
		with("AllowAnyBuyer", "AllowAnyBuyer", otherField).
		with("AllowAnySupplier", "AllowAnySupplier", otherField).
		with("AllowSeller", "AllowSeller", otherField).
		with("IsAnonBuyer", "AnonymousBuyer", otherField).
		with("AccessTokenDuration", "AccessTokenTTL", minutesField).
		with("RefreshTokenDuration", "RefreshTokenTTL", minutesField).
		with("RefreshTokenIdleDuration", "RefreshIdleTTL", minutesField).
		with("AnonymousTokenDuration", "AnonymousTokenTTL", minutesField)
}

func (a *API) listClients(c *call, q storage.Query) (storage.Page[countedClient], error) {
	found, err := a.cfg.Stores.Clients.ListClients(c.Context(), q)
	if err != nil {
		return storage.Page[countedClient]{}, err
	}
	counted, err := a.counted(c, found.Items)
	return storage.Page[countedClient]{Items: counted, Total: found.Total}, err
}

func (a *API) counted(c *call, clients []storage.Client) ([]countedClient, error) {
	var uids []string
	for i := range clients {
		uids = append(uids, clients[i].AccountUIDs...)
	}
	accounts, err := a.accountsByUID(c, uids)
	if err != nil {
		return nil, err
	}
	all := make([]countedClient, len(clients))
	for i := range clients {
		all[i].Client = clients[i]
		for _, uid := range clients[i].AccountUIDs {
			switch accounts[uid].Kind {
			case storage.Buyer:
				all[i].buyers++
			case storage.Supplier:
				all[i].suppliers++
			case storage.Admin: // no account is
			}
		}
	}
	return all, nil
}

// checkClient finds the faults of what a client is to become, also those that
// the shape alone does not show.
func (a *API) checkClient(c *call, w ApiClient, base countedClient) error {
	if err := w.Validate("").Err(); err != nil {
		return err
	}
	want := w.ToRecord(base.Client)
	profile, err := a.cfg.Stores.Clients.PasswordProfile(c.Context(), want.ProfileID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && profile.RealmID != storage.DefaultRealmID {
		return notFound("PasswordProfile", want.ProfileID)
	}
	if err != nil {
		return err
	}
	if err := a.checkContextUser(c, base.Client, want); err != nil {
		return err
	}
	if err := c.mayGrant(openedTo(base.Client, want)); err != nil {
		return err
	}
	return a.mayActAs(c, want)
}

// checkContextUser sees that a new context user exists, and that anonymous
// buyers are buyers.
func (a *API) checkContextUser(c *call, base, want storage.Client) error {
	if want.DefaultContextUser == "" {
		return nil
	}
	user, err := a.contextUser(c, want)
	if err != nil {
		return err
	}
	isNew := base.DefaultContextUser != want.DefaultContextUser || base.ProfileID != want.ProfileID
	if !user.Known && isNew {
		return notFound("User", want.DefaultContextUser)
	}
	if want.AnonymousBuyer && user.Known && user.User.Kind != storage.Buyer {
		return errNotAnonBuyer
	}
	return nil
}

func (a *API) contextUser(c *call, client storage.Client) (storage.Principal, error) {
	return a.cfg.Stores.Logins.Principal(c.Context(), storage.LoginKey{
		ProfileID: client.ProfileID, UsernameKey: otp.NormalizeUsername(client.DefaultContextUser),
	})
}

// openedTo returns the roles with which admin users may sign in through a client
// that is about to change, and could not before. Users of buyers and suppliers
// reach no more than what is their own, whatever their roles.
func openedTo(before, after storage.Client) []string {
	ceiling := after.MaximumRoles
	if len(ceiling) == 0 {
		ceiling = []string{roleFullAccess}
	}
	switch {
	case !after.AllowSeller:
		return nil
	case !before.AllowSeller:
		return ceiling
	case len(before.MaximumRoles) == 0:
		return nil
	}
	return slices.DeleteFunc(slices.Clone(ceiling), func(role string) bool { return slices.Contains(before.MaximumRoles, role) })
}

// mayActAs refuses a caller who would have a way to roles that it does not have:
// whoever sets the secrets of a client, or whom it acts as, can be that client.
func (a *API) mayActAs(c *call, client storage.Client) error {
	roles := slices.Clone(client.Roles)
	if len(client.GrantTypes) == 0 && len(client.Resources) > 0 { // a resource server: it is told of tokens
		roles = append(roles, oauth.RoleIntrospect)
	}
	if client.DefaultContextUser != "" {
		user, err := a.contextUser(c, client)
		if err != nil {
			return err
		}
		if user.Known && user.User.Kind == storage.Admin {
			roles = append(roles, user.Roles...)
		}
	}
	return c.mayGrant(roles)
}

// saveClient stores the client and the secret that it says, both or neither.
func (a *API) saveClient(c *call, w ApiClient, r countedClient) (countedClient, error) {
	secrets := r.Secrets
	stored, err := a.cfg.Stores.Clients.PutClient(c.Context(), r.Client)
	if err != nil {
		return r, err
	}
	r.Client = stored
	if w.ClientSecret == nil {
		return r, nil
	}
	stored.Secrets = secrets
	fresh, replaced, err := InlineClientSecret(a.cfg.Peppers, a.cfg.Rand, stored, *w.ClientSecret, a.cfg.Now())
	if err != nil || fresh == nil {
		return r, err
	}
	for _, old := range replaced {
		if err := a.cfg.Stores.Secrets.DeleteClientSecret(c.Context(), stored.ID, old); err != nil {
			return r, err
		}
	}
	return r, a.addSecret(c, stored.ID, *fresh)
}

// withKey makes the first signing key of the algorithm that a request asks for,
// or that a new client gets, so that no token has to wait for one. It does so before anything is written,
// and outside of a transaction, which would hold up what makes keys.
func (a *API) withKey(serve func(*call) (reply, error)) func(*call) (reply, error) {
	return func(c *call) (reply, error) {
		raw, err := c.rawBody()
		if err != nil {
			return reply{}, err
		}
		c.Body = io.NopCloser(bytes.NewReader(raw))
		var asked struct{ SigningAlg string }
		_ = json.Unmarshal(raw, &asked) // whoever reads the body next refuses what is no JSON
		if alg := cmp.Or(asked.SigningAlg, a.cfg.ClientSigningAlg); slices.Contains(jose.SigningAlgorithms(), alg) {
			err = a.ensureKey(c, alg)
		}
		if err != nil {
			return reply{}, err
		}
		return serve(c)
	}
}

func (a *API) ensureKey(c *call, alg string) error {
	all, err := a.cfg.Stores.Keys.List(c.Context())
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(k keys.KeyInfo) bool { return k.Alg == alg && k.State == keys.StateActive }) {
		return nil
	}
	_, err = a.cfg.Stores.Keys.Rotate(c.Context(), alg)
	return err
}
