package elasticpath

import (
	"net/http"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

const maxAncestors = 32 // of an account that are shown

var accountList = byTime(map[string]filterable{
	"id":              {record: "ID", ops: "lt le eq gt ge in"},
	"name":            {record: "Name", ops: textOps},
	"legal_name":      {record: "LegalName", ops: textOps},
	"registration_id": {record: "RegistrationID", ops: textOps},
	"external_ref":    {record: "ExternalRef", ops: textOps},
}, "name")

// accounts is the resource account.
type accounts struct{}

func (accounts) kind() string { return wire.TypeAccount }

// find returns the account that the path names. A member finds only the account of its token.
func (accounts) find(c *call) (storage.Account, error) {
	id, ok := c.id("account")
	if !ok {
		return storage.Account{}, notFound("account")
	}
	kind := storage.Buyer
	if c.holder != nil {
		own := c.holder.Member.Account
		if own.ID != id {
			return own, notFound("account")
		}
		kind = own.Kind
	}
	r, err := c.cfg.Accounts.Account(c.Context(), wire.SettingsRealm, kind, id)
	return r, orNotFound(err, "account")
}

func (accounts) show(c *call, r storage.Account) (any, string, error) {
	shown, err := showAccount(c, r, accountCache{})
	return shown, wire.AccountPath(r.ID), err
}

func (accounts) key(r storage.Account) (string, int64) { return r.ID, r.Version }

func (accounts) put(c *call, r storage.Account) (storage.Account, error) {
	return c.cfg.Accounts.PutAccount(c.Context(), r)
}

// accountCache holds the ancestors that were read for one answer, by their UIDs.
type accountCache map[string]storage.Account

func showAccount(c *call, r storage.Account, known accountCache) (wire.Account, error) {
	var ancestors []storage.Account
	for above := r.ParentUID; above != "" && len(ancestors) < maxAncestors; {
		parent, ok := known[above]
		if !ok {
			var err error
			if parent, err = c.cfg.Accounts.AccountByUID(c.Context(), above); err != nil {
				return wire.Account{}, err
			}
			known[above] = parent
		}
		ancestors = append(ancestors, parent)
		above = parent.ParentUID
	}
	return wire.AccountFromRecord(r, ancestors), nil
}

func listedAccount(c *call, r storage.Account, known accountCache) (wire.Account, error) {
	shown, err := showAccount(c, r, known)
	shown.Links = &wire.Links{Self: c.base + wire.AccountPath(r.ID)}
	return shown, err
}

// listAccounts lists all accounts. A member sees only the account of its token.
func listAccounts(c *call) (surface.Answer, error) {
	fetch := func(q storage.Query) (storage.Page[storage.Account], error) {
		kind := storage.Buyer
		if c.holder != nil {
			own := c.holder.Member.Account
			kind, q.Where = own.Kind, append(q.Where, equals("ID", own.ID))
		}
		return c.cfg.Accounts.ListAccounts(c.Context(), wire.SettingsRealm, kind, q)
	}
	known := accountCache{}
	return list(c, accountList, fetch, func(r storage.Account) (wire.Account, error) { return listedAccount(c, r, known) })
}

func postAccount(c *call) (surface.Answer, error) {
	var body wire.AccountBody
	if _, err := c.read(&body, wire.TypeAccount); err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(true); err != nil {
		return surface.Answer{}, err
	}
	r, err := storage.NewBuyer(c.cfg.Rand, wire.SettingsRealm, *body.Name)
	if err != nil {
		return surface.Answer{}, err
	}
	body.Apply(&r, nil)
	if r.ParentUID, err = findParent(c, body.ParentID); err != nil {
		return surface.Answer{}, err
	}
	if err := checkRegistrationID(c, r); err != nil {
		return surface.Answer{}, err
	}
	r.Version = storage.MustBeNew
	if r, err = (accounts{}).put(c, r); err != nil {
		return surface.Answer{}, err
	}
	return created(c, accounts{}, r)
}

// findParent returns the UID of the parent of a new account, empty if id is nil.
func findParent(c *call, id *string) (uid string, err error) {
	if id == nil {
		return "", nil
	}
	r, err := c.cfg.Accounts.Account(c.Context(), wire.SettingsRealm, storage.Buyer, *id)
	return r.UID, orNotFound(err, "parent account")
}

// checkRegistrationID refuses a registration id that another account has.
func checkRegistrationID(c *call, r storage.Account) error {
	if r.RegistrationID == "" {
		return nil
	}
	same := storage.Query{Limit: 2, Where: []storage.Condition{equals("RegistrationID", r.RegistrationID)}}
	found, err := c.cfg.Accounts.ListAccounts(c.Context(), wire.SettingsRealm, storage.Buyer, same)
	if err != nil {
		return err
	}
	for _, other := range found.Items {
		if other.UID != r.UID {
			return refuse(http.StatusConflict, "account with the given registration id already exists")
		}
	}
	return nil
}

func getAccount(c *call) (surface.Answer, error) { return get(c, accounts{}) }

func putAccount(c *call) (surface.Answer, error) {
	var body wire.AccountBody
	sent, err := c.read(&body, wire.TypeAccount)
	if err != nil {
		return surface.Answer{}, err
	}
	if err := body.Check(false); err != nil {
		return surface.Answer{}, err
	}
	before, stored, err := rewrite(c, accounts{}, func(r storage.Account) (storage.Account, error) {
		body.Apply(&r, sent)
		if err := checkParent(c, r, body.ParentID); err != nil {
			return r, err
		}
		return r, checkRegistrationID(c, r)
	})
	if err != nil {
		return surface.Answer{}, err
	}
	return updated(c, accounts{}, before, stored)
}

// checkParent refuses another parent than the account has.
func checkParent(c *call, r storage.Account, id *string) error {
	if id == nil {
		return nil
	}
	uid, err := findParent(c, id)
	if err == nil && uid != r.ParentUID {
		err = refuse(http.StatusUnprocessableEntity, "parent_id cannot be changed")
	}
	return err
}

func deleteAccount(c *call) (surface.Answer, error) {
	anyAccount := func(storage.Account) error { return nil }
	return remove(c, accounts{}, "account", anyAccount, func(r storage.Account, version int64) error {
		return c.cfg.Accounts.DeleteAccount(c.Context(), r.UID, version)
	})
}
