package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/grants/signin"
	"latchkey/oauth"
	"latchkey/oauth/server/audit"
	"latchkey/oauth/server/listen"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

const (
	backgroundTimeout = 10 * time.Second
	reloadKeysEvery   = 30 * time.Second
	sweepEvery        = time.Minute
	sweepLimit        = 500
	sweepPause        = 50 * time.Millisecond  // between batches, so that serving goes first
	tellPause         = 100 * time.Millisecond // between calls for help
)

// replica is one server with the work that goes on behind it. Any number of
// them share a PostgreSQL database.
type replica struct {
	app     *app
	server  *listen.Server
	routes  *http.ServeMux // of the server
	codes   *otp.Service
	worker  *deliver.Worker
	changed chan struct{} // configuration or keys changed in the database
	crowded chan struct{} // there is more work than this replica has room for
}

// newReplica assembles a server from an app whose ring is open. Codes of
// console senders are written to console.
func (a *app) newReplica(console io.Writer) (*replica, error) {
	hasher, err := signin.NewHasher(signin.HasherConfig{Concurrency: a.cfg.HashConcurrency, Rand: a.random})
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	if a.events, err = audit.New(audit.Config{
		Store: a.store, Logger: a.log, Registry: metrics, Now: a.now, RequestID: listen.RequestID, Address: listen.ClientAddr,
	}); err != nil {
		return nil, err
	}
	codes := otp.NewCodes(a.peppers)
	provider, err := a.newProvider(codes, hasher)
	if err != nil {
		return nil, err
	}
	r := &replica{app: a, changed: make(chan struct{}, 1), crowded: make(chan struct{}, 1)}
	if r.worker, err = a.newWorker(provider, console, r.noteCrowd); err != nil {
		return nil, err
	}
	r.codes, err = otp.New(otp.Config{
		Store: a.store, People: a.store, Directory: a.store, Codes: codes, Sealer: a.sealer,
		Limits: a.otpLimits(),
		Now:    a.now, Rand: a.random, Recorder: a.events, Logger: a.log, Wake: r.worker.Wake, Overflow: r.noteCrowd,
	})
	if err != nil {
		return nil, err
	}
	if err := registerBacklog(metrics, r.codes); err != nil {
		return nil, err
	}
	passwords, err := signin.NewPasswords(signin.PasswordsConfig{
		Store: a.store, Hasher: hasher, Codes: codes, Recorder: a.events, Now: a.now, Rand: a.random,
	})
	if err != nil {
		return nil, err
	}
	signUps := &otp.Throttle{Store: a.store, Codes: codes, Budget: "sign-up", Limit: otp.Limit(a.cfg.SignUpLimit), Now: a.now}
	usernames := &otp.Throttle{Store: a.store, Codes: codes, Budget: "username", Limit: usernameLimit(), Now: a.now}
	r.routes, err = a.routes(surfaces{provider: provider, codes: r.codes, passwords: passwords, signUps: signUps, usernames: usernames, wake: r.worker.Wake})
	if err != nil {
		return nil, err
	}
	r.server, err = listen.New(listen.Config{
		Handler:  vendorPaths(a.cfg.IssuerPath(), listen.WithoutTrailingSlash([]string{"/v1/", "/v2/", "/oauth/"}, r.routes)),
		BasePath: a.cfg.IssuerPath(),
		Listener: a.listener, Listen: a.cfg.Listen, OpsListen: a.cfg.OpsListen,
		Logger: a.log, RequestTimeout: a.cfg.RequestTimeout, ShutdownTimeout: a.cfg.ShutdownTimeout,
		HTTPS:          strings.HasPrefix(a.cfg.Issuer, "https://"),
		TrustedProxies: a.cfg.TrustedProxies, Origins: texts(a.cfg.CORSOrigins), Shield: listen.Limit(a.cfg.Shield),
		Registry: metrics,
		Ready:    a.store.Ping, Now: a.now, Rand: a.random,
	})
	return r, err
}

// defaultAddressLimit is for public addresses only: any other may be that of a
// proxy that stands for everybody.
var defaultAddressLimit = otp.Limit{Burst: 60, Per: time.Minute}

func (a *app) otpLimits() otp.Limits {
	limits := otp.Limits{
		Recipient: [2]otp.Limit{otp.Limit(a.cfg.OTPLimitRecipient.Short), otp.Limit(a.cfg.OTPLimitRecipient.Long)},
		Client:    otp.Limit(a.cfg.OTPLimitClient), Address: defaultAddressLimit,
		SpareShared: true, Proxies: a.cfg.TrustedProxies,
	}
	if given := a.cfg.OTPLimitAddress; given != nil {
		limits.Address, limits.SpareShared = otp.Limit(*given), false
	}
	return limits
}

// usernameLimit is how many names a user may try to take: the answer tells
// whether somebody else has the name.
func usernameLimit() otp.Limit { return otp.Limit{Burst: 10, Per: time.Hour} }

func (a *app) newProvider(codes *otp.Codes, hasher *signin.Hasher) (*oauth.Provider, error) {
	return oauth.New(oauth.Config{
		Issuer: a.cfg.Issuer, Audience: a.cfg.Audience, Resources: texts(a.cfg.Resources), DPoPNonce: a.cfg.DPoPNonce,
		SigningAlg: a.cfg.SigningAlg,
		Grace:      a.cfg.RefreshGrace, JWKSMaxAge: a.cfg.JWKSMaxAge,
		Clients: a.store, SignIns: a.store, Families: a.store, Tokens: a.store, Members: a.store, Profiles: a.store,
		Codes: codes, Passwords: hasher, Ring: a.ring, Peppers: a.peppers,
		Recorder: a.events, Now: a.now, Rand: a.random, Logger: a.log,
		Address: listen.ClientAddr, AddressHeader: a.cfg.EndUserAddressHeader,
		SecretLimit: otp.Limit(a.cfg.ClientSecretLimit), Charges: a.store, Registry: a.store,
	})
}

func (a *app) newWorker(provider *oauth.Provider, console io.Writer, overflow func()) (*deliver.Worker, error) {
	recipient := func(ctx context.Context, r oauth.RecipientRequest) (storage.Principal, string, error) {
		p, token, err := provider.Recipient(ctx, r)
		if err == nil { // receivers are shown the XP as well, which no sign-in reads
			p.User, err = a.store.UserByUID(ctx, p.User.UID)
		}
		return p, token, err
	}
	transports, err := a.newTransports(recipient, a.store.UserByUID, console)
	if err != nil {
		return nil, err
	}
	return deliver.New(deliver.Config{
		Store: a.store, Sealer: a.sealer,
		Transports: transports,
		Now:        a.now, Rand: a.random, Logger: a.log, Recorder: a.events, Overflow: overflow,
	})
}

// run serves until ctx ends. The work behind the server goes on until the last
// request has been answered, and then finishes what it has begun.
func (r *replica) run(ctx context.Context) error {
	r.app.store.OnChange(r.noteChange)
	r.app.store.OnWork(r.codes.Wake)
	r.app.store.OnWork(r.worker.Wake)
	endAudit := r.app.events.Start(ctx)
	defer endAudit()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := r.server.Start(background); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var group sync.WaitGroup
	failed := make(chan error, 7)
	for _, work := range []func(context.Context) error{
		r.app.store.Run, r.codes.Run, r.worker.Run, r.reloadKeys, r.sweep, r.callForHelp,
		func(ctx context.Context) error {
			defer end() // without its registration the server must not go on
			return r.app.issuerFault(r.app.registration.Keep(ctx))
		},
	} {
		group.Go(func() {
			if err := work(background); err != nil && !errors.Is(err, context.Canceled) {
				failed <- err
			}
		})
	}
	r.app.log.Info().Stringer("listen", r.server.Addr()).Stringer("ops", r.server.OpsAddr()).
		Str("issuer", r.app.cfg.Issuer).Str("database", r.app.store.Dialect()).Msg("serving")
	err := r.server.Wait(ctx)
	stop()
	group.Wait()
	close(failed)
	for failure := range failed {
		err = errors.Join(err, failure)
	}
	r.app.log.Info().Msg("stopped")
	return err
}

func (r *replica) noteChange() { note(r.changed) }

func (r *replica) noteCrowd() { note(r.crowded) }

func note(happened chan<- struct{}) {
	select {
	case happened <- struct{}{}:
	default:
	}
}

// callForHelp tells the other replicas when this one has more work than it has
// room for, a few times a second at most. They would find it within a second
// themselves.
func (r *replica) callForHelp(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.crowded:
		}
		if err := r.app.store.TellOthers(ctx); err != nil && ctx.Err() == nil {
			r.app.log.Debug().Err(err).Msg("call for help failed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tellPause):
		}
	}
}

// reloadKeys takes over the signing keys that others make or revoke, and
// announces the successors that are due.
func (r *replica) reloadKeys(ctx context.Context) error {
	ticker := time.NewTicker(reloadKeysEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-r.changed:
		}
		if err := within(ctx, r.app.ring.Reload); err != nil && ctx.Err() == nil {
			r.app.log.Warn().Err(err).Msg("reload of signing keys failed")
		} else if err := within(ctx, r.app.maintainKeys); err != nil && ctx.Err() == nil {
			r.app.log.Warn().Err(err).Msg("rotation of signing keys failed")
		}
	}
}

// sweep deletes what has ended, in small batches while serving.
func (r *replica) sweep(ctx context.Context) error {
	pause := time.NewTimer(sweepEvery)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		var n int
		err := within(ctx, func(ctx context.Context) (err error) {
			n, err = r.app.store.Sweep(ctx, r.app.now().UTC(), sweepLimit)
			return err
		})
		if err != nil && ctx.Err() == nil {
			r.app.log.Warn().Err(err).Msg("sweep failed")
		}
		if n > 0 {
			pause.Reset(sweepPause)
		} else {
			pause.Reset(sweepEvery)
		}
	}
}

// within bounds a piece of background work, so that a connection that froze
// does not end it for good.
func within(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, backgroundTimeout)
	defer cancel()
	return work(ctx)
}

// registerBacklog shows the requests that no worker has taken up yet, of all
// replicas together.
func registerBacklog(reg prometheus.Registerer, codes *otp.Service) error {
	return errors.Join(
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_otp_requests_waiting",
			Help: "Requests for codes and messages that wait to be resolved, of all servers on the database.",
		}, func() float64 {
			waiting, _ := codes.Backlog()
			return float64(waiting)
		})),
		reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "latchkey_otp_oldest_request_seconds",
			Help: "Time that the oldest request for a code or message has waited to be resolved; 0: none waits.",
		}, func() float64 {
			_, oldest := codes.Backlog()
			return oldest.Seconds()
		})),
	)
}
