package server

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"sync"

	"latchkey/config"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/elasticpath"
	"latchkey/oauth/openapi"
	"latchkey/oauth/ordercloud"
	"latchkey/oauth/server/internal/listen"
	"latchkey/oauth/signinpage"
	"latchkey/oauth/surface"
	"latchkey/otp"
	"latchkey/otp/limit"
	"latchkey/storage"
)

// services are shared by all surfaces, so that they work with the same records and
// tokens.
type services struct {
	endpoints *oauth.Endpoints
	codes     *otp.Service
	passwords *signin.Passwords
	pages     *signinpage.Templates
	signUps   *limit.Stored
	usernames *limit.Stored
	sessions  *admin.Sessions
	tasks     *admin.Tasks
}

// documentPath is where the description of the API is served.
const documentPath = "/openapi.json"

// httpRules returns the rules of all surfaces, and of the description of the API.
func httpRules(pages *signinpage.Pages) []surface.HTTPRules {
	return []surface.HTTPRules{
		pages.HTTPRules(), oauth.HTTPRules(), ordercloud.HTTPRules(), elasticpath.HTTPRules(), {CrossOriginPaths: []string{documentPath}},
	}
}

// roots returns the roots of the surfaces that have one.
func roots(rules []surface.HTTPRules) []string {
	var all []string
	for _, rule := range rules {
		if rule.Root != "" {
			all = append(all, rule.Root)
		}
	}
	return all
}

// newRoutes returns everything that the server serves.
func (s *Server) newRoutes(with services) (*http.ServeMux, error) {
	v1, err := s.newOrderCloud(with)
	if err != nil {
		return nil, err
	}
	v2, err := s.newElasticPath(with)
	if err != nil {
		return nil, err
	}
	pages, err := s.newPages(with)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	s.pages = pages
	pages.Mount(mux)
	with.endpoints.Mount(mux)
	v1.Mount(mux)
	v2.Mount(mux)
	screens, err := s.newConsole(with, v1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.listen.Guard(mux).ServeHTTP(w, r)
	}))
	if err != nil {
		return nil, err
	}
	screens.Mount(mux)
	mux.HandleFunc("GET "+documentPath, s.serveDocument(with.endpoints.Operations(), v1.Operations(), v2.Operations()))
	return mux, nil
}

// serveDocument returns a handler that serves the OpenAPI document of the operations. The
// first request makes the document, because few servers are asked for it.
func (s *Server) serveDocument(operations ...[]openapi.Operation) http.HandlerFunc {
	info := openapi.Info{Title: "Latchkey", Version: s.app.Version, ServerURL: s.app.Settings.Issuer}
	document := sync.OnceValues(func() ([]byte, error) { return openapi.Document(info, slices.Concat(operations...)) })
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := document()
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			s.app.Logger.Error().Err(err).Msg("the OpenAPI document cannot be made")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, oauth.InternalErrorBody)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(text) // the error means that the client has gone
	}
}

func (s *Server) newOrderCloud(with services) (*ordercloud.API, error) {
	a := s.app
	rules, err := admin.New(a.Store)
	if err != nil {
		return nil, err
	}
	return ordercloud.New(ordercloud.Config{
		Bearer: with.endpoints.Tokens(), Rules: rules,
		Stores: ordercloud.Stores{
			Clients: a.Store, Secrets: a.Store, Profiles: a.Store, Assignments: a.Store, Accounts: a.Store,
			Users: a.Store, UserSearch: a.Store, Memberships: a.Store, Consents: a.Store, Logins: a.Store, Senders: a.Store,
			DeliveryConfigs: a.Store, Records: a.Store, Figures: a.Store, Messages: a.Store, Keys: a.Ring, PasswordProfiles: a.Store,
		},
		Tx: a.Store, Passwords: with.passwords, Codes: with.codes, Sessions: with.sessions, AdmitUsername: with.usernames.TakeFor,
		Tasks: with.tasks, GuessCeiling: a.Settings.GuessCeiling,
		Status: &admin.Status{Store: a.Store, Signing: a.signingKeys, KeyAge: cmp.Or(a.Settings.KeyRotation, usualKeyRotation) + keyRotationDelay, Now: a.Now, Verifications: func(ctx context.Context) ([]storage.Task, error) {
			return with.tasks.List(ctx, storage.TaskAuditVerification, admin.AuditChainObject)
		}},
		Tests: senderTests{a}, AdmitTest: s.newLimit(senderTestBudget, senderTestLimit()).TakeFor,
		Lockouts: &admin.Lockouts{Store: a.Store, Now: a.Now}, RenewalOrigins: toStrings(a.Settings.RenewalOrigins), ClientSigningAlg: clientSigningAlg(a.Settings),
		Sealer: a.Sealer, Peppers: a.Peppers, Wake: s.worker.Wake,
		Runtime: s.runtime(),
	})
}

func (s *Server) newPages(with services) (*signinpage.Pages, error) {
	a := s.app
	return signinpage.New(signinpage.Config{
		Runtime: s.runtime(), Issuer: a.Settings.Issuer, Endpoints: with.endpoints, Clients: s.directory(), Members: a.Store,
		Codes: with.codes, Sessions: with.sessions, Profiles: a.Store, Templates: with.pages, Sealer: a.Sealer, Peppers: a.Peppers,
	})
}

// runtime returns what all surfaces get from the server.
func (s *Server) runtime() surface.Runtime {
	return surface.Runtime{
		TraceID: listen.RequestID, Address: listen.ClientAddr, Recorder: s.events,
		Now: s.app.Now, Rand: s.app.Rand, Logger: s.app.Logger,
	}
}

// clientSigningAlg returns the JWS algorithm of API clients that are created
// through /v1 without an algorithm. It is RS256, because OrderCloud's own libraries
// check tokens with RSA keys only. If the settings name an algorithm, it applies to
// these clients too: the function returns "", as for clients without an algorithm.
func clientSigningAlg(cfg config.Config) string {
	if cfg.SigningAlg == "" {
		return keys.RS256
	}
	return ""
}

func (s *Server) newElasticPath(with services) (*elasticpath.API, error) {
	a := s.app
	rules, err := admin.New(a.Store)
	if err != nil {
		return nil, err
	}
	return elasticpath.New(elasticpath.Config{
		Runtime: surface.Runtime{
			TraceID: listen.RequestID, Address: listen.ClientAddr, Recorder: s.events, Now: a.Now, Rand: a.Rand, Logger: a.Logger,
		},
		Issuer: a.Settings.Issuer,
		Bearer: with.endpoints.Tokens(), Rules: rules,
		Realms: a.Store, Profiles: a.Store, Users: a.Store, Logins: a.Store, Accounts: a.Store, Memberships: a.Store, Senders: a.Store,
		Codes: with.codes, Passwords: with.passwords, SignIns: with.endpoints.Authenticator(),
		SignUps: &signin.SignUps{
			Store: a.Store, Passwords: with.passwords, Rand: a.Rand, Admit: with.signUps.Take, MinPasswordLength: elasticpath.MinPasswordLength,
		},
		Tokens: countedTokens{with.endpoints.Tokens(), s.counts.issued}, AccessTokens: with.endpoints, CallerAddress: with.endpoints.CallerAddress,
		Sealer: a.Sealer, AdmitUsername: with.usernames.TakeFor, GuessCeiling: a.Settings.GuessCeiling,
	})
}

func toStrings[T ~string](values []T) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = string(v)
	}
	return list
}
