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
	"latchkey/oauth/client"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
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

func (a *API) clients() collection[wire.ApiClient, countedClient] {
	store := a.cfg.Stores.Clients
	return collection[wire.ApiClient, countedClient]{
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
		merge: func(_ *call, w wire.ApiClient, r countedClient) (countedClient, error) {
			r.Client = w.ToRecord(r.Client)
			r.Public = r.Public && w.ClientSecret == nil
			return r, nil
		},
		save: a.saveClient,
		remove: func(c *call, r countedClient, version int64) error {
			if c.caller.Client.ID == r.ID && c.caller.Has(token.RoleFullAccess) {
				return errOwnClient
			}
			if err := a.cfg.Rules.ChangeClient(c.Context(), c.caller.Authority(), &r.Client, nil); err != nil {
				return err
			}
			return store.DeleteClient(c.Context(), r.ID, version)
		},
		show: func(_ *call, r countedClient) wire.ApiClient {
			w := wire.ApiClientFromRecord(r.Client)
			w.AssignedBuyerCount, w.AssignedSupplierCount = r.buyers, r.suppliers
			return w
		},
		id: func(w *wire.ApiClient) *string { return &w.ID },
		newID: func(*call) (string, error) {
			id, err := uuid.NewRandomFromReader(a.cfg.Rand)
			return id.String(), err
		},
		stamp:  func(r *countedClient) *int64 { return &r.Version },
		secret: changedSecrets, notice: a.raisedClient,
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
func (a *API) checkClient(c *call, w wire.ApiClient, base countedClient) error {
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
	before := &base.Client
	if base.Version == storage.MustBeNew {
		before = nil
	}
	return a.cfg.Rules.ChangeClient(c.Context(), c.caller.Authority(), before, &want)
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

// saveClient stores the client and the secret that it says, both or neither.
func (a *API) saveClient(c *call, w wire.ApiClient, r countedClient) (countedClient, error) {
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
func changedSecrets(before, after countedClient) []string {
	same := func(a, b storage.ClientSecret) bool { return a.ID == b.ID }
	if slices.EqualFunc(before.Secrets, after.Secrets, same) {
		return nil
	}
	return []string{"ClientSecret"}
}

// raisedClient warns an administrator who gives a client further roles while
// somebody may know a secret or a key that it keeps.
func (a *API) raisedClient(c *call, before, after countedClient) (string, error) {
	var kept []string
	for _, s := range after.Secrets {
		if slices.ContainsFunc(before.Secrets, func(old storage.ClientSecret) bool { return old.ID == s.ID }) {
			kept = append(kept, "secret "+s.ID)
		}
	}
	if len(after.JWKS) > 0 && bytes.Equal(before.JWKS, after.JWKS) {
		kept = append(kept, "the keys in JWKS")
	}
	if len(after.Registration.Sum) > 0 {
		kept = append(kept, "the registration access token")
	}
	if len(kept) == 0 {
		return "", nil
	}
	raised, err := a.cfg.Rules.RaisedClient(c.Context(), before.Client, after.Client)
	if err != nil || len(raised) == 0 {
		return "", err
	}
	return "The client now reaches " + strings.Join(raised, ", ") + ". So does everybody who has what it keeps: " + strings.Join(kept, ", ") + ".", nil
}

// withKey makes the first signing key of the algorithm that a request asks for,
// or that a new client gets, so that no token has to wait for one. It does so before anything is written,
// and outside of a transaction, which would hold up what makes keys.
func (a *API) withKey(serve func(*call) (surface.Answer, error)) func(*call) (surface.Answer, error) {
	return func(c *call) (surface.Answer, error) {
		raw, err := c.rawBody()
		if err != nil {
			return surface.Answer{}, err
		}
		c.Body = io.NopCloser(bytes.NewReader(raw))
		var asked struct{ SigningAlg string }
		_ = json.Unmarshal(raw, &asked) // whoever reads the body next refuses what is no JSON
		if alg := cmp.Or(asked.SigningAlg, a.cfg.ClientSigningAlg); slices.Contains(jose.SigningAlgorithms(), alg) {
			err = a.ensureKey(c, alg)
		}
		if err != nil {
			return surface.Answer{}, err
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
