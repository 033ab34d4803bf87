package register

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
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

const (
	accessTokenPurpose = "registration_access_token"
	refreshTokenTTL    = 720 * time.Hour
	secretName         = "registration"

	maxTries = 3 // of a replacement, if the client is changed meanwhile
)

// serveRegister registers a client (RFC 7591 §3).
func (e *Endpoint) serveRegister(w http.ResponseWriter, r *http.Request) error {
	caller, err := e.registrar(r)
	if err != nil {
		return err
	}
	m, err := readMetadata(w, r)
	if err == nil {
		err = m.check(e.cfg.ServesGrant)
	}
	if err != nil {
		return err
	}
	if beyond := caller.Authority().Beyond(m.scopes()); len(beyond) > 0 {
		return fault("scope", "has roles that the initial access token does not: %s", strings.Join(beyond, " "))
	}
	answer, err := e.register(r.Context(), m, caller)
	if err != nil {
		return err
	}
	e.record(r.Context(), "client.registered", answer.ClientID, caller)
	surface.WriteOAuthJSON(w, http.StatusCreated, answer)
	return nil
}

// registrar returns the caller if it may register clients. A client that acts for
// itself is on the seller's side. So only the seller's side may register clients:
// otherwise a user of one buyer could reach all buyers through a client.
func (e *Endpoint) registrar(r *http.Request) (*token.Caller, error) {
	caller, err := e.cfg.Callers.Authorize(r)
	if err != nil {
		return nil, err
	}
	if !caller.SellerSide() || !caller.Has(Role) {
		return nil, token.ErrInsufficientRoles
	}
	return caller, nil
}

// register stores a new client with its secret, in one transaction. No user can sign
// in through the client before an administrator admits users. Then they sign in with
// one-time passwords only, and get no role that the caller does not have.
func (e *Endpoint) register(ctx context.Context, m clientMetadata, caller *token.Caller) (registeredClient, error) {
	id, err := uuid.NewRandomFromReader(e.cfg.Rand)
	if err != nil {
		return registeredClient{}, fmt.Errorf("new client id: %w", err)
	}
	accessToken, err := storage.NewSecret(e.cfg.Rand)
	if err != nil {
		return registeredClient{}, fmt.Errorf("new registration access token: %w", err)
	}
	c := storage.Client{
		ID: id.String(), Active: true, ProfileID: storage.DefaultProfileID, Version: storage.MustBeNew,
		Credentials:     storage.Credentials{OTP: true},
		RefreshTokenTTL: refreshTokenTTL,
		Registration:    e.digest(id.String(), accessToken),
	}
	m.applyTo(&c)
	c.MaximumRoles = ceiling(c.Roles, caller)
	var stored storage.Client
	secret := ""
	err = e.cfg.Registry.InTx(ctx, func(ctx context.Context) (err error) {
		if stored, err = e.cfg.Registry.PutClient(ctx, c); err != nil || !m.usesSecret() {
			return err
		}
		secret, err = e.giveSecret(ctx, stored.ID)
		return err
	})
	if err != nil {
		return registeredClient{}, fmt.Errorf("register client: %w", err)
	}
	return e.describe(&stored, accessToken, secret), nil
}

// ceiling returns the roles that a new client's tokens may carry: the roles that it
// asked for. If it asked for none they are the caller's, because an empty ceiling
// stands for no limit.
func ceiling(asked []string, caller *token.Caller) []string {
	if len(asked) > 0 || caller.Has(token.RoleFullAccess) {
		return asked
	}
	return slices.Clone(caller.Roles)
}

// giveSecret gives a client a new secret and returns it. The store gets only its digest.
func (e *Endpoint) giveSecret(ctx context.Context, clientID string) (string, error) {
	value, kept, err := client.GenerateSecret(e.cfg.Peppers, e.cfg.Rand, clientID, secretName, time.Time{}, e.cfg.Now())
	if err != nil {
		return "", err
	}
	return value, e.cfg.Registry.AddClientSecret(ctx, clientID, kept, 0)
}

func (e *Endpoint) digest(clientID, accessToken string) storage.Digest {
	return e.cfg.Peppers.Digest(accessTokenPurpose, strings.ToLower(clientID), accessToken)
}

// serveRegistration shows, replaces or deletes a client that registered itself
// (RFC 7592 §2). The caller proves its right by the registration access token.
func (e *Endpoint) serveRegistration(w http.ResponseWriter, r *http.Request) error {
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
	c, err := e.registration(r.Context(), r.PathValue("client_id"), accessToken)
	if err != nil {
		return err
	}
	surface.WriteOAuthJSON(w, http.StatusOK, e.describe(&c, accessToken, ""))
	return nil
}

// registration returns the client of the id if accessToken is its registration access
// token. An unknown client looks like a wrong token (RFC 7592 §2.1), and so does an
// inactive one.
func (e *Endpoint) registration(ctx context.Context, id, accessToken string) (storage.Client, error) {
	if !isClientID(id) {
		return storage.Client{}, token.ErrInvalidToken
	}
	c, err := e.cfg.Registry.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		c = storage.Client{ID: id, Registration: storage.Digest{PepperID: e.cfg.Peppers.CurrentID()}}
	} else if err != nil {
		return storage.Client{}, fmt.Errorf("read client: %w", err)
	}
	if !e.cfg.Peppers.Matches(c.Registration, accessTokenPurpose, strings.ToLower(c.ID), accessToken) || !c.Active {
		return storage.Client{}, token.ErrInvalidToken
	}
	return c, nil
}

// replaceRegistration replaces the metadata of a client (RFC 7592 §2.2). A
// registration access token does not entitle to give roles or grants, so the client
// can give them up but not get any.
func (e *Endpoint) replaceRegistration(w http.ResponseWriter, r *http.Request, accessToken string) error {
	id := r.PathValue("client_id")
	if _, err := e.registration(r.Context(), id, accessToken); err != nil {
		return err
	}
	m, err := readMetadata(w, r)
	if err == nil {
		err = m.check(e.cfg.ServesGrant)
	}
	if err != nil {
		return err
	}
	var answer registeredClient
	for range maxTries {
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
	e.record(r.Context(), "client.updated", answer.ClientID, nil)
	surface.WriteOAuthJSON(w, http.StatusOK, answer)
	return nil
}

func (e *Endpoint) replace(ctx context.Context, m clientMetadata, id, accessToken string) (registeredClient, error) {
	c, err := e.registration(ctx, id, accessToken)
	if err != nil {
		return registeredClient{}, err
	}
	if err := e.checkReplacement(m, &c); err != nil {
		return registeredClient{}, err
	}
	secrets, hadSecret := c.Secrets, client.UsesSecret(&c)
	m.applyTo(&c)
	if c, err = e.cfg.Registry.PutClient(ctx, c); err != nil {
		return registeredClient{}, fmt.Errorf("replace client: %w", err)
	}
	secret := ""
	if !m.usesSecret() || !hadSecret { // an old secret must not become valid again
		if err := e.deleteSecrets(ctx, c.ID, secrets); err != nil {
			return registeredClient{}, err
		}
	}
	if m.usesSecret() && (!hadSecret || len(secrets) == 0) {
		if secret, err = e.giveSecret(ctx, c.ID); err != nil {
			return registeredClient{}, fmt.Errorf("add client secret: %w", err)
		}
	}
	return e.describe(&c, accessToken, secret), nil
}

func (e *Endpoint) deleteSecrets(ctx context.Context, clientID string, secrets []storage.ClientSecret) error {
	for _, old := range secrets {
		if err := e.cfg.Registry.DeleteClientSecret(ctx, clientID, old.ID); err != nil {
			return fmt.Errorf("delete client secret: %w", err)
		}
	}
	return nil
}

// checkReplacement returns an error unless a replacement names the client
// (RFC 7592 §2.2) and asks only for what the client has.
func (e *Endpoint) checkReplacement(m clientMetadata, c *storage.Client) error {
	if !strings.EqualFold(m.ClientID, c.ID) {
		return fault("client_id", "must be that of the client")
	}
	if m.ClientSecret != "" && !e.cfg.Clients.HasSecret(c, m.ClientSecret) {
		return fault("client_secret", "is not that of the client")
	}
	for _, role := range m.scopes() {
		if !slices.Contains(c.Roles, role) {
			return fault("scope", "has roles that the client was not registered with; only an administrator can give them")
		}
	}
	for _, g := range m.grantTypes() {
		if !c.HasGrant(g) {
			return fault("grant_types", "has some that the client was not registered with; only an administrator can give them")
		}
	}
	return nil
}

// deleteRegistration deletes a client with all its grants (RFC 7592 §2.3).
func (e *Endpoint) deleteRegistration(w http.ResponseWriter, r *http.Request, accessToken string) error {
	c, err := e.registration(r.Context(), r.PathValue("client_id"), accessToken)
	if err != nil {
		return err
	}
	err = e.cfg.Registry.DeleteClient(r.Context(), c.ID, 0)
	if errors.Is(err, storage.ErrNotFound) { // deleted by two at once
		return token.ErrInvalidToken
	}
	if err != nil {
		return fmt.Errorf("delete client: %w", err)
	}
	e.record(r.Context(), "client.deleted", c.ID, nil)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// record records an audit event about a client. caller is nil if the client itself
// made the request.
func (e *Endpoint) record(ctx context.Context, action, clientID string, caller *token.Caller) {
	event := storage.AuditEvent{
		Time: e.cfg.Now().UTC(), Action: action, Outcome: "success", ClientID: clientID, Object: "ApiClient/" + clientID,
	}
	if caller != nil {
		event.ClientID = caller.Client.ID
		if u := caller.Principal; u != nil {
			event.UserUID, event.Username = u.User.UID, u.Login.Username
		}
	}
	e.cfg.Recorder.Record(ctx, event)
}
