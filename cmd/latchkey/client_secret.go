package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	oauthclient "latchkey/oauth/client"
	"latchkey/storage"
)

// issuedSecret is printed once. The secret cannot be shown again.
type issuedSecret struct {
	ClientID  string     `json:"client_id"`
	ID        string     `json:"secret_id"`
	Secret    string     `json:"client_secret"`
	ExpiresAt *time.Time `json:"expires_at"` // null: never
}

func (c *cli) clientSecretCommand() *cobra.Command {
	var name string
	var expiresIn time.Duration
	add := &cobra.Command{
		Use:               "add ID",
		ValidArgsFunction: c.completeClients,
		Short:             "Give a client another secret and print it, once, as JSON",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.addSecret(cmd, args[0], name, expiresIn)
		},
	}
	add.Flags().StringVar(&name, "name", "", "name of the secret, for people")
	add.Flags().DurationVar(&expiresIn, "expires-in", 0, "how long it works (default: without end)")
	remove := &cobra.Command{
		Use:               "delete ID SECRET_ID",
		ValidArgsFunction: c.completeClients,
		Short:             "Delete a secret of a client",
		Args:              cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.deleteSecret(cmd, args[0], args[1])
		},
	}
	return group("secret", "Secrets of a client", add, remove)
}

func (c *cli) addSecret(cmd *cobra.Command, id, name string, expiresIn time.Duration) error {
	if len(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		return usagef("--name must be one line of at most 200 bytes")
	}
	if expiresIn < 0 || cmd.Flags().Changed("expires-in") && expiresIn < time.Second {
		return usagef("--expires-in must be at least 1s")
	}
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withExistingApp(cmd.Context(), cfg, func(a *app) error {
		client, err := findClient(cmd.Context(), a.store, id)
		if err != nil {
			return err
		}
		var expires time.Time
		if expiresIn > 0 {
			expires = c.now().UTC().Add(expiresIn).Truncate(time.Second)
		}
		var issued issuedSecret
		err = a.store.InTx(cmd.Context(), func(ctx context.Context) error {
			if issued, err = a.addSecret(ctx, client.ID, name, expires); err != nil {
				return err
			}
			return a.audit(ctx, "apiclientsecret.created", "ApiClient/"+client.ID+"/"+issued.ID)
		})
		if err != nil {
			return err
		}
		return writeJSON(c.stdout, issued)
	})
}

// addSecret makes a secret, keeps its digest and returns it.
func (a *app) addSecret(ctx context.Context, clientID, name string, expires time.Time) (issuedSecret, error) {
	value, kept, err := oauthclient.GenerateSecret(a.peppers, a.random, clientID, name, expires, a.now())
	if err != nil {
		return issuedSecret{}, err
	}
	err = a.store.AddClientSecret(ctx, clientID, kept, oauthclient.MaxSecrets)
	if errors.Is(err, storage.ErrTooMany) {
		err = fmt.Errorf("client %s has %d secrets already; delete one first", clientID, oauthclient.MaxSecrets)
	}
	return issuedSecret{clientID, kept.ID, value, optionalTime(expires)}, err
}

func (c *cli) deleteSecret(cmd *cobra.Command, clientID, secretID string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withExistingApp(cmd.Context(), cfg, func(a *app) error {
		client, err := findClient(cmd.Context(), a.store, clientID)
		if err != nil {
			return err
		}
		err = a.store.InTx(cmd.Context(), func(ctx context.Context) error {
			if err := a.store.DeleteClientSecret(ctx, client.ID, secretID); err != nil {
				return err
			}
			return a.audit(ctx, "apiclientsecret.deleted", "ApiClient/"+client.ID+"/"+secretID)
		})
		if errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("client %s has no secret %q", client.ID, secretID)
		}
		if err != nil {
			return err
		}
		return c.done("secret %s of client %s is deleted", secretID, client.ID)
	})
}
