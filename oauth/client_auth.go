package oauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ory/fosite"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// credentials are what a client presented to authenticate itself.
type credentials struct {
	id, secret string
	header     bool   // by the Authorization header
	assertion  string // RFC 7523 §2.2; then id may be empty
}

// clientKey carries the authenticated client to fosite.
type clientKey struct{}

// authenticatedClient is fosite's client authentication strategy: the client
// was authenticated before fosite was asked.
func authenticatedClient(ctx context.Context, _ *http.Request, _ url.Values) (fosite.Client, error) {
	c, ok := ctx.Value(clientKey{}).(*storage.Client)
	if !ok {
		return nil, fosite.ErrInvalidClient
	}
	return grants.Client{Client: c}, nil
}

// authenticateClient identifies the client of a request (RFC 6749 §2.3).
func (p *Provider) authenticateClient(r *http.Request, form url.Values) (*storage.Client, error) {
	presented, err := clientCredentials(r, form)
	if err != nil {
		return nil, err
	}
	form.Del("client_secret")
	form.Del("client_assertion")
	client, err := p.authenticate(r.Context(), presented)
	if presented.header && (errors.Is(err, ErrInvalidClient) || errors.Is(err, ErrClientInactive)) {
		err = fmt.Errorf("%w: %w", errUnauthorized, err)
	}
	return client, err
}

// authenticate returns the client of the credentials. An unknown client, a
// wrong secret and a secret sent for a public client answer alike, after the
// same work. Only who has shown to be the client learns that it is inactive.
func (p *Provider) authenticate(ctx context.Context, presented credentials) (*storage.Client, error) {
	if presented.assertion != "" {
		return p.byAssertion(ctx, presented)
	}
	if presented.id == "" || !otp.IsName(presented.id) {
		return nil, ErrInvalidClient
	}
	client, err := p.findClient(ctx, presented.id)
	if err != nil {
		return nil, err
	}
	// There is nothing to guess about a public client: guesses made by its other
	// users do not keep anybody out.
	if !client.Public || presented.secret != "" {
		err = p.guard.secret(ctx, p.guard.key(ctx, client.ID), func() bool { return p.matches(&client, presented.secret) })
	}
	switch {
	case err != nil:
		return nil, p.likeUnknown(ctx, &client, err)
	case !client.Active:
		return nil, ErrClientInactive
	}
	return &client, nil
}

// nobodysClient is no id that a client can have.
const nobodysClient = "~"

// likeUnknown returns the refusal of a client, after the work that one costs
// which there is not: that is always looked for in the database, and one that
// there is remembered.
func (p *Provider) likeUnknown(ctx context.Context, client *storage.Client, refusal error) error {
	if client.Version > 0 && errors.Is(refusal, ErrInvalidClient) {
		if _, err := p.findClient(ctx, nobodysClient); err != nil {
			return err
		}
	}
	return refusal
}

// matches tells whether secret is one of the client's, if it authenticates by
// one.
func (p *Provider) matches(client *storage.Client, secret string) bool {
	matches := grants.MatchClientSecret(p.cfg.Peppers, client, secret, p.cfg.Now())
	return matches && !client.Public && client.AuthMethod != storage.AuthMethodPrivateKeyJWT
}

// findClient reads a client. One that there is not has nothing but the id, so
// that everything about it can be checked.
func (p *Provider) findClient(ctx context.Context, id string) (storage.Client, error) {
	client, err := p.cfg.Clients.Client(ctx, id)
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
		return credentials{}, errTwoClientAuthentications
	case asserts && (inForm.assertion == "" || form.Get("client_assertion_type") != assertionType):
		return credentials{}, ErrInvalidClient
	case len(headers) == 0:
		return inForm, nil
	}
	basic, ok := basicCredentials(headers)
	if !ok {
		return credentials{}, fmt.Errorf("%w: %w", errUnauthorized, ErrInvalidClient)
	}
	if inForm.secret != "" || inForm.id != "" && !strings.EqualFold(inForm.id, basic.id) {
		return credentials{}, errTwoClientAuthentications
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
