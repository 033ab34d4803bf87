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

	"latchkey/keys"
	"latchkey/keys/jose"
	"latchkey/oauth/admin"
	"latchkey/oauth/client"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var (
	errOwnClient = refuse(http.StatusConflict, "ApiClient.CannotDeleteLastFullAccess",
		"The API client through which you have FullAccess cannot delete itself.")
	errNotAnonBuyer = refuse(http.StatusBadRequest, "ApiClient.RequiredNotAnonBuyer",
		"IsAnonBuyer requires a default context user who is a user of a buyer.")
)

// apiClients are the API clients: the OAuth clients of package grants.
type apiClients struct {
	*API
	standard[countedClient]
}

// countedClient is a client with the number of its assignments to buyers and to
// suppliers.
type countedClient struct {
	storage.Client
	buyers, suppliers int
}

func (a apiClients) routes() []route {
	routes := newCollection(kind{
		object: "ApiClient", path: "/v1/apiclients", param: "apiClientID",
		admin: []string{"ApiClientAdmin"}, reader: []string{"ApiClientReader"},
		fields: clientFields(), search: []string{"ID", "AppName"},
		sameID: strings.EqualFold, atomic: true,
	}, a).routes()
	for i, r := range routes {
		if r.Body != nil {
			routes[i].serve = a.withKey(r.serve)
		}
	}
	return routes
}

func (a apiClients) get(c *call, id string) (countedClient, error) {
	found, err := a.cfg.Stores.Clients.Client(c.Context(), id)
	if err != nil {
		return countedClient{}, err
	}
	counted, err := a.counted(c, []storage.Client{found})
	if err != nil {
		return countedClient{}, err
	}
	return counted[0], nil
}

func (a apiClients) show(r countedClient) wire.ApiClient {
	w := wire.ApiClientFromRecord(r.Client)
	w.AssignedBuyerCount, w.AssignedSupplierCount = r.buyers, r.suppliers
	return w
}

func (a apiClients) id(w *wire.ApiClient) *string { return &w.ID }

func (a apiClients) version(r countedClient) int64 { return r.Version }

func (a apiClients) blank(*call) (countedClient, error) {
	return countedClient{Client: storage.Client{SigningAlg: a.cfg.ClientSigningAlg, Version: storage.MustBeNew}}, nil
}

func (a apiClients) remove(c *call, r countedClient) error {
	err := a.cfg.Rules.DeleteClient(c.Context(), c.caller.Authority(), r.Client)
	if errors.Is(err, admin.ErrOwnClient) {
		return errOwnClient
	}
	if err != nil {
		return err
	}
	return a.cfg.Stores.Clients.DeleteClient(c.Context(), r.ID, r.Version)
}

func (a apiClients) notice(c *call, before, after countedClient) (string, error) {
	return a.cfg.Rules.ClientNotice(c.Context(), before.Client, after.Client)
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

func (a apiClients) list(c *call, q storage.Query) (storage.Page[countedClient], error) {
	found, err := a.cfg.Stores.Clients.ListClients(c.Context(), q)
	if err != nil {
		return storage.Page[countedClient]{}, err
	}
	counted, err := a.counted(c, found.Items)
	return storage.WithItems(found, counted), err
}

func (a apiClients) counted(c *call, clients []storage.Client) ([]countedClient, error) {
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
			case storage.Admin: // accounts are buyers or suppliers
			}
		}
	}
	return all, nil
}

// apply returns base with the members of the shape. It also checks the password profile
// and the default context user that the shape names, and the authority of the caller.
func (a apiClients) apply(c *call, w wire.ApiClient, base countedClient) (countedClient, error) {
	if err := w.Validate("").Err(); err != nil {
		return base, err
	}
	want := w.ToRecord(base.Client)
	profile, err := a.cfg.Stores.Clients.PasswordProfile(c.Context(), want.ProfileID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && profile.RealmID != storage.DefaultRealmID {
		return base, notFound("PasswordProfile", want.ProfileID)
	}
	if err != nil {
		return base, err
	}
	switch err := a.cfg.Rules.CheckContextUser(c.Context(), base.Client, want); {
	case errors.Is(err, admin.ErrNoContextUser):
		return base, notFound("User", want.DefaultContextUser)
	case errors.Is(err, admin.ErrContextUserBuyer):
		return base, errNotAnonBuyer
	case err != nil:
		return base, err
	}
	before := &base.Client
	if base.Version == storage.MustBeNew {
		before = nil
	}
	if err := a.cfg.Rules.ChangeClient(c.Context(), c.caller.Authority(), before, &want); err != nil {
		return base, err
	}
	want.Public = want.Public && w.ClientSecret == nil
	return countedClient{want, base.buyers, base.suppliers}, nil
}

// save stores the client and the secret in the shape, both or neither.
func (a apiClients) save(c *call, w wire.ApiClient, r countedClient) (countedClient, error) {
	secrets := r.Secrets
	stored, err := a.cfg.Stores.Clients.PutClient(c.Context(), r.Client)
	if err != nil {
		return r, err
	}
	stored.Secrets = secrets
	r.Client = stored
	if w.ClientSecret == nil {
		return r, nil
	}
	fresh, replaced, err := client.InlineSecret(a.cfg.Peppers, a.cfg.Rand, stored, *w.ClientSecret, a.cfg.Now())
	if err != nil || fresh == nil {
		return r, err
	}
	for _, old := range replaced {
		if err := a.cfg.Stores.Secrets.DeleteClientSecret(c.Context(), stored.ID, old); err != nil {
			return r, err
		}
	}
	r.Secrets = slices.DeleteFunc(slices.Clone(secrets), func(s storage.ClientSecret) bool { return slices.Contains(replaced, s.ID) })
	r.Secrets = append(r.Secrets, *fresh)
	return r, a.addSecret(c, stored.ID, *fresh)
}

// changedSecrets names ClientSecret if the client has other secrets than before.
func (a apiClients) changedSecrets(before, after countedClient) []string {
	same := func(a, b storage.ClientSecret) bool { return a.ID == b.ID }
	if slices.EqualFunc(before.Secrets, after.Secrets, same) {
		return nil
	}
	return []string{"ClientSecret"}
}

// withKey creates the first signing key of each algorithm that the client in the request
// will use. Otherwise the first token would have to wait for the key. It runs before the
// transaction of the change, because a key is created in a transaction of its own.
func (a apiClients) withKey(serve func(*call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		raw, err := c.rawBody()
		if err != nil {
			return surface.Answer{}, err
		}
		c.Body = io.NopCloser(bytes.NewReader(raw))
		var asked struct{ SigningAlg, IDTokenSigningAlg string }
		_ = json.Unmarshal(raw, &asked) // a body that is not JSON is refused when it is read next
		for _, alg := range []string{cmp.Or(asked.SigningAlg, a.cfg.ClientSigningAlg), asked.IDTokenSigningAlg} {
			if !slices.Contains(jose.SigningAlgorithms(), alg) {
				continue
			}
			if err := a.ensureKey(c, alg); err != nil {
				return surface.Answer{}, err
			}
		}
		return serve(c)
	}
}

func (a apiClients) ensureKey(c *call, alg string) error {
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
