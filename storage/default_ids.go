package storage

// The IDs of the store and of the default records in the Elastic Path dialect,
// where every ID is a UUID. The database and all other APIs use DefaultRealmID and
// DefaultProfileID.
const (
	StoreUUID          = "9ee6b362-9b8c-4356-9451-99ab52a5754d"
	defaultRealmUUID   = "92a9dafd-03fd-474b-a361-a25fff160964"
	defaultProfileUUID = "f983bc94-5631-466a-9f29-d847dc1c0a21"
)

// RealmUUID returns the ID of a realm in the Elastic Path dialect. It is the
// stored ID, except for the default realm.
func RealmUUID(id string) string { return replaced(id, DefaultRealmID, defaultRealmUUID) }

// RealmID returns the stored ID of a realm. id is either of the two IDs.
func RealmID(id string) string { return replaced(id, defaultRealmUUID, DefaultRealmID) }

// PasswordProfileUUID returns the ID of a password profile in the Elastic Path
// dialect. It is the stored ID, except for the default profile.
func PasswordProfileUUID(id string) string { return replaced(id, DefaultProfileID, defaultProfileUUID) }

// PasswordProfileID returns the stored ID of a password profile. id is either of
// the two IDs.
func PasswordProfileID(id string) string { return replaced(id, defaultProfileUUID, DefaultProfileID) }

// replaced returns to if id is from, and id otherwise.
func replaced(id, from, to string) string {
	if id == from {
		return to
	}
	return id
}
