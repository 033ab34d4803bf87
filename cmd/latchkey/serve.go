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

// Parts of the memory limit of Go's runtime, in MiB: the most that a server needs itself,
// and the memory of one password hash while it is computed.
const ownMemory, hashMemory = 48, 20

// limitMemory sets a memory limit. The variable GOMEMLIMIT of Go's runtime takes
// precedence.
func (c *cli) limitMemory(cfg config.Config) {
	if slices.ContainsFunc(c.environ, func(v string) bool { return strings.HasPrefix(v, "GOMEMLIMIT=") }) {
		return
	}
	hashes := cmp.Or(cfg.HashConcurrency, runtime.GOMAXPROCS(0)) // as signin.HasherConfig has it
	debug.SetMemoryLimit(int64(ownMemory+hashMemory*hashes) << 20)
}

// serve runs the server until ctx ends.
func (c *cli) serve(ctx context.Context, cfg config.Config) error {
	return server.Run(ctx, c.serverConfig(cfg))
}
