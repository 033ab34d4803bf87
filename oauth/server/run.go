package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"latchkey/config"
	"latchkey/oauth/server/internal/listen"
	"latchkey/oauth/server/internal/tracing"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// Run runs the server of the configuration until ctx ends. It brings the schema of
// the database up to date first. The error is config.Faults if what is stored, or
// another server of the database, does not fit the settings.
func Run(ctx context.Context, cfg Config) error {
	bound, err := Bind(ctx, cfg)
	if err != nil {
		return err
	}
	defer bound.Release()
	var store *gormstore.Store
	var s *started
	err = waitForDatabase(ctx, bound, func() error {
		if store, err = OpenStore(ctx, bound); err != nil {
			return err
		}
		if s, err = start(ctx, bound, store); err != nil {
			return errors.Join(err, store.Close())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(s.run(ctx), store.Close())
}

// startPause is the time between two attempts of waitForDatabase.
const startPause = time.Second

// waitForDatabase calls try. While PostgreSQL does not answer, or is starting, it calls it
// again for as long as the setting database_wait says, because servers and their
// database are often started together. It returns other errors at once.
func waitForDatabase(ctx context.Context, cfg Config, try func() error) error {
	end := time.Now().Add(cfg.Settings.DatabaseWait)
	for waiting := false; ; waiting = true {
		err := try()
		if !errors.Is(err, storage.ErrUnavailable) || !cfg.Settings.DatabaseURL.Postgres() || time.Now().Add(startPause).After(end) {
			return err
		}
		if !waiting {
			log := cfg.logger()
			log.Warn().Err(err).Stringer("at_most", cfg.Settings.DatabaseWait).Msg("waiting for the database")
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(startPause):
		}
	}
}

// Bind opens the listener of a configuration that leaves the port to the system,
// and writes the port into the settings: a derived issuer must be known before the
// server is assembled. It returns other configurations unchanged. The caller calls
// Release.
func Bind(ctx context.Context, cfg Config) (Config, error) {
	if cfg.Listener != nil || !cfg.Settings.AnyPort() {
		return cfg, nil
	}
	listener, err := listen.Open(ctx, cfg.Settings.Listen)
	if err != nil {
		return cfg, fmt.Errorf("server: %w", err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return cfg, errors.Join(fmt.Errorf("server: %w", err), listener.Close())
	}
	cfg.Listener = listener
	cfg.Settings = cfg.Settings.WithPort(int(address.Port()))
	return cfg, nil
}

// BindBoth opens both listeners, for a caller who must know early that the addresses are
// free. Requests wait until the server runs. The caller calls Release.
func BindBoth(ctx context.Context, cfg Config) (Config, error) {
	cfg, err := Bind(ctx, cfg)
	if err != nil {
		return cfg, err
	}
	if cfg.Listener == nil {
		cfg.Listener, err = listen.Open(ctx, cfg.Settings.Listen)
	}
	if err == nil && cfg.OpsListener == nil {
		cfg.OpsListener, err = listen.Open(ctx, cfg.Settings.OpsListen)
	}
	if err != nil {
		cfg.Release()
		return cfg, fmt.Errorf("server: %w", err)
	}
	return cfg, nil
}

// Release closes the listeners that Bind or BindBoth opened. A server may have closed them
// already.
func (c Config) Release() {
	if c.Listener != nil {
		_ = c.Listener.Close()
	}
	if c.OpsListener != nil {
		_ = c.OpsListener.Close()
	}
}

// RunOn is Run on an open store, which it does not close. It does not wait for the
// database. It calls onStart when all is prepared, just before it serves.
func RunOn(ctx context.Context, cfg Config, store *gormstore.Store, onStart func()) error {
	s, err := start(ctx, cfg, store)
	if err != nil {
		return err
	}
	onStart()
	return s.run(ctx)
}

// started is a server that is ready to run, and listed in the database.
type started struct {
	app          *App
	server       *Server
	registration *gormstore.Registration
}

// start prepares everything that a server needs of the database. After an error it has
// left nothing behind.
func start(ctx context.Context, cfg Config, store *gormstore.Store) (*started, error) {
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	a, err := NewApp(ctx, cfg, store)
	if err != nil {
		return nil, err
	}
	if err := checkStored(ctx, cfg, store); err != nil {
		return nil, err
	}
	s := &started{app: a}
	if s.registration, err = a.register(ctx); err != nil {
		return nil, err
	}
	err = a.OpenRing(ctx)
	if err == nil {
		a.tracer, err = tracing.New(ctx, cfg.Version, store.Dialect(), a.Logger)
	}
	if err == nil {
		s.server, err = New(a)
	}
	if err != nil {
		s.end(ctx)
		return nil, err
	}
	return s, nil
}

// checkStored returns config.Faults if a stored sender or password profile does not fit
// the settings.
func checkStored(ctx context.Context, cfg Config, store *gormstore.Store) error {
	senders, err := store.Senders(ctx)
	if err == nil {
		err = CheckSenders(cfg.Settings, senders)
	}
	if err != nil {
		return err
	}
	profiles, err := PasswordProfiles(ctx, store)
	if err == nil {
		err = CheckProfiles(cfg.Settings, profiles)
	}
	return err
}

// run runs the server until ctx ends.
func (s *started) run(ctx context.Context) error {
	defer s.end(ctx)
	return s.server.Run(ctx, func(ctx context.Context) error { return s.app.issuerFault(s.registration.Keep(ctx)) })
}

func (s *started) end(ctx context.Context) {
	s.app.endTraces(ctx)
	s.app.deregister(ctx, s.registration)
}

// register makes sure that all servers of the database have one issuer: a server
// does not accept the tokens of another issuer. A server without a configured
// issuer takes over that of the running servers. A server with another issuer is
// refused.
func (a *App) register(ctx context.Context) (*gormstore.Registration, error) {
	for {
		registration, err := a.Store.RegisterServer(ctx, a.Settings.Issuer, func(other string) {
			a.Logger.Warn().Str("issuer", a.Settings.Issuer).Str("other_issuer", other).
				Msg("the database lists a server with another issuer; waiting for a sign of life")
		})
		conflict, ok := errors.AsType[gormstore.IssuerConflict](err)
		if !ok || !a.Settings.IssuerDerived {
			return registration, a.issuerFault(err)
		}
		a.Logger.Warn().Str("issuer", conflict.Issuer).Str("instead_of", a.Settings.Issuer).
			Msg("issuer is not set; taking over that of the servers that run on this database")
		a.Settings = a.Settings.WithIssuer(conflict.Issuer)
	}
}

// endTraces exports the spans that are left, for a moment at most.
func (a *App) endTraces(ctx context.Context) {
	if err := within(context.WithoutCancel(ctx), a.tracer.Close); err != nil {
		a.Logger.Warn().Err(err).Msg("the last traces could not be exported")
	}
}

// deregister removes the server from the database, so that servers with another
// issuer can start at once. If the database does not answer, they must wait until
// the registration is too old.
func (a *App) deregister(ctx context.Context, registration *gormstore.Registration) {
	if err := registration.End(ctx); err != nil {
		a.Logger.Warn().Err(err).Msg("the database still lists this server")
	}
}

// issuerFault turns a gormstore.IssuerConflict into config.Faults. It returns other
// errors unchanged.
func (a *App) issuerFault(err error) error {
	conflict, ok := errors.AsType[gormstore.IssuerConflict](err)
	if !ok {
		return err
	}
	return config.Faults{{Setting: "issuer", Problem: fmt.Sprintf("is %s, but %v: "+
		"all servers of a database must have the same issuer; to change it, stop all of them first", a.Settings.Issuer, conflict)}}
}
