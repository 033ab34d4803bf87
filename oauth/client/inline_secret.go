package client

import (
	"io"
	"time"

	"latchkey/grants"
	"latchkey/storage"
)

// MaxSecrets is how many secrets a client may have (OrderCloud).
const MaxSecrets = 10

// InlineSecretName is the name of the secret that ClientSecret sets: the member of
// the API client and of files of configuration.
const InlineSecretName = "ClientSecret"

// InlineSecret returns what a ClientSecret in a client's own description changes:
// the record of the secret, and the IDs of the earlier secrets of the name
// InlineSecretName, which it replaces. If the client has the secret already,
// whatever its name, nothing changes and fresh is nil. The error is that of random.
func InlineSecret(
	d grants.Digester, random io.Reader, c storage.Client, secret string, now time.Time,
) (fresh *storage.ClientSecret, replaced []string, err error) {
	if grants.MatchClientSecret(d, &c, secret, now) {
		return nil, nil, nil
	}
	for _, old := range c.Secrets {
		if old.Name == InlineSecretName {
			replaced = append(replaced, old.ID)
		}
	}
	id, err := storage.NewID(random, "")
	return &storage.ClientSecret{
		ID: id, Name: InlineSecretName, Digest: grants.DigestClientSecret(d, c.ID, secret), CreatedAt: now.UTC(),
	}, replaced, err
}
