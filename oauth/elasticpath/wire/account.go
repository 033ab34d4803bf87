package wire

import (
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// TypeAccount is the type of an account.
const TypeAccount = "account"

// AccountBody is an account as it is sent. An absent member keeps its value; null
// empties a member that may be empty.
type AccountBody struct {
	Type           *string `json:"type"`
	Name           *string `json:"name"` // required for a new account
	LegalName      *string `json:"legal_name"`
	RegistrationID *string `json:"registration_id"` // unique
	ExternalRef    *string `json:"external_ref"`
	ParentID       *string `json:"parent_id"` // of a new account only
}

// Account is an organisation.
type Account struct {
	ID             string               `json:"id"`
	Type           string               `json:"type"`
	Name           string               `json:"name"`
	LegalName      string               `json:"legal_name"`
	RegistrationID string               `json:"registration_id"`
	ExternalRef    *string              `json:"external_ref"`
	ParentID       string               `json:"parent_id,omitempty"`
	Relationships  AccountRelationships `json:"relationships"`
	Meta           Timestamps           `json:"meta"`
	Links          *Links               `json:"links,omitempty"` // in lists
}

// AccountRelationships lead to the accounts above an account. There are no account
// tags here.
type AccountRelationships struct {
	Tags      Relations `json:"account_tags"`
	Ancestors Relations `json:"ancestors"`
	Parent    *Relation `json:"parent,omitempty"`
}

// AccountPath returns the path of an account.
func AccountPath(id string) string { return "/v2/accounts/" + id }

// Check returns an *InvalidError if a member is wrong, or required and absent.
func (b AccountBody) Check(isNew bool) error {
	var c Check
	c.filled("name", b.Name, isNew)
	c.text("legal_name", b.LegalName, surface.MaxText)
	c.text("registration_id", b.RegistrationID, surface.MaxText)
	c.text("external_ref", b.ExternalRef, maxReference)
	c.filled("parent_id", b.ParentID, false)
	return c.Err()
}

// Apply writes what was sent into the account, except the parent. sent may be nil
// for a new account.
func (b AccountBody) Apply(a *storage.Account, sent Members) {
	surface.Overwrite(&a.Name, b.Name)
	takeNullable(&a.LegalName, b.LegalName, sent, "legal_name")
	takeNullable(&a.RegistrationID, b.RegistrationID, sent, "registration_id")
	takeNullable(&a.ExternalRef, b.ExternalRef, sent, "external_ref")
}

// AccountFromRecord returns an account as it is shown. ancestors are the accounts
// above it, its parent first.
func AccountFromRecord(r storage.Account, ancestors []storage.Account) Account {
	shown := Account{
		ID: r.ID, Type: TypeAccount, Name: r.Name, LegalName: r.LegalName, RegistrationID: r.RegistrationID,
		ExternalRef: surface.Optional(r.ExternalRef), Meta: timestamps(r.CreatedAt, r.UpdatedAt),
		Relationships: AccountRelationships{Tags: Relations{Data: []Reference{}}, Ancestors: Relations{Data: []Reference{}}},
	}
	for _, above := range ancestors {
		shown.Relationships.Ancestors.Data = append(shown.Relationships.Ancestors.Data, Reference{ID: above.ID, Type: TypeAccount})
	}
	if above := shown.Relationships.Ancestors.Data; len(above) > 0 {
		shown.ParentID, shown.Relationships.Parent = above[0].ID, &Relation{Data: &above[0]}
	}
	return shown
}
