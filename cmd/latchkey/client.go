package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

func (c *cli) clientCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the clients, without their secrets",
		Args:  cobra.NoArgs,
		RunE:  c.listClients,
	}
	enable := &cobra.Command{
		Use:               "enable ID",
		Example:           "  latchkey client enable shop",
		ValidArgsFunction: c.completeClients,
		Short:             "Let a client be used again",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.setActive(cmd, args[0], true) },
	}
	disable := &cobra.Command{
		Use:               "disable ID",
		Example:           "  latchkey client disable shop",
		ValidArgsFunction: c.completeClients,
		Short:             "Refuse a client and all its tokens",
		Args:              cobra.ExactArgs(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return c.setActive(cmd, args[0], false) },
	}
	return group("client", "OAuth clients", c.clientCreateCommand(), list, c.clientShowCommand(), c.clientUpdateCommand(), enable, disable,
		c.clientDeleteCommand(), c.clientSecretCommand())
}

// clientView is a client in the output. Its members have the names of RFC 7591 §2,
// where that has one.
type clientView struct {
	ID              string       `json:"client_id"`
	Name            string       `json:"client_name"`
	Active          bool         `json:"active"`
	Public          bool         `json:"public"`
	Profile         string       `json:"profile"`
	GrantTypes      []string     `json:"grant_types"`
	Credentials     []string     `json:"credentials"`
	Roles           []string     `json:"roles"`
	AccessDuration  string       `json:"access_token_duration"`
	RefreshDuration string       `json:"refresh_token_duration"`
	Rotation        bool         `json:"refresh_token_rotation"`
	SigningAlg      string       `json:"signing_alg,omitempty"`
	AuthMethod      string       `json:"token_endpoint_auth_method,omitempty"` // private_key_jwt; none: by a secret, or public
	Resources       []string     `json:"resources,omitempty"`
	DPoPBound       bool         `json:"dpop_bound_access_tokens,omitempty"`
	TrustAddress    bool         `json:"trust_end_user_address,omitempty"`
	Secrets         []secretView `json:"secrets"`
	CreatedAt       time.Time    `json:"created_at"`
}

// secretView is a client secret in the output, without its value.
type secretView struct {
	ID        string     `json:"secret_id"`
	Name      string     `json:"name"`
	ExpiresAt *time.Time `json:"expires_at"` // null: never
	CreatedAt time.Time  `json:"created_at"`
}

func viewClient(k storage.Client) clientView {
	v := clientView{
		ID: k.ID, Name: k.Name, Active: k.Active, Public: k.Public, Profile: k.ProfileID,
		GrantTypes: orEmpty(k.GrantTypes), Credentials: []string{}, Roles: orEmpty(k.Roles),
		AccessDuration: k.AccessTokenLife().String(), RefreshDuration: k.RefreshTokenTTL.String(),
		Rotation: !k.ReuseRefreshTokens, SigningAlg: k.SigningAlg, Secrets: []secretView{}, CreatedAt: k.CreatedAt,
		AuthMethod: k.AuthMethod, Resources: k.Resources, DPoPBound: k.DPoPBound, TrustAddress: k.TrustAddress,
	}
	if k.Credentials.OTP {
		v.Credentials = append(v.Credentials, credentialOTP)
	}
	if k.Credentials.Password {
		v.Credentials = append(v.Credentials, credentialPassword)
	}
	for _, s := range k.Secrets {
		v.Secrets = append(v.Secrets, secretView{s.ID, s.Name, optionalTime(s.ExpiresAt), s.CreatedAt})
	}
	return v
}

// orEmpty returns a list that is [] in JSON, not null, if it is empty.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func (c *cli) listClients(cmd *cobra.Command, _ []string) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withStore(cmd.Context(), cfg, func(store *gormstore.Store) error {
		clients, err := store.Clients(cmd.Context())
		if err != nil {
			return err
		}
		views := make([]clientView, len(clients))
		for i, k := range clients {
			views[i] = viewClient(k)
		}
		return c.print(views, func(w io.Writer) error {
			return table(w, "ID\tNAME\tACTIVE\tSECRETS\tGRANTS\tROLES", len(views), func(i int) string {
				v := views[i]
				return fmt.Sprintf("%s\t%s\t%t\t%d\t%s\t%s", v.ID, v.Name, v.Active, len(v.Secrets),
					strings.Join(v.GrantTypes, ","), strings.Join(v.Roles, ","))
			})
		})
	})
}

func (c *cli) setActive(cmd *cobra.Command, id string, active bool) error {
	state := "disabled"
	if active {
		state = "enabled"
	}
	return c.changeClient(cmd, id, "apiclient.updated", state, func(ctx context.Context, a *app, client storage.Client) error {
		client.Active = active
		_, err := a.store.PutClient(ctx, client)
		return err
	})
}

// findClient reads a client. The error says if the client does not exist.
func findClient(ctx context.Context, store *gormstore.Store, id string) (storage.Client, error) {
	client, err := store.Client(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Client{}, fmt.Errorf("no client %q", id)
	}
	return client, err
}
