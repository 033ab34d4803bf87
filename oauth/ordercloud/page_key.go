package ordercloud

import (
	"encoding/base64"
	"maps"
	"strings"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/storage"
)

// firstPageKey is the key of the first page of every list. A list that is read from there
// by keys is not counted: its total is a lower bound until the last page.
const firstPageKey = "first"

// pageKeyContext returns the additional data that a page key is sealed with: the list, its
// filters and its order. A key contains values of a record. It is sealed so that callers
// cannot choose these values or use the key for another list.
func (c *call) pageKeyContext() string {
	values := maps.Clone(c.values)
	for _, name := range []string{"page", "pageKey", "pageSize"} {
		values.Del(name)
	}
	return "page key of " + c.URL.Path + "?" + values.Encode()
}

// sealPageKey returns Meta.NextPageKey for storage.Page.Next.
func (c *call) sealPageKey(next string) (string, error) {
	sealed, err := c.api.cfg.Sealer.Seal([]byte(next), c.pageKeyContext())
	return sealed.KeyID + "." + base64.RawURLEncoding.EncodeToString(sealed.Data), err
}

// openPageKey returns storage.Query.After for the parameter pageKey.
func (c *call) openPageKey(key string) (string, error) {
	id, text, _ := strings.Cut(key, ".")
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		data, err = c.api.cfg.Sealer.Open(storage.Sealed{KeyID: id, Data: data}, c.pageKeyContext())
	}
	if err != nil {
		return "", wire.Faults{{Path: "pageKey", Problem: "is not the NextPageKey of this list with these filters and this order"}}
	}
	return string(data), nil
}
