package main

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchkey/config"
	"latchkey/oauth/server"
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

// serve runs the server until ctx ends.
func (c *cli) serve(ctx context.Context, cfg config.Config) error {
	return server.Run(ctx, c.serverConfig(cfg))
}
