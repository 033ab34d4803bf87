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
	header     bool // by the Authorization header
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
	client, err := p.authenticate(r.Context(), presented)
	if err != nil && presented.header {
		err = fmt.Errorf("%w: %w", errUnauthorized, err)
	}
	return client, err
}

// authenticate returns the client of the credentials. An unknown client, a
// wrong secret and a secret sent for a public client answer alike, after the
// same work. Only who has shown to be the client learns that it is inactive.
func (p *Provider) authenticate(ctx context.Context, presented credentials) (*storage.Client, error) {
	if presented.id == "" || !otp.IsName(presented.id) {
		return nil, ErrInvalidClient
	}
	client, err := p.cfg.Clients.Client(ctx, presented.id)
	if errors.Is(err, storage.ErrNotFound) {
		client = storage.Client{ID: presented.id}
	} else if err != nil {
		return nil, fmt.Errorf("read client: %w", err)
	}
	matches := grants.MatchClientSecret(p.cfg.Peppers, &client, presented.secret, p.cfg.Now())
	if client.Public {
		matches = presented.secret == ""
	}
	switch {
	case !matches:
		return nil, ErrInvalidClient
	case !client.Active:
		return nil, ErrClientInactive
	}
	return &client, nil
}

// clientCredentials reads the client's credentials from the Authorization
// header or the form, and refuses both together (RFC 6749 §2.3).
func clientCredentials(r *http.Request, form url.Values) (credentials, error) {
	inForm := credentials{id: form.Get("client_id"), secret: form.Get("client_secret")}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
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
