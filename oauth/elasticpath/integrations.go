package elasticpath

import (
	"net/http"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

var integrationList = byTime(map[string]filterable{"name": {record: "Name", ops: textOps}}, "name")

// integrations is the resource integration. Its record is a message sender of this
// dialect.
type integrations struct{}

func (integrations) kind() string { return wire.TypeIntegration }

func (integrations) find(c *call) (storage.Sender, error) {
	id, ok := c.id("integration")
	if !ok {
		return storage.Sender{}, notFound("integration")
	}
	s, err := c.cfg.Senders.Sender(c.Context(), id)
	if err == nil && (s.Dialect != storage.ElasticPathDialect || s.RealmID != wire.SettingsRealm) {
		err = storage.ErrNotFound
	}
	return s, orNotFound(err, "integration")
}

func (integrations) show(c *call, s storage.Sender) (any, string, error) {
	shown, err := showIntegration(c, s)
	return shown, wire.IntegrationPath(s.ID), err
}

func (integrations) key(s storage.Sender) (string, int64) { return s.ID, s.Version }

func (integrations) put(c *call, s storage.Sender) (storage.Sender, error) {
	return c.cfg.Senders.PutSender(c.Context(), s)
}

// showIntegration shows the secret key only to callers who may change the
// integration: receivers recognise the server by it.
func showIntegration(c *call, s storage.Sender) (wire.Integration, error) {
	if len(s.SharedKey.Data) == 0 || !c.caller.Has(changeSenders...) {
		return wire.IntegrationFromRecord(s, c.base, ""), nil
	}
	key, err := c.cfg.Sealer.Open(s.SharedKey, wire.SecretKeyContext)
	return wire.IntegrationFromRecord(s, c.base, string(key)), err
}

// ofThisDialect returns the conditions that select integrations among all senders.
func ofThisDialect() []storage.Condition {
	return []storage.Condition{equals("Dialect", string(storage.ElasticPathDialect)), equals("RealmID", wire.SettingsRealm)}
}

func listIntegrations(c *call) (surface.Answer, error) {
	fetch := func(q storage.Query) (storage.Page[storage.Sender], error) {
		q.Where = append(q.Where, ofThisDialect()...)
		return c.cfg.Senders.ListSenders(c.Context(), q)
	}
	return list(c, integrationList, fetch, func(s storage.Sender) (wire.Integration, error) { return showIntegration(c, s) })
}

func postIntegration(c *call) (surface.Answer, error) {
	body, err := readIntegration(c, true)
	if err != nil {
		return surface.Answer{}, err
	}
	id, err := c.newID()
	if err != nil {
		return surface.Answer{}, err
	}
	s, err := changeIntegration(c, body, storage.Sender{
		ID: id, RealmID: wire.SettingsRealm, Dialect: storage.ElasticPathDialect, Kind: storage.WebhookSender,
		AllowAllBuyers: true, Version: storage.MustBeNew,
	})
	if err != nil {
		return surface.Answer{}, err
	}
	if err := c.cfg.Rules.ChangeSender(c.caller.Authority(), nil, &s); err != nil {
		return surface.Answer{}, err
	}
	if s, err = (integrations{}).put(c, s); err != nil {
		return surface.Answer{}, err
	}
	return created(c, integrations{}, s)
}

func readIntegration(c *call, isNew bool) (body wire.IntegrationBody, err error) {
	if _, err := c.read(&body, wire.TypeIntegration); err != nil {
		return body, err
	}
	return body, body.Check(isNew)
}

// changeIntegration returns the sender with the members of the body. The secret key
// is sealed.
func changeIntegration(c *call, body wire.IntegrationBody, s storage.Sender) (storage.Sender, error) {
	s, err := body.ToRecord(s)
	key := body.SecretKey()
	if err != nil || key == nil {
		return s, err
	}
	s.SharedKey = storage.Sealed{}
	if *key != "" {
		s.SharedKey, err = c.cfg.Sealer.Seal([]byte(*key), wire.SecretKeyContext)
	}
	return s, err
}

func getIntegration(c *call) (surface.Answer, error) { return get(c, integrations{}) }

func putIntegration(c *call) (surface.Answer, error) {
	body, err := readIntegration(c, false)
	if err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, integrations{}, func(s storage.Sender) (storage.Sender, error) {
		after, err := changeIntegration(c, body, s)
		if err != nil {
			return s, err
		}
		return after, c.cfg.Rules.ChangeSender(c.caller.Authority(), &s, &after)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return updated(c, integrations{}, before, stored)
}

// deleteIntegration answers 200 with a reference to the deleted integration, unlike
// other resources (Elastic Path).
func deleteIntegration(c *call) (surface.Answer, error) {
	var deleted wire.Reference
	check := func(s storage.Sender) error {
		deleted = wire.Reference{ID: s.ID, Type: wire.TypeIntegration}
		return c.cfg.Rules.ChangeSender(c.caller.Authority(), &s, nil)
	}
	_, err := remove(c, integrations{}, "integration", check, func(s storage.Sender, version int64) error {
		return c.cfg.Senders.DeleteSender(c.Context(), s.ID, version)
	})
	return surface.Answer{Status: http.StatusOK, Body: wire.Document[wire.Reference]{Data: deleted}}, err
}
