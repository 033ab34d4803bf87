package wire

import (
	"encoding/json"
	"time"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Supplier is an organisation that sells through the marketplace.
type Supplier struct {
	ID                string
	Name              string
	Active            *bool           // default true
	AllBuyersCanOrder bool            // orders do not exist here: accepted, not stored
	DateCreated       *time.Time      // read only
	XP                json.RawMessage `json:"xp"`
}

// Validate returns every fault of the supplier, as found at path.
func (s Supplier) Validate(path string) Faults { return validateAccount(path, s.ID, s.Name, s.XP) }

// ToRecord returns base with the members of the supplier.
func (s Supplier) ToRecord(base storage.Account) storage.Account {
	r := base
	r.Kind, r.ID, r.Name, r.Active, r.XP = storage.Supplier, s.ID, s.Name, surface.ValueOr(s.Active, true), s.XP
	return r
}

// SupplierFromRecord returns the account as the wire shows a supplier.
func SupplierFromRecord(r storage.Account) Supplier {
	return Supplier{ID: r.ID, Name: r.Name, Active: &r.Active, DateCreated: surface.Optional(r.CreatedAt), XP: present(r.XP)}
}
