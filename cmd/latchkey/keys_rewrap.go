package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"latchkey/oauth/server/rewrap"
	"latchkey/storage"
)

func (c *cli) rewrapCommand() *cobra.Command {
	var plan bool
	cmd := &cobra.Command{
		Use:   "rewrap",
		Short: "Seal all secrets under the first master key again, so that the others can be dropped",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(cmd)
			if err != nil {
				return err
			}
			if plan {
				return c.withReadingApp(cmd.Context(), cfg, func(a *app) error { return c.planRewrap(cmd.Context(), a) })
			}
			return c.withExistingApp(cmd.Context(), cfg, func(a *app) error { return c.rewrap(cmd.Context(), a) })
		},
	}
	addPlanFlag(cmd, &plan)
	return cmd
}

// rewrapView shows the secrets of a kind before a run, or what a run did with them.
type rewrapView struct {
	Kind    storage.SealedKind `json:"kind"`
	Current int                `json:"current"` // sealed under the first master key before
	Rewrap  int                `json:"rewrap"`  // sealed again, or to be sealed again
	Unknown int                `json:"unknown"` // sealed under a master key that was not given
}

func viewCounts(counts []rewrap.Count) []rewrapView {
	views := make([]rewrapView, len(counts))
	for i, n := range counts {
		views[i] = rewrapView{n.Kind, n.Current, n.Older, n.Unknown}
	}
	return views
}

// planRewrap counts the secrets by the master key they are sealed under.
func (c *cli) planRewrap(ctx context.Context, a *app) error {
	counts, err := a.core.Rewrapper().Count(ctx)
	if err != nil {
		return err
	}
	return c.printRewrap(viewCounts(counts), "TO REWRAP")
}

// rewrap seals all secrets again that are sealed under an older master key. An
// interrupted run can be repeated. It fails if secrets remain that only a master
// key that was not given opens.
func (c *cli) rewrap(ctx context.Context, a *app) error {
	rewrapper := a.core.Rewrapper()
	before, err := rewrapper.Count(ctx)
	if err != nil {
		return err
	}
	views := viewCounts(before)
	for i := range views {
		if views[i].Rewrap, err = rewrapper.Kind(ctx, views[i].Kind); err != nil {
			return fmt.Errorf("rewrap: %w", err)
		}
	}
	if err := a.audit(ctx, "secrets.rewrapped", "MasterKey/"+a.sealer.CurrentID()); err != nil {
		return err
	}
	left, err := rewrapper.Count(ctx)
	if err != nil {
		return err
	}
	older, unknown := 0, 0
	for i := range left {
		older, unknown = older+left[i].Older, unknown+left[i].Unknown
		views[i].Unknown = left[i].Unknown
	}
	if err := c.printRewrap(views, "REWRAPPED"); err != nil {
		return err
	}
	switch {
	case older > 0:
		return fmt.Errorf("secrets sealed under an older master key meanwhile: %d; "+
			"give every server the new key first in its list, then repeat", older)
	case unknown > 0:
		return fmt.Errorf("secrets sealed under a master key that was not given: %d; add it to the list, and repeat", unknown)
	}
	return nil
}

func (c *cli) printRewrap(views []rewrapView, head string) error {
	return c.print(views, func(w io.Writer) error {
		return table(w, "SECRETS\tCURRENT\t"+head+"\tUNKNOWN KEY", len(views), func(i int) string {
			v := views[i]
			return fmt.Sprintf("%s\t%d\t%d\t%d", v.Kind, v.Current, v.Rewrap, v.Unknown)
		})
	})
}
