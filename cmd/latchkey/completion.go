package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// completedMessages is how many of the newest messages are offered.
const completedMessages = 50

// completeFirst returns a completion of the first argument from the IDs that find returns,
// each with a tab and a description after it.
func (c *cli) completeFirst(find func(context.Context, *gormstore.Store) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		cfg, err := c.load(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var matching []string
		err = c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
			all, err := find(cmd.Context(), store)
			for _, id := range all {
				if strings.HasPrefix(id, prefix) {
					matching = append(matching, id)
				}
			}
			return err
		})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return matching, cobra.ShellCompDirectiveNoFileComp
	}
}

func (c *cli) completeClients(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) ([]string, error) {
		records, err := store.Clients(ctx)
		return describe(records, func(k storage.Client) string { return k.ID + "\t" + k.Name }), err
	})(cmd, args, prefix)
}

func (c *cli) completeSenders(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) ([]string, error) {
		records, err := store.Senders(ctx)
		return describe(records, func(s storage.Sender) string { return s.ID + "\t" + s.Name }), err
	})(cmd, args, prefix)
}

func (c *cli) completeKeys(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) ([]string, error) {
		records, err := store.SigningKeys(ctx)
		return describe(records, func(k storage.SigningKey) string { return k.KID + "\t" + k.Alg }), err
	})(cmd, args, prefix)
}

func (c *cli) completeMessages(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) ([]string, error) {
		records, err := store.Messages(ctx, storage.MessageFilter{Limit: completedMessages})
		return describe(records, func(m storage.Message) string { return m.ID + "\t" + string(m.State) }), err
	})(cmd, args, prefix)
}

func describe[R any](records []R, text func(R) string) []string {
	described := make([]string, len(records))
	for i, r := range records {
		described[i] = text(r)
	}
	return described
}
