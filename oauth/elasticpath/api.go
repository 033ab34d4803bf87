package elasticpath

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"latchkey/oauth/admin"
	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// API serves the resources below /v2.
type API struct {
	cfg    Config
	base   string // Issuer without a trailing slash
	routes []route
}

// route is one operation with what serves it.
type route struct {
	openapi.Operation
	who   audience
	serve func(*call) (reply, error)
}

// audience is which callers an operation is for.
type audience int

const (
	// sellers run the shop: clients that act for themselves and admin users, with
	// one of the operation's roles.
	sellers audience = iota
	// sellersAndMembers are those, and account members by their token in the
	// header; the operation sees to it that a member reaches only what is its own.
	sellersAndMembers
	// storefronts are all who have an access token.
	storefronts
	// anybody needs none.
	anybody
)

// New returns the API, or says what is missing.
func New(cfg Config) (*API, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	a := &API{cfg: cfg, base: strings.TrimSuffix(cfg.Issuer, "/")}
	a.routes = a.allRoutes()
	for i := range a.routes {
		a.routes[i].Error = errorBody[Error]{}
		if numbersStatus(a.routes[i].Path) {
			a.routes[i].Error = errorBody[IntegrationError]{}
		}
	}
	return a, nil
}

// Operations returns what the API serves, for its document.
func (a *API) Operations() []openapi.Operation {
	all := make([]openapi.Operation, 0, len(a.routes))
	for _, r := range a.routes {
		all = append(all, r.Operation)
	}
	return all
}

// Mount registers every route, and an answer for paths that are none, at the
// root. If the issuer has a path, the mux must be served below that path too,
// because the links name the resources there; listen.Below of package
// oauth/server does so.
func (a *API) Mount(mux *http.ServeMux) {
	byPath := map[string]map[string]http.HandlerFunc{}
	for _, r := range a.routes {
		if byPath[r.Path] == nil {
			byPath[r.Path] = map[string]http.HandlerFunc{}
		}
		byPath[r.Path][r.Method] = a.handler(r)
	}
	for path, methods := range byPath {
		mux.Handle(path, byMethod(methods, numbersStatus(path)))
	}
	mux.HandleFunc("/v2/", NotFound)
}

// byMethod serves the methods of one path, and refuses others by naming those.
// (Patterns with a method would clash with the one for paths that are none.)
func byMethod(methods map[string]http.HandlerFunc, numbers bool) http.Handler {
	var names []string
	for name := range methods {
		names = append(names, name)
	}
	if methods[http.MethodGet] != nil {
		names = append(names, http.MethodHead)
	}
	slices.Sort(names)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if serve := methods[method]; serve != nil {
			serve(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(names, ", "))
		writeRefusal(w, refuse(http.StatusMethodNotAllowed), numbers)
	})
}

// numbersStatus reports whether the refusals of a path have a number for their
// status: those of integrations have.
func numbersStatus(path string) bool {
	return path == "/v2/integrations" || strings.HasPrefix(path, "/v2/integrations/")
}

// handler admits the caller, serves the route and writes what comes of it.
func (a *API) handler(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		c := &call{Request: request, w: w, api: a}
		err := a.admit(c, r)
		var done reply
		if err == nil && r.Form == nil { // the query of a form's endpoint is not read
			c.values, err = surface.ReadQuery(request, r.Query)
		}
		if err == nil {
			err = surface.CheckSpelling(c.values, r.Query)
		}
		if err == nil {
			done, err = r.serve(c)
		}
		if err != nil {
			a.refuse(c, r, err)
			return
		}
		if done.version > 0 {
			w.Header().Set("ETag", `"`+strconv.FormatInt(done.version, 10)+`"`)
		}
		if len(done.changed) > 0 {
			w.Header().Set(admin.ChangedHeader, strings.Join(done.changed, ", "))
		}
		if done.body == nil {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(done.status)
			return
		}
		writeJSON(w, done.status, done.body)
	}
}

// refuse writes an error the dialect's way.
func (a *API) refuse(c *call, r route, err error) {
	answer, known := answerTo(err, a.cfg.Now())
	if !known || answer.status >= http.StatusInternalServerError {
		a.cfg.Logger.Error().Ctx(c.Context()).Err(err).Str("path", r.Path).
			Str("request_id", a.cfg.TraceID(c.Context())).Int("status", answer.status).Msg("request failed")
	}
	if answer.status == http.StatusUnauthorized {
		token.SetChallenge(c.w.Header(), err)
	}
	writeRefusal(c.w, answer, numbersStatus(r.Path))
}

// record tells the Recorder that the caller changed something, and which members
// of it.
func (a *API) record(c *call, kind, verb, id string, changed ...string) {
	a.recordOutcome(c, kind, verb, "success", id, changed...)
}

// recordOutcome is record for what may have been refused.
func (a *API) recordOutcome(c *call, kind, verb, outcome, id string, changed ...string) {
	event := storage.AuditEvent{
		Time: a.cfg.Now().UTC(), Action: kind + "." + verb, Outcome: outcome, Object: kind + "/" + id, Changed: changed,
		ClientID: c.caller.Client.ID, TraceID: a.cfg.TraceID(c.Context()), Source: source(a.cfg.Address(c.Context())),
	}
	who := c.caller.Principal
	if c.holder != nil {
		who = c.holder.Principal
	}
	if who != nil {
		event.UserUID, event.Username = who.User.UID, who.Login.Username
	}
	a.cfg.Recorder.Record(c.Context(), event)
}

func source(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// newID returns a random UUID, which is what Elastic Path's ids are.
func (a *API) newID() (string, error) {
	return storage.NewUUID(a.cfg.Rand)
}

// Config is what an API needs. All fields but StoreID, Recorder and Now are
// required.
type Config struct {
	Issuer  string // the server's address as callers know it: an absolute URL
	StoreID string // what tokens and webhooks say the store is; default: storage.StoreUUID

	Rules        *admin.Rules // who may change what
	Bearer       Bearer
	Realms       RealmStore
	Profiles     ProfileStore
	Users        UserStore
	Logins       LoginStore
	Accounts     AccountStore
	Memberships  MembershipStore
	Senders      SenderStore
	Codes        CodeRequester
	Passwords    PasswordMaker
	SignIns      SignIns
	Tokens       TokenMaker
	AccessTokens AccessTokens
	Sealer       Sealer

	// AdmitSignUp is asked before anybody signs up by itself, and answers a
	// *storage.LimitError to an address that has done so too often; default:
	// everybody may.
	AdmitSignUp func(ctx context.Context, from netip.Addr) error

	// AdmitUsername is asked before a member takes another username, and answers a
	// *storage.LimitError to a user who has tried too many; default: everybody may.
	AdmitUsername func(ctx context.Context, userUID string) error

	GuessCeiling float64 // of the password profiles, see otp.CheckRisk; 0: its default

	TraceID func(context.Context) string     // correlation id of a request
	Address func(context.Context) netip.Addr // of who sent a request
	// CallerAddress returns the address of the user that a caller signs in.
	CallerAddress func(*http.Request, *token.Caller) netip.Addr
	Recorder      storage.Recorder // of what administrators change; default: discards
	Now           func() time.Time // default: time.Now
	Rand          io.Reader
	Logger        zerolog.Logger
}

func (c *Config) complete() error {
	if u, err := url.Parse(c.Issuer); err != nil || u.Scheme == "" || u.Host == "" {
		return errors.New("elasticpath: Issuer is not an absolute URL")
	}
	for _, required := range []any{
		c.Bearer, c.Realms, c.Profiles, c.Users, c.Logins, c.Accounts, c.Memberships, c.Senders,
		c.Codes, c.Passwords, c.SignIns, c.Tokens, c.AccessTokens, c.Sealer, c.Rand,
	} {
		if required == nil {
			return errors.New("elasticpath: a store, a service or Rand is missing")
		}
	}
	if c.Rules == nil || c.TraceID == nil || c.Address == nil || c.CallerAddress == nil {
		return errors.New("elasticpath: Rules, TraceID, Address and CallerAddress are required")
	}
	if c.Recorder == nil {
		c.Recorder = storage.DiscardEvents{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.AdmitSignUp == nil {
		c.AdmitSignUp = func(context.Context, netip.Addr) error { return nil }
	}
	if c.AdmitUsername == nil {
		c.AdmitUsername = func(context.Context, string) error { return nil }
	}
	if c.StoreID == "" {
		c.StoreID = storage.StoreUUID
	}
	return nil
}
