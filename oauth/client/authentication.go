package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// credentials are the credentials that a client presented.
type credentials struct {
	id, secret string
	header     bool   // by the Authorization header
	assertion  string // RFC 7523 §2.2; then id may be empty
}

// Authenticate returns the client of a request (RFC 6749 §2.3), and deletes its
// credentials from the form. Errors: ErrTwoMethods, ErrInvalid, ErrInactive (both
// with ErrUnauthorized if the Authorization header was used), ErrTooManyGuesses,
// and those of the stores.
func (au *Authenticator) Authenticate(r *http.Request, form url.Values) (*storage.Client, error) {
	presented, err := clientCredentials(r, form)
	if err != nil {
		return nil, err
	}
	form.Del("client_secret")
	form.Del("client_assertion")
	client, err := au.authenticate(r.Context(), presented)
	if presented.header && (errors.Is(err, ErrInvalid) || errors.Is(err, ErrInactive)) {
		err = fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return client, err
}

// BySecret returns the client of the id whose secret is secret. Errors:
// ErrInvalid, ErrInactive, ErrTooManyGuesses, and those of the stores.
func (au *Authenticator) BySecret(ctx context.Context, id, secret string) (*storage.Client, error) {
	return au.authenticate(ctx, credentials{id: id, secret: secret})
}

// authenticate returns the client of the credentials. It refuses an unknown client, a
// wrong secret, and a secret for a public client in the same way after the same work.
// A client learns that it is inactive only after it has authenticated.
func (au *Authenticator) authenticate(ctx context.Context, presented credentials) (*storage.Client, error) {
	if presented.assertion != "" {
		return au.byAssertion(ctx, presented)
	}
	if presented.id == "" || !otp.IsName(presented.id) {
		return nil, ErrInvalid
	}
	client, err := au.findClient(ctx, presented.id)
	if err != nil {
		return nil, err
	}
	// A public client has no secret that could be guessed, so guesses by some of
	// its users keep no other user out.
	if !client.Public || presented.secret != "" {
		err = au.guard.secret(ctx, au.guard.key(ctx, client.ID), func() bool { return au.HasSecret(&client, presented.secret) })
	}
	switch {
	case err != nil:
		return nil, au.likeUnknown(ctx, &client, err)
	case !client.Active:
		return nil, ErrInactive
	}
	return &client, nil
}

// absentClientID is an id that no client can have.
const absentClientID = "~"

// likeUnknown returns the refusal of a client after the work that an unknown client
// costs. The store caches clients that exist, and looks for an unknown one in the
// database each time. So the same look-up is made here.
func (au *Authenticator) likeUnknown(ctx context.Context, client *storage.Client, refusal error) error {
	if client.Version > 0 && errors.Is(refusal, ErrInvalid) {
		if _, err := au.findClient(ctx, absentClientID); err != nil {
			return err
		}
	}
	return refusal
}

// HasSecret reports whether secret is one of the client's. It is false for a client
// that does not authenticate by secrets.
func (au *Authenticator) HasSecret(client *storage.Client, secret string) bool {
	matches := grants.MatchClientSecret(au.cfg.Peppers, client, secret, au.cfg.Now())
	return matches && UsesSecret(client)
}

// findClient reads a client. For an unknown id it returns a client that has
// nothing but the id, so that the same checks can be made.
func (au *Authenticator) findClient(ctx context.Context, id string) (storage.Client, error) {
	client, err := au.cfg.Clients.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Client{ID: id}, nil
	}
	if err != nil {
		return storage.Client{}, fmt.Errorf("read client: %w", err)
	}
	return client, nil
}

// clientCredentials reads the client's credentials from the Authorization
// header or the form, and refuses two of them (RFC 6749 §2.3, RFC 7521 §4.2).
func clientCredentials(r *http.Request, form url.Values) (credentials, error) {
	inForm := credentials{id: form.Get("client_id"), secret: form.Get("client_secret"), assertion: form.Get("client_assertion")}
	headers := r.Header.Values("Authorization")
	asserts := form.Has("client_assertion") || form.Has("client_assertion_type")
	switch {
	case asserts && (inForm.secret != "" || len(headers) > 0):
		return credentials{}, ErrTwoMethods
	case asserts && (inForm.assertion == "" || form.Get("client_assertion_type") != AssertionType):
		return credentials{}, ErrInvalid
	case len(headers) == 0:
		return inForm, nil
	}
	basic, ok := basicCredentials(headers)
	if !ok {
		return credentials{}, fmt.Errorf("%w: %w", ErrUnauthorized, ErrInvalid)
	}
	if inForm.secret != "" || inForm.id != "" && !strings.EqualFold(inForm.id, basic.id) {
		return credentials{}, ErrTwoMethods
	}
	return basic, nil
}

// basicCredentials decodes HTTP Basic credentials, whose parts are form-encoded
// (RFC 6749 §2.3.1, Appendix B).
func basicCredentials(headers []string) (credentials, bool) {
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	if len(headers) != 1 || !strings.EqualFold(scheme, "Basic") {
		return credentials{}, false
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return credentials{}, false
	}
	id, secret, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return credentials{}, false
	}
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return credentials{id: id, secret: secret, header: true}, errID == nil && errSecret == nil
}
