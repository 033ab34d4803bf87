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
	// gcPercent lets the heap grow to 2.7 times the live memory before a collection.
	// Live memory is small, since a server holds no tokens. With Go's default there
	// would be a collection every few hundred requests. With 300 a server that hashes
	// no passwords has up to 67 MB resident, with 170 up to 57 MB.
	gcPercent = 170
	// Parts of the memory limit of Go's runtime, in MiB: the most that a server needs
	// itself, and the memory of one password hash while it is computed.
	ownMemory, hashMemory = 48, 20
)

// limitMemory lets the garbage collector run less often, and sets a memory limit. The
// variables GOGC and GOMEMLIMIT of Go's runtime take precedence.
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
