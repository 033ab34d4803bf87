package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/storage"
)

// maxAttempts bounds how often a change is planned again because another
// process changed the keys meanwhile.
const maxAttempts = 6

// Plan is what Rotate or Revoke would do at the moment.
type Plan struct {
	Alg string
	// Heir is the key that signs afterwards, as it will be. When Made it is yet
	// to be made and has no KID.
	Heir KeyInfo
	Made bool
	// Changed are the other keys that change, as they will be.
	Changed []KeyInfo
}

// planner says what to do with all keys at the time now. It is asked again
// when another process was faster.
type planner func(all []storage.SigningKey, now time.Time) (change, error)

// Rotate announces a successor of the algorithm's signing key ("": the default
// algorithm), which takes over after PublishAhead, and returns it. While a
// successor is announced already, that one is returned, so any number of
// replicas may rotate at once. An algorithm without a key gets one that is
// active at once. An interrupted Rotate has done everything or nothing. While
// an external key signs with the algorithm the answer is ErrExternalKey.
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

// PlanRotate tells what Rotate would do, and its errors, without doing it.
func (r *Ring) PlanRotate(ctx context.Context, alg string) (Plan, error) {
	alg = r.orDefault(alg)
	plan, err := r.plan(ctx, alg, r.rotation(alg))
	if err != nil {
		return Plan{}, fmt.Errorf("plan the rotation of the %s key: %w", alg, err)
	}
	return plan, nil
}

func (r *Ring) orDefault(alg string) string {
	if alg == "" {
		return r.algs[0]
	}
	return alg
}

// rotation plans what Rotate does. When the key that was to be replaced no
// longer signs, because another process replaced it meanwhile, nothing is left
// to do.
func (r *Ring) rotation(alg string) planner {
	asked, first := "", true
	return func(all []storage.SigningKey, now time.Time) (change, error) {
		if r.external.signer(alg, now) != nil {
			return change{}, ErrExternalKey
		}
		i, signing := signerAt(all, alg, now), signingKID(all, alg, now)
		if !first && signing != asked && i >= 0 {
			return change{successor: all[i]}, nil
		}
		asked, first = signing, false
		return planRotation(all, alg, now.Add(r.publishAhead), now, r.maxTokenLife), nil
	}
}

// Revoke is for a key that is known to others: it is no longer published and
// verifies nothing, here at once, on other replicas when they reload. If it was
// the signing key its announced successor, or else a new key, is active at
// once; if it was the announced successor, the rotation is called off. An
// unknown kid gives storage.ErrNotFound, an external key ErrExternalKey;
// revoking twice is no error. An interrupted Revoke has done everything or
// nothing.
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
	// Two that revoke the key and its announced successor at the same time each
	// rely on the key that the other one revokes.
	return r.ensure(ctx, c.successor.Alg)
}

// PlanRevoke tells what Revoke would do, and its errors, without doing it.
func (r *Ring) PlanRevoke(ctx context.Context, kid string) (Plan, error) {
	plan, err := r.plan(ctx, "", r.revocation(kid))
	if err != nil {
		return Plan{}, fmt.Errorf("plan the revocation of key %q: %w", kid, err)
	}
	return plan, nil
}

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

// Maintain does what time demands, and is to be called every now and then by
// each process: it announces a successor of each key that will have signed for
// RotateAfter when PublishAhead is over, and deletes the records of keys that
// have been gone for a day, or were revoked for as long as those would stay. The algorithms are those of RingConfig.Algs and
// those in also; others do not rotate. It answers with the keys that it has
// announced itself: of any number of replicas that call it at once, one
// announces. It asks the store only when the keys as last loaded call for it.
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
		info, made, err := r.succeed(ctx, alg)
		if err != nil {
			failures = append(failures, fmt.Errorf("successor of the %s key: %w", alg, err))
		} else if made {
			announced = append(announced, info)
		}
	}
	return announced, errors.Join(append(failures, r.forget(ctx))...)
}

// succeed announces the successor of the key that signs with alg if it is time
// for that.
func (r *Ring) succeed(ctx context.Context, alg string) (info KeyInfo, made bool, err error) {
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
	return info, c.made, r.reload(ctx)
}

// forget deletes the records of keys that were gone for long when they were
// last loaded. Nothing brings a key back that is gone.
func (r *Ring) forget(ctx context.Context) error {
	kids := r.forgettable
	if len(kids) == 0 {
		return nil
	}
	if err := r.store.ChangeSigningKeys(ctx, storage.SigningKeyChange{Remove: kids}); err != nil {
		return fmt.Errorf("forget signing keys: %w", err)
	}
	return r.reload(ctx)
}

// ensure makes a key for alg, active at once, if none signs.
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

// change carries a plan out, and answers with it and with the key that signs
// afterwards. The store decides between processes that do so at once; who is
// beaten looks at the keys again.
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
		if c.made && fresh.KID == "" {
			// Making an RSA key takes long, so everything is looked at again then.
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
	return change{}, KeyInfo{}, fmt.Errorf("others change the keys all the time: %w", storage.ErrConflict)
}

// apply stores a change; the key to be made is fresh.
func (r *Ring) apply(ctx context.Context, c *change, fresh storage.SigningKey) error {
	if c.empty() {
		return nil
	}
	stored := storage.SigningKeyChange{Update: c.update}
	if c.made {
		c.successor.KID, c.successor.Public, c.successor.Private = fresh.KID, fresh.Public, fresh.Private
		stored.Add = []storage.SigningKey{c.successor}
	}
	if err := r.store.ChangeSigningKeys(ctx, stored); err != nil {
		return fmt.Errorf("change signing keys: %w", err)
	}
	return nil
}

// plan describes what a planner would do now.
func (r *Ring) plan(ctx context.Context, alg string, plan planner) (Plan, error) {
	if alg != "" {
		if _, err := signingMethod(alg); err != nil {
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
	p := Plan{Alg: c.successor.Alg, Heir: infoOf(c.successor, after, now), Made: c.made}
	for _, k := range c.update {
		if k.KID != c.successor.KID {
			p.Changed = append(p.Changed, infoOf(k, after, now))
		}
	}
	return p, nil
}
