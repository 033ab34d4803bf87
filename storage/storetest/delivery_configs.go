package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"latchkey/storage"
)

func testDeliveryConfigs(t *testing.T, s suite) {
	s.run(t, cases{
		"a delivery config is stored":                testDeliveryConfig,
		"an outdated version is stale":               testDeliveryConfigStale,
		"a config that a sender uses is not deleted": testDeliveryConfigUsed,
		"own changes are seen at once":               testDeliveryConfigOwn,
		"changes of another replica are seen":        testDeliveryConfigElsewhere,
		"a change can be rolled back":                testDeliveryConfigRollback,
	})
	s.runRepeating(t, cases{
		"a config is not deleted while a sender takes it": raceDeliveryConfig,
	})
}

func fullDeliveryConfig(id string) storage.DeliveryConfig {
	return storage.DeliveryConfig{
		ID: id, RealmID: storage.DefaultRealmID, Name: "Hook", Enabled: true, Target: storage.MessageSenderTarget,
		URL: "https://example.com/{messagetype}", Secret: storage.Sealed{KeyID: "k1", Data: []byte{1, 0, 2}},
		CustomAuthHeaderName: "X-Auth", CustomAuthHeader: storage.Sealed{KeyID: "k2", Data: []byte{3, 0, 4}},
	}
}

func testDeliveryConfig(t *testing.T, w *fixture) {
	want := fullDeliveryConfig("dc")
	got := must(w.store.PutDeliveryConfig(w.ctx, want))(t)
	stamped(t, got.Version, got.CreatedAt, got.UpdatedAt)
	want.Version, want.CreatedAt, want.UpdatedAt = got.Version, got.CreatedAt, got.UpdatedAt
	equal(t, got, want)
	equal(t, must(w.store.DeliveryConfig(w.ctx, "dc"))(t), want)

	bare := must(w.store.PutDeliveryConfig(w.ctx, storage.DeliveryConfig{ID: "bare", RealmID: storage.DefaultRealmID}))(t)
	equal(t, must(w.store.DeliveryConfig(w.ctx, "bare"))(t), storage.DeliveryConfig{
		ID: "bare", RealmID: storage.DefaultRealmID, Version: 1, CreatedAt: bare.CreatedAt, UpdatedAt: bare.UpdatedAt,
	})
	fails(w.store.PutDeliveryConfig(w.ctx, storage.DeliveryConfig{ID: "x", RealmID: "nowhere"}))(t, storage.ErrNotFound)
	fails(w.store.DeliveryConfig(w.ctx, "x"))(t, storage.ErrNotFound)
	wantErr(t, w.store.DeleteDeliveryConfig(w.ctx, "x", 0), storage.ErrNotFound)
}

func testDeliveryConfigStale(t *testing.T, w *fixture) {
	first := must(w.store.PutDeliveryConfig(w.ctx, fullDeliveryConfig("dc")))(t)
	second := must(w.store.PutDeliveryConfig(w.ctx, first))(t)
	equal(t, second.Version, 2)
	fails(w.store.PutDeliveryConfig(w.ctx, first))(t, storage.ErrStale)
	wantErr(t, w.store.DeleteDeliveryConfig(w.ctx, "dc", first.Version), storage.ErrStale)
	equal(t, must(w.store.DeliveryConfig(w.ctx, "dc"))(t), second)
	check(t, w.store.DeleteDeliveryConfig(w.ctx, "dc", second.Version))
	fails(w.store.DeliveryConfig(w.ctx, "dc"))(t, storage.ErrNotFound)
}

func testDeliveryConfigUsed(t *testing.T, w *fixture) {
	must(w.store.PutDeliveryConfig(w.ctx, fullDeliveryConfig("dc")))(t)
	sender := must(w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: storage.DefaultRealmID, DeliveryConfig: "dc"}))(t)
	wantErr(t, w.store.DeleteDeliveryConfig(w.ctx, "dc", 0), storage.ErrConflict)
	must(w.store.DeliveryConfig(w.ctx, "dc"))(t)
	sender.DeliveryConfig = ""
	must(w.store.PutSender(w.ctx, sender))(t)
	check(t, w.store.DeleteDeliveryConfig(w.ctx, "dc", 0))
}

func testDeliveryConfigOwn(t *testing.T, w *fixture) {
	w.listen(w.store)
	for range 20 {
		for _, enabled := range []bool{true, false} {
			c := fullDeliveryConfig("dc")
			c.Enabled = enabled
			c = must(w.store.PutDeliveryConfig(w.ctx, c))(t)
			equal(t, must(w.store.DeliveryConfig(w.ctx, "dc"))(t), c)
		}
		check(t, w.store.DeleteDeliveryConfig(w.ctx, "dc", 0))
		fails(w.store.DeliveryConfig(w.ctx, "dc"))(t, storage.ErrNotFound)
	}
}

func testDeliveryConfigElsewhere(t *testing.T, w *fixture) {
	other := w.open(t)
	changes := w.listen(other)
	c := must(w.store.PutDeliveryConfig(w.ctx, fullDeliveryConfig("dc")))(t)
	until(changes, func() bool {
		got, err := other.DeliveryConfig(w.ctx, "dc")
		return err == nil && got.Enabled
	})
	c.Enabled = false
	must(w.store.PutDeliveryConfig(w.ctx, c))(t)
	until(changes, func() bool { return !must(other.DeliveryConfig(w.ctx, "dc"))(t).Enabled })
	check(t, w.store.DeleteDeliveryConfig(w.ctx, "dc", 0))
	until(changes, func() bool {
		_, err := other.DeliveryConfig(w.ctx, "dc")
		return err != nil
	})
}

func testDeliveryConfigRollback(t *testing.T, w *fixture) {
	w.listen(w.store)
	before := must(w.store.PutDeliveryConfig(w.ctx, fullDeliveryConfig("dc")))(t)
	must(w.store.DeliveryConfig(w.ctx, "dc"))(t)
	wantErr(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		if err := w.store.DeleteDeliveryConfig(ctx, "dc", 0); err != nil {
			return err
		}
		fails(w.store.DeliveryConfig(ctx, "dc"))(t, storage.ErrNotFound)
		equal(t, must(w.store.ListDeliveryConfigs(ctx, storage.Query{Limit: 1}))(t).Total, 0)
		return storage.ErrRefused
	}), storage.ErrRefused)
	equal(t, must(w.store.DeliveryConfig(w.ctx, "dc"))(t), before)
}

// raceDeliveryConfig assigns a delivery config to a sender while the config is deleted.
// Either the deletion or the assignment succeeds.
func raceDeliveryConfig(t *testing.T, w *fixture) {
	replica := w.replicas()
	for round := range 40 {
		id := fmt.Sprint("dc", round)
		must(w.store.PutDeliveryConfig(w.ctx, fullDeliveryConfig(id)))(t)
		errs := concurrently(4, func(i int) error {
			if i%2 == 0 {
				return replica(i).DeleteDeliveryConfig(w.ctx, id, 0)
			}
			_, err := replica(i).PutSender(w.ctx, storage.Sender{ID: fmt.Sprint(id, "-", i), RealmID: storage.DefaultRealmID, DeliveryConfig: id})
			return err
		})
		for _, err := range errs {
			if err != nil && !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrNotFound) {
				t.Fatal(err)
			}
		}
		want := storage.ErrNotFound
		if errs[1] == nil || errs[3] == nil {
			want = storage.ErrConflict
		}
		if err := w.store.DeleteDeliveryConfig(w.ctx, id, 0); !errors.Is(err, want) {
			t.Fatalf("round %d: got the errors %v; then deleting it again: got %v, want %v", round, errs, err, want)
		}
	}
}
