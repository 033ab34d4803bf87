package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"latchkey/config"
	"latchkey/oauth/server"
	"latchkey/storage/gormstore"
)

// checkTimeout bounds how long "config check" waits for the database.
const checkTimeout = 5 * time.Second

func (c *cli) configCommand() *cobra.Command {
	check := withAllSettings(&cobra.Command{
		Use:   "check",
		Short: "Validate the settings and list every fault",
		Args:  cobra.NoArgs,
		RunE:  c.checkConfig,
	})
	reference := &cobra.Command{
		Use:   "reference",
		Short: "Print the description of all settings as Markdown",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return c.printReference() },
	}
	return group("config", "Settings", check, reference)
}

func (c *cli) checkConfig(cmd *cobra.Command, _ []string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	if err := server.CheckTemplates(cfg); err != nil {
		return err
	}
	stored, err := c.checkStored(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	settings := map[string]string{}
	for _, s := range config.Settings() {
		settings[s.Key] = cfg.Show(s)
	}
	view := struct {
		Valid    bool              `json:"valid"`
		Schema   string            `json:"schema"`
		Senders  string            `json:"senders"`
		Profiles string            `json:"password_profiles"`
		Settings map[string]string `json:"settings"`
	}{true, stored.schema, stored.senders, stored.profiles, settings}
	return c.print(view, func(w io.Writer) error {
		_, _ = fmt.Fprintf(w, "configuration is valid; senders: %s; password profiles: %s\nschema: %s\n", stored.senders, stored.profiles, stored.schema)
		all := config.Settings()
		return table(w, "KEY\tVALUE", len(all), func(i int) string { return all[i].Key + "\t" + settings[all[i].Key] })
	})
}

// storedChecks are the results of the checks of the database, for people.
type storedChecks struct{ schema, senders, profiles string }

// checkStored checks the schema, and in a PostgreSQL database the senders and
// password profiles, and says how far it came. It writes nothing. A database that
// does not answer or does not exist is no fault of the settings, and neither is an
// older schema, which a server brings up to date when it starts. A schema of a
// newer program is one: no server starts with it.
func (c *cli) checkStored(ctx context.Context, cfg config.Config) (storedChecks, error) {
	done := storedChecks{senders: "any are allowed with SQLite", profiles: "checked at the start of a server"}
	if cfg.DatabaseURL.Postgres() {
		done.senders, done.profiles = "checked", "checked"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	store, err := server.OpenStoreReadOnly(ctx, c.serverConfig(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		done.schema = "none, there is no database yet"
		return done, nil
	}
	if err != nil {
		const silent = "not checked, the database does not answer"
		return storedChecks{silent, silent, silent}, nil
	}
	defer func() { _ = store.Close() }()
	err = store.CheckSchema(ctx)
	schema, differs := errors.AsType[gormstore.SchemaError](err)
	switch {
	case differs && schema.Newer():
		return done, err
	case differs:
		done.schema = fmt.Sprintf("at version %d, a server brings it to version %d", schema.Found, schema.Needs)
	case err != nil:
		done.schema = "not checked, the database cannot be read"
	default:
		done.schema = "up to date"
	}
	if !cfg.DatabaseURL.Postgres() {
		return done, nil
	}
	senders, err := store.Senders(ctx)
	if err != nil {
		done.senders = "not checked, the database cannot be read"
	}
	profiles, err := server.PasswordProfiles(ctx, store)
	if err != nil {
		done.profiles = "not checked, the database cannot be read"
	}
	return done, errors.Join(server.CheckSenders(cfg, senders), server.CheckProfiles(cfg, profiles))
}

// settingView is a setting in the output of "config reference" as JSON.
type settingView struct {
	Key      string `json:"key"`
	Variable string `json:"variable"`
	Default  string `json:"default,omitempty"`
	Derived  string `json:"derived,omitempty"`
	Secret   bool   `json:"secret"`
	Meaning  string `json:"meaning"`
}

func (c *cli) printReference() error {
	all := config.Settings()
	views := make([]settingView, len(all))
	for i, s := range all {
		views[i] = settingView{s.Key, s.Variable, s.Default, s.Derived, s.Secret, s.Meaning}
	}
	return c.print(views, func(w io.Writer) error {
		_, err := io.WriteString(w, config.Reference())
		return err
	})
}
