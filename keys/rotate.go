package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/storage"
)

// maxAttempts limits how often a change is planned again after another process has changed
// the keys.
const maxAttempts = 6

// Plan describes what Rotate or Revoke would do now. The zero Plan changes nothing.
type Plan struct {
	Alg string
	// Successor is the key that signs afterwards, in its state after the change.
	Successor KeyInfo
	// IsNew says that the successor would be generated. It has no KID yet.
	IsNew bool
	// Changed are the other keys that change, in their state after the change.
	Changed []KeyInfo
}

// planner returns the change of all keys at the time now. It is called again if another
// process has changed the keys before the change was stored.
type planner func(all []storage.SigningKey, now time.Time) (change, error)

// Rotate announces a successor of the key that signs with the algorithm ("": the default
// algorithm) and returns it. The successor takes over after PublishAhead. If a successor is
// announced already, Rotate returns that one, so several replicas may rotate at once. An
// algorithm without a key gets one that is active at once. An interrupted Rotate has done
// everything or nothing. It returns ErrExternalKey while an external key signs with the
// algorithm.
func (r *Ring) Rotate(ctx context.Context, alg string) (KeyInfo, error) {
	alg = r.orDefault(alg)
	r.changing.Lock()
	defer r.changing.Unlock()
	_, info, err := r.change(ctx, r.rotation(alg))
	if err != nil {
		return KeyInfo{}, fmt.Errorf("rotate %s key: %w", alg, err)
	}
	return info, r.reload(ctx)
}

// PlanRotate returns what Rotate would do, without doing it, or the error of Rotate.
func (r *Ring) PlanRotate(ctx context.Context, alg string) (Plan, error) {
	alg = r.orDefault(alg)
	plan, err := r.plan(ctx, alg, r.rotation(alg))
	if err != nil {
		return Plan{}, fmt.Errorf("plan the rotation of the %s key: %w", alg, err)
	}
	return plan, nil
}

// orDefault returns alg, or the default algorithm for "".
func (r *Ring) orDefault(alg string) string {
	if alg == "" {
		return r.algs[0]
	}
	return alg
}

// rotation returns the planner of Rotate. If it is called again and another process has
// replaced the signing key meanwhile, it plans nothing.
func (r *Ring) rotation(alg string) planner {
	replaced, first := "", true
	return func(all []storage.SigningKey, now time.Time) (change, error) {
		if r.external.signer(alg, now) != nil {
			return change{}, ErrExternalKey
		}
		i, signing := signerAt(all, alg, now), signingKID(all, alg, now)
		if !first && signing != replaced && i >= 0 {
			return change{successor: all[i]}, nil
		}
		replaced, first = signing, false
		return planRotation(all, alg, now.Add(r.publishAhead), now, r.maxTokenLife), nil
	}
}

// Revoke revokes a key whose private half is known to others. It is no longer published
// and verifies nothing: in this process at once, on other replicas when they reload. If it
// was the signing key, its announced successor or a new key becomes active at once. If it
// was the announced successor, the rotation is cancelled. An interrupted Revoke has done
// everything or nothing. It returns storage.ErrNotFound for an unknown kid and
// ErrExternalKey for an external key. Revoking a key twice is not an error.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	r.changing.Lock()
	defer r.changing.Unlock()
	c, _, err := r.change(ctx, r.revocation(kid))
	if err != nil {
		return fmt.Errorf("revoke key %q: %w", kid, err)
	}
	if err := r.reload(ctx); err != nil || c.empty() {
		return err
	}
	// If another process revoked the successor at the same time, no key is left.
	return r.ensure(ctx, c.successor.Alg)
}

// PlanRevoke returns what Revoke would do, without doing it, or the error of Revoke.
func (r *Ring) PlanRevoke(ctx context.Context, kid string) (Plan, error) {
	plan, err := r.plan(ctx, "", r.revocation(kid))
	if err != nil {
		return Plan{}, fmt.Errorf("plan the revocation of key %q: %w", kid, err)
	}
	return plan, nil
}

// revocation returns the planner of Revoke.
func (r *Ring) revocation(kid string) planner {
	return func(all []storage.SigningKey, now time.Time) (change, error) {
		if r.external.has(kid) {
			return change{}, ErrExternalKey
		}
		i := indexOf(all, kid)
		if i < 0 {
			return change{}, storage.ErrNotFound
		}
		return planRevocation(all, i, now, r.maxTokenLife), nil
	}
}

// Maintain announces the successors that are due and deletes old records. Each process
// must call it at intervals that are short against PublishAhead. It returns the keys that
// it has announced itself: if several replicas call it at once, one of them announces. It
// uses the store only if the keys of the last load require a change.
//
// A successor is due PublishAhead before its key will have signed for RotateAfter. Only the
// algorithms in RingConfig.Algs and in also rotate. The record of a key is deleted a day
// after the key is gone. The record of a revoked key is deleted MaxTokenLife and a day
// after the revocation.
func (r *Ring) Maintain(ctx context.Context, also ...string) ([]KeyInfo, error) {
	r.changing.Lock()
	defer r.changing.Unlock()
	algs, err := requiredAlgs(append(slices.Clone(r.algs), also...))
	if err != nil {
		return nil, fmt.Errorf("maintain signing keys: %w", err)
	}
	var announced []KeyInfo
	var failures []error
	for _, alg := range algs {
		info, ok, err := r.announceDue(ctx, alg)
		if err != nil {
			failures = append(failures, fmt.Errorf("successor of the %s key: %w", alg, err))
		} else if ok {
			announced = append(announced, info)
		}
	}
	return announced, errors.Join(append(failures, r.deleteOld(ctx))...)
}

// announceDue announces the successor of the key that signs with alg if it is due.
func (r *Ring) announceDue(ctx context.Context, alg string) (info KeyInfo, announced bool, err error) {
	due := func(all []storage.SigningKey, now time.Time) (change, error) {
		if r.external.signer(alg, now) != nil {
			return change{}, nil
		}
		return planSuccession(all, alg, now, r.rotateAfter, r.publishAhead, r.maxTokenLife), nil
	}
	if c, err := due(r.current.Load().records[alg], r.instant()); err != nil || c.empty() {
		return KeyInfo{}, false, err
	}
	c, info, err := r.change(ctx, due)
	if err != nil {
		return KeyInfo{}, false, err
	}
	return info, c.isNew, r.reload(ctx)
}

// deleteOld deletes the records that were deletable at the last load. It need not read them
// again, because a key that is gone never comes back.
func (r *Ring) deleteOld(ctx context.Context) error {
	kids := r.deletable
	if len(kids) == 0 {
		return nil
	}
	if err := r.store.ChangeSigningKeys(ctx, storage.SigningKeyChange{Remove: kids}); err != nil {
		return fmt.Errorf("delete signing keys: %w", err)
	}
	return r.reload(ctx)
}

// ensure makes a key for alg that is active at once, if no key signs with alg.
func (r *Ring) ensure(ctx context.Context, alg string) error {
	if _, err := r.signer(alg); err == nil {
		return nil
	}
	_, _, err := r.change(ctx, func(all []storage.SigningKey, now time.Time) (change, error) {
		return planFirst(all, alg, now, r.maxTokenLife), nil
	})
	if err != nil {
		return fmt.Errorf("first %s key: %w", alg, err)
	}
	return r.reload(ctx)
}

// change plans a change and stores it. It returns the change and the key that signs
// afterwards. If another process changes the keys at the same time, the store admits one
// of the changes, and the other process plans again.
func (r *Ring) change(ctx context.Context, plan planner) (change, KeyInfo, error) {
	var fresh storage.SigningKey
	for range maxAttempts {
		all, err := r.store.SigningKeys(ctx)
		if err != nil {
			return change{}, KeyInfo{}, err
		}
		now := r.instant()
		c, err := plan(all, now)
		if err != nil {
			return change{}, KeyInfo{}, err
		}
		if c.isNew && fresh.KID == "" {
			// Generating an RSA key takes long, so the change is planned again.
			if fresh, err = generate(c.successor.Alg, r.random, r.sealer); err != nil {
				return change{}, KeyInfo{}, err
			}
			continue
		}
		err = r.apply(ctx, &c, fresh)
		if !errors.Is(err, storage.ErrConflict) {
			return c, infoOf(c.successor, c.after(all), now), err
		}
	}
	return change{}, KeyInfo{}, fmt.Errorf("other processes keep changing the keys: %w", storage.ErrConflict)
}

// apply stores a change. fresh is the generated key if the successor is new.
func (r *Ring) apply(ctx context.Context, c *change, fresh storage.SigningKey) error {
	if c.empty() {
		return nil
	}
	stored := storage.SigningKeyChange{Update: c.update}
	if c.isNew {
		c.successor.KID, c.successor.Public, c.successor.Private = fresh.KID, fresh.Public, fresh.Private
		stored.Add = []storage.SigningKey{c.successor}
	}
	if err := r.store.ChangeSigningKeys(ctx, stored); err != nil {
		return fmt.Errorf("change signing keys: %w", err)
	}
	return nil
}

// plan returns what a planner would do now.
func (r *Ring) plan(ctx context.Context, alg string, plan planner) (Plan, error) {
	if alg != "" {
		if _, err := signingMethodOf(alg); err != nil {
			return Plan{}, err
		}
	}
	all, err := r.store.SigningKeys(ctx)
	if err != nil {
		return Plan{}, err
	}
	now := r.instant()
	c, err := plan(all, now)
	if err != nil || c.successor.Alg == "" {
		return Plan{}, err
	}
	after := c.after(all)
	p := Plan{Alg: c.successor.Alg, Successor: infoOf(c.successor, after, now), IsNew: c.isNew}
	for _, k := range c.update {
		if k.KID != c.successor.KID {
			p.Changed = append(p.Changed, infoOf(k, after, now))
		}
	}
	return p, nil
}
