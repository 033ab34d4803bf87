package elasticpath

import (
	"net/http"

	"latchkey/storage"
)

const (
	typeAccount = "account"
	maxDepth    = 32 // of ancestors that are shown
)

// AccountBody is an account as it is sent. What is left out stays; null empties
// what may be empty.
type AccountBody struct {
	Type           *string `json:"type"`
	Name           *string `json:"name"` // required for a new one
	LegalName      *string `json:"legal_name"`
	RegistrationID *string `json:"registration_id"` // unique
	ExternalRef    *string `json:"external_ref"`
	ParentID       *string `json:"parent_id"` // of a new one only
}

// Account is an organisation.
type Account struct {
	ID             string               `json:"id"`
	Type           string               `json:"type"`
	Name           string               `json:"name"`
	LegalName      string               `json:"legal_name"`
	RegistrationID string               `json:"registration_id"`
	ExternalRef    *string              `json:"external_ref"`
	ParentID       string               `json:"parent_id,omitempty"`
	Relationships  AccountRelationships `json:"relationships"`
	Meta           Timestamps           `json:"meta"`
	Links          *Links               `json:"links,omitempty"` // in lists
}

// AccountRelationships lead to the accounts that an account is part of. There
// are no account tags here.
type AccountRelationships struct {
	Tags      Relations `json:"account_tags"`
	Ancestors Relations `json:"ancestors"`
	Parent    *Relation `json:"parent,omitempty"`
}

var accountList = byTime(map[string]filterable{
	"id":              {record: "ID", ops: "lt le eq gt ge in"},
	"name":            {record: "Name", ops: peopleOps},
	"legal_name":      {record: "LegalName", ops: peopleOps},
	"registration_id": {record: "RegistrationID", ops: peopleOps},
	"external_ref":    {record: "ExternalRef", ops: peopleOps},
}, "name")

func accountPath(id string) string { return "/v2/accounts/" + id }

func (b AccountBody) check(isNew bool) error {
	var c check
	c.filled("name", b.Name, isNew)
	c.text("legal_name", b.LegalName, maxText)
	c.text("registration_id", b.RegistrationID, maxText)
	c.text("external_ref", b.ExternalRef, maxReference)
	c.filled("parent_id", b.ParentID, false)
	return c.err()
}

func (b AccountBody) apply(a *storage.Account, sent members) {
	take(&a.Name, b.Name)
	takeNullable(&a.LegalName, b.LegalName, sent, "legal_name")
	takeNullable(&a.RegistrationID, b.RegistrationID, sent, "registration_id")
	takeNullable(&a.ExternalRef, b.ExternalRef, sent, "external_ref")
}

// family remembers the accounts above others while one answer is made.
type family map[string]storage.Account

// account shows an account with those it is part of.
func (a *API) account(c *call, r storage.Account, known family) (Account, error) {
	shown := Account{
		ID: r.ID, Type: typeAccount, Name: r.Name, LegalName: r.LegalName, RegistrationID: r.RegistrationID,
		ExternalRef: orNil(r.ExternalRef), Meta: timestamps(r.CreatedAt, r.UpdatedAt),
		Relationships: AccountRelationships{Tags: Relations{Data: []Reference{}}, Ancestors: Relations{Data: []Reference{}}},
	}
	for above := r.ParentUID; above != "" && len(shown.Relationships.Ancestors.Data) < maxDepth; {
		parent, ok := known[above]
		if !ok {
			var err error
			if parent, err = a.cfg.Accounts.AccountByUID(c.Context(), above); err != nil {
				return shown, err
			}
			known[above] = parent
		}
		shown.Relationships.Ancestors.Data = append(shown.Relationships.Ancestors.Data, Reference{ID: parent.ID, Type: typeAccount})
		above = parent.ParentUID
	}
	if above := shown.Relationships.Ancestors.Data; len(above) > 0 {
		shown.ParentID, shown.Relationships.Parent = above[0].ID, &Relation{Data: &above[0]}
	}
	return shown, nil
}

func (a *API) accountReply(c *call, status int, r storage.Account) (reply, error) {
	shown, err := a.account(c, r, family{})
	return a.document(status, shown, accountPath(r.ID), r.Version), err
}

func (a *API) listAccounts(c *call) (reply, error) {
	q, err := accountList.query(c.values)
	if err != nil {
		return reply{}, err
	}
	kind := storage.Buyer
	if c.holder != nil { // a member sees the account that its token is scoped to
		own := c.holder.Member.Account
		kind, q.Where = own.Kind, append(q.Where, equals("ID", own.ID))
	}
	found, err := a.cfg.Accounts.ListAccounts(c.Context(), settingsRealm, kind, q)
	if err != nil {
		return reply{}, err
	}
	known := family{}
	shown := listOf(c, q, found, func(r storage.Account) (item Account) {
		if err == nil {
			item, err = a.account(c, r, known)
		}
		item.Links = &Links{Self: a.base + accountPath(r.ID)}
		return item
	})
	return shown, err
}

func (a *API) postAccount(c *call) (reply, error) {
	var body AccountBody
	if _, err := c.read(&body, typeAccount); err != nil {
		return reply{}, err
	}
	if err := body.check(true); err != nil {
		return reply{}, err
	}
	r, err := a.newAccount(*body.Name)
	if err != nil {
		return reply{}, err
	}
	body.apply(&r, nil)
	if r.ParentUID, err = a.parent(c, body.ParentID); err != nil {
		return reply{}, err
	}
	if err := a.registrationIsFree(c, r); err != nil {
		return reply{}, err
	}
	r.Version = storage.MustBeNew
	if r, err = a.cfg.Accounts.PutAccount(c.Context(), r); err != nil {
		return reply{}, err
	}
	done, err := a.accountReply(c, http.StatusCreated, r)
	done = done.changedFrom(nil)
	a.record(c, typeAccount, "created", r.ID, done.changed...)
	return done, err
}

// newAccount returns an account of that name in the realm of the settings.
func (a *API) newAccount(name string) (storage.Account, error) {
	uid, err := storage.NewID(a.cfg.Rand, storage.AccountPrefix)
	if err != nil {
		return storage.Account{}, err
	}
	id, err := a.newID()
	return storage.Account{UID: uid, RealmID: settingsRealm, Kind: storage.Buyer, ID: id, Name: name, Active: true}, err
}

// parent finds the account that a new one is to be part of.
func (a *API) parent(c *call, id *string) (uid string, err error) {
	if id == nil {
		return "", nil
	}
	r, err := a.cfg.Accounts.Account(c.Context(), settingsRealm, storage.Buyer, *id)
	return r.UID, orNotFound(err, "parent account")
}

// registrationIsFree refuses a registration id that another account has.
func (a *API) registrationIsFree(c *call, r storage.Account) error {
	if r.RegistrationID == "" {
		return nil
	}
	q := only("RegistrationID", r.RegistrationID)
	q.Limit = 2
	found, err := a.cfg.Accounts.ListAccounts(c.Context(), settingsRealm, storage.Buyer, q)
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

func (a *API) getAccount(c *call) (reply, error) {
	r, err := a.accountOf(c)
	if err != nil {
		return reply{}, err
	}
	return a.accountReply(c, http.StatusOK, r)
}

func (a *API) putAccount(c *call) (reply, error) {
	var body AccountBody
	sent, err := c.read(&body, typeAccount)
	if err != nil {
		return reply{}, err
	}
	if err := body.check(false); err != nil {
		return reply{}, err
	}
	var before Account
	r, err := rewrite(c,
		func() (storage.Account, error) { return a.accountOf(c) },
		func(r storage.Account) int64 { return r.Version },
		func(r storage.Account) (storage.Account, error) {
			var err error
			if before, err = a.account(c, r, family{}); err != nil {
				return r, err
			}
			body.apply(&r, sent)
			if err := a.keepsParent(c, r, body.ParentID); err != nil {
				return r, err
			}
			return r, a.registrationIsFree(c, r)
		},
		func(r storage.Account) (storage.Account, error) { return a.cfg.Accounts.PutAccount(c.Context(), r) })
	if err != nil {
		return reply{}, err
	}
	done, err := a.accountReply(c, http.StatusOK, r)
	done = done.changedFrom(before)
	a.record(c, typeAccount, "updated", r.ID, done.changed...)
	return done, err
}

// keepsParent refuses to move an account below another one.
func (a *API) keepsParent(c *call, r storage.Account, id *string) error {
	if id == nil {
		return nil
	}
	uid, err := a.parent(c, id)
	if err == nil && uid != r.ParentUID {
		err = refuse(http.StatusUnprocessableEntity, "parent_id cannot be changed")
	}
	return err
}

func (a *API) deleteAccount(c *call) (reply, error) {
	wanted, err := c.wantsVersion()
	if err != nil {
		return reply{}, err
	}
	r, err := a.accountOf(c)
	if err != nil {
		return reply{}, err
	}
	if err := a.cfg.Accounts.DeleteAccount(c.Context(), r.UID, wanted); err != nil {
		return reply{}, orNotFound(err, "account")
	}
	a.record(c, typeAccount, "deleted", r.ID)
	return reply{status: http.StatusNoContent}, nil
}

// accountOf returns the account that the path names. Of a member's it is the
// one that its token is scoped to.
func (a *API) accountOf(c *call) (storage.Account, error) {
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
	r, err := a.cfg.Accounts.Account(c.Context(), settingsRealm, kind, id)
	return r, orNotFound(err, "account")
}
