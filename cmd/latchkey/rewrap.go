package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"latchkey/keys"
	"latchkey/oauth/elasticpath"
	"latchkey/oauth/ordercloud"
	"latchkey/otp"
	"latchkey/storage"
)

// rewrapBatch is how many secrets are sealed again in one transaction.
const rewrapBatch = 100

func (c *cli) rewrapCommand() *cobra.Command {
	var plan bool
	rewrap := &cobra.Command{
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
			return c.withApp(cmd.Context(), cfg, func(a *app) error { return c.rewrap(cmd.Context(), a) })
		},
	}
	addPlanFlag(rewrap, &plan)
	return rewrap
}

// rewrapView is what became, or would become, of the secrets of a kind.
type rewrapView struct {
	Kind    storage.SealedKind `json:"kind"`
	Current int                `json:"current"` // sealed under the first master key before
	Rewrap  int                `json:"rewrap"`  // sealed again, or to be
	Unknown int                `json:"unknown"` // sealed under a master key that was not given
}

// planRewrap counts the secrets by the master key they are sealed under.
func (c *cli) planRewrap(ctx context.Context, a *app) error {
	views, err := a.countSealed(ctx)
	if err != nil {
		return err
	}
	return c.printRewrap(views, "TO REWRAP")
}

func (a *app) countSealed(ctx context.Context) ([]rewrapView, error) {
	counts, err := a.store.CountSealed(ctx)
	if err != nil {
		return nil, err
	}
	var views []rewrapView
	for _, kind := range storage.SealedKinds() {
		v := rewrapView{Kind: kind}
		for _, n := range counts {
			switch {
			case n.Kind != kind:
			case n.KeyID == a.sealer.CurrentID():
				v.Current += n.Count
			case a.sealer.Knows(n.KeyID):
				v.Rewrap += n.Count
			default:
				v.Unknown += n.Count
			}
		}
		views = append(views, v)
	}
	return views, nil
}

// rewrap seals everything again that is sealed under an older master key. What
// is done is done: a run that was cut short is simply repeated. It fails when
// secrets remain that only a dropped master key would open.
func (c *cli) rewrap(ctx context.Context, a *app) error {
	views, err := a.countSealed(ctx)
	if err != nil {
		return err
	}
	for i := range views {
		if views[i].Rewrap, err = a.rewrapKind(ctx, views[i].Kind); err != nil {
			return fmt.Errorf("rewrap: %w", err)
		}
	}
	if err := a.audit(ctx, "secrets.rewrapped", "MasterKey/"+a.sealer.CurrentID()); err != nil {
		return err
	}
	left, err := a.countSealed(ctx)
	if err != nil {
		return err
	}
	older, unknown := 0, 0
	for i := range left {
		older, unknown = older+left[i].Rewrap, unknown+left[i].Unknown
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

// rewrapKind seals the secrets of a kind again, batch by batch, and counts them.
func (a *app) rewrapKind(ctx context.Context, kind storage.SealedKind) (int, error) {
	total, after := 0, ""
	for {
		batch, err := a.store.SealedOtherwise(ctx, kind, a.sealer.CurrentID(), after, rewrapBatch)
		if err != nil || len(batch) == 0 {
			return total, err
		}
		done := 0
		err = a.store.InTx(ctx, func(ctx context.Context) error {
			done, err = a.rewrapSecrets(ctx, batch)
			return err
		})
		if err != nil {
			return total, err
		}
		total, after = total+done, batch[len(batch)-1].ID
	}
}

// rewrapSecrets passes over what no given master key opens, and what somebody
// changed since it was read: that is sealed under the first key already, or
// counted at the end.
func (a *app) rewrapSecrets(ctx context.Context, batch []storage.SealedSecret) (int, error) {
	done := 0
	for _, secret := range batch {
		if !a.sealer.Knows(secret.Sealed.KeyID) {
			continue
		}
		resealed, err := a.reseal(secret)
		if err != nil {
			return done, fmt.Errorf("%s of %q: %w", secret.Kind, secret.ID, err)
		}
		changed, err := a.store.Reseal(ctx, secret, resealed)
		if err != nil {
			return done, err
		}
		if changed {
			done++
		}
	}
	return done, nil
}

// reseal opens a secret in the context that it was sealed in, and in no other
// seals it again.
func (a *app) reseal(secret storage.SealedSecret) (storage.Sealed, error) {
	err := errors.New("sealed in an unknown context")
	for _, sealContext := range sealContexts(secret.Kind, secret.ID) {
		var plain []byte
		if plain, err = a.sealer.Open(secret.Sealed, sealContext); err == nil {
			return a.sealer.Seal(plain, sealContext)
		}
	}
	return storage.Sealed{}, err
}

// sealContexts lists what secrets of a kind are sealed with as additional data.
// The key of a sender is sealed by the dialect that made it.
func sealContexts(kind storage.SealedKind, id string) []string {
	switch kind {
	case storage.SealedSigningKey:
		return []string{keys.SigningKeyContext(id)}
	case storage.SealedPepper:
		return []string{keys.PepperContext(id)}
	case storage.SealedSharedKey:
		return []string{ordercloud.SharedKeyContext, elasticpath.SecretKeyContext}
	case storage.SealedSigningSecrets:
		return []string{ordercloud.SigningSecretsContext}
	case storage.SealedSMTPPassword:
		return []string{ordercloud.SMTPPasswordContext}
	case storage.SealedDeliverySecret:
		return []string{ordercloud.DeliverySecretContext}
	case storage.SealedDeliveryHeader:
		return []string{ordercloud.DeliveryHeaderContext}
	case storage.SealedMessage:
		return []string{otp.PayloadContext(id)}
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
