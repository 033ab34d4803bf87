package ordercloud

import (
	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// deliveryConfigs are the endpoints that message senders share.
type deliveryConfigs struct {
	*API
	standard[storage.DeliveryConfig]
}

func (a deliveryConfigs) routes() []route {
	return newCollection(kind{
		object: "DeliveryConfig", path: "/v1/integrations/deliveryconfig", param: "deliveryConfigID",
		admin:  []string{"DeliveryConfigAdmin"},
		fields: text("ID", "Name").with("Enabled", "Enabled", otherField), search: []string{"ID", "Name"},
		sameID: equalID, atomic: true,
	}, a).routes()
}

func (a deliveryConfigs) list(c *call, q storage.Query) (storage.Page[storage.DeliveryConfig], error) {
	return a.cfg.Stores.DeliveryConfigs.ListDeliveryConfigs(c.Context(), q)
}

func (a deliveryConfigs) get(c *call, id string) (storage.DeliveryConfig, error) {
	return a.cfg.Stores.DeliveryConfigs.DeliveryConfig(c.Context(), id)
}

func (a deliveryConfigs) show(r storage.DeliveryConfig) wire.DeliveryConfig {
	return wire.DeliveryConfigFromRecord(r)
}

func (a deliveryConfigs) id(w *wire.DeliveryConfig) *string { return &w.ID }

func (a deliveryConfigs) version(r storage.DeliveryConfig) int64 { return r.Version }

func (a deliveryConfigs) blank(*call) (storage.DeliveryConfig, error) {
	return storage.DeliveryConfig{RealmID: storage.DefaultRealmID, Version: storage.MustBeNew}, nil
}

// apply returns base with the members of the shape and sealed secrets. The caller needs
// the roles of all senders that use the delivery config, because its endpoint receives
// their codes and tokens.
func (a deliveryConfigs) apply(c *call, w wire.DeliveryConfig, base storage.DeliveryConfig) (storage.DeliveryConfig, error) {
	want := w.ToRecord(base)
	if err := w.Validate("", wire.KeptOf(want)).Err(); err != nil {
		return base, err
	}
	if err := a.cfg.Rules.ChangeDeliveryConfig(c.Context(), c.caller.Authority(), want.ID); err != nil {
		return base, err
	}
	return want, w.SealSecrets(a.cfg.Sealer, &want)
}

func (a deliveryConfigs) save(c *call, _ wire.DeliveryConfig, r storage.DeliveryConfig) (storage.DeliveryConfig, error) {
	return a.cfg.Stores.DeliveryConfigs.PutDeliveryConfig(c.Context(), r)
}

func (a deliveryConfigs) remove(c *call, r storage.DeliveryConfig) error {
	if err := a.cfg.Rules.ChangeDeliveryConfig(c.Context(), c.caller.Authority(), r.ID); err != nil {
		return err
	}
	return a.cfg.Stores.DeliveryConfigs.DeleteDeliveryConfig(c.Context(), r.ID, r.Version)
}

func (a deliveryConfigs) changedSecrets(before, after storage.DeliveryConfig) []string {
	return wire.ChangedDeliverySecrets(before, after)
}
