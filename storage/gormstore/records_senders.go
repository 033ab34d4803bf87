package gormstore

import (
	"context"

	"latchkey/storage"
)

type senderRow struct {
	ID             string `gorm:"column:id;primaryKey;<-:create" list:"ID"`
	RealmID        string `gorm:"column:realm_id" list:"RealmID"`
	Name           string `gorm:"column:name" list:"Name"`
	Description    string `gorm:"column:description" list:"Description"`
	Active         bool   `gorm:"column:active" list:"Active"`
	Dialect        string `gorm:"column:dialect" list:"Dialect"`
	Kind           string `gorm:"column:kind" list:"Kind"`
	Types          string `gorm:"column:types"`
	DeliveryConfig string `gorm:"column:delivery_config" list:"DeliveryConfig"`
	URL            string `gorm:"column:url" list:"URL"`
	SharedKeyKeyID string `gorm:"column:shared_key_key_id"`
	SharedKey      blob   `gorm:"column:shared_key"`
	Signature      string `gorm:"column:signature" list:"Signature"`
	SigningKeyID   string `gorm:"column:signing_secrets_key_id"`
	SigningSecrets blob   `gorm:"column:signing_secrets"`
	PublicJWK      string `gorm:"column:public_jwk"`
	SMTPHost       string `gorm:"column:smtp_host"`
	SMTPPort       int    `gorm:"column:smtp_port"`
	SMTPTLS        string `gorm:"column:smtp_tls"`
	SMTPUsername   string `gorm:"column:smtp_username"`
	SMTPKeyID      string `gorm:"column:smtp_password_key_id"`
	SMTPPassword   blob   `gorm:"column:smtp_password"`
	SMTPFrom       string `gorm:"column:smtp_from"`
	SMTPSiteName   string `gorm:"column:smtp_site_name"`
	ElevatedRoles  string `gorm:"column:elevated_roles"`
	AllowAllBuyers bool   `gorm:"column:allow_all_buyers" list:"AllowAllBuyers"`
	AllowSeller    bool   `gorm:"column:allow_seller" list:"AllowSeller"`
	AccountUIDs    string `gorm:"column:account_uids"`
	XP             string `gorm:"column:xp" list:"XP,json"`
	Meta           stamps `gorm:"embedded"`
}

func (*senderRow) TableName() string { return "senders" }
func (r *senderRow) stamp() *stamps  { return &r.Meta }

func senderRowOf(m storage.Sender) senderRow {
	types := make([]string, 0, len(m.Types))
	for _, t := range m.Types {
		types = append(types, string(t))
	}
	return senderRow{
		ID: m.ID, RealmID: m.RealmID, Name: m.Name, Description: m.Description,
		Active: m.Active, Dialect: string(m.Dialect), Kind: string(m.Kind),
		Types: words(types), DeliveryConfig: m.DeliveryConfig, URL: m.URL,
		SharedKeyKeyID: m.SharedKey.KeyID, SharedKey: m.SharedKey.Data,
		Signature: string(m.Signature), SigningKeyID: m.SigningSecrets.KeyID, SigningSecrets: m.SigningSecrets.Data,
		PublicJWK: string(m.PublicJWK), SMTPHost: m.SMTP.Host, SMTPPort: m.SMTP.Port, SMTPTLS: string(m.SMTP.TLS),
		SMTPUsername: m.SMTP.Username, SMTPKeyID: m.SMTP.Password.KeyID, SMTPPassword: m.SMTP.Password.Data,
		SMTPFrom: m.SMTP.From, SMTPSiteName: m.SMTP.SiteName,
		ElevatedRoles: words(m.ElevatedRoles), AllowAllBuyers: m.AllowAllBuyers, AllowSeller: m.AllowSeller,
		AccountUIDs: words(m.AccountUIDs), XP: string(m.XP),
		Meta: stamps{Version: m.Version, Created: micros(m.CreatedAt)},
	}
}

func (r *senderRow) record() storage.Sender {
	m := storage.Sender{
		ID: r.ID, RealmID: r.RealmID, Name: r.Name, Description: r.Description,
		Active: r.Active, Dialect: storage.Dialect(r.Dialect), Kind: storage.SenderKind(r.Kind),
		DeliveryConfig: r.DeliveryConfig, URL: r.URL, SharedKey: sealed(r.SharedKeyKeyID, r.SharedKey),
		Signature: storage.SignatureScheme(r.Signature), SigningSecrets: sealed(r.SigningKeyID, r.SigningSecrets),
		PublicJWK: raw(r.PublicJWK),
		SMTP: storage.SMTPSettings{
			Host: r.SMTPHost, Port: r.SMTPPort, TLS: storage.TLSMode(r.SMTPTLS), Username: r.SMTPUsername,
			Password: sealed(r.SMTPKeyID, r.SMTPPassword), From: r.SMTPFrom, SiteName: r.SMTPSiteName,
		},
		ElevatedRoles: list(r.ElevatedRoles), AllowAllBuyers: r.AllowAllBuyers, AllowSeller: r.AllowSeller,
		AccountUIDs: list(r.AccountUIDs), XP: raw(r.XP),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
	for _, t := range list(r.Types) {
		m.Types = append(m.Types, storage.MessageType(t))
	}
	return m
}

// Sender reads a sender, from memory where possible, or returns
// storage.ErrNotFound. Its lists are shared: callers must not write to them.
func (s *Store) Sender(ctx context.Context, id string) (storage.Sender, error) {
	senders, err := s.Senders(ctx)
	if err != nil {
		return storage.Sender{}, err
	}
	for _, m := range senders {
		if m.ID == id {
			return m, nil
		}
	}
	return storage.Sender{}, s.wrap(ctx, "sender", storage.ErrNotFound)
}

// Senders lists all senders by id, from memory where possible. The list is
// shared: callers must not write to it.
func (s *Store) Senders(ctx context.Context) ([]storage.Sender, error) {
	return cached(ctx, s, &s.cache.senders, "", func() ([]storage.Sender, error) {
		rows, err := find[senderRow](ctx, s, "senders", "id", "")
		senders := make([]storage.Sender, 0, len(rows))
		for i := range rows {
			senders = append(senders, rows[i].record())
		}
		return senders, err
	})
}

// PutSender inserts or updates a sender and returns it as stored. An outdated
// Version is storage.ErrStale, an unknown realm or delivery config
// storage.ErrNotFound.
func (s *Store) PutSender(ctx context.Context, m storage.Sender) (storage.Sender, error) {
	var row senderRow
	err := s.keeping(ctx, m.DeliveryConfig, func(ctx context.Context) error {
		row = senderRowOf(m)
		return put(ctx, s, "put sender", &row)
	})
	if err := s.changed(ctx, err, configChange{senderChanged, ""}); err != nil {
		return storage.Sender{}, err
	}
	return row.record(), nil
}

// keeping runs fn, which stores a reference to a delivery config, in a transaction that
// locks the config, so that it cannot be deleted meanwhile; see DeleteDeliveryConfig.
func (s *Store) keeping(ctx context.Context, config string, fn func(context.Context) error) error {
	if config == "" {
		return fn(ctx)
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if _, err := locked[deliveryConfigRow](ctx, s, "delivery config of sender", "id = ?", config); err != nil {
			return err
		}
		return fn(ctx)
	})
}
