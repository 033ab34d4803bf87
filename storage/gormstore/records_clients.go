package gormstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/storage"
)

type clientRow struct {
	ID                 string `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	Key                string `gorm:"column:id_key"`
	Name               string `gorm:"column:name" list:"Name"`
	Active             bool   `gorm:"column:active" list:"Active"`
	Public             bool   `gorm:"column:public" list:"Public"`
	ProfileID          string `gorm:"column:profile_id" list:"ProfileID"`
	GrantTypes         string `gorm:"column:grant_types"`
	CredentialOTP      bool   `gorm:"column:credential_otp" list:"Credentials.OTP"`
	CredentialPassword bool   `gorm:"column:credential_password" list:"Credentials.Password"`
	Roles              string `gorm:"column:roles"`
	MinimumRoles       string `gorm:"column:minimum_roles"`
	MaximumRoles       string `gorm:"column:maximum_roles"`
	AllowAnyBuyer      bool   `gorm:"column:allow_any_buyer" list:"AllowAnyBuyer"`
	AllowAnySupplier   bool   `gorm:"column:allow_any_supplier" list:"AllowAnySupplier"`
	AllowSeller        bool   `gorm:"column:allow_seller" list:"AllowSeller"`
	AccountUIDs        string `gorm:"column:account_uids"`
	DefaultContextUser string `gorm:"column:default_context_user" list:"DefaultContextUser"`
	NeedsContextUser   bool   `gorm:"column:requires_context_user" list:"RequiresContextUser"`
	AnonymousBuyer     bool   `gorm:"column:anonymous_buyer" list:"AnonymousBuyer"`
	AccessTokenTTL     int64  `gorm:"column:access_token_ttl" list:"AccessTokenTTL,duration"`
	RefreshTokenTTL    int64  `gorm:"column:refresh_token_ttl" list:"RefreshTokenTTL,duration"`
	RefreshIdleTTL     int64  `gorm:"column:refresh_idle_ttl" list:"RefreshIdleTTL,duration"`
	AnonymousTokenTTL  int64  `gorm:"column:anonymous_token_ttl" list:"AnonymousTokenTTL,duration"`
	ReuseRefreshTokens bool   `gorm:"column:reuse_refresh_tokens" list:"ReuseRefreshTokens"`
	SigningAlg         string `gorm:"column:signing_alg" list:"SigningAlg"`
	AuthMethod         string `gorm:"column:auth_method"`
	JWKS               string `gorm:"column:jwks"`
	Resources          string `gorm:"column:resources"`
	DPoPBound          bool   `gorm:"column:dpop_bound"`
	TrustAddress       bool   `gorm:"column:trust_address"`
	RedirectURIs       string `gorm:"column:redirect_uris"`
	PostLogoutURIs     string `gorm:"column:post_logout_redirect_uris"`
	BackchannelURI     string `gorm:"column:backchannel_logout_uri"`
	ThirdParty         bool   `gorm:"column:third_party"`
	IDTokenAlg         string `gorm:"column:id_token_alg"`
	RequirePAR         bool   `gorm:"column:require_par"`
	RegistrationPepper string `gorm:"column:registration_pepper_id"`
	RegistrationDigest blob   `gorm:"column:registration_digest"`
	XP                 string `gorm:"column:xp" list:"XP,json"`
	ValidFrom          int64  `gorm:"column:valid_from;<-:create"`
	PermittedSince     string `gorm:"column:permitted_since"`
	Meta               stamps `gorm:"embedded"`
}

func (*clientRow) TableName() string { return "clients" }
func (r *clientRow) stamp() *stamps  { return &r.Meta }
func (r *clientRow) switched() (id string, on bool, mark, also string) {
	return r.ID, r.Active, "valid_from", ""
}

// clientKey returns the form in which client ids are compared.
func clientKey(id string) string { return strings.ToLower(id) }

func clientRowOf(c storage.Client) clientRow {
	return clientRow{
		ID: c.ID, Key: clientKey(c.ID), Name: c.Name, Active: c.Active, Public: c.Public, ProfileID: c.ProfileID,
		GrantTypes: words(c.GrantTypes), CredentialOTP: c.Credentials.OTP, CredentialPassword: c.Credentials.Password,
		Roles: words(c.Roles), MinimumRoles: words(c.MinimumRoles), MaximumRoles: words(c.MaximumRoles),
		AllowAnyBuyer: c.AllowAnyBuyer, AllowAnySupplier: c.AllowAnySupplier, AllowSeller: c.AllowSeller,
		AccountUIDs: words(c.AccountUIDs), DefaultContextUser: c.DefaultContextUser,
		NeedsContextUser: c.RequiresContextUser, AnonymousBuyer: c.AnonymousBuyer,
		AccessTokenTTL: c.AccessTokenTTL.Microseconds(), RefreshTokenTTL: c.RefreshTokenTTL.Microseconds(),
		RefreshIdleTTL: c.RefreshIdleTTL.Microseconds(), AnonymousTokenTTL: c.AnonymousTokenTTL.Microseconds(),
		ReuseRefreshTokens: c.ReuseRefreshTokens, SigningAlg: c.SigningAlg,
		AuthMethod: c.AuthMethod, JWKS: string(c.JWKS), Resources: words(c.Resources),
		DPoPBound: c.DPoPBound, TrustAddress: c.TrustAddress,
		RedirectURIs: words(c.RedirectURIs), PostLogoutURIs: words(c.PostLogoutRedirectURIs), BackchannelURI: c.BackchannelLogoutURI,
		ThirdParty: c.ThirdParty, IDTokenAlg: c.IDTokenAlg, RequirePAR: c.RequirePAR,
		RegistrationPepper: c.Registration.PepperID, RegistrationDigest: c.Registration.Sum, XP: string(c.XP),
		ValidFrom: micros(c.ValidFrom), PermittedSince: timesByKey(c.PermittedSince),
		Meta: stamps{Version: c.Version, Created: micros(c.CreatedAt)},
	}
}

func (r *clientRow) record() storage.Client {
	return storage.Client{
		ID: r.ID, Name: r.Name, Active: r.Active, Public: r.Public, ProfileID: r.ProfileID,
		GrantTypes:  list(r.GrantTypes),
		Credentials: storage.Credentials{OTP: r.CredentialOTP, Password: r.CredentialPassword},
		Roles:       list(r.Roles), MinimumRoles: list(r.MinimumRoles), MaximumRoles: list(r.MaximumRoles),
		AllowAnyBuyer: r.AllowAnyBuyer, AllowAnySupplier: r.AllowAnySupplier, AllowSeller: r.AllowSeller,
		AccountUIDs: list(r.AccountUIDs), DefaultContextUser: r.DefaultContextUser,
		RequiresContextUser: r.NeedsContextUser, AnonymousBuyer: r.AnonymousBuyer,
		AccessTokenTTL: span(r.AccessTokenTTL), RefreshTokenTTL: span(r.RefreshTokenTTL),
		RefreshIdleTTL: span(r.RefreshIdleTTL), AnonymousTokenTTL: span(r.AnonymousTokenTTL),
		ReuseRefreshTokens: r.ReuseRefreshTokens, SigningAlg: r.SigningAlg,
		AuthMethod: r.AuthMethod, JWKS: raw(r.JWKS), Resources: list(r.Resources),
		DPoPBound: r.DPoPBound, TrustAddress: r.TrustAddress,
		RedirectURIs: list(r.RedirectURIs), PostLogoutRedirectURIs: list(r.PostLogoutURIs), BackchannelLogoutURI: r.BackchannelURI,
		ThirdParty: r.ThirdParty, IDTokenAlg: r.IDTokenAlg, RequirePAR: r.RequirePAR,
		Registration: storage.Digest{PepperID: r.RegistrationPepper, Sum: r.RegistrationDigest}, XP: raw(r.XP),
		ValidFrom: instant(r.ValidFrom), PermittedSince: keysToTimes(r.PermittedSince),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

// Client reads a client with its secrets, ignoring the letter case of id, from
// memory where possible, or returns storage.ErrNotFound. The lists in it are
// shared: callers must not write to them.
func (s *Store) Client(ctx context.Context, id string) (storage.Client, error) {
	key := clientKey(id)
	return cached(ctx, s, &s.cache.clients, key, func() (storage.Client, error) {
		row, err := first[clientRow](ctx, s, "client", "id_key = ?", key)
		if err != nil {
			return storage.Client{}, err
		}
		clients, err := s.withSecrets(ctx, []clientRow{row}, "client_key = ?", key)
		if err != nil {
			return storage.Client{}, err
		}
		return clients[0], nil
	})
}

// Clients lists all clients with their secrets, by id.
func (s *Store) Clients(ctx context.Context) ([]storage.Client, error) {
	rows, err := find[clientRow](ctx, s, "clients", "id_key", "")
	if err != nil {
		return nil, err
	}
	return s.withSecrets(ctx, rows, "")
}

// withSecrets adds the secrets, which the condition selects, to the clients.
func (s *Store) withSecrets(ctx context.Context, rows []clientRow, where string, args ...any) ([]storage.Client, error) {
	secrets, err := find[secretRow](ctx, s, "client secrets", "created_at, id", where, args...)
	if err != nil {
		return nil, err
	}
	byClient := make(map[string][]storage.ClientSecret)
	for _, secret := range secrets {
		byClient[secret.ClientKey] = append(byClient[secret.ClientKey], secret.record())
	}
	clients := make([]storage.Client, len(rows))
	for i := range rows {
		clients[i] = rows[i].record()
		clients[i].Secrets = byClient[rows[i].Key]
	}
	return clients, nil
}

// PutClient inserts or updates a client, but not its secrets, and returns it as stored,
// without them. Errors: storage.ErrConflict for an ID that differs from another client's
// only in letter case, or that is a user's UID or storage.ConsoleClientID; storage.ErrStale
// for an outdated Version; storage.ErrNotFound for an unknown password profile.
func (s *Store) PutClient(ctx context.Context, c storage.Client) (storage.Client, error) {
	row := clientRowOf(c)
	if err := s.noUser(ctx, row.Key); err != nil {
		return storage.Client{}, err
	}
	row.ValidFrom = micros(s.now()) // a former client may have had the ID of a new one
	given := row
	err := s.InTx(ctx, func(ctx context.Context) error {
		row = given
		since, err := s.permittedSince(ctx, &c)
		if err != nil {
			return err
		}
		row.PermittedSince = timesByKey(since)
		return put(ctx, s, "put client", &row)
	})
	if err := s.changed(ctx, err, configChange{clientChanged, row.Key}); err != nil {
		return storage.Client{}, err
	}
	return row.record(), nil
}

// permittedSince returns the PermittedSince of a client after it was stored, and locks
// the stored client until the transaction ends.
func (s *Store) permittedSince(ctx context.Context, c *storage.Client) (map[string]time.Time, error) {
	stored, err := locked[clientRow](ctx, s, "put client", "id = ?", c.ID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	before := stored.record()
	return storage.PermittedSinceAfter(&before, c, instant(micros(s.now())+1)), nil
}

// timesByKey is the stored form of PermittedSince: the words key=microseconds, by key.
func timesByKey(times map[string]time.Time) string {
	var pairs []string
	for key, at := range times {
		pairs = append(pairs, key+"="+strconv.FormatInt(micros(at), 10))
	}
	slices.Sort(pairs)
	return words(pairs)
}

// keysToTimes is the reverse of timesByKey.
func keysToTimes(pairs string) map[string]time.Time {
	var times map[string]time.Time
	for _, pair := range list(pairs) {
		key, text, _ := strings.Cut(pair, "=")
		if us, err := strconv.ParseInt(text, 10, 64); err == nil {
			if times == nil {
				times = make(map[string]time.Time)
			}
			times[key] = instant(us)
		}
	}
	return times
}

// noUser returns storage.ErrConflict if the key has the form of a user's UID or is the
// UID of a user: users of earlier versions have UIDs of another form.
func (s *Store) noUser(ctx context.Context, key string) error {
	if key == storage.ConsoleClientID {
		return fmt.Errorf("put client: the id is that of the console: %w", storage.ErrConflict)
	}
	if storage.IsUserUID(key) {
		return fmt.Errorf("put client: the id has the form of the ids of users: %w", storage.ErrConflict)
	}
	users, err := find[userRow](ctx, s, "put client", "uid", "uid = ?", key)
	if err == nil && len(users) > 0 {
		err = fmt.Errorf("put client: a user has its id: %w", storage.ErrConflict)
	}
	return err
}
