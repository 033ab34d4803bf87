package admin

import (
	"slices"

	"latchkey/storage"
)

// ChangeRealm decides whether the caller may change a realm. Mails of the server
// link to the redirect URIs, and everybody in the realm gets such mails, so
// another list of those takes FullAccess. The other settings concern account
// members only.
func (r *Rules) ChangeRealm(caller Caller, before, after storage.Realm) error {
	if slices.Equal(before.RedirectURIs, after.RedirectURIs) {
		return nil
	}
	return caller.Require([]string{RoleFullAccess})
}
