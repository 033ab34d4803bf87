package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey/storage"
)

func testChangeClientSecret(t *testing.T, w *fixture) {
	must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	kept := storage.ClientSecret{ID: "s1", Name: "old", Digest: storage.Digest{PepperID: "p", Sum: []byte{1}}, CreatedAt: w.now}
	check(t, w.store.AddClientSecret(w.ctx, "Web", kept, 1))
	wantErr(t, w.store.AddClientSecret(w.ctx, "Web", storage.ClientSecret{ID: "s2"}, 1), storage.ErrTooMany)

	changed := must(w.store.ChangeClientSecret(w.ctx, "wEB", "s1", func(s *storage.ClientSecret) error {
		equal(t, *s, kept)
		s.Name, s.ExpiresAt, s.Digest.Sum = "new", w.now.Add(day), nil // the digest must not change
		return nil
	}))(t)
	kept.Name, kept.ExpiresAt = changed.Name, changed.ExpiresAt
	equal(t, kept.ExpiresAt, w.now.Add(day))
	equal(t, must(w.store.Client(w.ctx, "Web"))(t).Secrets, []storage.ClientSecret{kept})

	refusal := errors.New("refused")
	_, err := w.store.ChangeClientSecret(w.ctx, "Web", "s1", func(s *storage.ClientSecret) error {
		s.Name = "never"
		return refusal
	})
	wantErr(t, err, refusal)
	equal(t, must(w.store.Client(w.ctx, "Web"))(t).Secrets, []storage.ClientSecret{kept})
	unchanged := func(*storage.ClientSecret) error { return nil }
	fails(w.store.ChangeClientSecret(w.ctx, "Web", "s2", unchanged))(t, storage.ErrNotFound)
	fails(w.store.ChangeClientSecret(w.ctx, "other", "s1", unchanged))(t, storage.ErrNotFound)
}

// raceSecrets adds more secrets than a client may have, through two replicas.
func raceSecrets(t *testing.T, w *fixture) {
	replica := w.replicas()
	const limit = 10
	must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	errs := concurrently(40, func(i int) error {
		return replica(i).AddClientSecret(w.ctx, "Web", storage.ClientSecret{ID: fmt.Sprint("s", i)}, limit)
	})
	equal(t, countErrors(errs), map[string]int{"": limit, storage.ErrTooMany.Error(): 40 - limit})
	equal(t, len(must(w.open(t).Client(w.ctx, "Web"))(t).Secrets), limit)
}

func raceSecretChanges(t *testing.T, w *fixture) {
	replica := w.replicas()
	must(w.store.PutClient(w.ctx, fullClient("Web")))(t)
	check(t, w.store.AddClientSecret(w.ctx, "Web", storage.ClientSecret{ID: "s"}, 0))
	errs := concurrently(40, func(i int) error {
		_, err := replica(i).ChangeClientSecret(w.ctx, "Web", "s", func(s *storage.ClientSecret) error {
			s.Name += "x"
			return nil
		})
		return err
	})
	equal(t, countErrors(errs), map[string]int{"": 40})
	equal(t, must(w.open(t).Client(w.ctx, "Web"))(t).Secrets[0].Name, strings.Repeat("x", 40))
}
