package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"latchkey/config"
	"latchkey/oauth/server"
	"latchkey/storage/gormstore"
)

func (c *cli) copyCommand() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "copy --from URL --to URL",
		Short: "Copy a database to another one, such as from SQLite to PostgreSQL",
		Long: `Copy a database to another one, such as from SQLite to PostgreSQL.

The target must be empty; it gets its schema. The source may serve meanwhile, but
the copy lacks what it writes after the command began: stop its servers first if
nothing may be lost. Nothing takes effect before the digests of all tables are
the same on both sides, all secrets open with the master key of the source, and
the chain of audit events is verified. So an interrupted copy can be repeated.

The target needs the same master key as the source.`,
		Example: `  latchkey copy --from sqlite:latchkey.db --to postgres://latchkey@db.example/latchkey`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			source, target := config.NewDatabaseURL(from), config.NewDatabaseURL(to)
			for flag, url := range map[string]config.DatabaseURL{"--from": source, "--to": target} {
				if _, sqlite := url.SQLitePath(); !sqlite && !url.Postgres() {
					return usagef("%s must be sqlite:PATH or postgres://…", flag)
				}
			}
			result, err := server.Copy(cmd.Context(), c.serverConfig(cfg), source, target, server.CopyConfig{
				Event: c.byOperator("database.copied", "Database/"+source.String()), Progress: c.progress(),
			})
			if err != nil {
				return err
			}
			return c.printCopy(result, target)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "URL of the database to read")
	cmd.Flags().StringVar(&to, "to", "", "URL of the empty database to fill")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// progress returns a function that prints each table, and each second of a large one, to
// the standard error stream.
func (c *cli) progress() server.Progress {
	last := c.now()
	return func(table string, rows int64, done bool) {
		if now := c.now(); (done && rows > 0) || now.Sub(last) >= time.Second {
			last = now
			_ = c.notice("%s: %d rows", table, rows)
		}
	}
}

// copyView is the result of "copy" and "restore" in the output.
type copyView struct {
	Target  string                  `json:"target"`
	Tables  []gormstore.CopiedTable `json:"tables"`
	Secrets int                     `json:"secrets"`
	Audit   auditView               `json:"audit"`
}

func (c *cli) printCopy(result server.CopyResult, target config.DatabaseURL) error {
	view := copyView{Target: target.String(), Tables: result.Tables, Secrets: result.Secrets, Audit: viewAudit(result.Audit)}
	return c.print(view, func(w io.Writer) error {
		filled := slices.DeleteFunc(slices.Clone(view.Tables), func(t gormstore.CopiedTable) bool { return t.Rows == 0 })
		err := table(w, "TABLE\tROWS\tDIGEST", len(filled), func(i int) string {
			t := filled[i]
			return fmt.Sprintf("%s\t%d\t%s", t.Name, t.Rows, t.Digest[:16])
		})
		if err == nil {
			_, err = fmt.Fprintf(w, "the digests are the same on both sides; %d secrets open with the master key\n%s", view.Secrets, view.Audit.text())
		}
		return err
	})
}
