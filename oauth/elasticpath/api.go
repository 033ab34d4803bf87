package elasticpath

import (
	"net/http"
	"slices"
	"strings"

	"latchkey/oauth/elasticpath/wire"
	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
)

// API serves the resources below /v2 and /oauth/access_token.
type API struct {
	cfg    Config
	base   string // Issuer without a slash at the end
	routes []route
}

// New returns the API, or an error if the configuration is incomplete.
func New(cfg Config) (*API, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	a := &API{cfg: cfg, base: strings.TrimSuffix(cfg.Issuer, "/"), routes: allRoutes()}
	for i := range a.routes {
		a.routes[i].Error = wire.ErrorBody[wire.Error]{}
		if hasNumericStatus(a.routes[i].Path) {
			a.routes[i].Error = wire.ErrorBody[wire.IntegrationError]{}
		}
	}
	return a, nil
}

// Operations returns the operations that the API serves, for its OpenAPI document.
func (a *API) Operations() []openapi.Operation {
	all := make([]openapi.Operation, 0, len(a.routes))
	for _, r := range a.routes {
		all = append(all, r.Operation)
	}
	return all
}

// Mount registers all routes at the root of mux, and an answer for other paths below
// /v2. If the issuer has a path, the mux must be served below that path too, because
// the links contain it; listen.Below of package oauth/server does so.
func (a *API) Mount(mux *http.ServeMux) {
	byPath := map[string]map[string]http.HandlerFunc{}
	for _, r := range a.routes {
		if byPath[r.Path] == nil {
			byPath[r.Path] = map[string]http.HandlerFunc{}
		}
		byPath[r.Path][r.Method] = a.serve(r)
	}
	for path, methods := range byPath {
		mux.Handle(path, byMethod(methods, hasNumericStatus(path)))
	}
	mux.HandleFunc("/v2/", NotFound)
}

// byMethod serves the methods of one path, and answers others with 405. Patterns with
// a method would conflict with the pattern for unknown paths.
func byMethod(methods map[string]http.HandlerFunc, numericStatus bool) http.Handler {
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
		refuse(http.StatusMethodNotAllowed).write(w, numericStatus)
	})
}

// serve returns the HTTP handler of a route: it admits the caller, reads the query,
// and writes the answer or the refusal.
func (a *API) serve(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		c := &call{Request: request, w: w, cfg: &a.cfg, base: a.base}
		done, err := c.serve(r)
		if err != nil {
			answer, _ := refusalOf(err, a.cfg.Now())
			a.cfg.Refuse(w, request, answer.status, err)
			answer.write(w, hasNumericStatus(r.Path))
			return
		}
		done.Write(w, mediaType)
	}
}

func (c *call) serve(r route) (done surface.Answer, err error) {
	if err = c.admit(r.to, r.Roles); err != nil {
		return done, err
	}
	if r.Form == nil { // the endpoint of a form does not read the query
		if c.values, err = surface.ReadQuery(c.Request, r.Query); err != nil {
			return done, err
		}
	}
	if err = surface.CheckSpelling(c.values, r.Query); err != nil {
		return done, err
	}
	return r.serve(c)
}
