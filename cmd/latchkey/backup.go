package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"latchkey/oauth/server"
	"latchkey/storage/gormstore"
)

func (c *cli) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a consistent backup of the database to a new file, also while it serves",
		Long: `Write a consistent backup of the database to a new file, also while it serves.

The file has mode 0600 and holds all records with their secrets sealed. It does not
hold the master key: keep that in another place. Keep the audit head that the
command prints, too; see "latchkey audit verify --expect".`,
		Example: "  latchkey backup /var/backups/latchkey-monday.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withReadingApp(cmd.Context(), cfg, func(a *app) error { return c.backUp(cmd.Context(), a, args[0]) })
		},
	}
}

// backupView is the result of "backup" in the output.
type backupView struct {
	File string `json:"file"`
	gormstore.Manifest
}

func (c *cli) backUp(ctx context.Context, a *app, file string) error {
	manifest, err := a.store.Backup(ctx, file, gormstore.BackupConfig{Now: a.now(), Keys: a.peppers, Progress: c.progress()})
	if err != nil {
		return err
	}
	return c.print(backupView{file, manifest}, func(w io.Writer) error {
		var rows int64
		for _, t := range manifest.Tables {
			rows += t.Rows
		}
		_, err := fmt.Fprintf(w, "%s: %d rows of %d tables\naudit head %s\n", file, rows, len(manifest.Tables), cmp.Or(manifest.AuditHead, "(none)"))
		return err
	})
}

func (c *cli) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Fill the configured database, which must be empty, from a backup",
		Long: `Fill the configured database, which must be empty, from a backup.

The database may be of another kind than the one that was backed up. Nothing takes
effect unless the file is a complete backup, its rows are those that were written,
and the configured master key opens all secrets. Codes, refresh tokens and audit
events are those of the time of the backup; see docs/BACKUP.md.`,
		Example: "  latchkey restore /var/backups/latchkey-monday.db --database-url sqlite:latchkey.db",
		Args:    cobra.ExactArgs(1),
		RunE:    c.restore,
	}
}

func (c *cli) restore(cmd *cobra.Command, args []string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	result, manifest, err := server.Restore(cmd.Context(), c.serverConfig(cfg), args[0], server.CopyConfig{
		Event: c.byOperator("database.restored", "Backup/"+filepath.Base(args[0])), Progress: c.progress(),
	})
	if err != nil {
		return err
	}
	if err := c.noticeAudit(result, manifest); err != nil {
		return err
	}
	return c.printCopy(result, cfg.DatabaseURL)
}

// noticeAudit says if the chain of audit events is not the one that was backed up.
func (c *cli) noticeAudit(result server.CopyResult, manifest gormstore.Manifest) error {
	switch broken := result.Audit.Break; {
	case broken != nil && manifest.AuditHead != "":
		return c.notice("the chain of audit events is broken at event %d: %s", broken.Seq, broken.Why)
	case manifest.AuditHead != "" && result.Audit.Head.String() != manifest.AuditHead:
		return c.notice("the audit events end with %s, but those of the backup ended with %s", result.Audit.Head.String(), manifest.AuditHead)
	}
	return nil
}
