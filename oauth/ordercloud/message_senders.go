package ordercloud

import (
	"errors"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// messageSenders deliver messages. Each is a sender of package storage.
type messageSenders struct {
	*API
	standard[storage.Sender]
}

func (a messageSenders) routes() []route {
	return newCollection(kind{
		object: "MessageSender", path: "/v1/messagesenders", param: "messageSenderID",
		admin: []string{"MessageSenderAdmin"}, reader: []string{"MessageSenderReader"},
		fields: text("ID", "Name", "Description", "URL", "Kind").
			with("DeliveryConfigID", "DeliveryConfig", textField).with("xp", "XP", textField).
			with("Active", "Active", otherField).with("AllowAllBuyers", "AllowAllBuyers", otherField),
		search: []string{"ID", "Name", "Description"},
		sameID: equalID, atomic: true,
	}, a).routes()
}

// list leaves out the integrations of /v2, which are senders too.
func (a messageSenders) list(c *call, q storage.Query) (storage.Page[storage.Sender], error) {
	ours := storage.Test{Op: storage.OpEqual, Value: string(storage.ElasticPathDialect), Not: true}
	q.Where = append(q.Where, storage.Condition{Fields: []string{"Dialect"}, Tests: []storage.Test{ours}})
	return a.cfg.Stores.Senders.ListSenders(c.Context(), q)
}

func (a messageSenders) get(c *call, id string) (storage.Sender, error) { return a.sender(c, id) }

func (a messageSenders) show(r storage.Sender) wire.MessageSender {
	return wire.MessageSenderFromRecord(r)
}

func (a messageSenders) id(w *wire.MessageSender) *string { return &w.ID }

func (a messageSenders) version(r storage.Sender) int64 { return r.Version }

func (a messageSenders) blank(*call) (storage.Sender, error) {
	return storage.Sender{RealmID: storage.DefaultRealmID, Version: storage.MustBeNew}, nil
}

// apply returns base with the members of the shape and sealed secrets. The caller needs the
// roles of the sender, because its endpoint receives codes and tokens.
func (a messageSenders) apply(c *call, w wire.MessageSender, base storage.Sender) (storage.Sender, error) {
	want := w.ToRecord(base)
	if err := w.Validate("", wire.KeptIn(want)).Err(); err != nil {
		return base, err
	}
	if want.DeliveryConfig != "" {
		_, err := a.cfg.Stores.DeliveryConfigs.DeliveryConfig(c.Context(), want.DeliveryConfig)
		if errors.Is(err, storage.ErrNotFound) {
			return base, notFound("DeliveryConfig", want.DeliveryConfig)
		}
		if err != nil {
			return base, err
		}
	}
	before := &base
	if base.Version == storage.MustBeNew {
		before = nil
	}
	if err := a.cfg.Rules.ChangeSender(c.caller.Authority(), before, &want); err != nil {
		return base, err
	}
	_, err := w.SealSecrets(a.cfg.Sealer, &want)
	return want, err
}

func (a messageSenders) save(c *call, _ wire.MessageSender, r storage.Sender) (storage.Sender, error) {
	return a.cfg.Stores.Senders.PutSender(c.Context(), r)
}

func (a messageSenders) remove(c *call, r storage.Sender) error {
	if err := a.cfg.Rules.ChangeSender(c.caller.Authority(), &r, nil); err != nil {
		return err
	}
	return a.cfg.Stores.Senders.DeleteSender(c.Context(), r.ID, r.Version)
}

func (a messageSenders) changedSecrets(before, after storage.Sender) []string {
	return wire.ChangedSenderSecrets(before, after)
}
