package ordercloud

import (
	"net/http"
	"strings"

	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// admit authenticates the caller and checks that the route is for it. Users of a company
// get 404 for the resources of other companies, as if these did not exist.
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
			kind, parameter := r.company()
			if id := c.PathValue(parameter); id == "" || ownCompany(c.caller, kind) != id {
				return notFound(objectType(kind), id)
			}
		case everyUser, anybody:
		}
	}
	if !c.caller.Has(r.Roles...) {
		return insufficientRoles(r.Roles, c.caller.Roles)
	}
	return nil
}

// company returns which kind of company the path of the route names, and by which
// parameter.
func (r *route) company() (kind storage.UserKind, parameter string) {
	if strings.Contains(r.Path, "{supplierID}") {
		return storage.Supplier, "supplierID"
	}
	return storage.Buyer, "buyerID"
}

// ownCompany returns the ID of the caller's own company if that is of the kind, and ""
// otherwise. It also returns "" for a token that is scoped to another account, because the
// roles in the token are for that account.
func ownCompany(caller *token.Caller, kind storage.UserKind) string {
	p := caller.Principal
	if p == nil || p.User.Kind != kind {
		return ""
	}
	if m := caller.Member; m != nil && m.Account.UID != p.User.AccountUID {
		return ""
	}
	return p.Account.ID
}

// Permissions say what a caller may do.
type Permissions struct {
	Username   string // empty: a client that acts for itself
	BuyerID    string // of a buyer's user who is not restricted to another account
	SupplierID string // likewise

	permitted map[string]bool // by the ID of the operation
}

// Permits reports whether the caller may use the operation with that ID. A user of a
// company may use it for its own company only.
func (p *Permissions) Permits(operation string) bool { return p.permitted[operation] }

// Permissions returns what the sender of a request may do below /v1. It applies the rules
// that the operations apply. Errors are those of Config.Bearer.
func (a *API) Permissions(request *http.Request) (*Permissions, error) {
	caller, err := a.cfg.Bearer.Authorize(request)
	if err != nil {
		return nil, err
	}
	p := &Permissions{
		BuyerID: ownCompany(caller, storage.Buyer), SupplierID: ownCompany(caller, storage.Supplier), permitted: make(map[string]bool, len(a.routes)),
	}
	if caller.Principal != nil {
		p.Username = caller.Principal.Login.Username
	}
	for i := range a.routes {
		r := &a.routes[i]
		p.permitted[r.ID] = p.permitted[r.ID] || permits(caller, r)
	}
	return p, nil
}

// permits reports whether the route is for the caller, if its path names the caller's own
// company.
func permits(caller *token.Caller, r *route) bool {
	switch {
	case r.who == anybody:
		return true
	case caller.SellerSide(), r.who == everyUser:
	case r.who == sellers:
		return false
	default:
		if kind, _ := r.company(); ownCompany(caller, kind) == "" {
			return false
		}
	}
	return caller.Has(r.Roles...)
}

// plainPath returns a 404 for a path parameter with control characters or invalid UTF-8. No
// object has such an ID, and PostgreSQL refuses some of these texts in a query.
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
