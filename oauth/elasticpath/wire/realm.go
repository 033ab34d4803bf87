package wire

import (
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// The type of an authentication realm, in both spellings that clients send.
const (
	TypeRealm           = "authentication-realm"
	TypeRealmUnderscore = "authentication_realm"
)

// TypeSettings is the type of the account authentication settings.
const TypeSettings = "account_authentication_settings"

// SettingsRealm is the id of the realm that the account authentication settings
// belong to.
const SettingsRealm = storage.DefaultRealmID

// RealmChange is what can be changed about an authentication realm. An absent
// member keeps its value.
type RealmChange struct {
	Type                 *string  `json:"type"`
	Name                 *string  `json:"name"`
	RedirectURIs         []string `json:"redirect_uris"`
	DuplicateEmailPolicy *string  `json:"duplicate_email_policy"` // allowed, api_only or disallowed
}

// Realm is an authentication realm.
type Realm struct {
	ID                   string             `json:"id"`
	Type                 string             `json:"type"`
	Name                 string             `json:"name"`
	RedirectURIs         []string           `json:"redirect_uris"`
	DuplicateEmailPolicy string             `json:"duplicate_email_policy"`
	Relationships        RealmRelationships `json:"relationships"`
	Meta                 Times              `json:"meta"`
	Links                *Links             `json:"links,omitempty"` // in lists
}

// RealmRelationships lead to the settings that the realm was created for.
type RealmRelationships struct {
	Origin Relation `json:"origin"`
}

// RealmPath returns the path of a realm.
func RealmPath(id string) string { return "/v2/authentication-realms/" + storage.RealmUUID(id) }

// Check returns an *InvalidError if a member is wrong.
func (b RealmChange) Check() error {
	var c Check
	c.filled("name", b.Name, false)
	c.redirectURIs("redirect_uris", b.RedirectURIs)
	c.oneOf("duplicate_email_policy", b.DuplicateEmailPolicy, "allowed", "api_only", "disallowed")
	return c.Err()
}

// Apply writes what was sent into the realm.
func (b RealmChange) Apply(r *storage.Realm) {
	surface.Overwrite(&r.Name, b.Name)
	surface.Overwrite(&r.DuplicateEmailPolicy, b.DuplicateEmailPolicy)
	if b.RedirectURIs != nil {
		r.RedirectURIs = b.RedirectURIs
	}
}

// RealmFromRecord returns a realm as it is shown.
func RealmFromRecord(r storage.Realm) Realm {
	shown := Realm{
		ID: storage.RealmUUID(r.ID), Type: TypeRealm, Name: r.Name, RedirectURIs: orEmpty(r.RedirectURIs),
		DuplicateEmailPolicy: r.DuplicateEmailPolicy, Meta: times(r.CreatedAt, r.UpdatedAt),
	}
	if shown.DuplicateEmailPolicy == "" {
		shown.DuplicateEmailPolicy = "allowed"
	}
	if r.ID == SettingsRealm {
		shown.Relationships.Origin.Data = &Reference{ID: storage.RealmUUID(r.ID), Type: TypeSettings}
	}
	return shown
}
