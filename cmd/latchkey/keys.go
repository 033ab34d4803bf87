package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"latchkey/keys"
	"latchkey/storage"
)

func (c *cli) keysCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the signing keys and their states",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.withRing(cmd, c.listKeys) },
	}
	var alg string
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Announce a new signing key, which takes over when no cached key set can lack it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRing(cmd, func(cmd *cobra.Command, a *app) error { return c.rotateKey(cmd, a, alg) })
		},
	}
	rotate.Flags().StringVar(&alg, "alg", "", "JWS algorithm: ES256, RS256 or EdDSA (default: the server's)")
	revoke := &cobra.Command{
		Use:   "revoke KID",
		Short: "Withdraw a signing key that others know, at once; every token it signed is refused",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withRing(cmd, func(cmd *cobra.Command, a *app) error { return c.revokeKey(cmd, a, args[0]) })
		},
	}
	return group("keys", "Signing keys", list, withAllSettings(rotate), withAllSettings(revoke))
}

// keyView is a signing key in the output.
type keyView struct {
	KID         string     `json:"kid"`
	Alg         string     `json:"alg"`
	State       keys.State `json:"state"`
	CreatedAt   *time.Time `json:"created_at"`
	ActivatesAt *time.Time `json:"activates_at"`
	RetiresAt   *time.Time `json:"retires_at"` // null: not decided
	GoneAt      *time.Time `json:"gone_at"`
	RevokedAt   *time.Time `json:"revoked_at"`
}

func viewKey(k keys.KeyInfo) keyView {
	return keyView{
		KID: k.KID, Alg: k.Alg, State: k.State,
		CreatedAt: optionalTime(k.CreatedAt), ActivatesAt: optionalTime(k.ActivatesAt),
		RetiresAt: optionalTime(k.RetiresAt), GoneAt: optionalTime(k.GoneAt), RevokedAt: optionalTime(k.RevokedAt),
	}
}

func (c *cli) withRing(cmd *cobra.Command, do func(*cobra.Command, *app) error) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return c.withApp(cmd.Context(), cfg, func(a *app) error {
		if err := a.openRing(cmd.Context()); err != nil {
			return err
		}
		return do(cmd, a)
	})
}

func (c *cli) listKeys(cmd *cobra.Command, a *app) error {
	infos, err := a.ring.List(cmd.Context())
	if err != nil {
		return err
	}
	views := make([]keyView, len(infos))
	for i, k := range infos {
		views[i] = viewKey(k)
	}
	return c.print(views, func(w io.Writer) error {
		return table(w, "KID\tALG\tSTATE\tACTIVATES\tRETIRES\tGONE", len(infos), func(i int) string {
			k := infos[i]
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", k.KID, k.Alg, k.State,
				showTime(k.ActivatesAt, "-"), showTime(k.RetiresAt, "-"), showTime(k.GoneAt, "-"))
		})
	})
}

func (c *cli) rotateKey(cmd *cobra.Command, a *app, alg string) error {
	if alg != "" && !isSigningAlg(alg) {
		return usagef("unknown algorithm %q: the known are ES256, RS256, EdDSA", alg)
	}
	k, err := a.ring.Rotate(cmd.Context(), alg)
	if err != nil {
		return err
	}
	return c.print(viewKey(k), func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s key %s signs from %s on\n", k.Alg, k.KID, showTime(k.ActivatesAt, "now"))
		return err
	})
}

func (c *cli) revokeKey(cmd *cobra.Command, a *app, kid string) error {
	err := a.ring.Revoke(cmd.Context(), kid)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("no signing key %q", kid)
	}
	if err != nil {
		return err
	}
	return c.done("key %s is revoked", kid)
}
