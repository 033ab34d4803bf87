package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"latchkey/config"
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
	if _, err := loadTemplates(cfg); err != nil {
		return err
	}
	senders, err := c.checkStoredSenders(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	settings := map[string]string{}
	for _, s := range config.Settings() {
		settings[s.Key] = cfg.Show(s)
	}
	view := struct {
		Valid    bool              `json:"valid"`
		Senders  string            `json:"senders"`
		Settings map[string]string `json:"settings"`
	}{true, senders, settings}
	return c.print(view, func(w io.Writer) error {
		_, _ = fmt.Fprintf(w, "configuration is valid; senders: %s\n", senders)
		all := config.Settings()
		return table(w, "KEY\tVALUE", len(all), func(i int) string { return all[i].Key + "\t" + settings[all[i].Key] })
	})
}

// checkStoredSenders checks the senders in a PostgreSQL database and tells how
// far it came. A database that does not answer is no fault of the settings. An
// SQLite database is left alone: it may have any sender, and a look would
// create it.
func (c *cli) checkStoredSenders(ctx context.Context, cfg config.Config) (string, error) {
	if !cfg.DatabaseURL.Postgres() {
		return "any are allowed with SQLite", nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	store, err := c.openStore(ctx, cfg)
	if err != nil {
		return "not checked, the database does not answer", nil
	}
	defer func() { _ = store.Close() }()
	senders, err := store.Senders(ctx)
	if err != nil {
		return "not checked, the database cannot be read", nil
	}
	return "checked", checkSenders(cfg, senders)
}

// settingView is a setting in the JSON form of the reference.
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
