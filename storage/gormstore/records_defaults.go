package gormstore

import (
	"context"

	"latchkey/storage"
)

// addDefaults adds the default realm and the default password profile if they are missing.
// It does not change existing ones, so that an administrator's changes survive the next
// start.
func (s *Store) addDefaults(ctx context.Context) error {
	realm := realmRowOf(storage.Realm{ID: storage.DefaultRealmID, Name: "Default"})
	if err := addMissing(ctx, s, "default realm", &realm); err != nil {
		return err
	}
	profile := passwordProfileRowOf(defaultProfile())
	return addMissing(ctx, s, "default password profile", &profile)
}

// defaultProfile returns the password profile of a new database.
func defaultProfile() storage.PasswordProfile {
	p := storage.NewPasswordProfile(storage.DefaultProfileID, storage.DefaultRealmID)
	p.Name, p.OneTimeCodes = "Default", true
	return p
}
