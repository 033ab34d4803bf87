package ordercloud

import (
	"errors"
	"net/http"
	"time"

	"latchkey/oauth/admin"
	"latchkey/oauth/client"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var (
	errTooManySecrets = refuse(http.StatusBadRequest, "ApiClientSecret.MaximumClientSecretsReached",
		"The maximum number of client secrets has been reached.")
	errExpiration = refuse(http.StatusBadRequest, "ApiClientSecret.InvalidExpirationDate",
		"The expiration date must be in the future.")
)

// apiClientSecrets are the secrets of API clients.
type apiClientSecrets struct{ *API }

func (a apiClientSecrets) routes() []route {
	const all, one = "/v1/apiclients/{apiClientID}/secrets", "/v1/apiclients/{apiClientID}/secrets/{secretID}"
	admin := []string{"ApiClientAdmin"}
	read := []string{"ApiClientAdmin", "ApiClientReader"}
	shown := wire.ApiClientSecret{}
	operation := func(method, path, verb, summary string, roles []string, status int, answer any, refuses ...int) openapi.Operation {
		return openapi.Operation{
			Method: method, Path: path, ID: "apiclients.secrets." + verb, Tag: "ApiClientSecret", Summary: summary, Roles: roles,
			Answers: map[int]any{status: answer}, Refuses: refuses,
		}
	}
	list := operation(http.MethodGet, all, "List", "List the secrets of a client, without their values", read, http.StatusOK, wire.List[wire.ApiClientSecret]{}, 400, 404)
	list.Query = listParameters()
	create := operation(http.MethodPost, all, "Create", "Make a secret of a client; its value is in this answer only", admin, http.StatusCreated, shown, 400, 404)
	create.Body = shown
	patch := operation(http.MethodPatch, one, "Patch", "Change the name or the expiration of a secret", admin, http.StatusOK, shown, 400, 404)
	patch.Body, patch.Partial = shown, true
	return []route{
		{Operation: list, serve: a.list},
		{Operation: create, serve: a.create},
		{Operation: operation(http.MethodGet, one, "Get", "Get a secret of a client, without its value", read, http.StatusOK, shown, 404), serve: a.get},
		{Operation: patch, serve: a.patch},
		{Operation: operation(http.MethodDelete, one, "Delete", "Delete a secret of a client", admin, http.StatusNoContent, nil, 404), serve: a.delete},
	}
}

// client finds the client in the path.
func (a apiClientSecrets) client(c *call) (storage.Client, error) {
	return a.clientOf(c, c.PathValue("apiClientID"))
}

// changeInTx calls change with the client in the path if the caller may change the
// client. Check and change share a transaction, so the client cannot get more roles in
// between.
func (a apiClientSecrets) changeInTx(c *call, change func(c *call, found storage.Client) error) error {
	return c.inTx(func(c *call) error {
		found, err := a.client(c)
		if err == nil {
			err = a.cfg.Rules.ChangeClient(c.Context(), c.caller.Authority(), &found, &found)
		}
		if err != nil {
			return err
		}
		return change(c, found)
	})
}

func (a apiClientSecrets) list(c *call) (surface.Answer, error) {
	client, err := a.client(c)
	if err != nil {
		return surface.Answer{}, err
	}
	f := text("ID", "Name").with("Expiration", "Expiration", timeField)
	q, err := c.query(f, []string{"ID", "Name"})
	if err != nil {
		return surface.Answer{}, err
	}
	found, err := queryInMemory(q, client.Secrets, func(s storage.ClientSecret, field string) string {
		return map[string]string{"ID": s.ID, "Name": s.Name, "Expiration": timeText(s.ExpiresAt)}[field]
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return listOf(c, q, found, wire.ApiClientSecretFromRecord)
}

func (a apiClientSecrets) get(c *call) (surface.Answer, error) {
	client, err := a.client(c)
	if err != nil {
		return surface.Answer{}, err
	}
	for _, s := range client.Secrets {
		if s.ID == c.PathValue("secretID") {
			return surface.Answer{Status: http.StatusOK, Body: wire.ApiClientSecretFromRecord(s)}, nil
		}
	}
	return surface.Answer{}, c.noSecret()
}

func (c *call) noSecret() error { return notFound("ApiClientSecret", c.PathValue("secretID")) }

// create answers with the value of the new secret. No later answer contains it.
func (a apiClientSecrets) create(c *call) (surface.Answer, error) {
	var w wire.ApiClientSecret
	if err := c.read(&w); err != nil {
		return surface.Answer{}, err
	}
	if err := a.check(w); err != nil {
		return surface.Answer{}, err
	}
	var clientID, value string
	var kept storage.ClientSecret
	err := a.changeInTx(c, func(c *call, found storage.Client) (err error) {
		expires := surface.ValueOr(w.Expiration, time.Time{}).UTC()
		clientID = found.ID
		if value, kept, err = client.GenerateSecret(a.cfg.Peppers, a.cfg.Rand, clientID, w.Name, expires, a.cfg.Now()); err != nil {
			return err
		}
		return a.addSecret(c, clientID, kept)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	shown := wire.ApiClientSecretFromRecord(kept)
	shown.ClientSecret = &value
	done := surface.Answer{Status: http.StatusCreated, Body: shown, Changed: admin.ChangedMembers(wire.ApiClientSecret{}, shown)}
	a.record(c, "apiclientsecret.created", "ApiClient/"+clientID+"/"+kept.ID, done.Changed...)
	return done, nil
}

func (a apiClientSecrets) check(w wire.ApiClientSecret) error {
	if err := w.Validate("").Err(); err != nil {
		return err
	}
	if w.Expiration != nil && !w.Expiration.After(a.cfg.Now()) {
		return errExpiration
	}
	return nil
}

// patch changes the members that the body names. A null Expiration removes the
// expiration, so an expired secret becomes valid again.
func (a apiClientSecrets) patch(c *call) (surface.Answer, error) {
	raw, err := c.rawBody()
	if err != nil {
		return surface.Answer{}, err
	}
	var named wire.ApiClientSecret
	if err := c.decode(raw, &named); err != nil {
		return surface.Answer{}, err
	}
	var clientID string
	var before, stored storage.ClientSecret
	err = a.changeInTx(c, func(c *call, found storage.Client) (err error) {
		clientID = found.ID
		stored, err = a.cfg.Stores.Secrets.ChangeClientSecret(c.Context(), clientID, c.PathValue("secretID"), func(s *storage.ClientSecret) error {
			before = *s
			return a.change(s, raw)
		})
		if errors.Is(err, storage.ErrNotFound) {
			return c.noSecret()
		}
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	shown := wire.ApiClientSecretFromRecord(stored)
	done := surface.Answer{Status: http.StatusOK, Body: shown, Changed: admin.ChangedMembers(wire.ApiClientSecretFromRecord(before), shown)}
	a.record(c, "apiclientsecret.updated", "ApiClient/"+clientID+"/"+stored.ID, done.Changed...)
	return done, nil
}

func (a apiClientSecrets) change(s *storage.ClientSecret, patch []byte) error {
	w, err := wire.Patched(wire.ApiClientSecretFromRecord(*s), patch)
	if err != nil {
		return err
	}
	if w.ID != "" && w.ID != s.ID {
		return wire.Faults{{Path: "ID", Problem: "cannot be changed"}}
	}
	if expires := surface.ValueOr(w.Expiration, time.Time{}); expires.Equal(s.ExpiresAt) {
		w.Expiration = nil // an expiration in the past may stay
	} else {
		s.ExpiresAt = expires.UTC()
	}
	s.Name = w.Name
	return a.check(w)
}

func (a apiClientSecrets) delete(c *call) (surface.Answer, error) {
	id, clientID := c.PathValue("secretID"), ""
	err := a.changeInTx(c, func(c *call, found storage.Client) error {
		clientID = found.ID
		err := a.cfg.Stores.Secrets.DeleteClientSecret(c.Context(), clientID, id)
		if errors.Is(err, storage.ErrNotFound) {
			return c.noSecret()
		}
		return err
	})
	if err != nil {
		return surface.Answer{}, err
	}
	a.record(c, "apiclientsecret.deleted", "ApiClient/"+clientID+"/"+id)
	return surface.Answer{Status: http.StatusNoContent}, nil
}

// addSecret stores a secret of a client, unless it has too many.
func (a *API) addSecret(c *call, clientID string, s storage.ClientSecret) error {
	err := a.cfg.Stores.Secrets.AddClientSecret(c.Context(), clientID, s, client.MaxSecrets)
	switch {
	case errors.Is(err, storage.ErrTooMany):
		return errTooManySecrets
	case errors.Is(err, storage.ErrNotFound):
		return notFound("ApiClient", clientID)
	}
	return err
}
