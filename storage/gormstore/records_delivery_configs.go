package gormstore

import (
	"context"

	"latchkey/storage"
)

type deliveryConfigRow struct {
	ID               string `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	RealmID          string `gorm:"column:realm_id" list:"RealmID"`
	Name             string `gorm:"column:name" list:"Name"`
	Enabled          bool   `gorm:"column:enabled" list:"Enabled"`
	Target           string `gorm:"column:target" list:"Target"`
	URL              string `gorm:"column:url" list:"URL"`
	SecretKeyID      string `gorm:"column:secret_key_id"`
	Secret           blob   `gorm:"column:secret"`
	AuthHeaderName   string `gorm:"column:custom_auth_header_name" list:"CustomAuthHeaderName"`
	AuthHeaderKeyID  string `gorm:"column:custom_auth_header_key_id"`
	CustomAuthHeader blob   `gorm:"column:custom_auth_header"`
	Meta             stamps `gorm:"embedded"`
}

func (*deliveryConfigRow) TableName() string { return "delivery_configs" }
func (r *deliveryConfigRow) stamp() *stamps  { return &r.Meta }

func deliveryConfigRowOf(c storage.DeliveryConfig) deliveryConfigRow {
	return deliveryConfigRow{
		ID: c.ID, RealmID: c.RealmID, Name: c.Name, Enabled: c.Enabled, Target: string(c.Target), URL: c.URL,
		SecretKeyID: c.Secret.KeyID, Secret: c.Secret.Data,
		AuthHeaderName: c.CustomAuthHeaderName, AuthHeaderKeyID: c.CustomAuthHeader.KeyID,
		CustomAuthHeader: c.CustomAuthHeader.Data,
		Meta:             stamps{Version: c.Version, Created: micros(c.CreatedAt)},
	}
}

func (r *deliveryConfigRow) record() storage.DeliveryConfig {
	return storage.DeliveryConfig{
		ID: r.ID, RealmID: r.RealmID, Name: r.Name, Enabled: r.Enabled,
		Target: storage.DeliveryTarget(r.Target), URL: r.URL, Secret: sealed(r.SecretKeyID, r.Secret),
		CustomAuthHeaderName: r.AuthHeaderName, CustomAuthHeader: sealed(r.AuthHeaderKeyID, r.CustomAuthHeader),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
}

// DeliveryConfig reads a delivery config, from memory where possible, or
// returns storage.ErrNotFound. Its secrets are shared: callers must not write
// to them.
func (s *Store) DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error) {
	return cached(ctx, s, &s.cache.delivery, id, func() (storage.DeliveryConfig, error) {
		row, err := first[deliveryConfigRow](ctx, s, "delivery config", "id = ?", id)
		return row.record(), err
	})
}

// PutDeliveryConfig inserts or updates a delivery config and returns it as
// stored. An outdated Version is storage.ErrStale, an unknown realm
// storage.ErrNotFound.
func (s *Store) PutDeliveryConfig(ctx context.Context, c storage.DeliveryConfig) (storage.DeliveryConfig, error) {
	row := deliveryConfigRowOf(c)
	if err := s.changed(ctx, put(ctx, s, "put delivery config", &row), configChange{deliveryConfigChanged, row.ID}); err != nil {
		return storage.DeliveryConfig{}, err
	}
	return row.record(), nil
}
