package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"latchkey/keys"
	"latchkey/keys/jose"
	"latchkey/storage"
)

func (c *cli) keysCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the signing keys and their states",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.withRing(cmd, c.withReadingApp, c.listKeys) },
	}
	return group("keys", "Signing keys, and the master key that seals secrets",
		list, c.rotateCommand(), c.revokeCommand(), c.rewrapCommand())
}

func (c *cli) rotateCommand() *cobra.Command {
	var alg string
	var plan bool
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Announce a new signing key, which signs as soon as every cached key set must have it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if alg != "" && !isSigningAlg(alg) {
				return usagef("unknown algorithm %q: the known are %s", alg, strings.Join(jose.SigningAlgorithms(), ", "))
			}
			if plan {
				return c.withRing(cmd, c.withReadingApp, func(cmd *cobra.Command, a *app) error { return c.planRotation(cmd, a, alg) })
			}
			return c.withRing(cmd, c.withExistingApp, func(cmd *cobra.Command, a *app) error { return c.rotateKey(cmd, a, alg) })
		},
	}
	rotate.Flags().StringVar(&alg, "alg", "", "JWS algorithm: ES256, RS256 or EdDSA (default: the server's)")
	addPlanFlag(rotate, &plan)
	return withAllSettings(rotate)
}

func (c *cli) revokeCommand() *cobra.Command {
	var plan bool
	revoke := &cobra.Command{
		Use:               "revoke KID",
		ValidArgsFunction: c.completeKeys,
		Short:             "Revoke a leaked signing key at once; every token that it signed is refused",
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if plan {
				return c.withRing(cmd, c.withReadingApp, func(cmd *cobra.Command, a *app) error { return c.planRevocation(cmd, a, args[0]) })
			}
			return c.withRing(cmd, c.withExistingApp, func(cmd *cobra.Command, a *app) error { return c.revokeKey(cmd, a, args[0]) })
		},
	}
	addPlanFlag(revoke, &plan)
	return withAllSettings(revoke)
}

// addPlanFlag adds the flag --plan and its other name --dry-run to cmd.
func addPlanFlag(cmd *cobra.Command, plan *bool) {
	cmd.Flags().BoolVar(plan, "plan", false, "show what would happen and change nothing")
	cmd.Flags().BoolVar(plan, "dry-run", false, "the same as --plan")
}

// keyView is a signing key in the output.
type keyView struct {
	KID         string     `json:"kid"`
	Alg         string     `json:"alg"`
	State       keys.State `json:"state"`
	CreatedAt   *time.Time `json:"created_at"`
	ActivatesAt *time.Time `json:"activates_at"`
	RetiresAt   *time.Time `json:"retires_at"` // null: not known yet
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

// withRing opens an app by withExistingApp or withReadingApp, and its signing keys.
func (c *cli) withRing(cmd *cobra.Command, open opensApp, do func(*cobra.Command, *app) error) error {
	cfg, err := c.load(cmd)
	if err != nil {
		return err
	}
	return open(cmd.Context(), cfg, func(a *app) error {
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
	k, err := a.ring.Rotate(cmd.Context(), alg)
	if err != nil {
		return err
	}
	if err := a.audit(cmd.Context(), "signingkey.rotated", "SigningKey/"+k.KID); err != nil {
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
	if err == nil {
		err = a.audit(cmd.Context(), "signingkey.revoked", "SigningKey/"+kid)
	}
	if err != nil {
		return err
	}
	return c.done("key %s is revoked", kid)
}

// planView is a plan in the output.
type planView struct {
	Alg       string    `json:"alg"`
	New       bool      `json:"new"`     // the successor does not exist yet and has no kid
	Successor keyView   `json:"heir"`    // the key that would sign
	Changed   []keyView `json:"changed"` // in their new states
}

func (c *cli) planRotation(cmd *cobra.Command, a *app, alg string) error {
	plan, err := a.ring.PlanRotate(cmd.Context(), alg)
	if err != nil {
		return err
	}
	return c.printPlan(plan)
}

func (c *cli) planRevocation(cmd *cobra.Command, a *app, kid string) error {
	plan, err := a.ring.PlanRevoke(cmd.Context(), kid)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return fmt.Errorf("no signing key %q", kid)
	case err != nil:
		return err
	case plan.Alg == "":
		return c.done("nothing would change: key %s is revoked", kid)
	}
	return c.printPlan(plan)
}

func (c *cli) printPlan(plan keys.Plan) error {
	view := planView{Alg: plan.Alg, New: plan.IsNew, Successor: viewKey(plan.Successor), Changed: []keyView{}}
	for _, k := range plan.Changed {
		view.Changed = append(view.Changed, viewKey(k))
	}
	return c.print(view, func(w io.Writer) error {
		_, err := io.WriteString(w, planText(plan))
		return err
	})
}

// planText returns a plan as sentences, one on each line.
func planText(plan keys.Plan) string {
	var b strings.Builder
	name := "key " + plan.Successor.KID
	if plan.IsNew {
		name = "a new key"
	}
	fmt.Fprintf(&b, "%s: %s would sign from %s on\n", plan.Alg, name, showTime(plan.Successor.ActivatesAt, "now"))
	for _, k := range plan.Changed {
		switch {
		case k.State == keys.StateRevoked:
			fmt.Fprintf(&b, "%s: key %s would be revoked, and every token it signed refused, at once\n", k.Alg, k.KID)
		case k.RetiresAt.IsZero():
			fmt.Fprintf(&b, "%s: key %s would go on signing until its next successor\n", k.Alg, k.KID)
		default:
			fmt.Fprintf(&b, "%s: key %s would sign no more from %s on, and be published until %s\n",
				k.Alg, k.KID, showTime(k.RetiresAt, "-"), showTime(k.GoneAt, "-"))
		}
	}
	return b.String()
}
