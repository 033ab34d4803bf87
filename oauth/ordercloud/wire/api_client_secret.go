package wire

import (
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// ApiClientSecret is one of a client's secrets.
type ApiClientSecret struct {
	ID           string     // read only
	Name         string     // for people
	Expiration   *time.Time // null: never
	ClientSecret *string    `json:",omitempty"` // read only; shown once, in the answer to its creation
}

// ApiClientSecretFromRecord returns the secret as OrderCloud shows it, without its value.
func ApiClientSecretFromRecord(r storage.ClientSecret) ApiClientSecret {
	return ApiClientSecret{ID: r.ID, Name: r.Name, Expiration: surface.Optional(r.ExpiresAt)}
}

// Validate returns the faults of a secret that is created or changed, as found at
// path.
func (s ApiClientSecret) Validate(path string) Faults {
	c := check{path: path}
	c.text("Name", s.Name)
	if s.ClientSecret != nil {
		c.fail("ClientSecret", "is made by the server; to choose one, set ClientSecret of the client")
	}
	return c.faults
}
