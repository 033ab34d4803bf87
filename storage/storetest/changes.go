package storetest

import (
	"context"
	"testing"

	"latchkey/storage"
)

func testChanges(t *testing.T, s suite) {
	s.run(t, cases{
		"a client disabled on another replica is seen": testDisabledElsewhere,
		"all kinds of configuration notify":            testNotifiedKinds,
		"a transaction notifies at its commit":         testNotifiedAtCommit,
		"own changes are seen at once":                 testOwnChanges,
		"Run ends with its context without error":      testRunEnds,
	})
}

// listen runs the store until the test ends and returns a channel of its change
// notifications. It returns after the first notification.
func (w *fixture) listen(s Store) <-chan struct{} {
	w.t.Helper()
	changes := make(chan struct{}, 1)
	s.OnChange(func() {
		select {
		case changes <- struct{}{}:
		default:
		}
	})
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	w.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	<-changes // the store listens now
	return changes
}

// until waits for change notifications until the condition holds, or until the deadline
// of the test.
func until(changes <-chan struct{}, holds func() bool) {
	for !holds() {
		<-changes
	}
}

func testDisabledElsewhere(t *testing.T, w *fixture) {
	other := w.open(t)
	changes := w.listen(other)
	c := must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	until(changes, func() bool {
		got, err := other.Client(w.ctx, "web")
		return err == nil && got.Active
	})
	c.Active = false
	must(w.store.PutClient(w.ctx, c))(t)
	until(changes, func() bool { return !must(other.Client(w.ctx, "web"))(t).Active })
	check(t, w.store.AddClientSecret(w.ctx, "web", storage.ClientSecret{ID: "s1"}, 0))
	until(changes, func() bool { return len(must(other.Client(w.ctx, "web"))(t).Secrets) == 1 })
}

func testNotifiedKinds(t *testing.T, w *fixture) {
	changes := w.listen(w.open(t))
	key := storage.SigningKey{KID: "k"}
	for _, change := range []func() error{
		func() error { return putRealm(w.store, "r")(w.ctx) },
		func() error {
			_, err := w.store.PutPasswordProfile(w.ctx, storage.PasswordProfile{ID: "p", RealmID: "r"})
			return err
		},
		func() error {
			_, err := w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: "p", RealmID: "r"})
			return err
		},
		func() error { _, err := w.store.PutClient(w.ctx, fullClient("web")); return err },
		func() error { return w.store.AddClientSecret(w.ctx, "web", storage.ClientSecret{ID: "s"}, 0) },
		func() error { return w.store.DeleteClientSecret(w.ctx, "web", "s") },
		func() error {
			_, err := w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: "r"})
			return err
		},
		func() error {
			_, err := w.store.PutDeliveryConfig(w.ctx, storage.DeliveryConfig{ID: "d", RealmID: "r"})
			return err
		},
		func() error { return w.store.ChangeSigningKeys(w.ctx, adding(key)) },
		func() error { return w.store.ChangeSigningKeys(w.ctx, updating(key)) },
		func() error {
			return w.store.ChangeSigningKeys(w.ctx, storage.SigningKeyChange{Remove: []string{"k"}})
		},
		func() error { return w.store.AddFirstPepper(w.ctx, storage.Pepper{ID: "p"}) },
	} {
		check(t, change())
		<-changes
	}
}

func testNotifiedAtCommit(t *testing.T, w *fixture) {
	other := w.open(t)
	changes := w.listen(other)
	check(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		if err := putRealm(w.store, "r")(ctx); err != nil {
			return err
		}
		_, err := w.store.PutPasswordProfile(ctx, storage.PasswordProfile{ID: "p", RealmID: "r", Name: "new"})
		return err
	}))
	until(changes, func() bool {
		p, err := other.PasswordProfile(w.ctx, "p")
		return err == nil && p.Name == "new"
	})
}

func testOwnChanges(t *testing.T, w *fixture) {
	w.listen(w.store)
	for range 20 {
		c := must(w.store.PutClient(w.ctx, fullClient("web")))(t)
		equal(t, must(w.store.Client(w.ctx, "web"))(t), c)
		s := must(w.store.PutSender(w.ctx, storage.Sender{ID: "s", RealmID: "default"}))(t)
		equal(t, must(w.store.Sender(w.ctx, "s"))(t), s)
		p := must(w.store.PasswordProfile(w.ctx, "default"))(t)
		p.CodeTTL /= 2
		p = must(w.store.PutPasswordProfile(w.ctx, p))(t)
		equal(t, must(w.store.PasswordProfile(w.ctx, "default"))(t), p)
	}
}

func testRunEnds(t *testing.T, w *fixture) {
	ctx, stop := context.WithCancel(w.ctx)
	stop()
	check(t, w.store.Run(ctx))
}
