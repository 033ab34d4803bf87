package ordercloud

import (
	"strings"

	"latchkey/oauth/surface"
	"latchkey/storage"
)

// admit finds out who calls and whether the route is for them. What is none of
// a company's users' business looks as if it did not exist.
func (a *API) admit(c *call, r route) (err error) {
	if r.who == anybody {
		return nil
	}
	if c.caller, err = a.cfg.Bearer.Authorize(c.Request); err != nil {
		return err
	}
	if !c.caller.SellerSide() {
		switch r.who {
		case sellers:
			return insufficientRoles(r.Roles, c.caller.Roles)
		case companyUsers:
			if err := c.ownCompany(r.Path); err != nil {
				return err
			}
		case everyUser, anybody:
		}
	}
	if !c.caller.Has(r.Roles...) {
		return insufficientRoles(r.Roles, c.caller.Roles)
	}
	return nil
}

// ownCompany refuses a user of another company than the one the path names, and
// a token that is scoped to another account: what roles it carries are for that.
func (c *call) ownCompany(path string) error {
	kind, parameter := storage.Buyer, "buyerID"
	if strings.Contains(path, "{supplierID}") {
		kind, parameter = storage.Supplier, "supplierID"
	}
	id := c.PathValue(parameter)
	p := c.caller.Principal
	if p == nil || p.User.Kind != kind || p.Account.ID != id {
		return notFound(objectType(kind), id)
	}
	if m := c.caller.Member; m != nil && m.Account.UID != p.User.AccountUID {
		return notFound(objectType(kind), id)
	}
	return nil
}

// plainPath refuses parameters of the path that nothing can be called, and that
// PostgreSQL cannot even be asked for.
func (c *call) plainPath(pattern string) error {
	for part := range strings.SplitSeq(pattern, "/") {
		name, ok := strings.CutPrefix(strings.TrimSuffix(part, "}"), "{")
		value := c.PathValue(name)
		if ok && !surface.IsPlainText(value) {
			object := strings.TrimSuffix(name, "ID")
			return notFound(strings.ToUpper(object[:1])+object[1:], value)
		}
	}
	return nil
}
