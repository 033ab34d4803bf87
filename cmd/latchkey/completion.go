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
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) (ids []string, err error) {
		clients, err := store.Clients(ctx)
		for _, k := range clients {
			ids = append(ids, k.ID+"\t"+k.Name)
		}
		return ids, err
	})(cmd, args, prefix)
}

func (c *cli) completeSenders(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) (ids []string, err error) {
		senders, err := store.Senders(ctx)
		for _, s := range senders {
			ids = append(ids, s.ID+"\t"+s.Name)
		}
		return ids, err
	})(cmd, args, prefix)
}

func (c *cli) completeKeys(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) (ids []string, err error) {
		keys, err := store.SigningKeys(ctx)
		for _, k := range keys {
			ids = append(ids, k.KID+"\t"+k.Alg)
		}
		return ids, err
	})(cmd, args, prefix)
}

func (c *cli) completeMessages(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return c.completeFirst(func(ctx context.Context, store *gormstore.Store) (ids []string, err error) {
		messages, err := store.Messages(ctx, storage.MessageFilter{Limit: completedMessages})
		for _, m := range messages {
			ids = append(ids, m.ID+"\t"+string(m.State))
		}
		return ids, err
	})(cmd, args, prefix)
}
