package ordercloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"latchkey/grants"
	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/storage"
)

// Transactor runs fn in one transaction; *gormstore.Store is one.
type Transactor interface {
	InTx(ctx context.Context, fn func(ctx context.Context) error) error
}

// Config is what the resources below /v1 need. All fields but AdmitUsername, RenewalOrigins,
// ClientSigningAlg, Wake, Recorder and Logger are required.
type Config struct {
	Bearer    surface.Bearer
	Stores    Stores
	Rules     *admin.Rules // who may change what
	Tx        Transactor
	Passwords Passwords
	Codes     Codes

	// AdmitUsername is asked before a user takes another username, and answers a
	// *storage.LimitError to one who has tried too many; default: everybody may.
	AdmitUsername func(ctx context.Context, userUID string) error

	// RenewalOrigins are those that the URL of a request to renew a password may
	// have ("https://shop.example.com"). Without any it may have every one, and
	// whoever receives the message must not trust it.
	RenewalOrigins []string

	// ClientSigningAlg is the JWS algorithm that a new API client gets unless it
	// names one; default: it names none, and the server's counts.
	ClientSigningAlg string

	Sealer  surface.Sealer  // of what senders and delivery configs must not show
	Peppers grants.Digester // of client secrets
	Wake    func()          // called when a message is to be sent again; default: nobody

	surface.Runtime
}

// API serves the resources below /v1.
type API struct {
	cfg    Config
	routes []route
}

// route is one operation with what serves it.
type route struct {
	openapi.Operation
	who   audience
	serve func(*call) (surface.Answer, error)
	alias bool // another spelling of a path that the document tells
}

// audience is which callers an operation is for, before their roles are looked
// at.
type audience int

const (
	sellers      audience = iota // clients that act for themselves and admin users
	companyUsers                 // those, and users of the buyer or supplier that the path names
	everyUser                    // whoever is somebody
	anybody                      // no token is asked for
)

// New returns the API, or says which field is missing.
func New(cfg Config) (*API, error) {
	if cfg.Bearer == nil || cfg.Rules == nil || cfg.Tx == nil || cfg.Sealer == nil || cfg.Peppers == nil || cfg.Passwords == nil || cfg.Codes == nil {
		return nil, errors.New("ordercloud: Bearer, Rules, Tx, Sealer, Peppers, Passwords and Codes are required")
	}
	if err := cfg.Complete(); err != nil {
		return nil, fmt.Errorf("ordercloud: %w", err)
	}
	if err := checkOrigins(cfg.RenewalOrigins); err != nil {
		return nil, fmt.Errorf("ordercloud: RenewalOrigins: %w", err)
	}
	if err := cfg.Stores.complete(); err != nil {
		return nil, fmt.Errorf("ordercloud: %w", err)
	}
	if cfg.AdmitUsername == nil {
		cfg.AdmitUsername = func(context.Context, string) error { return nil }
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	a := &API{cfg: cfg}
	a.routes = a.allRoutes()
	for i := range a.routes {
		r := &a.routes[i]
		r.Error, r.Open = wire.ErrorBody{}, r.who == anybody
		if r.Body != nil {
			r.Refuses = append(slices.Clip(r.Refuses), http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		}
	}
	return a, nil
}

// Mount registers every route, and an answer for paths that are none.
func (a *API) Mount(mux *http.ServeMux) {
	for _, r := range a.routes {
		mux.HandleFunc(r.Method+" "+r.Path, a.handler(r))
	}
	mux.HandleFunc("/v1/", NotFound)
}

// Operations returns what the API serves, for its document.
func (a *API) Operations() []openapi.Operation {
	all := make([]openapi.Operation, 0, len(a.routes))
	for _, r := range a.routes {
		if !r.alias {
			all = append(all, r.Operation)
		}
	}
	return all
}

// handler admits the caller, serves the route and writes what comes of it.
func (a *API) handler(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		c := &call{Request: request, w: w, api: a, route: r}
		err := a.admit(c, r)
		var done surface.Answer
		if err == nil {
			err = c.plainPath(r.Path)
		}
		if err == nil {
			c.values, err = surface.ReadQuery(request, r.Query)
		}
		if err == nil {
			done, err = r.serve(c)
		}
		if err != nil {
			a.refuse(c, err)
			return
		}
		done.Write(w, mediaType)
	}
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

// objectType names the resource that stands for accounts of the kind.
func objectType(kind storage.UserKind) string {
	if kind == storage.Supplier {
		return "Supplier"
	}
	return "Buyer"
}

// refuse answers a request that failed.
func (a *API) refuse(c *call, err error) {
	answer := answerTo(err, a.cfg.Now())
	a.cfg.Refuse(c.w, c.Request, answer.status, err)
	writeErrors(c.w, answer)
}

// record records that the caller changed an object, and which of its members have
// another value now.
func (a *API) record(c *call, action, object string, changed ...string) {
	a.recordOutcome(c, action, "success", object, changed...)
}

// recordOutcome records what the caller did, or tried to do, to an object.
func (a *API) recordOutcome(c *call, action, outcome, object string, changed ...string) {
	a.cfg.Record(c.Context(), c.caller.Client, c.caller.Principal, storage.AuditEvent{
		Action: action, Outcome: outcome, Object: object, Changed: changed,
	})
}
