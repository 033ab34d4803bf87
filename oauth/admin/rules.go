package admin

import (
	"context"
	"errors"

	"latchkey/storage"
)

// Store reads the records that the rules need; *gormstore.Store is one. In a
// transaction it reads the stored records, not a cache.
type Store interface {
	// Principal returns the login of the key with its user and roles. Known is false
	// if there is none.
	Principal(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// Senders returns all message senders and integrations.
	Senders(ctx context.Context) ([]storage.Sender, error)
	// RolesOfParty returns the roles that the security profiles of a party give.
	RolesOfParty(ctx context.Context, party storage.Party) ([]string, error)
	// AdminRoles returns the roles of an admin user; none for other users.
	AdminRoles(ctx context.Context, userUID string) ([]string, error)
	// AdminRolesOfPasswordProfile returns the roles of all admin users who sign in
	// by the password profile.
	AdminRolesOfPasswordProfile(ctx context.Context, profileID string) ([]string, error)
	// AdminRolesOfSecurityProfile returns the roles of the admin users to whom the
	// security profile is assigned; all reports whether all admin users have it.
	AdminRolesOfSecurityProfile(ctx context.Context, id string) (roles []string, all bool, err error)
}

// Rules has a method for each kind of change. It returns nil, or a *Denied.
type Rules struct{ store Store }

// New returns the rules over a store.
func New(store Store) (*Rules, error) {
	if store == nil {
		return nil, errors.New("admin: a store is required")
	}
	return &Rules{store: store}, nil
}
