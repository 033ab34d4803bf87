package gormstore

import (
	"context"
	"fmt"

	"latchkey/storage"
)

// sealedPlace is where sealed secrets of a kind are stored.
type sealedPlace struct {
	table, key  string
	data, keyID string
	versioned   bool // an update of a record read earlier must not write the old secret back
}

// sealedPlaces has every kind of secret; a test compares it with the schema.
func sealedPlaces() map[storage.SealedKind]sealedPlace {
	return map[storage.SealedKind]sealedPlace{
		storage.SealedSigningKey:     {"signing_keys", "kid", "private", "private_key_id", false},
		storage.SealedPepper:         {"peppers", "id", "secret", "secret_key_id", false},
		storage.SealedSharedKey:      {"senders", "id", "shared_key", "shared_key_key_id", true},
		storage.SealedSigningSecrets: {"senders", "id", "signing_secrets", "signing_secrets_key_id", true},
		storage.SealedSMTPPassword:   {"senders", "id", "smtp_password", "smtp_password_key_id", true},
		storage.SealedDeliverySecret: {"delivery_configs", "id", "secret", "secret_key_id", true},
		storage.SealedDeliveryHeader: {"delivery_configs", "id", "custom_auth_header", "custom_auth_header_key_id", true},
		storage.SealedMessage:        {"messages", "id", "payload", "payload_key_id", false},
		storage.SealedAnswer:         {"kept_answers", "id", "answer", "answer_key_id", false},
	}
}

func (s *Store) sealedPlace(kind storage.SealedKind) (sealedPlace, error) {
	place, ok := sealedPlaces()[kind]
	if !ok {
		return place, fmt.Errorf("no sealed secrets of kind %q", kind)
	}
	return place, nil
}

type sealedCountRow struct {
	KeyID string `gorm:"column:key_id"`
	Count int64  `gorm:"column:n"`
}

// CountSealed counts the secrets of each kind that each master key seals. Kinds
// without a secret are left out.
func (s *Store) CountSealed(ctx context.Context) ([]storage.SealedCount, error) {
	var counts []storage.SealedCount
	for _, kind := range storage.SealedKinds() {
		p, err := s.sealedPlace(kind)
		if err != nil {
			return nil, err
		}
		rows, err := query[sealedCountRow](ctx, s, "count sealed secrets",
			"SELECT "+p.keyID+" AS key_id, COUNT(*) AS n FROM "+p.table+" WHERE "+p.keyID+" <> '' GROUP BY "+p.keyID+" ORDER BY 1")
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			counts = append(counts, storage.SealedCount{Kind: kind, KeyID: r.KeyID, Count: int(r.Count)})
		}
	}
	return counts, nil
}

type sealedRow struct {
	ID    string `gorm:"column:id"`
	KeyID string `gorm:"column:key_id"`
	Data  blob   `gorm:"column:data"`
}

// SealedOtherwise lists up to limit secrets of the kind that are sealed with a master key
// other than keyID. They are in the order of the records' ids, and begin after the id after
// (empty: with the first record).
func (s *Store) SealedOtherwise(ctx context.Context, kind storage.SealedKind, keyID, after string, limit int) ([]storage.SealedSecret, error) {
	p, err := s.sealedPlace(kind)
	if err != nil {
		return nil, err
	}
	rows, err := query[sealedRow](ctx, s, "sealed secrets",
		"SELECT "+p.key+" AS id, "+p.keyID+" AS key_id, "+p.data+" AS data FROM "+p.table+
			" WHERE "+p.key+" > ? AND "+p.keyID+" <> '' AND "+p.keyID+" <> ? ORDER BY "+p.key+" LIMIT CAST(? AS BIGINT)",
		after, keyID, limit)
	secrets := make([]storage.SealedSecret, 0, len(rows))
	for _, r := range rows {
		secrets = append(secrets, storage.SealedSecret{Kind: kind, ID: r.ID, Sealed: sealed(r.KeyID, r.Data)})
	}
	return secrets, err
}

// Reseal replaces a sealed secret by the same secret under another key, unless the
// stored one differs from was: then it changes nothing and returns false.
func (s *Store) Reseal(ctx context.Context, was storage.SealedSecret, now storage.Sealed) (bool, error) {
	p, err := s.sealedPlace(was.Kind)
	if err != nil {
		return false, err
	}
	set := p.keyID + " = ?, " + p.data + " = ?"
	if p.versioned {
		set += ", version = version + 1"
	}
	n, err := s.exec(ctx, "reseal "+string(was.Kind),
		"UPDATE "+p.table+" SET "+set+" WHERE "+p.key+" = ? AND "+p.keyID+" = ? AND "+p.data+" = ?",
		now.KeyID, blob(now.Data), was.ID, was.Sealed.KeyID, blob(was.Sealed.Data))
	return n > 0, s.changed(ctx, err, configChange{p.table, was.ID}, configChange{p.table, ""})
}
