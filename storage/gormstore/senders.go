package gormstore

import (
	"context"
	"strings"

	"latchkey/storage"
)

type senderRow struct {
	ID             string `gorm:"column:id;primaryKey"`
	RealmID        string `gorm:"column:realm_id"`
	Name           string `gorm:"column:name"`
	Description    string `gorm:"column:description"`
	Kind           string `gorm:"column:kind"`
	Types          string `gorm:"column:types"`
	URL            string `gorm:"column:url"`
	SharedKeyKeyID string `gorm:"column:shared_key_key_id"`
	SharedKey      []byte `gorm:"column:shared_key"`
	ElevatedRoles  string `gorm:"column:elevated_roles"`
	AllowAllBuyers bool   `gorm:"column:allow_all_buyers"`
	AllowSeller    bool   `gorm:"column:allow_seller"`
	AccountUIDs    string `gorm:"column:account_uids"`
	XP             string `gorm:"column:xp"`
	Meta           stamps `gorm:"embedded"`
}

func (*senderRow) TableName() string                  { return "senders" }
func (r *senderRow) stamp() *stamps                   { return &r.Meta }
func (r *senderRow) identity() (column, value string) { return "id", r.ID }
func (*senderRow) settable() columns {
	return `realm_id name description kind types url shared_key_key_id shared_key elevated_roles
		allow_all_buyers allow_seller account_uids xp`
}

func senderRowOf(m storage.Sender) senderRow {
	types := make([]string, 0, len(m.Types))
	for _, t := range m.Types {
		types = append(types, string(t))
	}
	return senderRow{
		ID: m.ID, RealmID: m.RealmID, Name: m.Name, Description: m.Description, Kind: string(m.Kind),
		Types: strings.Join(types, " "), URL: m.URL,
		SharedKeyKeyID: m.SharedKey.KeyID, SharedKey: bytes(m.SharedKey.Data),
		ElevatedRoles: words(m.ElevatedRoles), AllowAllBuyers: m.AllowAllBuyers, AllowSeller: m.AllowSeller,
		AccountUIDs: words(m.AccountUIDs), XP: string(m.XP),
		Meta: stamps{Version: m.Version, Created: micros(m.CreatedAt)},
	}
}

func (r *senderRow) record() storage.Sender {
	m := storage.Sender{
		ID: r.ID, RealmID: r.RealmID, Name: r.Name, Description: r.Description,
		Kind: storage.SenderKind(r.Kind), URL: r.URL, SharedKey: sealed(r.SharedKeyKeyID, r.SharedKey),
		ElevatedRoles: list(r.ElevatedRoles), AllowAllBuyers: r.AllowAllBuyers, AllowSeller: r.AllowSeller,
		AccountUIDs: list(r.AccountUIDs), XP: raw(r.XP),
		Version: r.Meta.Version, CreatedAt: instant(r.Meta.Created), UpdatedAt: instant(r.Meta.Updated),
	}
	for _, t := range list(r.Types) {
		m.Types = append(m.Types, storage.MessageType(t))
	}
	return m
}

// Sender reads a sender, from memory where possible, or answers
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
		rows, err := query[senderRow](ctx, s, "senders", selecting[senderRow]()+" ORDER BY id")
		senders := make([]storage.Sender, 0, len(rows))
		for i := range rows {
			senders = append(senders, rows[i].record())
		}
		return senders, err
	})
}

// PutSender inserts or updates a sender and returns it as stored. An outdated
// Version is storage.ErrStale, an unknown realm storage.ErrNotFound.
func (s *Store) PutSender(ctx context.Context, m storage.Sender) (storage.Sender, error) {
	row := senderRowOf(m)
	if err := s.changed(ctx, put(ctx, s, "put sender", &row)); err != nil {
		return storage.Sender{}, err
	}
	return row.record(), nil
}
