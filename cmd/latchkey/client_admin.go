package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/grants"
	"latchkey/storage"
	"latchkey/storage/gormstore"
)

func (c *cli) clientShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Show a client, without its secrets",
		Example:           "  latchkey client show shop --output json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeClients,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
				client, err := findClient(cmd.Context(), store, args[0])
				if err != nil {
					return err
				}
				view := viewClient(client)
				return c.print(view, func(w io.Writer) error { return view.write(w) })
			})
		},
	}
}

// write writes a line for each member.
func (v clientView) write(w io.Writer) error {
	lines := [][2]string{
		{"id", v.ID},
		{"name", v.Name},
		{"active", fmt.Sprint(v.Active)},
		{"public", fmt.Sprint(v.Public)},
		{"profile", v.Profile},
		{"grants", strings.Join(v.GrantTypes, ", ")},
		{"credentials", strings.Join(v.Credentials, ", ")},
		{"roles", strings.Join(v.Roles, ", ")},
		{"access tokens", v.AccessDuration},
		{"refresh tokens", v.RefreshDuration},
		{"created", showTime(v.CreatedAt, "")},
	}
	for _, s := range v.Secrets {
		expires := "never"
		if s.ExpiresAt != nil {
			expires = showTime(*s.ExpiresAt, "never")
		}
		lines = append(lines, [2]string{"secret " + s.ID, s.Name + ", expires " + expires})
	}
	return table(w, "MEMBER\tVALUE", len(lines), func(i int) string { return lines[i][0] + "\t" + lines[i][1] })
}

func (c *cli) clientDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete ID",
		Short:             "Delete a client with its secrets; its tokens end",
		Example:           "  latchkey client delete shop",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeClients,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeClient(cmd, args[0], "apiclient.deleted", "deleted", func(ctx context.Context, a *app, client storage.Client) error {
				return a.store.DeleteClient(ctx, client.ID, client.Version)
			})
		},
	}
}

// changeClient changes a client and stores an audit event with that action, in one
// transaction. done is the participle in the printed result, such as
// "enabled".
func (c *cli) changeClient(cmd *cobra.Command, id, action, done string, change func(context.Context, *app, storage.Client) error) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withExistingApp(cmd.Context(), cfg, func(a *app) error {
		client, err := findClient(cmd.Context(), a.store, id)
		if err != nil {
			return err
		}
		err = a.store.InTx(cmd.Context(), func(ctx context.Context) error {
			if err := change(ctx, a, client); err != nil {
				return err
			}
			return a.audit(ctx, action, "ApiClient/"+client.ID)
		})
		if err != nil {
			return err
		}
		return c.done("client %s is %s", client.ID, done)
	})
}

// clientChanges are the flags of "client update". A flag that is not given changes
// nothing.
type clientChanges struct {
	name                            string
	grants, roles, credentials      []string
	accessDuration, refreshDuration time.Duration
}

func (c *cli) clientUpdateCommand() *cobra.Command {
	var to clientChanges
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change what the flags name; a list replaces the former one",
		Example: `  latchkey client update nightly --role OrderReader --role OrderAdmin
  latchkey client update shop --refresh-token-duration 720h`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeClients,
	}
	f := cmd.Flags()
	f.StringVar(&to.name, "name", "", "name of the application")
	f.StringArrayVar(&to.grants, "grant", nil, "grant that it may use: "+strings.Join(grants.GrantTypes(), ", ")+"; repeatable")
	f.StringArrayVar(&to.roles, "role", nil, "role that it has, and at most grants; repeatable")
	f.StringArrayVar(&to.credentials, "credential", nil, "credential that it accepts: otp or password; repeatable")
	f.DurationVar(&to.accessDuration, "access-token-duration", 0, "life of its access tokens")
	f.DurationVar(&to.refreshDuration, "refresh-token-duration", 0, "life of its refresh tokens")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := to.check(); err != nil {
			return err
		}
		return c.changeClient(cmd, args[0], "apiclient.updated", "updated", func(ctx context.Context, a *app, client storage.Client) error {
			if client.Public && slices.Contains(to.grants, grants.GrantClientCredentials) {
				return usagef("a public client cannot have the grant %s", grants.GrantClientCredentials)
			}
			_, err := a.store.PutClient(ctx, to.apply(client, cmd.Flags().Changed))
			return err
		})
	}
	return cmd
}

// check refuses what "client create" refuses.
func (n clientChanges) check() error {
	for _, g := range n.grants {
		if !slices.Contains(grants.GrantTypes(), g) {
			return usagef("unknown grant %q: the known are %s", g, strings.Join(grants.GrantTypes(), ", "))
		}
	}
	for _, credential := range n.credentials {
		if credential != credentialOTP && credential != credentialPassword {
			return usagef("--credential must be %s or %s, not %q", credentialOTP, credentialPassword, credential)
		}
	}
	for flag, life := range map[string]struct{ given, most time.Duration }{
		"--access-token-duration": {n.accessDuration, maxAccessTokenLife}, "--refresh-token-duration": {n.refreshDuration, maxRefreshDuration},
	} {
		if life.given != 0 && (life.given < time.Second || life.given > life.most) {
			return usagef("%s must be from 1s to %s", flag, life.most)
		}
	}
	return nil
}

func (n clientChanges) apply(k storage.Client, given func(flag string) bool) storage.Client {
	if given("name") {
		k.Name = n.name
	}
	if given("grant") {
		k.GrantTypes = sorted(n.grants)
	}
	if given("role") {
		k.Roles, k.MaximumRoles = sorted(n.roles), sorted(n.roles)
		k.RequiresContextUser = false
	}
	if given("credential") {
		k.Credentials = storage.Credentials{OTP: slices.Contains(n.credentials, credentialOTP), Password: slices.Contains(n.credentials, credentialPassword)}
	}
	if given("access-token-duration") {
		k.AccessTokenTTL = n.accessDuration
	}
	if given("refresh-token-duration") {
		k.RefreshTokenTTL = n.refreshDuration
	}
	return k
}
