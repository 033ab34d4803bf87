package admin

import (
	"errors"

	"latchkey/storage"
)

// ErrSelfManagementDisabled says that the members of a realm may not manage
// themselves.
var ErrSelfManagementDisabled = errors.New("members of the realm may not manage themselves")

// ManageSelf returns ErrSelfManagementDisabled unless account members of the realm may see
// and change their own user and logins. Which sign-ins allow a change of credentials is
// decided by AccountHolder.MayChangeCredentials of package token.
func ManageSelf(realm storage.Realm) error {
	if realm.SelfManagement != storage.SelfManagementUpdate {
		return ErrSelfManagementDisabled
	}
	return nil
}
