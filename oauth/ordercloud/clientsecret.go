package ordercloud

import (
	"io"
	"time"

	"latchkey/grants"
	"latchkey/oauth/client"
	"latchkey/storage"
)

// MaxClientSecrets is how many secrets a client may have (OrderCloud).
const MaxClientSecrets = 10

// InlineSecretName is the name of the secret that a client's member
// ClientSecret says, whoever writes it.
const InlineSecretName = "ClientSecret"

// GenerateClientSecret makes a secret of 256 random bits and what is kept of
// it. The zero value of expires is never. It fails only if random does.
func GenerateClientSecret(
	d grants.Digester, random io.Reader, clientID, name string, expires, now time.Time,
) (value string, kept storage.ClientSecret, err error) {
	return client.GenerateSecret(d, random, clientID, name, expires, now)
}

// InlineClientSecret returns what becomes of a client's member ClientSecret:
// what is kept of it, and the IDs of the client's secrets that it takes the
// place of. Nothing becomes of it if the client has that secret already,
// whatever its name. It fails only if random does.
func InlineClientSecret(
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
	kept, err := keptSecret(d, random, c.ID, secret, now)
	kept.Name = InlineSecretName
	return &kept, replaced, err
}

func keptSecret(d grants.Digester, random io.Reader, clientID, secret string, now time.Time) (storage.ClientSecret, error) {
	id, err := storage.NewID(random, "")
	return storage.ClientSecret{ID: id, Digest: grants.DigestClientSecret(d, clientID, secret), CreatedAt: now.UTC()}, err
}
