package wire

import (
	"slices"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// TypeIntegration is the type of an integration.
const TypeIntegration = "integration"

// MaxObserved is how many events an integration may observe.
const MaxObserved = 5

const kindWebhook = "webhook"

// The events that integrations may observe. All but the first are extensions of
// Latchkey.
const (
	codeRequested  = "one-time-password-token-request.created"
	loginLocked    = "user-authentication-password-profile-info.locked"
	contactChanged = "user-authentication-info.contact-changed"
)

// events lists the events with the types of the messages that they stand for.
var events = [...]struct {
	name string
	kind storage.MessageType
}{
	{codeRequested, storage.MessageOneTimePassword},
	{loginLocked, storage.MessageAccountLocked},
	{contactChanged, storage.MessageContactChanged},
}

func messageTypeOf(event string) (storage.MessageType, bool) {
	for _, e := range events {
		if e.name == event {
			return e.kind, true
		}
	}
	return "", false
}

func eventOf(t storage.MessageType) (string, bool) {
	for _, e := range events {
		if e.kind == t {
			return e.name, true
		}
	}
	return "", false
}

// IntegrationBody is an integration as it is sent. An absent member keeps its value.
type IntegrationBody struct {
	Type          *string            `json:"type"`
	Name          *string            `json:"name"` // required for a new integration
	Description   *string            `json:"description"`
	Enabled       *bool              `json:"enabled"`          // default false
	Kind          *string            `json:"integration_type"` // webhook
	Observes      []string           `json:"observes"`         // required for a new integration
	Configuration *ConfigurationBody `json:"configuration"`
}

// ConfigurationBody is the address of a webhook as it is sent.
type ConfigurationBody struct {
	URL       *string `json:"url"` // required for a new integration
	SecretKey *string `json:"secret_key"`
}

// Configuration is the address of a webhook, and the secret that is sent there.
type Configuration struct {
	URL       string `json:"url"`
	SecretKey string `json:"secret_key"`
}

// Integration is a webhook that is called for events.
type Integration struct {
	ID            string        `json:"id"`
	Type          string        `json:"type"`
	Name          string        `json:"name"`
	Description   string        `json:"description"`
	Enabled       bool          `json:"enabled"`
	Kind          string        `json:"integration_type"`
	Observes      []string      `json:"observes"`
	Configuration Configuration `json:"configuration"`
	Links         *Links        `json:"links,omitempty"`
	Meta          Timestamps    `json:"meta"`
}

// IntegrationPath returns the path of an integration.
func IntegrationPath(id string) string { return "/v2/integrations/" + id }

// Check returns an *InvalidError if a member is wrong, or required and absent, and
// an UnsupportedError for what this server does not have.
func (b IntegrationBody) Check(isNew bool) error {
	var c Check
	c.filled("name", b.Name, isNew)
	c.text("description", b.Description, maxDescription)
	if b.Kind == nil && isNew {
		c.Fail("integration_type", "required")
	}
	if len(b.Observes) == 0 && (isNew || b.Observes != nil) {
		c.Fail("observes", "required")
	}
	configuration := ConfigurationBody{}
	if b.Configuration != nil {
		configuration = *b.Configuration
	}
	if configuration.URL == nil && isNew {
		c.Fail("configuration.url", "required")
	}
	c.webhookURL("configuration.url", configuration.URL)
	c.text("configuration.secret_key", configuration.SecretKey, surface.MaxSecret) // it is sent as a header
	if err := c.Err(); err != nil {
		return err
	}
	return b.checkSupported()
}

// checkSupported returns an UnsupportedError for what Elastic Path has and this
// server does not.
func (b IntegrationBody) checkSupported() error {
	if b.Kind != nil && *b.Kind != kindWebhook {
		return UnsupportedError("integration_type must be webhook")
	}
	if len(b.Observes) > MaxObserved {
		return UnsupportedError("You have reached the integration event limit of 5")
	}
	for _, event := range b.Observes {
		if _, ok := messageTypeOf(event); !ok {
			return UnsupportedError("observes may name " + codeRequested + ", " + loginLocked + " and " + contactChanged + " only")
		}
	}
	return nil
}

// ToRecord returns the sender with the members that were sent, except the secret
// key; see SecretKey. The error is an *InvalidError if the sender observes nothing:
// earlier versions stored such senders, and they would never be called.
func (b IntegrationBody) ToRecord(s storage.Sender) (storage.Sender, error) {
	surface.Overwrite(&s.Name, b.Name)
	surface.Overwrite(&s.Description, b.Description)
	surface.Overwrite(&s.Active, b.Enabled)
	if b.Observes != nil {
		s.Types = nil
		for _, event := range b.Observes {
			if t, ok := messageTypeOf(event); ok && !slices.Contains(s.Types, t) {
				s.Types = append(s.Types, t)
			}
		}
	}
	if len(s.Types) == 0 {
		return s, Invalid("observes", "required")
	}
	if b.Configuration != nil {
		surface.Overwrite(&s.URL, b.Configuration.URL)
	}
	return s, nil
}

// SecretKey returns the secret key that was sent, or nil if none was.
func (b IntegrationBody) SecretKey() *string {
	if b.Configuration == nil {
		return nil
	}
	return b.Configuration.SecretKey
}

// IntegrationFromRecord returns an integration as it is shown. base is the address
// of the server. secretKey is empty if the caller may not see it.
func IntegrationFromRecord(s storage.Sender, base, secretKey string) Integration {
	shown := Integration{
		ID: s.ID, Type: TypeIntegration, Name: s.Name, Description: s.Description, Enabled: s.Active,
		Kind: kindWebhook, Observes: []string{}, Configuration: Configuration{URL: s.URL, SecretKey: secretKey},
		Links: &Links{Self: base + IntegrationPath(s.ID)}, Meta: timestamps(s.CreatedAt, s.UpdatedAt),
	}
	for _, e := range events {
		if slices.Contains(s.Types, e.kind) {
			shown.Observes = append(shown.Observes, e.name)
		}
	}
	return shown
}
