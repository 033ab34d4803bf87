// Package rewrap seals stored secrets again under the current master key, so that
// older master keys can be dropped.
//
// It knows no secret by name: the packages that seal secrets say with which
// contexts.
package rewrap

import (
	"context"
	"errors"
	"fmt"

	"latchkey/keys"
	"latchkey/storage"
)

// BatchSize is how many secrets are sealed again in one transaction.
const BatchSize = 100

// Store holds the sealed secrets.
type Store interface {
	// CountSealed counts the secrets by kind and master key.
	CountSealed(ctx context.Context) ([]storage.SealedCount, error)
	// SealedOtherwise returns up to limit secrets of a kind that are sealed under
	// another key than keyID, in order of their IDs and after the ID after.
	SealedOtherwise(ctx context.Context, kind storage.SealedKind, keyID, after string, limit int) ([]storage.SealedSecret, error)
	// Reseal replaces a secret and reports whether it did: it does not if the
	// secret has changed since it was read.
	Reseal(ctx context.Context, secret storage.SealedSecret, resealed storage.Sealed) (bool, error)
	InTx(ctx context.Context, do func(ctx context.Context) error) error
}

// Contexts returns the additional data (see keys.Sealer) that a secret of the kind
// may be sealed with. The ID is that of the record. It returns nil for kinds that
// it does not know.
type Contexts func(kind storage.SealedKind, id string) []string

// Rewrapper seals secrets again.
type Rewrapper struct {
	Store    Store
	Sealer   *keys.Sealer
	Contexts []Contexts // of all packages that seal secrets
}

// Count is the number of secrets of a kind, by the master key they are sealed under.
type Count struct {
	Kind    storage.SealedKind
	Current int // the first master key
	Older   int // another given master key
	Unknown int // a master key that was not given
}

// Count counts all secrets, in the order of storage.SealedKinds.
func (r *Rewrapper) Count(ctx context.Context) ([]Count, error) {
	stored, err := r.Store.CountSealed(ctx)
	if err != nil {
		return nil, err
	}
	var counts []Count
	for _, kind := range storage.SealedKinds() {
		c := Count{Kind: kind}
		for _, n := range stored {
			switch {
			case n.Kind != kind:
			case n.KeyID == r.Sealer.CurrentID():
				c.Current += n.Count
			case r.Sealer.Knows(n.KeyID):
				c.Older += n.Count
			default:
				c.Unknown += n.Count
			}
		}
		counts = append(counts, c)
	}
	return counts, nil
}

// Kind seals the secrets of a kind again, batch by batch, and returns how many it
// sealed. An interrupted run keeps its finished batches and can be repeated.
func (r *Rewrapper) Kind(ctx context.Context, kind storage.SealedKind) (int, error) {
	total, after := 0, ""
	for {
		batch, err := r.Store.SealedOtherwise(ctx, kind, r.Sealer.CurrentID(), after, BatchSize)
		if err != nil || len(batch) == 0 {
			return total, err
		}
		done := 0
		err = r.Store.InTx(ctx, func(ctx context.Context) error {
			done, err = r.batch(ctx, batch)
			return err
		})
		if err != nil {
			return total, err
		}
		total, after = total+done, batch[len(batch)-1].ID
	}
}

// batch skips two sorts of secrets: those that no given master key opens, and those
// that somebody changed after they were read. The latter are sealed under the first
// key already, or counted at the end.
func (r *Rewrapper) batch(ctx context.Context, batch []storage.SealedSecret) (int, error) {
	done := 0
	for _, secret := range batch {
		if !r.Sealer.Knows(secret.Sealed.KeyID) {
			continue
		}
		resealed, err := r.Reseal(secret)
		if err != nil {
			return done, fmt.Errorf("%s of %q: %w", secret.Kind, secret.ID, err)
		}
		changed, err := r.Store.Reseal(ctx, secret, resealed)
		if err != nil {
			return done, err
		}
		if changed {
			done++
		}
	}
	return done, nil
}

// Reseal returns the secret sealed under the current master key, with the context
// that it was sealed with before. The error is that of the last context if none
// opens the secret.
func (r *Rewrapper) Reseal(secret storage.SealedSecret) (storage.Sealed, error) {
	err := errors.New("sealed in an unknown context")
	for _, contexts := range r.Contexts {
		for _, sealContext := range contexts(secret.Kind, secret.ID) {
			var plain []byte
			if plain, err = r.Sealer.Open(secret.Sealed, sealContext); err == nil {
				return r.Sealer.Seal(plain, sealContext)
			}
		}
	}
	return storage.Sealed{}, err
}

// Check opens every stored secret and returns how many there are. It changes nothing.
// The error names the first secret that no given master key opens.
func (r *Rewrapper) Check(ctx context.Context) (int, error) {
	total := 0
	for _, kind := range storage.SealedKinds() {
		for after := ""; ; {
			batch, err := r.Store.SealedOtherwise(ctx, kind, "", after, BatchSize)
			if err != nil {
				return total, err
			}
			for _, secret := range batch {
				if !r.Sealer.Knows(secret.Sealed.KeyID) {
					return total, fmt.Errorf("%s of %q: it is sealed under a master key that was not given", secret.Kind, secret.ID)
				}
				if _, err := r.Reseal(secret); err != nil {
					return total, fmt.Errorf("%s of %q: %w", secret.Kind, secret.ID, err)
				}
			}
			total += len(batch)
			if len(batch) < BatchSize {
				break
			}
			after = batch[len(batch)-1].ID
		}
	}
	return total, nil
}
