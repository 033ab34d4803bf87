package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/grants/signin"
	"latchkey/oauth"
	"latchkey/oauth/admin"
	"latchkey/oauth/server/audit"
	"latchkey/oauth/server/internal/listen"
	"latchkey/oauth/signinpage"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/otp/limit"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// Server is an assembled server with its work in the background. Any number of
// servers share a PostgreSQL database.
type Server struct {
	app     *App
	events  *audit.Recorder
	listen  *listen.Server
	sweeper *sweeper
	routes  *http.ServeMux
	pages   *signinpage.Pages
	codes   *otp.Service
	worker  *deliver.Worker
	tasks   *admin.Tasks
	changed chan struct{} // configuration or keys changed in the database
	crowded chan struct{} // there is more work than this server has room for
	counts  *counters
}

// New assembles a server from an App whose Ring is open. The server does not
// listen yet.
func New(a *App) (*Server, error) {
	hasher, err := signin.NewHasher(signin.HasherConfig{Concurrency: a.Settings.HashConcurrency, Rand: a.Rand})
	if err != nil {
		return nil, err
	}
	if a.tracer != nil {
		a.Logger = a.Logger.Hook(a.tracer.Hook())
	}
	metrics := prometheus.NewRegistry()
	s := &Server{app: a, changed: make(chan struct{}, 1), crowded: make(chan struct{}, 1)}
	if s.counts, err = newCounters(metrics); err != nil {
		return nil, err
	}
	a.Store.Observe(s.observeStatement)
	if s.events, err = audit.New(audit.Config{
		Store: a.Store, Logger: a.Logger, Registry: metrics, Now: a.Now, RequestID: listen.RequestID, Address: listen.ClientAddr, Limited: s.counts.refused,
	}); err != nil {
		return nil, err
	}
	codes := otp.NewCodes(a.Peppers)
	pages, err := LoadPageTemplates(a.Settings)
	if err != nil {
		return nil, err
	}
	endpoints, err := s.newEndpoints(codes, hasher, pages.Locales())
	if err != nil {
		return nil, err
	}
	if s.worker, err = s.newWorker(endpoints.Recipients()); err != nil {
		return nil, err
	}
	if s.codes, err = s.newCodeService(codes); err != nil {
		return nil, err
	}
	if err := s.register(metrics, hasher); err != nil {
		return nil, err
	}
	if s.sweeper, err = newSweeper(a.Store, a.Logger, metrics, a.Now); err != nil {
		return nil, err
	}
	passwords, err := signin.NewPasswords(signin.PasswordsConfig{
		Store: a.Store, Hasher: hasher, Codes: codes, Recorder: s.events, Now: a.Now, Rand: a.Rand,
	})
	if err != nil {
		return nil, err
	}
	if s.tasks, err = s.newTasks(); err != nil {
		return nil, err
	}
	s.routes, err = s.newRoutes(services{
		endpoints: endpoints, codes: s.codes, passwords: passwords, pages: pages,
		signUps:   s.newLimit(signUpBudget, limit.Limit(a.Settings.SignUpLimit)),
		usernames: s.newLimit(usernameBudget, usernameLimit()),
		sessions:  &admin.Sessions{Store: a.Store, Rand: a.Rand, Now: a.Now, Wake: s.codes.Wake},
		tasks:     s.tasks,
	})
	if err != nil {
		return nil, err
	}
	s.listen, err = s.newListen(metrics)
	return s, err
}

// newTasks returns the long work of administrators.
func (s *Server) newTasks() (*admin.Tasks, error) {
	a := s.app
	return admin.NewTasks(admin.TasksConfig{
		Store: a.Store, Recorder: s.events, Now: a.Now, Rand: a.Rand, Logger: a.Logger,
		Kinds: map[storage.TaskKind]admin.TaskKind{
			storage.TaskAuditVerification: admin.VerifyAuditChain(a.Store),
			storage.TaskPolicyReplay:      admin.ReplayPolicies(a.Store, a.Now),
		},
	})
}

// The budgets of limits that the server itself makes.
const (
	signUpBudget   = "sign-up"
	usernameBudget = "username"

	senderTestBudget = "sender-test"
)

func (s *Server) newLimit(budget string, l limit.Limit) *limit.Stored {
	return &limit.Stored{Store: s.app.Store, Digester: s.app.Peppers, Budget: budget, Limit: l, Now: s.app.Now, Refused: s.counts.refused}
}

// observeStatement is a gormstore.Observer.
func (s *Server) observeStatement(ctx context.Context, name string, began time.Time, err error) {
	ended := s.app.Now()
	s.counts.statement(name, ended.Sub(began), err)
	if s.app.tracer != nil {
		s.app.tracer.Statement(ctx, name, began, ended, err)
	}
}

// traceAttempt begins the span of an attempt to deliver a message.
func (s *Server) traceAttempt(ctx context.Context, m storage.Message) (context.Context, func(result string)) {
	return s.app.tracer.Attempt(ctx, m.TraceID, m.SenderID, m.ID, m.Attempts)
}

// register adds the metrics that are read when they are asked for.
func (s *Server) register(metrics prometheus.Registerer, hasher *signin.Hasher) error {
	a := s.app
	return errors.Join(
		registerProcess(metrics, a.Version), registerHashes(metrics, hasher.Waiting), registerPools(metrics, a.Store),
		registerKeys(metrics, a.Ring.SigningSince, a.Now), registerLoad(metrics, a),
		registerBacklog(metrics, s.codes), registerChangeDetection(metrics, a.Store),
	)
}

// ServeHTTP implements http.Handler: it serves the API without a listener, and
// without the work in the background.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.listen.ServeHTTP(w, r) }

// Routes returns the router of the API. The server does not need it: a test compares its
// patterns with the OpenAPI document.
func (s *Server) Routes() *http.ServeMux { return s.routes }

func (s *Server) newListen(metrics *prometheus.Registry) (*listen.Server, error) {
	a, settings, rules := s.app, s.app.Settings, httpRules(s.pages)
	cfg := listen.Config{
		Handler:  answerUncleanPaths(settings.IssuerPath(), rules, listen.WithoutTrailingSlash(roots(rules), s.routes)),
		BasePath: settings.IssuerPath(),
		Surfaces: rules, InternalError: oauth.InternalErrorBody,
		Listener: a.Listener, Listen: settings.Listen, OpsListener: a.OpsListener, OpsListen: settings.OpsListen,
		TLSCertFile: settings.TLSCertFile, TLSKeyFile: settings.TLSKeyFile, HealthOnListen: settings.HealthOnListen,
		Logger: a.Logger, RequestTimeout: settings.RequestTimeout, ShutdownDelay: settings.ShutdownDelay, ShutdownTimeout: settings.ShutdownTimeout,
		HTTPS:          strings.HasPrefix(settings.Issuer, "https://"),
		TrustedProxies: settings.TrustedProxies, Origins: toStrings(settings.CORSOrigins), Shield: limit.Limit(settings.Shield),
		Registry: metrics, Limited: s.counts.refused,
		Ready: s.ready, Now: a.Now, Rand: a.Rand,
	}
	if a.tracer != nil {
		cfg.Trace = a.tracer.Request
	}
	return listen.New(cfg)
}

// ready is a listen.ReadyFunc.
func (s *Server) ready(ctx context.Context) (changes, reason string, err error) {
	err = s.app.Store.Ready(ctx)
	if e, ok := errors.AsType[gormstore.NotReady](err); ok {
		reason = e.Reason
	}
	return string(s.app.Store.HearsBy()), reason, err
}

func (s *Server) newCodeService(codes *otp.Codes) (*otp.Service, error) {
	a := s.app
	return otp.New(otp.Config{
		Store: a.Store, People: a.Store, Directory: s.directory(), Sessions: a.Store, Codes: codes, Sealer: a.Sealer,
		Limits: otpLimits(a),
		Now:    a.Now, Rand: a.Rand, Recorder: s.events, Logger: a.Logger, Wake: s.worker.Wake, Deliver: s.worker.Reserve, Overflow: s.noteCrowd,
	})
}

// defaultAddressLimit applies to public addresses only: another address may be
// that of a proxy that all clients share.
var defaultAddressLimit = limit.Limit{Burst: 60, Per: time.Minute}

func otpLimits(a *App) otp.Limits {
	settings := a.Settings
	limits := otp.Limits{
		Recipient: [2]limit.Limit{limit.Limit(settings.OTPLimitRecipient.Short), limit.Limit(settings.OTPLimitRecipient.Long)},
		Client:    limit.Limit(settings.OTPLimitClient), Address: defaultAddressLimit,
		SpareShared: true, Proxies: settings.TrustedProxies,
	}
	if given := settings.OTPLimitAddress; given != nil {
		limits.Address, limits.SpareShared = limit.Limit(*given), false
	}
	return limits
}

// usernameLimit is how many usernames a user may try to take. It is low because
// the answer shows whether somebody else has the username.
func usernameLimit() limit.Limit { return limit.Limit{Burst: 10, Per: time.Hour} }

// senderTestLimit is how many test messages may go through a sender. A mail server sees them
// as mails to anybody.
func senderTestLimit() limit.Limit { return limit.Limit{Burst: 20, Per: time.Hour} }

func (s *Server) newEndpoints(codes *otp.Codes, hasher *signin.Hasher, locales []string) (*oauth.Endpoints, error) {
	a, settings := s.app, s.app.Settings
	return oauth.New(oauth.Config{
		Issuer: settings.Issuer, Audience: settings.Audience, Resources: toStrings(settings.Resources), DPoPNonce: settings.DPoPNonce,
		SigningAlg: settings.SigningAlg, UILocales: locales,
		Grace: settings.RefreshGrace, JWKSMaxAge: settings.JWKSMaxAge,
		Clients: s.directory(), SignIns: a.Store, Families: a.Store, Tokens: a.Store, Members: a.Store, Profiles: a.Store,
		Authorizations: a.Store, Sealer: a.Sealer, SessionIdle: settings.SessionIdle, SessionLife: settings.SessionLife,
		Codes: codes, Passwords: hasher, Ring: a.Ring, Peppers: a.Peppers,
		Recorder: s.events, Now: a.Now, Rand: a.Rand, Logger: a.Logger,
		Address: listen.ClientAddr, AddressHeader: settings.EndUserAddressHeader,
		SecretLimit: limit.Limit(settings.ClientSecretLimit), Charges: a.Store, Registry: a.Store,
		Answers: a.Store,
		Issued:  s.counts.issued, Limited: s.counts.refused,
	})
}

func (s *Server) newWorker(recipients *token.Recipients) (*deliver.Worker, error) {
	a := s.app
	recipient := func(ctx context.Context, r token.RecipientRequest) (storage.Principal, string, error) {
		p, token, err := recipients.Recipient(ctx, r)
		if err == nil { // messages contain the user's XP, which sign-ins do not read
			p.User, err = a.Store.UserByUID(ctx, p.User.UID)
		}
		return p, token, err
	}
	transports, err := a.newTransports(recipient, a.Store.UserByUID, a.Console)
	if err != nil {
		return nil, err
	}
	if transports[storage.ClientSender], err = deliver.NewWebhook(deliver.WebhookConfig{
		Encode: a.encodeLogout(recipients.Issuer), Allow: a.Settings.OutboundAllow, Inject: a.inject(),
	}); err != nil {
		return nil, err
	}
	cfg := deliver.Config{
		Store: messageStore{a.Store}, Sealer: a.Sealer,
		Transports: transports, Attempted: s.counts.attempted,
		Now: a.Now, Rand: a.Rand, Logger: a.Logger, Recorder: s.events, Overflow: s.noteCrowd,
	}
	if a.tracer != nil {
		cfg.Trace = s.traceAttempt
	}
	return deliver.New(cfg)
}
