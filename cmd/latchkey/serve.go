package main

import (
	"context"
	"errors"

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
			return c.serve(cmd.Context(), cfg)
		},
	})
}

func (c *cli) serve(ctx context.Context, cfg config.Config) error {
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.serveStore(ctx, cfg, store), store.Close())
}

// serveStore runs a replica on an open store until ctx ends.
func (c *cli) serveStore(ctx context.Context, cfg config.Config, store *gormstore.Store) error {
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	a, err := c.newApp(ctx, cfg, store)
	if err != nil {
		return err
	}
	senders, err := store.Senders(ctx)
	if err != nil {
		return err
	}
	if err := checkSenders(cfg, senders); err != nil {
		return err
	}
	if err := a.openRing(ctx); err != nil {
		return err
	}
	r, err := a.newReplica(c.stdout)
	if err != nil {
		return err
	}
	return r.run(ctx)
}
