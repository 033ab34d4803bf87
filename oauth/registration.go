package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"latchkey/oauth/client"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// RoleRegisterClients is the role that lets its holder register clients
// (RFC 7591): an access token with it is an initial access token.
const RoleRegisterClients = "ClientRegistration"

const (
	registrationPath    = "/oauth/register"
	registrationPurpose = "registration_access_token"

	registeredRefreshTTL = 720 * time.Hour
	registeredSecretName = "registration"

	maxRegistrationTries = 3 // when somebody else changes the client meanwhile
)

// Registry keeps the clients that register themselves.
type Registry interface {
	Client(ctx context.Context, id string) (storage.Client, error)
	PutClient(ctx context.Context, c storage.Client) (storage.Client, error)
	AddClientSecret(ctx context.Context, clientID string, s storage.ClientSecret, limit int) error
	DeleteClientSecret(ctx context.Context, clientID, secretID string) error
	DeleteClient(ctx context.Context, id string, version int64) error
	// InTx runs fn in one transaction, in which it reads what is stored.
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// serveRegister registers a client (RFC 7591 §3).
func (e *Endpoints) serveRegister(w http.ResponseWriter, r *http.Request) error {
	caller, err := e.registrar(r)
	if err != nil {
		return err
	}
	m, err := readMetadata(w, r)
	if err == nil {
		err = m.check(e.serves)
	}
	if err != nil {
		return err
	}
	if beyond := caller.Authority().Beyond(m.scopes()); len(beyond) > 0 {
		return metadataFault("scope", "has roles that the initial access token does not: %s", strings.Join(beyond, " "))
	}
	answer, err := e.register(r.Context(), m, caller)
	if err != nil {
		return err
	}
	e.recordRegistration(r.Context(), "client.registered", answer.ClientID, caller)
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

// registrar returns who may register clients. Clients that act for themselves
// are on the seller's side, so only that side may make any: a user of a buyer
// would get at all buyers by way of one.
func (e *Endpoints) registrar(r *http.Request) (*token.Caller, error) {
	caller, err := e.tokens.Authorize(r)
	if err != nil {
		return nil, err
	}
	if !caller.SellerSide() || !caller.Has(RoleRegisterClients) {
		return nil, token.ErrInsufficientRoles
	}
	return caller, nil
}

// register stores a new client with its secret, both or neither. Nobody may sign
// in through it before an administrator admits somebody, and then with one-time
// passwords only and no role that the caller could not have given.
func (e *Endpoints) register(ctx context.Context, m clientMetadata, caller *token.Caller) (registeredClient, error) {
	id, err := uuid.NewRandomFromReader(e.cfg.Rand)
	if err != nil {
		return registeredClient{}, fmt.Errorf("new client id: %w", err)
	}
	accessToken, err := client.RandomSecret(e.cfg.Rand)
	if err != nil {
		return registeredClient{}, fmt.Errorf("new registration access token: %w", err)
	}
	c := storage.Client{
		ID: id.String(), Active: true, ProfileID: storage.DefaultProfileID, Version: storage.MustBeNew,
		Credentials:     storage.Credentials{OTP: true},
		RefreshTokenTTL: registeredRefreshTTL,
		Registration:    e.registrationDigest(id.String(), accessToken),
	}
	m.applyTo(&c)
	c.MaximumRoles = ceiling(c.Roles, caller)
	secret := ""
	err = e.cfg.Registry.InTx(ctx, func(ctx context.Context) error {
		if c, err = e.cfg.Registry.PutClient(ctx, c); err != nil || !m.usesSecret() {
			return err
		}
		secret, err = e.giveSecret(ctx, c.ID)
		return err
	})
	if err != nil {
		return registeredClient{}, fmt.Errorf("register client: %w", err)
	}
	return e.registered(&c, accessToken, secret), nil
}

// ceiling is what a new client's tokens may carry: the roles that it asked for,
// or if there are none the caller's, for an empty ceiling would be none at all.
func ceiling(asked []string, caller *token.Caller) []string {
	if len(asked) > 0 || caller.Has(token.RoleFullAccess) {
		return asked
	}
	return slices.Clone(caller.Roles)
}

// giveSecret gives a client a secret, which nothing can show again.
func (e *Endpoints) giveSecret(ctx context.Context, clientID string) (string, error) {
	value, kept, err := client.GenerateSecret(e.cfg.Peppers, e.cfg.Rand, clientID, registeredSecretName, time.Time{}, e.cfg.Now())
	if err != nil {
		return "", err
	}
	return value, e.cfg.Registry.AddClientSecret(ctx, clientID, kept, 0)
}

func (e *Endpoints) registrationDigest(clientID, accessToken string) storage.Digest {
	return e.cfg.Peppers.Digest(registrationPurpose, strings.ToLower(clientID), accessToken)
}

// serveRegistration shows, replaces or deletes a client that registered itself
// (RFC 7592 §2), to whoever has its registration access token.
func (e *Endpoints) serveRegistration(w http.ResponseWriter, r *http.Request) error {
	accessToken, ok := token.BearerToken(r.Header)
	if !ok {
		return token.ErrNoToken
	}
	switch r.Method {
	case http.MethodPut:
		return e.replaceRegistration(w, r, accessToken)
	case http.MethodDelete:
		return e.deleteRegistration(w, r, accessToken)
	}
	client, err := e.registration(r.Context(), r.PathValue("client_id"), accessToken)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, e.registered(&client, accessToken, ""))
	return nil
}

// registration returns the client of that id if token is its registration
// access token. An unknown client looks like a wrong token (RFC 7592 §2.1), and
// so does one that was deactivated.
func (e *Endpoints) registration(ctx context.Context, id, accessToken string) (storage.Client, error) {
	if !isClientID(id) {
		return storage.Client{}, token.ErrInvalidToken
	}
	client, err := e.cfg.Registry.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		client = storage.Client{ID: id, Registration: storage.Digest{PepperID: e.cfg.Peppers.CurrentID()}}
	} else if err != nil {
		return storage.Client{}, fmt.Errorf("read client: %w", err)
	}
	if !e.cfg.Peppers.Matches(client.Registration, registrationPurpose, strings.ToLower(client.ID), accessToken) || !client.Active {
		return storage.Client{}, token.ErrInvalidToken
	}
	return client, nil
}

// replaceRegistration replaces what a client said of itself (RFC 7592 §2.2). Its
// token is no longer that of somebody who could give more, so the client can give
// up roles and grants but not get any.
func (e *Endpoints) replaceRegistration(w http.ResponseWriter, r *http.Request, accessToken string) error {
	id := r.PathValue("client_id")
	if _, err := e.registration(r.Context(), id, accessToken); err != nil {
		return err
	}
	m, err := readMetadata(w, r)
	if err == nil {
		err = m.check(e.serves)
	}
	if err != nil {
		return err
	}
	var answer registeredClient
	for range maxRegistrationTries {
		err = e.cfg.Registry.InTx(r.Context(), func(ctx context.Context) error {
			answer, err = e.replace(ctx, m, id, accessToken)
			return err
		})
		if !errors.Is(err, storage.ErrStale) {
			break
		}
	}
	if errors.Is(err, storage.ErrStale) {
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	if err != nil {
		return err
	}
	e.recordRegistration(r.Context(), "client.updated", answer.ClientID, nil)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (e *Endpoints) replace(ctx context.Context, m clientMetadata, id, accessToken string) (registeredClient, error) {
	client, err := e.registration(ctx, id, accessToken)
	if err != nil {
		return registeredClient{}, err
	}
	if err := e.checkReplacement(m, &client); err != nil {
		return registeredClient{}, err
	}
	secrets, hadSecret := client.Secrets, usesSecret(&client)
	m.applyTo(&client)
	if client, err = e.cfg.Registry.PutClient(ctx, client); err != nil {
		return registeredClient{}, fmt.Errorf("replace client: %w", err)
	}
	secret := ""
	if !m.usesSecret() || !hadSecret { // what it had is not to be good for anything again
		if err := e.takeSecrets(ctx, client.ID, secrets); err != nil {
			return registeredClient{}, err
		}
	}
	if m.usesSecret() && (!hadSecret || len(secrets) == 0) {
		if secret, err = e.giveSecret(ctx, client.ID); err != nil {
			return registeredClient{}, fmt.Errorf("add client secret: %w", err)
		}
	}
	return e.registered(&client, accessToken, secret), nil
}

func (e *Endpoints) takeSecrets(ctx context.Context, clientID string, secrets []storage.ClientSecret) error {
	for _, old := range secrets {
		if err := e.cfg.Registry.DeleteClientSecret(ctx, clientID, old.ID); err != nil {
			return fmt.Errorf("delete client secret: %w", err)
		}
	}
	return nil
}

// checkReplacement demands of a replacement that it names the client
// (RFC 7592 §2.2), and asks for nothing that the client does not have.
func (e *Endpoints) checkReplacement(m clientMetadata, c *storage.Client) error {
	if !strings.EqualFold(m.ClientID, c.ID) {
		return metadataFault("client_id", "must be that of the client")
	}
	if m.ClientSecret != "" && !e.clients.HasSecret(c, m.ClientSecret) {
		return metadataFault("client_secret", "is not that of the client")
	}
	for _, role := range m.scopes() {
		if !slices.Contains(c.Roles, role) {
			return metadataFault("scope", "has roles that the client was not registered with; only an administrator can give them")
		}
	}
	for _, g := range m.grantTypes() {
		if !c.HasGrant(g) {
			return metadataFault("grant_types", "has some that the client was not registered with; only an administrator can give them")
		}
	}
	return nil
}

// deleteRegistration ends a client and with it all that it was granted
// (RFC 7592 §2.3).
func (e *Endpoints) deleteRegistration(w http.ResponseWriter, r *http.Request, accessToken string) error {
	client, err := e.registration(r.Context(), r.PathValue("client_id"), accessToken)
	if err != nil {
		return err
	}
	err = e.cfg.Registry.DeleteClient(r.Context(), client.ID, 0)
	if errors.Is(err, storage.ErrNotFound) { // deleted by two at once
		return token.ErrInvalidToken
	}
	if err != nil {
		return fmt.Errorf("delete client: %w", err)
	}
	e.recordRegistration(r.Context(), "client.deleted", client.ID, nil)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// recordRegistration records what was done to a client; by nil: by itself.
func (e *Endpoints) recordRegistration(ctx context.Context, action, clientID string, by *token.Caller) {
	event := storage.AuditEvent{
		Time: e.cfg.Now().UTC(), Action: action, Outcome: "success", ClientID: clientID, Object: "ApiClient/" + clientID,
	}
	if by != nil {
		event.ClientID = by.Client.ID
		if u := by.Principal; u != nil {
			event.UserUID, event.Username = u.User.UID, u.Login.Username
		}
	}
	e.cfg.Recorder.Record(ctx, event)
}
