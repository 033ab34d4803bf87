package storetest

import (
	"context"
	"errors"
	"testing"

	"latchkey/storage"
)

func testTransactions(t *testing.T, s suite) {
	s.run(t, cases{
		"a transaction commits":                                testCommit,
		"an error rolls back":                                  testRollback,
		"a nested transaction joins":                           testNested,
		"it reads its own writes, others do not":               testReadsOwn,
		"values read in a transaction are not cached":          testForgets,
		"a canceled context is not ErrUnavailable":             testCancelled,
		"many transactions on few connections do not deadlock": testManyTransactions,
	})
}

func putRealm(s Store, id string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.PutRealm(ctx, storage.Realm{ID: id})
		return err
	}
}

func testCommit(t *testing.T, w *fixture) {
	check(t, w.store.InTx(w.ctx, putRealm(w.store, "r")))
	must(w.store.Realm(w.ctx, "r"))(t)
}

func testRollback(t *testing.T, w *fixture) {
	broken := errors.New("broken")
	err := w.store.InTx(w.ctx, func(ctx context.Context) error {
		return errors.Join(putRealm(w.store, "r")(ctx), broken)
	})
	wantErr(t, err, broken)
	fails(w.store.Realm(w.ctx, "r"))(t, storage.ErrNotFound)
}

func testNested(t *testing.T, w *fixture) {
	broken := errors.New("broken")
	err := w.store.InTx(w.ctx, func(ctx context.Context) error {
		if err := w.store.InTx(ctx, putRealm(w.store, "inner")); err != nil {
			return err
		}
		return broken
	})
	wantErr(t, err, broken)
	fails(w.store.Realm(w.ctx, "inner"))(t, storage.ErrNotFound)

	check(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		return w.store.InTx(ctx, putRealm(w.store, "inner"))
	}))
	must(w.store.Realm(w.ctx, "inner"))(t)
}

func testReadsOwn(t *testing.T, w *fixture) {
	other := w.open(t)
	check(t, w.store.InTx(w.ctx, func(ctx context.Context) error {
		if err := putRealm(w.store, "r")(ctx); err != nil {
			return err
		}
		_, err := w.store.Realm(ctx, "r")
		fails(other.Realm(w.ctx, "r"))(t, storage.ErrNotFound)
		return err
	}))
	must(other.Realm(w.ctx, "r"))(t)
}

func testForgets(t *testing.T, w *fixture) {
	w.listen(w.store)
	before := must(w.store.PutClient(w.ctx, fullClient("web")))(t)
	must(w.store.Client(w.ctx, "web"))(t)
	broken := errors.New("broken")
	err := w.store.InTx(w.ctx, func(ctx context.Context) error {
		changed := fullClient("web")
		changed.Active = false
		must(w.store.PutClient(ctx, changed))(t)
		if must(w.store.Client(ctx, "web"))(t).Active {
			t.Error("the transaction does not read its own write")
		}
		return broken
	})
	wantErr(t, err, broken)
	equal(t, must(w.store.Client(w.ctx, "web"))(t), before)
}

func testCancelled(t *testing.T, w *fixture) {
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	fails(w.store.Principal(ctx, w.key()))(t, context.Canceled)
	wantErr(t, w.store.InTx(ctx, func(context.Context) error { return nil }), context.Canceled)
	if err := w.store.Ping(ctx); errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("a canceled context is reported as an unavailable database: %v", err)
	}
}

// testManyTransactions runs more transactions than there are connections. It deadlocks if a
// method takes a second connection within a transaction.
func testManyTransactions(t *testing.T, w *fixture) {
	errs := concurrently(50, func(int) error {
		return w.store.InTx(w.ctx, func(ctx context.Context) error {
			if _, err := w.store.PutClient(ctx, fullClient("web")); err != nil {
				return err
			}
			if _, err := w.store.Client(ctx, "web"); err != nil {
				return err
			}
			if _, err := w.store.Principal(ctx, w.key()); err != nil {
				return err
			}
			return w.store.InTx(ctx, putRealm(w.store, "r"))
		})
	})
	equal(t, countErrors(errs), map[string]int{"": 50})
	equal(t, must(w.store.Client(w.ctx, "web"))(t).Version, 50)
}
