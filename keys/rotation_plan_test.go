package keys_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"latchkey/keys"
	"latchkey/storage"
)

// TestPlans compares the plans with the changes that Rotate and Revoke make afterwards.
func TestPlans(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, prepare := range map[string]func(*testing.T, *keys.Ring, *clock){
		"one key":             func(*testing.T, *keys.Ring, *clock) {},
		"successor announced": func(t *testing.T, r *keys.Ring, _ *clock) { t.Helper(); mustRotate(t, r) },
		"successor active": func(t *testing.T, r *keys.Ring, c *clock) {
			t.Helper()
			mustRotate(t, r)
			c.Advance(2 * keys.DefaultPublishAhead)
		},
	} {
		store, c := &fakeStore{}, newClock()
		r := replica(t, store, c, keys.ES256)
		prepare(t, r, c)
		c.Advance(time.Minute)
		before := slices.Clone(store.keys)
		plans := map[string]keys.Plan{}
		var err error
		if plans[""], err = r.PlanRotate(ctx, ""); err != nil {
			t.Fatal(err)
		}
		for _, k := range before {
			if plans[k.KID], err = r.PlanRevoke(ctx, k.KID); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(before, store.keys); diff != "" {
			t.Fatalf("%s: a plan changed the store:\n%s", name, diff)
		}
		for kid, plan := range plans {
			store.keys = slices.Clone(before)
			if err := r.Reload(ctx); err != nil {
				t.Fatal(err)
			}
			if kid == "" {
				mustRotate(t, r)
			} else if err := r.Revoke(ctx, kid); err != nil {
				t.Fatal(err)
			}
			checkPlan(t, name+" "+kid, r, plan, before)
		}
	}
}

func mustRotate(t *testing.T, r *keys.Ring) {
	t.Helper()
	if _, err := r.Rotate(context.Background(), ""); err != nil {
		t.Fatal(err)
	}
}

// checkPlan checks that the plan has every change and no other change.
func checkPlan(t *testing.T, name string, r *keys.Ring, plan keys.Plan, before []storage.SigningKey) {
	t.Helper()
	infos, err := r.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	planned := append([]keys.KeyInfo{plan.Successor}, plan.Changed...)
	for _, info := range infos {
		i := slices.IndexFunc(before, func(k storage.SigningKey) bool { return k.KID == info.KID })
		if i < 0 { // a new key
			if !plan.IsNew {
				t.Errorf("%s: got a new key that was not planned", name)
			}
			info.KID = ""
		}
		j := slices.IndexFunc(planned, func(k keys.KeyInfo) bool { return k.KID == info.KID })
		if j < 0 {
			same := info.ActivatesAt.Equal(before[i].ActivatesAt) && info.RetiresAt.Equal(before[i].RetiresAt) && info.RevokedAt.Equal(before[i].RevokedAt)
			if !same {
				t.Errorf("%s: got a change of %+v that was not planned", name, info)
			}
			continue
		}
		if diff := cmp.Diff(planned[j], info, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("%s (-plan +done):\n%s", name, diff)
		}
	}
}

func TestPlanErrors(t *testing.T) {
	t.Parallel()
	ctx, store := context.Background(), &fakeStore{}
	r := replica(t, store, newClock(), keys.ES256)
	if _, err := r.PlanRotate(ctx, "HS256"); !errors.Is(err, keys.ErrUnsupportedAlg) {
		t.Errorf("PlanRotate(HS256): got %v, want keys.ErrUnsupportedAlg", err)
	}
	if _, err := r.PlanRevoke(ctx, "unknown"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("PlanRevoke(unknown): got %v, want storage.ErrNotFound", err)
	}
	store.fail = storage.ErrUnavailable
	if _, err := r.PlanRotate(ctx, ""); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("PlanRotate: got %v, want storage.ErrUnavailable", err)
	}
}
