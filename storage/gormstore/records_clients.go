package gormstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/storage"
)

type clientRow struct {
	ID                 string `gorm:"column:id;primaryKey"`
	Key                string `gorm:"column:id_key"`
	Name               string `gorm:"column:name"`
	Active             bool   `gorm:"column:active"`
	Public             bool   `gorm:"column:public"`
	ProfileID          string `gorm:"column:profile_id"`
	GrantTypes         string `gorm:"column:grant_types"`
	CredentialOTP      bool   `gorm:"column:credential_otp"`
	CredentialPassword bool   `gorm:"column:credential_password"`
	Roles              string `gorm:"column:roles"`
	MinimumRoles       string `gorm:"column:minimum_roles"`
	MaximumRoles       string `gorm:"column:maximum_roles"`
	AllowAnyBuyer      bool   `gorm:"column:allow_any_buyer"`
	AllowAnySupplier   bool   `gorm:"column:allow_any_supplier"`
	AllowSeller        bool   `gorm:"column:allow_seller"`
	AccountUIDs        string `gorm:"column:account_uids"`
	DefaultContextUser string `gorm:"column:default_context_user"`
	NeedsContextUser   bool   `gorm:"column:requires_context_user"`
	AnonymousBuyer     bool   `gorm:"column:anonymous_buyer"`
	AccessTokenTTL     int64  `gorm:"column:access_token_ttl"`
	RefreshTokenTTL    int64  `gorm:"column:refresh_token_ttl"`
	RefreshIdleTTL     int64  `gorm:"column:refresh_idle_ttl"`
	AnonymousTokenTTL  int64  `gorm:"column:anonymous_token_ttl"`
	ReuseRefreshTokens bool   `gorm:"column:reuse_refresh_tokens"`
	SigningAlg         string `gorm:"column:signing_alg"`
	AuthMethod         string `gorm:"column:auth_method"`
	JWKS               string `gorm:"column:jwks"`
	Resources          string `gorm:"column:resources"`
	DPoPBound          bool   `gorm:"column:dpop_bound"`
	TrustAddress       bool   `gorm:"column:trust_address"`
	RegistrationPepper string `gorm:"column:registration_pepper_id"`
	RegistrationDigest []byte `gorm:"column:registration_digest"`
	XP                 string `gorm:"column:xp"`
	ValidFrom          int64  `gorm:"column:valid_from"`
	PermittedSince     string `gorm:"column:permitted_since"`
	Meta               stamps `gorm:"embedded"`
}

func (*clientRow) TableName() string                  { return "clients" }
func (r *clientRow) stamp() *stamps                   { return &r.Meta }
func (r *clientRow) identity() (column, value string) { return "id", r.ID }
func (*clientRow) settable() columns {
	return `id_key name active public profile_id grant_types credential_otp credential_password roles
		minimum_roles maximum_roles allow_any_buyer allow_any_supplier allow_seller account_uids
		default_context_user requires_context_user anonymous_buyer access_token_ttl refresh_token_ttl refresh_idle_ttl
		anonymous_token_ttl reuse_refresh_tokens signing_alg auth_method jwks resources dpop_bound trust_address
		registration_pepper_id registration_digest xp permitted_since`
}

func (r *clientRow) switched() (on bool, mark, also string) { return r.Active, "valid_from", "" }

type secretRow struct {
	ID        string `gorm:"column:id"`
	ClientKey string `gorm:"column:client_key"`
	Name      string `gorm:"column:name"`
	PepperID  string `gorm:"column:pepper_id"`
	Digest    []byte `gorm:"column:digest"`
	ExpiresAt int64  `gorm:"column:expires_at"`
	CreatedAt int64  `gorm:"column:created_at"`
}

const secretColumns columns = "id client_key name pepper_id digest expires_at created_at"

// clientKey is the form in which client ids are compared.
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
		RegistrationPepper: c.Registration.PepperID, RegistrationDigest: bytes(c.Registration.Sum), XP: string(c.XP),
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
		Registration: storage.Digest{PepperID: r.RegistrationPepper, Sum: content(r.RegistrationDigest)}, XP: raw(r.XP),
		ValidFrom: instant(r.ValidFrom), PermittedSince: keysToTimes(r.PermittedSince),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

func (r *secretRow) record() storage.ClientSecret {
	return storage.ClientSecret{
		ID: r.ID, Name: r.Name, Digest: storage.Digest{PepperID: r.PepperID, Sum: content(r.Digest)},
		ExpiresAt: instant(r.ExpiresAt), CreatedAt: instant(r.CreatedAt),
	}
}

// Client reads a client with its secrets, ignoring the letter case of id, from
// memory where possible, or answers storage.ErrNotFound. The lists in it are
// shared: callers must not write to them.
func (s *Store) Client(ctx context.Context, id string) (storage.Client, error) {
	key := clientKey(id)
	return cached(ctx, s, &s.cache.clients, key, func() (storage.Client, error) {
		row, err := get[clientRow](ctx, s, "client", selecting[clientRow]()+" WHERE id_key = ?", key)
		if err != nil {
			return storage.Client{}, err
		}
		secrets, err := query[secretRow](ctx, s, "client secrets",
			"SELECT "+secretColumns.list()+" FROM client_secrets WHERE client_key = ? ORDER BY created_at, id", key)
		return row.with(secrets), err
	})
}

func (r *clientRow) with(secrets []secretRow) storage.Client {
	c := r.record()
	for i := range secrets {
		c.Secrets = append(c.Secrets, secrets[i].record())
	}
	return c
}

// Clients lists all clients with their secrets, by id.
func (s *Store) Clients(ctx context.Context) ([]storage.Client, error) {
	rows, err := query[clientRow](ctx, s, "clients", selecting[clientRow]()+" ORDER BY id_key")
	if err != nil {
		return nil, err
	}
	secrets, err := query[secretRow](ctx, s, "client secrets",
		"SELECT "+secretColumns.list()+" FROM client_secrets ORDER BY created_at, id")
	if err != nil {
		return nil, err
	}
	of := make(map[string][]secretRow)
	for _, secret := range secrets {
		of[secret.ClientKey] = append(of[secret.ClientKey], secret)
	}
	clients := make([]storage.Client, 0, len(rows))
	for i := range rows {
		clients = append(clients, rows[i].with(of[rows[i].Key]))
	}
	return clients, nil
}

// PutClient inserts or updates a client, but not its secrets, and returns it
// as stored, without them. An id that differs from another client's in letter
// case only, or that is a user's UID, is storage.ErrConflict, an outdated Version storage.ErrStale, an
// unknown password profile storage.ErrNotFound.
func (s *Store) PutClient(ctx context.Context, c storage.Client) (storage.Client, error) {
	row := clientRowOf(c)
	if err := s.noUser(ctx, row.Key); err != nil {
		return storage.Client{}, err
	}
	row.ValidFrom = micros(s.now()) // of a new one: another client may have had its ID before
	err := s.InTx(ctx, func(ctx context.Context) error {
		since, err := s.permittedSince(ctx, &c)
		if err != nil {
			return err
		}
		row.PermittedSince = timesByKey(since)
		return put(ctx, s, "put client", &row)
	})
	if err := s.changed(ctx, err); err != nil {
		return storage.Client{}, err
	}
	return row.record(), nil
}

// permittedSince returns the PermittedSince that a client has after it was stored,
// and locks the stored client until the transaction ends.
func (s *Store) permittedSince(ctx context.Context, c *storage.Client) (map[string]time.Time, error) {
	stored, err := query[clientRow](ctx, s, "put client", selecting[clientRow]()+" WHERE id = ?"+s.dialect.locks(), c.ID)
	if err != nil || len(stored) == 0 {
		return nil, err
	}
	before := stored[0].record()
	return storage.PermittedSinceAfter(&before, c, instant(micros(s.now())+1)), nil
}

// timesByKey is how PermittedSince is stored: the words key=microseconds, by key.
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

// noUser returns storage.ErrConflict if the key has the form of a user's UID, or if a
// user has that UID: users of earlier versions have UIDs of another form.
func (s *Store) noUser(ctx context.Context, key string) error {
	if storage.IsUserUID(key) {
		return fmt.Errorf("put client: the id has the form of the ids of users: %w", storage.ErrConflict)
	}
	users, err := query[string](ctx, s, "put client", "SELECT uid FROM users WHERE uid = ?", key)
	if err == nil && len(users) > 0 {
		err = fmt.Errorf("put client: a user has its id: %w", storage.ErrConflict)
	}
	return err
}

// AddClientSecret adds a secret to a client, which is not public from then on.
// An unknown client is storage.ErrNotFound, a secret ID in use
// storage.ErrConflict; one that has limit secrets already, however many are
// added at the same time, is storage.ErrTooMany. 0 is no limit.
func (s *Store) AddClientSecret(ctx context.Context, clientID string, secret storage.ClientSecret, limit int) error {
	if secret.CreatedAt.IsZero() {
		secret.CreatedAt = s.now()
	}
	key := clientKey(clientID)
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.roomForSecret(ctx, key, limit); err != nil {
			return err
		}
		_, err := s.exec(ctx, "add client secret",
			"INSERT INTO client_secrets ("+secretColumns.list()+") VALUES ("+secretColumns.marks()+")",
			secret.ID, key, secret.Name, secret.Digest.PepperID, blob(secret.Digest.Sum),
			micros(secret.ExpiresAt), micros(secret.CreatedAt))
		if err != nil {
			return err
		}
		_, err = s.exec(ctx, "end public client",
			"UPDATE clients SET public = FALSE WHERE id_key = ? AND public", key)
		return s.changed(ctx, err)
	})
}

// roomForSecret locks the client, so that those who count take turns.
func (s *Store) roomForSecret(ctx context.Context, key string, limit int) error {
	if limit == 0 {
		return nil
	}
	if _, err := get[string](ctx, s, "client", "SELECT id FROM clients WHERE id_key = ?"+s.dialect.locks(), key); err != nil {
		return err
	}
	n, err := get[int](ctx, s, "count client secrets", "SELECT count(*) FROM client_secrets WHERE client_key = ?", key)
	if err == nil && n >= limit {
		err = s.wrap(ctx, "add client secret", storage.ErrTooMany)
	}
	return err
}

// ChangeClientSecret stores what change makes of a secret's name and expiry,
// and returns the secret. Nobody else changes it meanwhile. An unknown secret
// is storage.ErrNotFound; an error of change is handed on.
func (s *Store) ChangeClientSecret(
	ctx context.Context, clientID, secretID string, change func(*storage.ClientSecret) error,
) (secret storage.ClientSecret, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		row, err := get[secretRow](ctx, s, "client secret", "SELECT "+secretColumns.list()+
			" FROM client_secrets WHERE client_key = ? AND id = ?"+s.dialect.locks(), clientKey(clientID), secretID)
		if err != nil {
			return err
		}
		secret = row.record()
		if err := change(&secret); err != nil {
			return err
		}
		_, err = s.exec(ctx, "change client secret", "UPDATE client_secrets SET name = ?, expires_at = ? WHERE id = ?",
			secret.Name, micros(secret.ExpiresAt), row.ID)
		return s.changed(ctx, err)
	})
	return secret, err
}

// DeleteClientSecret deletes a secret of a client or answers
// storage.ErrNotFound.
func (s *Store) DeleteClientSecret(ctx context.Context, clientID, secretID string) error {
	n, err := s.exec(ctx, "delete client secret",
		"DELETE FROM client_secrets WHERE client_key = ? AND id = ?", clientKey(clientID), secretID)
	return s.changed(ctx, affected(n, err, s.wrap(ctx, "delete client secret", storage.ErrNotFound)))
}
