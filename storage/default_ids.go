package storage

// The ids of the store and of the preset records in Elastic Path's dialect, where
// every id is a UUID. The records are stored as DefaultRealmID and
// DefaultProfileID, which name them in all other places.
const (
	StoreUUID          = "9ee6b362-9b8c-4356-9451-99ab52a5754d"
	defaultRealmUUID   = "92a9dafd-03fd-474b-a361-a25fff160964"
	defaultProfileUUID = "f983bc94-5631-466a-9f29-d847dc1c0a21"
)

// RealmUUID returns the id of a realm in Elastic Path's dialect. It is the stored
// one, except for the preset realm.
func RealmUUID(id string) string { return swapped(id, DefaultRealmID, defaultRealmUUID) }

// RealmID returns the stored id of the realm that either id names.
func RealmID(id string) string { return swapped(id, defaultRealmUUID, DefaultRealmID) }

// PasswordProfileUUID returns the id of a password profile in Elastic Path's
// dialect. It is the stored one, except for the preset profile.
func PasswordProfileUUID(id string) string { return swapped(id, DefaultProfileID, defaultProfileUUID) }

// PasswordProfileID returns the stored id of the password profile that either id
// names.
func PasswordProfileID(id string) string { return swapped(id, defaultProfileUUID, DefaultProfileID) }

func swapped(id, from, to string) string {
	if id == from {
		return to
	}
	return id
}
