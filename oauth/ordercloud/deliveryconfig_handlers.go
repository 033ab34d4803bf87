package ordercloud

import (
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

func (a *API) deliveryConfigRoutes() []route {
	store := a.cfg.Stores.DeliveryConfigs
	return collection[wire.DeliveryConfig, storage.DeliveryConfig]{
		object: "DeliveryConfig", path: "/v1/integrations/deliveryconfig", param: "deliveryConfigID",
		admin:  []string{"DeliveryConfigAdmin"},
		fields: text("ID", "Name").with("Enabled", "Enabled", otherField),
		search: []string{"ID", "Name"},
		list: func(c *call, q storage.Query) (storage.Page[storage.DeliveryConfig], error) {
			return store.ListDeliveryConfigs(c.Context(), q)
		},
		get: func(c *call, id string) (storage.DeliveryConfig, error) { return store.DeliveryConfig(c.Context(), id) },
		fresh: func(*call) (storage.DeliveryConfig, error) {
			return storage.DeliveryConfig{RealmID: storage.DefaultRealmID}, nil
		},
		check: a.checkDeliveryConfig,
		merge: func(_ *call, w wire.DeliveryConfig, r storage.DeliveryConfig) (storage.DeliveryConfig, error) {
			r = w.ToRecord(r)
			return r, w.SealSecrets(a.cfg.Sealer, &r)
		},
		save: func(c *call, _ wire.DeliveryConfig, r storage.DeliveryConfig) (storage.DeliveryConfig, error) {
			return store.PutDeliveryConfig(c.Context(), r)
		},
		remove: func(c *call, r storage.DeliveryConfig, version int64) error {
			if err := a.cfg.Rules.ChangeDeliveryConfig(c.Context(), c.caller.Authority(), r.ID); err != nil {
				return err
			}
			return store.DeleteDeliveryConfig(c.Context(), r.ID, version)
		},
		show:   func(_ *call, r storage.DeliveryConfig) wire.DeliveryConfig { return wire.DeliveryConfigFromRecord(r) },
		id:     func(w *wire.DeliveryConfig) *string { return &w.ID },
		newID:  a.newID,
		stamp:  func(r *storage.DeliveryConfig) *int64 { return &r.Version },
		secret: wire.ChangedDeliverySecrets,
		fixed:  true, atomic: true,
	}.routes()
}

// checkDeliveryConfig finds the faults of what a delivery config is to become.
// Its endpoint gets the codes and tokens of its senders' messages.
func (a *API) checkDeliveryConfig(c *call, w wire.DeliveryConfig, base storage.DeliveryConfig) error {
	want := w.ToRecord(base)
	if err := w.Validate("", wire.KeptOf(want)).Err(); err != nil {
		return err
	}
	return a.cfg.Rules.ChangeDeliveryConfig(c.Context(), c.caller.Authority(), want.ID)
}
