package admin

import (
	"errors"

	"latchkey/storage"
)

// ErrSelfManagementDisabled says that the members of a realm may not manage
// themselves.
var ErrSelfManagementDisabled = errors.New("members of the realm may not manage themselves")

// ManageSelf decides whether account members of the realm may see and change their own
// user and logins. What a single sign-in lets them change is decided by its token.
func ManageSelf(realm storage.Realm) error {
	if realm.SelfManagement != storage.SelfManagementUpdate {
		return ErrSelfManagementDisabled
	}
	return nil
}
