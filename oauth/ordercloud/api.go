package ordercloud

import (
	"fmt"
	"net/http"
	"slices"

	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
)

// New returns the API, or an error if a required field of cfg is missing or wrong.
func New(cfg Config) (*API, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("ordercloud: %w", err)
	}
	a := &API{cfg: cfg, exports: make(chan struct{}, maxExports), counting: make(chan struct{}, 1)}
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

// allRoutes returns the operations of the dialect, resource by resource.
func (a *API) allRoutes() []route {
	return slices.Concat(
		apiClients{API: a}.routes(), apiClientAssignments{a}.routes(), apiClientSecrets{a}.routes(),
		securityProfiles{API: a}.routes(), securityProfileAssignments{a}.routes(), passwordProfiles{API: a}.routes(),
		messageSenders{API: a}.routes(), messageSenderAssignments{a}.routes(), messageSenderDelivery{a}.routes(), messageSenderSecrets{a}.routes(), deliveryConfigs{API: a}.routes(),
		signingKeys{a}.routes(), auditEvents{a}.routes(), auditChain{a}.routes(), a.requestRoutes(), status{a}.routes(),
		a.buyerRoutes(), a.supplierRoutes(), a.userRoutes(), a.membershipRoutes(), me{a}.routes(), forgottenCredentials{a}.routes(),
		unsupportedLists{a}.routes(),
	)
}

// Mount registers every route with mux, and NotFound for all other paths below /v1/.
func (a *API) Mount(mux *http.ServeMux) {
	for _, r := range a.routes {
		mux.HandleFunc(r.Method+" "+r.Path, a.handler(r))
	}
	mux.HandleFunc("/v1/", NotFound)
}

// Operations returns the operations that the API serves, for the OpenAPI document. It
// leaves out aliases.
func (a *API) Operations() []openapi.Operation {
	all := make([]openapi.Operation, 0, len(a.routes))
	for _, r := range a.routes {
		if !r.alias {
			all = append(all, r.Operation)
		}
	}
	return all
}

// handler returns the HTTP handler of a route. It checks the caller, serves the route and
// writes the answer or the refusal.
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

// refuse answers a request that failed.
func (a *API) refuse(c *call, err error) {
	answer := answerTo(err, a.cfg.Now())
	a.cfg.Refuse(c.w, c.Request, answer.status, err)
	writeErrors(c.w, answer)
}
