package wire

import (
	"encoding/json"
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Buyer is an organisation that buys.
type Buyer struct {
	ID               string
	Name             string
	Active           *bool           // default true
	DefaultCatalogID *string         // catalogs do not exist here: accepted, not stored
	DateCreated      *time.Time      // read only
	XP               json.RawMessage `json:"xp"`
}

// Validate returns every fault of the buyer, as found at path.
func (b Buyer) Validate(path string) Faults { return validateAccount(path, b.ID, b.Name, b.XP) }

// validateAccount returns the faults of what buyers and suppliers have in common.
func validateAccount(path, id, name string, xp json.RawMessage) Faults {
	c := check{path: path}
	c.id("ID", id)
	c.required("Name", name)
	c.xp(xp)
	return c.faults
}

// ToRecord returns base with the members of the buyer.
func (b Buyer) ToRecord(base storage.Account) storage.Account {
	r := base
	r.Kind, r.ID, r.Name, r.Active, r.XP = storage.Buyer, b.ID, b.Name, surface.ValueOr(b.Active, true), b.XP
	return r
}

// BuyerFromRecord returns the account as the wire shows a buyer.
func BuyerFromRecord(r storage.Account) Buyer {
	return Buyer{ID: r.ID, Name: r.Name, Active: &r.Active, DateCreated: surface.Optional(r.CreatedAt), XP: present(r.XP)}
}
