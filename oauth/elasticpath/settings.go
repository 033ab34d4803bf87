package elasticpath

import (
	"cmp"
	"net/http"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

const (
	settingsPath           = "/v2/settings/account-authentication"
	membershipSettingsPath = "/v2/settings/account-membership"
	storeSettingsPath      = "/v2/settings"
)

// settings is the resource account authentication settings. Its record is the realm
// that they belong to.
type settings struct{ realms }

func (settings) kind() string { return wire.TypeSettings }

func (settings) find(c *call) (storage.Realm, error) {
	return c.cfg.Realms.Realm(c.Context(), wire.SettingsRealm)
}

func (settings) show(c *call, r storage.Realm) (any, string, error) {
	return wire.SettingsFromRecord(r, c.base), settingsPath, nil
}

func getSettings(c *call) (surface.Answer, error) { return get(c, settings{}) }

func putSettings(c *call) (surface.Answer, error) {
	var body wire.SettingsChange
	if _, err := c.read(&body, wire.TypeSettings); err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(); err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, settings{}, changeRealm(c, body.Apply))
	if err != nil {
		return surface.Answer{}, err
	}
	return updated(c, settings{}, before, stored)
}

func getStoreSettings(c *call) (surface.Answer, error) {
	shown := wire.StoreSettings{
		Type: wire.TypeStoreSettings, PageLength: defaultPageLimit, PageOffsetLimit: maxPageOffset,
		FilterLimit: maxFilters, EventLimit: wire.MaxObserved, AdditionalLanguages: []string{},
	}
	return document(c, http.StatusOK, shown, storeSettingsPath, 0), nil
}

func getMembershipSettings(c *call) (surface.Answer, error) {
	shown := wire.MembershipSettings{Type: wire.TypeMembershipSettings, Limit: wire.MembershipLimit}
	return document(c, http.StatusOK, shown, membershipSettingsPath, 0), nil
}

func putMembershipSettings(c *call) (surface.Answer, error) {
	if wanted, err := surface.IfMatch(c.Header); err != nil || wanted != 0 {
		return surface.Answer{}, cmp.Or(err, storage.ErrStale) // the settings have no entity tag
	}
	var body wire.MembershipSettingsChange
	if _, err := c.read(&body, wire.TypeMembershipSettings); err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(); err != nil {
		return surface.Answer{}, err
	}
	return getMembershipSettings(c)
}
