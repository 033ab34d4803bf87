package main

import (
	"github.com/spf13/cobra"

	"latchkey/cmd/latchkey/apply"
	"latchkey/storage/gormstore"
)

func (c *cli) exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print the stored realms, users, clients and senders as a document for apply",
		Long: `Print the stored realms, users, clients and senders as a document for apply.

The document has no secrets and no password hashes. Applied to the same database it
changes nothing. What a document cannot contain is listed on the standard error
stream.`,
		Example: `  latchkey export >shop.yaml
  latchkey export | latchkey apply -f - --dry-run`,
		Args: cobra.NoArgs,
		RunE: c.export,
	}
}

func (c *cli) export(cmd *cobra.Command, _ []string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
		doc, omitted, err := apply.Export(cmd.Context(), store)
		if err != nil {
			return err
		}
		for _, text := range omitted {
			if err := c.notice("not in the document: %s", text); err != nil {
				return err
			}
		}
		return doc.WriteYAML(c.stdout)
	})
}
