package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"latchkey/config"
	"latchkey/oauth/server"
	"latchkey/oauth/server/terminal"
	"latchkey/storage/gormstore"
)

func (c *cli) migrateCommand() *cobra.Command {
	up := &cobra.Command{
		Use:   "up",
		Short: "Bring the schema up to date; safe when several start at once",
		Args:  cobra.NoArgs,
		RunE:  c.migrateUp,
	}
	status := &cobra.Command{
		Use:   "status",
		Short: "List the steps of the schema and when each was applied",
		Args:  cobra.NoArgs,
		RunE:  c.migrateStatus,
	}
	return group("migrate", "Versioned schema of the database", up, status)
}

// migrationView is a migration in the output.
type migrationView struct {
	Version   int64      `json:"version"`
	Name      string     `json:"name"`
	AppliedAt *time.Time `json:"applied_at"` // null: pending
	Newer     bool       `json:"newer,omitempty"`
}

// newerStep is shown as the name of a migration that only a newer program knows.
const newerStep = "(of a newer latchkey)"

// migrations returns the migrations of the schema. All are pending if the database
// does not exist.
func (c *cli) migrations(ctx context.Context, cfg config.Config) (steps []gormstore.Migration, err error) {
	store, err := server.OpenStoreReadOnly(ctx, c.serverConfig(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return gormstore.PendingMigrations(cfg.DatabaseURL.Reveal())
	}
	if err != nil {
		return nil, err
	}
	defer closing(store, &err)
	return store.MigrationStatus(ctx)
}

func (c *cli) migrateUp(cmd *cobra.Command, _ []string) (err error) {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	store, err := server.OpenStore(cmd.Context(), c.serverConfig(cfg))
	if err != nil {
		return err
	}
	defer closing(store, &err)
	if err := store.Migrate(cmd.Context()); err != nil {
		return err
	}
	return c.done("schema is up to date")
}

func (c *cli) migrateStatus(cmd *cobra.Command, _ []string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	steps, err := c.migrations(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	views := make([]migrationView, len(steps))
	for i, m := range steps {
		views[i] = migrationView{m.Version, cmp.Or(m.Name, newerStep), optionalTime(m.AppliedAt), m.Name == ""}
	}
	return c.print(views, func(w io.Writer) error {
		return table(w, "VERSION\tNAME\tAPPLIED", len(views), func(i int) string {
			return fmt.Sprintf("%d\t%s\t%s", views[i].Version, views[i].Name, showTime(steps[i].AppliedAt, "pending"))
		})
	})
}

// closing closes a store in a defer statement, and sets err if the close fails.
func closing(store io.Closer, err *error) {
	if closeErr := store.Close(); *err == nil {
		*err = closeErr
	}
}

// table writes rows of cells separated by tabs in aligned columns.
func table(w io.Writer, head string, rows int, row func(int) string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, head)
	for i := range rows {
		_, _ = fmt.Fprintln(t, strings.Map(cellRune, row(i)))
	}
	return t.Flush()
}

// cellRune replaces a character that controls a terminal. Tabs separate cells and
// stay.
func cellRune(r rune) rune {
	if r != '\t' && terminal.Controls(r) {
		return '\uFFFD'
	}
	return r
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func showTime(t time.Time, zero string) string {
	if t.IsZero() {
		return zero
	}
	return t.UTC().Format(time.RFC3339)
}
