package elasticpath

import (
	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// listOIDCProfiles lists the OpenID Connect profiles of a realm, of which there are
// none.
func listOIDCProfiles(c *call) (surface.Answer, error) {
	if _, err := (realms{}).find(c); err != nil {
		return surface.Answer{}, err
	}
	return listNothing[wire.OIDCProfile](c)
}

// listOIDCLogins lists the OpenID Connect subjects of a user, of which there are none.
func listOIDCLogins(c *call) (surface.Answer, error) {
	if _, err := (users{}).find(c); err != nil {
		return surface.Answer{}, err
	}
	return listNothing[wire.OIDCLogin](c)
}

// listAccountTags lists the account tags, of which there are none.
func listAccountTags(c *call) (surface.Answer, error) { return listNothing[wire.AccountTag](c) }

// listNothing answers an empty page. The parameters are checked like those of other
// lists.
func listNothing[T any](c *call) (surface.Answer, error) {
	l := byTime(map[string]filterable{"name": {record: "Name", ops: textOps}}, "name")
	fetch := func(storage.Query) (storage.Page[T], error) { return storage.Page[T]{}, nil }
	return list(c, l, fetch, func(item T) (T, error) { return item, nil })
}
