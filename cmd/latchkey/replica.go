package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"latchkey/grants"
	"latchkey/oauth"
	"latchkey/oauth/ordercloud"
	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

const (
	reloadKeysEvery = 30 * time.Second
	sweepEvery      = time.Minute
	sweepLimit      = 500
	sweepPause      = 50 * time.Millisecond // between batches, so that serving goes first
)

// replica is one server with the work that goes on behind it. Any number of
// them share a PostgreSQL database.
type replica struct {
	app     *app
	server  *server.Server
	codes   *otp.Service
	worker  *deliver.Worker
	changed chan struct{} // configuration or keys changed in the database
}

// newReplica assembles a server from an app whose ring is open. Codes of
// console senders are written to console.
func (a *app) newReplica(console io.Writer) (*replica, error) {
	hasher, err := grants.NewHasher(grants.HasherConfig{Concurrency: a.cfg.HashConcurrency, Rand: a.random})
	if err != nil {
		return nil, err
	}
	codes := otp.NewCodes(a.peppers)
	provider, err := a.newProvider(codes, hasher)
	if err != nil {
		return nil, err
	}
	r := &replica{app: a, changed: make(chan struct{}, 1)}
	if r.worker, err = a.newWorker(provider, console); err != nil {
		return nil, err
	}
	r.codes, err = otp.New(otp.Config{
		Store: a.store, Directory: a.store, Codes: codes, Sealer: a.sealer,
		Limits: otp.Limits{
			Recipient: otp.Limit(a.cfg.OTPLimitRecipient), Client: otp.Limit(a.cfg.OTPLimitClient), Address: otp.Limit(a.cfg.OTPLimitAddress),
		},
		Now: a.now, Rand: a.random, Recorder: a.recorder(), Logger: a.log, Wake: r.worker.Wake,
	})
	if err != nil {
		return nil, err
	}
	r.server, err = server.New(server.Config{
		Handler: a.routes(provider, r.codes),
		Listen:  a.cfg.Listen, OpsListen: a.cfg.OpsListen,
		Logger: a.log, RequestTimeout: a.cfg.RequestTimeout, ShutdownTimeout: a.cfg.ShutdownTimeout,
		HTTPS:          strings.HasPrefix(a.cfg.Issuer, "https://"),
		TrustedProxies: a.cfg.TrustedProxies,
		Ready:          a.store.Ping, Now: a.now, Rand: a.random,
	})
	return r, err
}

func (a *app) newProvider(codes *otp.Codes, hasher *grants.Hasher) (*oauth.Provider, error) {
	return oauth.New(oauth.Config{
		Issuer: a.cfg.Issuer, Audience: a.cfg.Audience, SigningAlg: a.cfg.SigningAlg,
		Grace: a.cfg.RefreshGrace, JWKSMaxAge: a.cfg.JWKSMaxAge,
		Clients: a.store, SignIns: a.store, Families: a.store, Tokens: a.store,
		Codes: codes, Passwords: hasher, Ring: a.ring, Peppers: a.peppers,
		Recorder: a.recorder(), Now: a.now, Rand: a.random, Logger: a.log,
	})
}

func (a *app) newWorker(provider *oauth.Provider, console io.Writer) (*deliver.Worker, error) {
	transports, err := a.newTransports(provider.Recipient, a.store.UserByUID, console)
	if err != nil {
		return nil, err
	}
	return deliver.New(deliver.Config{
		Store: a.store, Sealer: a.sealer,
		Transports: transports,
		Now:        a.now, Rand: a.random, Logger: a.log, Recorder: a.recorder(),
	})
}

func (a *app) routes(provider *oauth.Provider, codes *otp.Service) *http.ServeMux {
	mux := http.NewServeMux()
	provider.Mount(mux)
	(&ordercloud.OneTimePasswords{
		Clients: a.store, Codes: codes, TraceID: server.RequestID, Address: server.ClientAddr, Now: a.now, Logger: a.log,
	}).Mount(mux)
	mux.HandleFunc("/v1/", ordercloud.NotFound)
	return mux
}

// run serves until ctx ends. The work behind the server goes on until the last
// request has been answered, and then finishes what it has begun.
func (r *replica) run(ctx context.Context) error {
	r.app.store.OnChange(r.noteChange)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := r.server.Start(background); err != nil {
		return err
	}
	var group sync.WaitGroup
	failed := make(chan error, 5)
	for _, work := range []func(context.Context) error{
		r.app.store.Run, r.codes.Run, r.worker.Run, r.reloadKeys, r.sweep,
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

func (r *replica) noteChange() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// reloadKeys takes over the signing keys that others make or revoke.
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
		if err := r.app.ring.Reload(ctx); err != nil && ctx.Err() == nil {
			r.app.log.Warn().Err(err).Msg("reload of signing keys failed")
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
		n, err := r.app.store.Sweep(ctx, r.app.now().UTC(), sweepLimit)
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

// recorder writes audit events to the log, each with the request that caused
// it.
func (a *app) recorder() storage.Recorder { return logRecorder{a.log} }

type logRecorder struct{ log zerolog.Logger }

// Record implements storage.Recorder.
func (r logRecorder) Record(ctx context.Context, e storage.AuditEvent) {
	line := r.log.Info().Str("audit", e.Action).Str("outcome", e.Outcome)
	trace := e.TraceID
	if trace == "" {
		trace = server.RequestID(ctx)
	}
	for _, field := range []struct{ key, value string }{
		{"client_id", e.ClientID}, {"user", e.UserUID}, {"username", e.Username}, {"factor", e.Factor}, {"request_id", trace},
	} {
		if field.value != "" {
			line.Str(field.key, field.value)
		}
	}
	line.Send()
}
