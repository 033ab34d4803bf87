package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchkey/config"
	"latchkey/storage/gormstore"
)

func (c *cli) serveCommand() *cobra.Command {
	return withAllSettings(&cobra.Command{
		Use:   "serve",
		Short: "Run the server; brings the database schema up to date first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			c.limitMemory(cfg)
			return c.serve(cmd.Context(), cfg)
		},
	})
}

const (
	// gcPercent lets garbage grow to three times what is in use, which is
	// little: a server holds no tokens. Go's default collects after every few
	// hundred requests.
	gcPercent = 300
	// Memory in MiB that Go's runtime shall not exceed: what a server needs at
	// most, and what a password hash needs while it is computed.
	ownMemory, hashMemory = 48, 20
)

// limitMemory trades memory for speed, up to a limit, unless the environment
// says how (see Go's package runtime).
func (c *cli) limitMemory(cfg config.Config) {
	given := func(name string) bool {
		return slices.ContainsFunc(c.environ, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	if !given("GOGC") {
		debug.SetGCPercent(gcPercent)
	}
	if !given("GOMEMLIMIT") {
		hashes := cmp.Or(cfg.HashConcurrency, runtime.GOMAXPROCS(0)) // as signin.HasherConfig has it
		debug.SetMemoryLimit(int64(ownMemory+hashMemory*hashes) << 20)
	}
}

func (c *cli) serve(ctx context.Context, cfg config.Config) error {
	listener, err := bindPort(ctx, &cfg)
	if err != nil {
		return err
	}
	defer closeListener(listener)
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.serveStore(ctx, cfg, store, listener), store.Close())
}

// bindPort opens the listener of a server whose configuration leaves the port to
// the system, and writes the port into the configuration: a derived issuer needs
// it before the server is assembled. With any other port it returns nil, and the
// server opens its listener when everything else is ready.
func bindPort(ctx context.Context, cfg *config.Config) (net.Listener, error) {
	if !cfg.AnyPort() {
		return nil, nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server: %w", err), listener.Close())
	}
	*cfg = cfg.WithPort(int(address.Port()))
	return listener, nil
}

// closeListener closes a listener that a server may have closed already.
func closeListener(l net.Listener) {
	if l != nil {
		_ = l.Close()
	}
}

// register makes sure that all servers of the database have one issuer: tokens of
// one would be worth nothing to another. A server that was told no issuer takes
// over that of the servers that run, and one with another issuer is refused.
func (a *app) register(ctx context.Context) (*gormstore.Registration, error) {
	for {
		registration, err := a.store.RegisterServer(ctx, a.cfg.Issuer, func(other string) {
			a.log.Warn().Str("issuer", a.cfg.Issuer).Str("other_issuer", other).
				Msg("the database lists a server with another issuer; waiting for a sign of life")
		})
		conflict, ok := errors.AsType[gormstore.IssuerConflict](err)
		if !ok || !a.cfg.IssuerDerived {
			return registration, a.issuerFault(err)
		}
		a.log.Warn().Str("issuer", conflict.Issuer).Str("instead_of", a.cfg.Issuer).
			Msg("issuer is not set; taking over that of the servers that run on this database")
		a.cfg = a.cfg.WithIssuer(conflict.Issuer)
	}
}

// deregister lets servers with another issuer start at once. If the database does
// not answer they must wait.
func (a *app) deregister(ctx context.Context) {
	if err := a.registration.End(ctx); err != nil {
		a.log.Warn().Err(err).Msg("the database still lists this server")
	}
}

// issuerFault makes a fault of the configuration of an IssuerConflict.
func (a *app) issuerFault(err error) error {
	conflict, ok := errors.AsType[gormstore.IssuerConflict](err)
	if !ok {
		return err
	}
	return config.Faults{{Setting: "issuer", Problem: fmt.Sprintf("is %s, but %v: "+
		"all servers of a database must have the same issuer; to change it, stop all of them first", a.cfg.Issuer, conflict)}}
}

// serveStore runs a replica on an open store until ctx ends. The listener is
// that of bindPort.
func (c *cli) serveStore(ctx context.Context, cfg config.Config, store *gormstore.Store, listener net.Listener) error {
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	a, err := c.newApp(ctx, cfg, store)
	if err != nil {
		return err
	}
	a.listener = listener
	senders, err := store.Senders(ctx)
	if err != nil {
		return err
	}
	if err := checkSenders(cfg, senders); err != nil {
		return err
	}
	profiles, err := allProfiles(ctx, store)
	if err != nil {
		return err
	}
	if err := checkProfiles(cfg, profiles); err != nil {
		return err
	}
	if a.registration, err = a.register(ctx); err != nil {
		return err
	}
	defer a.deregister(ctx)
	if err := a.openRing(ctx); err != nil {
		return err
	}
	r, err := a.newReplica(c.stdout)
	if err != nil {
		return err
	}
	return r.run(ctx)
}
