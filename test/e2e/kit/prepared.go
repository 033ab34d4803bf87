package kit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey/oauth/server"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
)

// prepared is the content of a database. A test process fills one database of each engine with
// it, and copies that for each test. Migrating, creating keys and hashing passwords again would
// take longer than most tests.
type prepared[T any] struct {
	fill     func(w *Fixture) T // T contains what tests need from the content
	file     once[[]byte, T]
	template once[*pgtest.Template, T]
}

// once calls a function once. It is not a sync.Once, because the function fails the test that
// called it first, and then the next test must try again.
type once[S, T any] struct {
	mu      sync.Mutex
	done    bool
	source  S
	content T
}

func (o *once[S, T]) get(prepare func() (S, T)) (S, T) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.done {
		o.source, o.content = prepare()
		o.done = true
	}
	return o.source, o.content
}

// each runs a test on a copy in SQLite and on one in PostgreSQL.
func (p *prepared[T]) each(t *testing.T, test func(t *testing.T, databaseURL string, content T)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		url, content := p.sqlite(t)
		test(t, url, content)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url, content := p.postgres(t)
		test(t, url, content)
	})
}

func (p *prepared[T]) sqlite(t testing.TB) (databaseURL string, content T) {
	t.Helper()
	file, content := p.file.get(func() ([]byte, T) {
		path := filepath.Join(t.TempDir(), "prepared.db")
		content := p.fillAt(t, "sqlite:"+path)
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return file, content
	})
	path := filepath.Join(t.TempDir(), "latchkey.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path, content
}

func (p *prepared[T]) postgres(t testing.TB) (databaseURL string, content T) {
	t.Helper()
	if gormtest.Postgres(t).External() {
		url := gormtest.Postgres(t).Database(t)
		return url, p.fillAt(t, url)
	}
	template, content := p.template.get(func() (template *pgtest.Template, content T) {
		template, err := gormtest.Postgres(t).NewTemplate(func(url string) error {
			content = p.fillAt(t, url)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return template, content
	})
	return template.Database(t), content
}

// fillAt fills a database, and creates its signing keys.
func (p *prepared[T]) fillAt(t testing.TB, databaseURL string) T {
	t.Helper()
	w := &Fixture{T: t, DatabaseURL: databaseURL}
	content := p.fill(w)
	w.WithApp(func(ctx context.Context, a *server.App) error { return a.OpenRing(ctx) })
	return content
}

// preparedInbox is the address of the inbox in prepared databases.
const preparedInbox = "http://127.0.0.1:9"

// connectInbox makes the message sender of a prepared database send to the fixture's
// inbox.
func (w *Fixture) connectInbox() {
	w.T.Helper()
	ctx := w.T.Context()
	store, err := gormstore.Open(ctx, gormstore.Config{URL: w.DatabaseURL})
	if err != nil {
		w.T.Fatal(err)
	}
	sender, err := store.Sender(ctx, "sink")
	if err == nil {
		sender.URL = strings.Replace(sender.URL, preparedInbox, w.Inbox.URL, 1)
		_, err = store.PutSender(ctx, sender)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		w.T.Fatal(err)
	}
}
