package gormstore

import (
	"context"

	"latchkey/storage"
)

type secretRow struct {
	ID        string `gorm:"column:id;primaryKey;<-:create"`
	ClientKey string `gorm:"column:client_key;<-:create"`
	Name      string `gorm:"column:name"`
	PepperID  string `gorm:"column:pepper_id;<-:create"`
	Digest    blob   `gorm:"column:digest;<-:create"`
	ExpiresAt int64  `gorm:"column:expires_at"`
	Created   int64  `gorm:"column:created_at;<-:create"`
}

func (*secretRow) TableName() string { return "client_secrets" }

func (r *secretRow) record() storage.ClientSecret {
	return storage.ClientSecret{
		ID: r.ID, Name: r.Name, Digest: storage.Digest{PepperID: r.PepperID, Sum: r.Digest},
		ExpiresAt: instant(r.ExpiresAt), CreatedAt: instant(r.Created),
	}
}

// AddClientSecret adds a secret to a client, which is not public from then on. Errors:
// storage.ErrNotFound for an unknown client, storage.ErrConflict for a secret ID in use,
// and storage.ErrTooMany if the client has limit secrets already, even if several are added
// at the same time. A limit of 0 means no limit.
func (s *Store) AddClientSecret(ctx context.Context, clientID string, secret storage.ClientSecret, limit int) error {
	if secret.CreatedAt.IsZero() {
		secret.CreatedAt = s.now()
	}
	row := secretRow{
		ID: secret.ID, ClientKey: clientKey(clientID), Name: secret.Name,
		PepperID: secret.Digest.PepperID, Digest: secret.Digest.Sum,
		ExpiresAt: micros(secret.ExpiresAt), Created: micros(secret.CreatedAt),
	}
	return s.InTx(ctx, func(ctx context.Context) error {
		if err := s.roomForSecret(ctx, row.ClientKey, limit); err != nil {
			return err
		}
		if err := s.writing(ctx).Create(&row).Error; err != nil {
			return s.wrap(ctx, "add client secret", err)
		}
		err := s.writing(ctx).Model(&clientRow{}).Where("id_key = ? AND public", row.ClientKey).Update("public", false).Error
		return s.changed(ctx, s.wrap(ctx, "end public client", err), configChange{clientChanged, row.ClientKey})
	})
}

// roomForSecret returns storage.ErrTooMany if the client has limit secrets already. It
// locks the client, so that concurrent callers count each other's secrets.
func (s *Store) roomForSecret(ctx context.Context, key string, limit int) error {
	if limit == 0 {
		return nil
	}
	if _, err := locked[clientRow](ctx, s, "client", "id_key = ?", key); err != nil {
		return err
	}
	var n int64
	err := s.reading(ctx).Model(&secretRow{}).Where("client_key = ?", key).Count(&n).Error
	if err == nil && n >= int64(limit) {
		err = storage.ErrTooMany
	}
	return s.wrap(ctx, "add client secret", err)
}

// ChangeClientSecret calls change with a secret, stores its new name and expiry, and
// returns the secret. The secret is locked meanwhile. Errors: storage.ErrNotFound for an
// unknown secret, and the error of change.
func (s *Store) ChangeClientSecret(
	ctx context.Context, clientID, secretID string, change func(*storage.ClientSecret) error,
) (secret storage.ClientSecret, err error) {
	err = s.InTx(ctx, func(ctx context.Context) error {
		row, err := locked[secretRow](ctx, s, "client secret", "client_key = ? AND id = ?", clientKey(clientID), secretID)
		if err != nil {
			return err
		}
		secret = row.record()
		if err := change(&secret); err != nil {
			return err
		}
		row.Name, row.ExpiresAt = secret.Name, micros(secret.ExpiresAt)
		err = s.writing(ctx).Model(&row).Select("*").Updates(&row).Error
		return s.changed(ctx, s.wrap(ctx, "change client secret", err), configChange{clientChanged, clientKey(clientID)})
	})
	return secret, err
}

// DeleteClientSecret deletes a secret of a client or returns
// storage.ErrNotFound.
func (s *Store) DeleteClientSecret(ctx context.Context, clientID, secretID string) error {
	done := s.writing(ctx).Where("client_key = ? AND id = ?", clientKey(clientID), secretID).Delete(&secretRow{})
	err := affected(done.RowsAffected, done.Error, storage.ErrNotFound)
	return s.changed(ctx, s.wrap(ctx, "delete client secret", err), configChange{clientChanged, clientKey(clientID)})
}
