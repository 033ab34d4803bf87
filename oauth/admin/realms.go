package admin

import (
	"slices"

	"latchkey/storage"
)

// ChangeRealm returns nil if the caller may change a realm. The server's mails contain
// links to the redirect URIs, and everybody in the realm gets such mails. So a change
// of the redirect URIs needs FullAccess. The other settings concern account members
// only.
func (r *Rules) ChangeRealm(caller Caller, before, after storage.Realm) error {
	if slices.Equal(before.RedirectURIs, after.RedirectURIs) {
		return nil
	}
	return caller.Require([]string{RoleFullAccess})
}
