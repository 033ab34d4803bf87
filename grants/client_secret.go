package grants

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"latchkey/storage"
)

// clientSecretPurpose separates the digests of client secrets from all others.
const clientSecretPurpose = "client_secret"

// Digester makes and checks keyed digests; *keys.Peppers implements it.
type Digester interface {
	Digest(purpose string, parts ...string) storage.Digest
	Matches(d storage.Digest, purpose string, parts ...string) bool
}

// DigestClientSecret returns the digest of a client secret to store. Client ids ignore
// letter case, so the digest ignores it too.
func DigestClientSecret(d Digester, clientID, secret string) storage.Digest {
	return d.Digest(clientSecretPurpose, strings.ToLower(clientID), secret)
}

// MatchClientSecret reports whether secret is one of the client's secrets and has not
// expired at the time now. A client without secrets costs one digest too, and so does
// nil. So an unknown client takes as long as a wrong secret.
func MatchClientSecret(d Digester, c *storage.Client, secret string, now time.Time) bool {
	if c == nil {
		c = &storage.Client{}
	}
	tried, matches := 0, false
	for i := range c.Secrets {
		own := &c.Secrets[i]
		if !own.ExpiresAt.IsZero() && !now.Before(own.ExpiresAt) {
			continue
		}
		tried++
		if d.Matches(own.Digest, clientSecretPurpose, strings.ToLower(c.ID), secret) {
			matches = true
		}
	}
	if tried == 0 {
		DigestClientSecret(d, c.ID, secret)
	}
	return matches
}

// ClientAuthentication returns a strategy for fosite.Config that authenticates the clients
// of a store by their secrets (RFC 6749 §2.3.1): in an Authorization header of the scheme
// Basic, or in the form. A public client has its id only. fosite then gets each client as
// a Client, so NewTokenEndpoint needs no ClientStore.
//
// Unlike the strategy of fosite v0.49.0, it takes as long for an unknown client as for a
// wrong secret. An unavailable store is not a wrong secret, so the error is not
// invalid_client then. It does not limit guesses, so secrets must be random.
func ClientAuthentication(clients ClientStore, d Digester, now func() time.Time) fosite.ClientAuthenticationStrategy {
	return func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		id, secret, err := presentedSecret(r, form)
		if err != nil {
			return nil, err
		}
		c, err := clients.Client(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			MatchClientSecret(d, nil, secret, now())
			return nil, fosite.ErrInvalidClient
		}
		if err != nil {
			return nil, fmt.Errorf("read client: %w", err)
		}
		matches := MatchClientSecret(d, &c, secret, now())
		if !c.Active || !matches && (!c.Public || secret != "") {
			return nil, fosite.ErrInvalidClient
		}
		return Client{&c}, nil
	}
}

// presentedSecret returns the id and the secret of a request. A request may have only one
// of both kinds (RFC 6749 §2.3).
func presentedSecret(r *http.Request, form url.Values) (id, secret string, err error) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		return form.Get("client_id"), form.Get("client_secret"), nil
	}
	if id, err = url.QueryUnescape(id); err == nil {
		secret, err = url.QueryUnescape(secret)
	}
	if err != nil {
		return "", "", malformed("The client credentials are not encoded as a form.")
	}
	if form.Has("client_secret") || form.Has("client_id") && form.Get("client_id") != id {
		return "", "", malformed("The client authenticated itself in two ways.")
	}
	return id, secret, nil
}
