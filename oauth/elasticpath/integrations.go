package elasticpath

import (
	"context"
	"net/http"
	"slices"

	"latchkey/storage"
)

const (
	typeIntegration = "integration"
	kindWebhook     = "webhook"
	maxObserved     = 5
)

// SenderStore keeps integrations: the senders of this dialect.
type SenderStore interface {
	Sender(ctx context.Context, id string) (storage.Sender, error)
	PutSender(ctx context.Context, s storage.Sender) (storage.Sender, error)
	ListSenders(ctx context.Context, q storage.Query) (storage.Page[storage.Sender], error)
	DeleteSender(ctx context.Context, id string, version int64) error
	// ListMessages lists the messages of a sender.
	ListMessages(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.Message], error)
	// ListDeliveries lists the attempts to deliver to a sender, or to any.
	ListDeliveries(ctx context.Context, senderID string, q storage.Query) (storage.Page[storage.DeliveryRecord], error)
}

// Sealer keeps secrets that must be shown again; *keys.Sealer is one.
type Sealer interface {
	Seal(plain []byte, context string) (storage.Sealed, error)
	Open(sealed storage.Sealed, context string) ([]byte, error)
}

// IntegrationBody is an integration as it is sent. What is left out stays.
type IntegrationBody struct {
	Type          *string            `json:"type"`
	Name          *string            `json:"name"` // required for a new one
	Description   *string            `json:"description"`
	Enabled       *bool              `json:"enabled"`          // default false
	Kind          *string            `json:"integration_type"` // webhook
	Observes      []string           `json:"observes"`         // required for a new one
	Configuration *ConfigurationBody `json:"configuration"`
}

// ConfigurationBody says where a webhook goes.
type ConfigurationBody struct {
	URL       *string `json:"url"` // required for a new one
	SecretKey *string `json:"secret_key"`
}

// Configuration says where a webhook goes, and what it is told as a secret.
type Configuration struct {
	URL       string `json:"url"`
	SecretKey string `json:"secret_key"`
}

// Integration tells somebody of events.
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

var integrationList = byTime(map[string]filterable{"name": {record: "Name", ops: peopleOps}}, "name")

func integrationPath(id string) string { return "/v2/integrations/" + id }

func (b IntegrationBody) check(isNew bool) error {
	var c check
	c.filled("name", b.Name, isNew)
	c.text("description", b.Description, maxDescription)
	if b.Kind == nil && isNew {
		c.fail("integration_type", "required")
	}
	if len(b.Observes) == 0 && (isNew || b.Observes != nil) {
		c.fail("observes", "required")
	}
	configuration := ConfigurationBody{}
	if b.Configuration != nil {
		configuration = *b.Configuration
	}
	if configuration.URL == nil && isNew {
		c.fail("configuration.url", "required")
	}
	c.webhookURL("configuration.url", configuration.URL)
	c.text("configuration.secret_key", configuration.SecretKey, maxSecret) // it is sent as a header
	if err := c.err(); err != nil {
		return err
	}
	return b.supported()
}

// supported refuses what Elastic Path has and Latchkey has not.
func (b IntegrationBody) supported() error {
	if b.Kind != nil && *b.Kind != kindWebhook {
		return refuse(http.StatusUnprocessableEntity, "integration_type must be webhook")
	}
	if len(b.Observes) > maxObserved {
		return refuse(http.StatusUnprocessableEntity, "You have reached the integration event limit of 5")
	}
	for _, event := range b.Observes {
		if _, ok := typeOf(event); !ok {
			return refuse(http.StatusUnprocessableEntity, "observes may name "+codeRequested+", "+loginLocked+" and "+contactChanged+" only")
		}
	}
	return nil
}

// apply writes what was given into the sender, with its secret sealed.
func (a *API) applyIntegration(b IntegrationBody, s storage.Sender) (storage.Sender, error) {
	take(&s.Name, b.Name)
	take(&s.Description, b.Description)
	take(&s.Active, b.Enabled)
	if b.Observes != nil {
		s.Types = nil
		for _, event := range b.Observes {
			if t, ok := typeOf(event); ok && !slices.Contains(s.Types, t) {
				s.Types = append(s.Types, t)
			}
		}
	}
	if len(s.Types) == 0 { // stored so by an earlier version; it would never be called
		return s, refuse(http.StatusBadRequest, validation("observes", "required"))
	}
	if b.Configuration == nil {
		return s, nil
	}
	take(&s.URL, b.Configuration.URL)
	key := b.Configuration.SecretKey
	if key == nil {
		return s, nil
	}
	s.SharedKey = storage.Sealed{}
	if *key == "" {
		return s, nil
	}
	sealed, err := a.cfg.Sealer.Seal([]byte(*key), SecretKeyContext)
	s.SharedKey = sealed
	return s, err
}

// integration shows an integration. Its secret key is for whoever may change it:
// receivers know the server by it.
func (a *API) integration(c *call, s storage.Sender) (Integration, error) {
	shown := Integration{
		ID: s.ID, Type: typeIntegration, Name: s.Name, Description: s.Description, Enabled: s.Active,
		Kind: kindWebhook, Observes: []string{}, Configuration: Configuration{URL: s.URL},
		Links: &Links{Self: a.base + integrationPath(s.ID)}, Meta: timestamps(s.CreatedAt, s.UpdatedAt),
	}
	for _, o := range observed {
		if slices.Contains(s.Types, o.kind) {
			shown.Observes = append(shown.Observes, o.event)
		}
	}
	if len(s.SharedKey.Data) == 0 || !c.caller.Has(changeSenders...) {
		return shown, nil
	}
	key, err := a.cfg.Sealer.Open(s.SharedKey, SecretKeyContext)
	shown.Configuration.SecretKey = string(key)
	return shown, err
}

func (a *API) integrationReply(c *call, status int, s storage.Sender) (reply, error) {
	shown, err := a.integration(c, s)
	return a.document(status, shown, integrationPath(s.ID), s.Version), err
}

// isIntegration selects the senders of this dialect.
func isIntegration() []storage.Condition {
	return []storage.Condition{equals("Dialect", string(storage.ElasticPathDialect)), equals("RealmID", settingsRealm)}
}

func (a *API) listIntegrations(c *call) (reply, error) {
	q, err := integrationList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	q.Where = append(q.Where, isIntegration()...)
	found, err := a.cfg.Senders.ListSenders(c.Context(), q)
	if err != nil {
		return reply{}, err
	}
	shown := listOf(c, q, found, func(s storage.Sender) (item Integration) {
		if err == nil {
			item, err = a.integration(c, s)
		}
		return item
	})
	return shown, err
}

func (a *API) postIntegration(c *call) (reply, error) {
	var body IntegrationBody
	if _, err := c.read(&body, typeIntegration); err != nil {
		return reply{}, err
	}
	if err := body.check(true); err != nil {
		return reply{}, err
	}
	id, err := a.newID()
	if err != nil {
		return reply{}, err
	}
	s, err := a.applyIntegration(body, storage.Sender{
		ID: id, RealmID: settingsRealm, Dialect: storage.ElasticPathDialect, Kind: storage.WebhookSender,
		AllowAllBuyers: true, Version: storage.MustBeNew,
	})
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Rules.ChangeSender(c.caller.Authority(), nil, &s); err != nil {
		return reply{}, err
	}
	if s, err = a.cfg.Senders.PutSender(c.Context(), s); err != nil {
		return reply{}, err
	}
	done, err := a.integrationReply(c, http.StatusCreated, s)
	done = done.changedFrom(nil)
	a.record(c, typeIntegration, "created", s.ID, done.changed...)
	return done, err
}

func (a *API) getIntegration(c *call) (reply, error) {
	s, err := a.integrationOf(c)
	if err != nil {
		return reply{}, err
	}
	return a.integrationReply(c, http.StatusOK, s)
}

func (a *API) putIntegration(c *call) (reply, error) {
	var body IntegrationBody
	if _, err := c.read(&body, typeIntegration); err != nil {
		return reply{}, err
	}
	if err := body.check(false); err != nil {
		return reply{}, err
	}
	var before Integration
	s, err := rewrite(c,
		func() (storage.Sender, error) { return a.integrationOf(c) },
		func(s storage.Sender) int64 { return s.Version },
		func(s storage.Sender) (storage.Sender, error) {
			var err error
			if before, err = a.integration(c, s); err != nil {
				return s, err
			}
			changed, err := a.applyIntegration(body, s)
			if err != nil {
				return s, err
			}
			return changed, a.cfg.Rules.ChangeSender(c.caller.Authority(), &s, &changed)
		},
		func(s storage.Sender) (storage.Sender, error) { return a.cfg.Senders.PutSender(c.Context(), s) })
	if err != nil {
		return reply{}, err
	}
	done, err := a.integrationReply(c, http.StatusOK, s)
	done = done.changedFrom(before)
	a.record(c, typeIntegration, "updated", s.ID, done.changed...)
	return done, err
}

// deleteIntegration answers 200 with what was deleted, unlike everything else.
func (a *API) deleteIntegration(c *call) (reply, error) {
	wanted, err := c.wantsVersion()
	if err != nil {
		return reply{}, err
	}
	s, err := a.integrationOf(c)
	if err == nil {
		err = a.cfg.Rules.ChangeSender(c.caller.Authority(), &s, nil)
	}
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Senders.DeleteSender(c.Context(), s.ID, wanted); err != nil {
		return reply{}, orNotFound(err, "integration")
	}
	a.record(c, typeIntegration, "deleted", s.ID)
	return reply{status: http.StatusOK, body: Document[Reference]{Data: Reference{ID: s.ID, Type: typeIntegration}}}, nil
}

// integrationOf returns the integration that the path names. A message sender of
// another dialect is none.
func (a *API) integrationOf(c *call) (storage.Sender, error) {
	id, ok := c.id("integration")
	if !ok {
		return storage.Sender{}, notFound("integration")
	}
	s, err := a.cfg.Senders.Sender(c.Context(), id)
	if err == nil && (s.Dialect != storage.ElasticPathDialect || s.RealmID != settingsRealm) {
		err = storage.ErrNotFound
	}
	return s, orNotFound(err, "integration")
}
