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
func (p *Provider) serveRegister(w http.ResponseWriter, r *http.Request) error {
	caller, err := p.registrar(r)
	if err != nil {
		return err
	}
	m, err := readMetadata(w, r)
	if err == nil {
		err = m.check(p.serves)
	}
	if err != nil {
		return err
	}
	if beyond := caller.Authority().Beyond(m.scopes()); len(beyond) > 0 {
		return metadataFault("scope", "has roles that the initial access token does not: %s", strings.Join(beyond, " "))
	}
	answer, err := p.register(r.Context(), m, caller)
	if err != nil {
		return err
	}
	p.recordRegistration(r.Context(), "client.registered", answer.ClientID, caller)
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

// registrar returns who may register clients. Clients that act for themselves
// are on the seller's side, so only that side may make any: a user of a buyer
// would get at all buyers by way of one.
func (p *Provider) registrar(r *http.Request) (*Caller, error) {
	caller, err := p.Authorize(r)
	if err != nil {
		return nil, err
	}
	if !caller.SellerSide() || !caller.Has(RoleRegisterClients) {
		return nil, ErrInsufficientRoles
	}
	return caller, nil
}

// register stores a new client with its secret, both or neither. Nobody may sign
// in through it before an administrator admits somebody, and then with one-time
// passwords only and no role that the caller could not have given.
func (p *Provider) register(ctx context.Context, m clientMetadata, caller *Caller) (registeredClient, error) {
	id, err := uuid.NewRandomFromReader(p.cfg.Rand)
	if err != nil {
		return registeredClient{}, fmt.Errorf("new client id: %w", err)
	}
	token, err := client.RandomSecret(p.cfg.Rand)
	if err != nil {
		return registeredClient{}, fmt.Errorf("new registration access token: %w", err)
	}
	c := storage.Client{
		ID: id.String(), Active: true, ProfileID: storage.DefaultProfileID, Version: storage.MustBeNew,
		Credentials:     storage.Credentials{OTP: true},
		RefreshTokenTTL: registeredRefreshTTL,
		Registration:    p.registrationDigest(id.String(), token),
	}
	m.applyTo(&c)
	c.MaximumRoles = ceiling(c.Roles, caller)
	secret := ""
	err = p.cfg.Registry.InTx(ctx, func(ctx context.Context) error {
		if c, err = p.cfg.Registry.PutClient(ctx, c); err != nil || !m.usesSecret() {
			return err
		}
		secret, err = p.giveSecret(ctx, c.ID)
		return err
	})
	if err != nil {
		return registeredClient{}, fmt.Errorf("register client: %w", err)
	}
	return p.registered(&c, token, secret), nil
}

// ceiling is what a new client's tokens may carry: the roles that it asked for,
// or if there are none the caller's, for an empty ceiling would be none at all.
func ceiling(asked []string, caller *Caller) []string {
	if len(asked) > 0 || caller.Has(RoleFullAccess) {
		return asked
	}
	return slices.Clone(caller.Roles)
}

// giveSecret gives a client a secret, which nothing can show again.
func (p *Provider) giveSecret(ctx context.Context, clientID string) (string, error) {
	value, kept, err := client.GenerateSecret(p.cfg.Peppers, p.cfg.Rand, clientID, registeredSecretName, time.Time{}, p.cfg.Now())
	if err != nil {
		return "", err
	}
	return value, p.cfg.Registry.AddClientSecret(ctx, clientID, kept, 0)
}

func (p *Provider) registrationDigest(clientID, token string) storage.Digest {
	return p.cfg.Peppers.Digest(registrationPurpose, strings.ToLower(clientID), token)
}

// serveRegistration shows, replaces or deletes a client that registered itself
// (RFC 7592 §2), to whoever has its registration access token.
func (p *Provider) serveRegistration(w http.ResponseWriter, r *http.Request) error {
	token, ok := BearerToken(r.Header)
	if !ok {
		return ErrNoToken
	}
	switch r.Method {
	case http.MethodPut:
		return p.replaceRegistration(w, r, token)
	case http.MethodDelete:
		return p.deleteRegistration(w, r, token)
	}
	client, err := p.registration(r.Context(), r.PathValue("client_id"), token)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, p.registered(&client, token, ""))
	return nil
}

// registration returns the client of that id if token is its registration
// access token. An unknown client looks like a wrong token (RFC 7592 §2.1), and
// so does one that was deactivated.
func (p *Provider) registration(ctx context.Context, id, token string) (storage.Client, error) {
	if !isClientID(id) {
		return storage.Client{}, ErrInvalidToken
	}
	client, err := p.cfg.Registry.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		client = storage.Client{ID: id, Registration: storage.Digest{PepperID: p.cfg.Peppers.CurrentID()}}
	} else if err != nil {
		return storage.Client{}, fmt.Errorf("read client: %w", err)
	}
	if !p.cfg.Peppers.Matches(client.Registration, registrationPurpose, strings.ToLower(client.ID), token) || !client.Active {
		return storage.Client{}, ErrInvalidToken
	}
	return client, nil
}

// replaceRegistration replaces what a client said of itself (RFC 7592 §2.2). Its
// token is no longer that of somebody who could give more, so the client can give
// up roles and grants but not get any.
func (p *Provider) replaceRegistration(w http.ResponseWriter, r *http.Request, token string) error {
	id := r.PathValue("client_id")
	if _, err := p.registration(r.Context(), id, token); err != nil {
		return err
	}
	m, err := readMetadata(w, r)
	if err == nil {
		err = m.check(p.serves)
	}
	if err != nil {
		return err
	}
	var answer registeredClient
	for range maxRegistrationTries {
		err = p.cfg.Registry.InTx(r.Context(), func(ctx context.Context) error {
			answer, err = p.replace(ctx, m, id, token)
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
	p.recordRegistration(r.Context(), "client.updated", answer.ClientID, nil)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (p *Provider) replace(ctx context.Context, m clientMetadata, id, token string) (registeredClient, error) {
	client, err := p.registration(ctx, id, token)
	if err != nil {
		return registeredClient{}, err
	}
	if err := p.checkReplacement(m, &client); err != nil {
		return registeredClient{}, err
	}
	secrets, hadSecret := client.Secrets, usesSecret(&client)
	m.applyTo(&client)
	if client, err = p.cfg.Registry.PutClient(ctx, client); err != nil {
		return registeredClient{}, fmt.Errorf("replace client: %w", err)
	}
	secret := ""
	if !m.usesSecret() || !hadSecret { // what it had is not to be good for anything again
		if err := p.takeSecrets(ctx, client.ID, secrets); err != nil {
			return registeredClient{}, err
		}
	}
	if m.usesSecret() && (!hadSecret || len(secrets) == 0) {
		if secret, err = p.giveSecret(ctx, client.ID); err != nil {
			return registeredClient{}, fmt.Errorf("add client secret: %w", err)
		}
	}
	return p.registered(&client, token, secret), nil
}

func (p *Provider) takeSecrets(ctx context.Context, clientID string, secrets []storage.ClientSecret) error {
	for _, old := range secrets {
		if err := p.cfg.Registry.DeleteClientSecret(ctx, clientID, old.ID); err != nil {
			return fmt.Errorf("delete client secret: %w", err)
		}
	}
	return nil
}

// checkReplacement demands of a replacement that it names the client
// (RFC 7592 §2.2), and asks for nothing that the client does not have.
func (p *Provider) checkReplacement(m clientMetadata, c *storage.Client) error {
	if !strings.EqualFold(m.ClientID, c.ID) {
		return metadataFault("client_id", "must be that of the client")
	}
	if m.ClientSecret != "" && !p.clients.HasSecret(c, m.ClientSecret) {
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
func (p *Provider) deleteRegistration(w http.ResponseWriter, r *http.Request, token string) error {
	client, err := p.registration(r.Context(), r.PathValue("client_id"), token)
	if err != nil {
		return err
	}
	err = p.cfg.Registry.DeleteClient(r.Context(), client.ID, 0)
	if errors.Is(err, storage.ErrNotFound) { // deleted by two at once
		return ErrInvalidToken
	}
	if err != nil {
		return fmt.Errorf("delete client: %w", err)
	}
	p.recordRegistration(r.Context(), "client.deleted", client.ID, nil)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// recordRegistration records what was done to a client; by nil: by itself.
func (p *Provider) recordRegistration(ctx context.Context, action, clientID string, by *Caller) {
	event := storage.AuditEvent{
		Time: p.cfg.Now().UTC(), Action: action, Outcome: "success", ClientID: clientID, Object: "ApiClient/" + clientID,
	}
	if by != nil {
		event.ClientID = by.Client.ID
		if u := by.Principal; u != nil {
			event.UserUID, event.Username = u.User.UID, u.Login.Username
		}
	}
	p.cfg.Recorder.Record(ctx, event)
}
