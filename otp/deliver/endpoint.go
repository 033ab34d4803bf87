package deliver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"latchkey/storage"
)

// headerName matches valid names of header fields (RFC 9110 §5.1).
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// Endpoint is the target of a webhook's calls. Its secrets are in plain text.
type Endpoint struct {
	URL            string
	Key            string   // shared with the receiver; empty: none
	SigningSecrets []string // of Standard Webhooks, newest first
	HeaderName     string   // of a header that the receiver requires; empty: none
	HeaderValue    string
}

// Header returns the header of a call to the endpoint: Content-Type, and the
// endpoint's own header unless that is Content-Type. The caller adds further fields.
func (e Endpoint) Header() http.Header {
	h := http.Header{}
	if e.HeaderName != "" {
		h.Set(e.HeaderName, e.HeaderValue)
	}
	h.Set("Content-Type", "application/json")
	return h
}

// SignStandard calls the function SignStandard with the endpoint's secrets.
func (e Endpoint) SignStandard(header http.Header, id string, at time.Time, body []byte) error {
	secrets := make([]SigningSecret, len(e.SigningSecrets))
	for i, text := range e.SigningSecrets {
		var err error
		if secrets[i], err = ParseSigningSecret(text); err != nil {
			return err
		}
	}
	return SignStandard(header, id, at, body, secrets...)
}

// Endpoints finds the endpoints of senders. A sender has an endpoint of its own, or
// uses the endpoint of the delivery config that it names. All fields are required.
type Endpoints struct {
	// Config returns the delivery config with the id, or storage.ErrNotFound.
	Config func(ctx context.Context, id string) (storage.DeliveryConfig, error)
	// SharedKey and SigningSecrets decrypt a sender's own secrets.
	SharedKey      func(storage.Sender) (string, error)
	SigningSecrets func(storage.Sender) ([]string, error)
	// ConfigSecret and ConfigHeader decrypt the secrets of a delivery config.
	ConfigSecret func(storage.Sealed) (string, error)
	ConfigHeader func(storage.Sealed) (string, error)
}

// Of returns the sender's endpoint. The error is Permanent if the delivery config is
// disabled, deleted or not valid. Any other error is temporary.
func (e Endpoints) Of(ctx context.Context, s storage.Sender) (Endpoint, error) {
	endpoint, err := e.withoutSigningSecrets(ctx, s)
	if err != nil || s.Signature != storage.StandardWebhookSignature {
		return endpoint, err
	}
	if endpoint.SigningSecrets, err = e.SigningSecrets(s); err != nil {
		return Endpoint{}, sealedError("signing secrets of message sender "+s.ID, err)
	}
	return endpoint, nil
}

// withoutSigningSecrets returns the endpoint without its signing secrets, which are
// always the sender's own.
func (e Endpoints) withoutSigningSecrets(ctx context.Context, s storage.Sender) (Endpoint, error) {
	if s.DeliveryConfig != "" {
		return e.ofConfig(ctx, s.DeliveryConfig)
	}
	endpoint := Endpoint{URL: s.URL}
	if len(s.SharedKey.Data) == 0 {
		return endpoint, nil
	}
	var err error
	if endpoint.Key, err = e.SharedKey(s); err != nil {
		return Endpoint{}, sealedError("shared key of message sender "+s.ID, err)
	}
	return endpoint, nil
}

// ofConfig returns the endpoint of a delivery config.
func (e Endpoints) ofConfig(ctx context.Context, id string) (Endpoint, error) {
	config, err := e.Config(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return Endpoint{}, Permanent(fmt.Errorf("%w: %s: %w", Reason("the delivery config does not exist any more"), id, err))
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("delivery config %s: %w", id, err)
	}
	if !config.Enabled {
		return Endpoint{}, Permanent(Reason("the delivery config is disabled"))
	}
	endpoint := Endpoint{URL: config.URL}
	if len(config.Secret.Data) > 0 {
		if endpoint.Key, err = e.ConfigSecret(config.Secret); err != nil {
			return Endpoint{}, sealedError("secret of delivery config "+id, err)
		}
	}
	if config.CustomAuthHeaderName == "" {
		return endpoint, nil
	}
	return e.withHeader(endpoint, config)
}

// withHeader adds the config's own header. The error is Permanent if the header is
// not valid in HTTP.
func (e Endpoints) withHeader(endpoint Endpoint, config storage.DeliveryConfig) (Endpoint, error) {
	value, err := e.ConfigHeader(config.CustomAuthHeader)
	if err != nil {
		return Endpoint{}, sealedError("header of delivery config "+config.ID, err)
	}
	if !headerName.MatchString(config.CustomAuthHeaderName) || strings.ContainsFunc(value, unicode.IsControl) {
		return Endpoint{}, Permanent(Reason("the header of the delivery config is not valid"))
	}
	endpoint.HeaderName, endpoint.HeaderValue = config.CustomAuthHeaderName, value
	return endpoint, nil
}

// sealedError returns the error for a secret that cannot be decrypted.
func sealedError(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", Reason("a secret of the message sender cannot be opened"), what, err)
}
