package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"latchkey/cmd/latchkey/apply"
	"latchkey/config"
	"latchkey/oauth/server"
	"latchkey/storage/gormstore"
)

//go:embed demo.yaml
var demoDocument []byte

func (c *cli) demoCommand() *cobra.Command {
	return withAllSettings(&cobra.Command{
		Use:   "demo",
		Short: "Run a server on a throwaway database with a user and a client to try out",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.demo(cmd.Context(), cfg)
		},
	})
}

// demo runs a server on a new database in a temporary directory, and removes the
// directory at the end. It ignores the configured database.
func (c *cli) demo(ctx context.Context, cfg config.Config) (err error) {
	dir, err := os.MkdirTemp("", "latchkey-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if cfg.LogLevel == zerolog.InfoLevel {
		cfg.LogLevel = zerolog.WarnLevel // keep the terminal for the codes
	}
	cfg.ShutdownDelay = 0 // no load balancer has to notice
	cfg.DatabaseURL = config.NewDatabaseURL("sqlite:" + filepath.Join(dir, "demo.db"))
	sc, err := server.BindBoth(ctx, c.serverConfig(cfg))
	if err != nil {
		return err
	}
	defer sc.Release()
	sc.FastCommits = true
	store, err := server.OpenStore(ctx, sc)
	if err != nil {
		return err
	}
	if err := c.fillDemo(ctx, sc, store); err != nil {
		return errors.Join(err, store.Close())
	}
	application, err := newDemoApplication(ctx, sc.Settings.Issuer)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	served := make(chan error, 1)
	go func() { served <- application.serve() }()
	err = server.RunOn(ctx, sc, store, func() { c.explainDemo(sc.Settings, application.origin) })
	return errors.Join(err, application.close(), <-served, store.Close())
}

// fillDemo imports the document of the demo.
func (c *cli) fillDemo(ctx context.Context, sc server.Config, store *gormstore.Store) error {
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	core, err := server.NewApp(ctx, sc, store)
	if err != nil {
		return err
	}
	applier, err := newApp(core).newApplier(applyFlags{})
	if err != nil {
		return err
	}
	doc, err := apply.Decode(demoDocument, apply.Secrets{})
	if err != nil {
		return fmt.Errorf("demo document: %w", err)
	}
	_, err = applier.Apply(ctx, doc, false)
	return err
}

// explainDemo prints what to try. The server answers a moment later.
func (c *cli) explainDemo(cfg config.Config, application string) {
	_, _ = fmt.Fprintf(c.stdout, `Latchkey demo on %[1]s: user "jane", password "correct-Horse-7-battery".
Everything is gone when it stops (Ctrl-C).

Sign in with a browser, at the page of a sample application: %[2]s
The code appears here. Administer it with a browser as user "root": %[1]s/console

Or sign in without a page, in another terminal:

# ask for a one-time password; it appears here
curl -i %[1]s/v1/password/onetimepassword \
  -H 'Content-Type: application/json' -d '{"ClientID":"storefront","Username":"jane"}'

# sign in with it, once (put the code in place of CODE)
curl -s %[1]s/oauth/token -u storefront:demo-secret-demo-secret-demo-secret \
  -d grant_type=password -d username=jane -d password=CODE

# refresh, and look at a token (put yours in place of TOKEN)
curl -s %[1]s/oauth/token -u storefront:demo-secret-demo-secret-demo-secret \
  -d grant_type=refresh_token -d refresh_token=TOKEN
curl -s %[1]s/oauth/introspect -u storefront:demo-secret-demo-secret-demo-secret -d token=TOKEN

`, cfg.Issuer, application)
}
