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

// headerName matches what RFC 9110 §5.1 lets a header be called.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// Endpoint is where a webhook's calls go, with the secrets in the clear.
type Endpoint struct {
	URL            string
	Key            string   // shared with the receiver; empty: none
	SigningSecrets []string // of Standard Webhooks, newest first
	HeaderName     string   // of a header that the receiver wants to see; empty: none
	HeaderValue    string
}

// Header returns the header that every call to the endpoint begins with. What
// is set afterwards wins over the endpoint's own.
func (e Endpoint) Header() http.Header {
	h := http.Header{}
	if e.HeaderName != "" {
		h.Set(e.HeaderName, e.HeaderValue)
	}
	h.Set("Content-Type", "application/json")
	return h
}

// SignStandard sets the headers of Standard Webhooks with the endpoint's
// secrets; see the function of that name.
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

// Endpoints finds out where senders deliver: at an endpoint of their own, or at
// that of the delivery config that they name. All fields are required.
type Endpoints struct {
	// Config returns the delivery config of that id, or storage.ErrNotFound.
	Config func(ctx context.Context, id string) (storage.DeliveryConfig, error)
	// SharedKey and SigningSecrets open a sender's own secrets.
	SharedKey      func(storage.Sender) (string, error)
	SigningSecrets func(storage.Sender) ([]string, error)
	// ConfigSecret and ConfigHeader open those of a delivery config.
	ConfigSecret func(storage.Sealed) (string, error)
	ConfigHeader func(storage.Sealed) (string, error)
}

// Of returns the sender's endpoint. A sender whose delivery config is disabled
// or gone has none: that error is Permanent. Any other may pass.
func (e Endpoints) Of(ctx context.Context, s storage.Sender) (Endpoint, error) {
	endpoint, err := e.target(ctx, s)
	if err != nil || s.Signature != storage.StandardWebhookSignature {
		return endpoint, err
	}
	if endpoint.SigningSecrets, err = e.SigningSecrets(s); err != nil {
		return Endpoint{}, sealedError("signing secrets of message sender "+s.ID, err)
	}
	return endpoint, nil
}

// target returns the endpoint but for the signing secrets, which are always the
// sender's own.
func (e Endpoints) target(ctx context.Context, s storage.Sender) (Endpoint, error) {
	if s.DeliveryConfig != "" {
		return e.configured(ctx, s.DeliveryConfig)
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

func (e Endpoints) configured(ctx context.Context, id string) (Endpoint, error) {
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

// withHeader adds the config's own header. Neither a name nor a value that is
// none of HTTP's can be sent, now or later.
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

// sealedError says that a secret cannot be decrypted.
func sealedError(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", Reason("a secret of the message sender cannot be opened"), what, err)
}
