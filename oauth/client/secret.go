package client

import (
	"fmt"
	"io"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

// GenerateSecret makes a client secret of 256 random bits and the record that
// is kept of it. A zero expires means never. It fails only if random does.
func GenerateSecret(
	d grants.Digester, random io.Reader, clientID, name string, expires, now time.Time,
) (value string, kept storage.ClientSecret, err error) {
	if value, err = storage.NewSecret(random); err != nil {
		return "", storage.ClientSecret{}, fmt.Errorf("new client secret: %w", err)
	}
	id, err := storage.NewID(random, "")
	return value, storage.ClientSecret{
		ID: id, Name: name, Digest: grants.DigestClientSecret(d, clientID, value), ExpiresAt: expires, CreatedAt: now.UTC(),
	}, err
}
