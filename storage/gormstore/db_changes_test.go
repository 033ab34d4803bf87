package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestWorkNotifications tests that a store is notified of the work of other stores, and not of
// its own.
func TestWorkNotifications(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	here, there := open(t, gormstore.Config{URL: url}), open(t, gormstore.Config{URL: url})
	heard := make(chan string, 10)
	here.OnWork(func() { heard <- "here" })
	there.OnWork(func() { heard <- "there" })
	listening(t, here)
	listening(t, there)
	for _, step := range []struct {
		from *gormstore.Store
		want string
	}{{here, "there"}, {there, "here"}, {here, "there"}, {there, "here"}} {
		if err := step.from.NotifyOthers(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != step.want {
			t.Fatalf("%s was notified, want %s", got, step.want)
		}
	}
	// A store that does not run has no connection of its own, so all running stores are
	// notified.
	if err := open(t, gormstore.Config{URL: url}).NotifyOthers(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{<-heard: true, <-heard: true}
	if !got["here"] || !got["there"] || len(heard) != 0 {
		t.Errorf("notified: got %v and %d more, want here and there", got, len(heard))
	}
}

// TestWorkOnSQLite tests that NotifyOthers succeeds on SQLite, where it does nothing.
func TestWorkOnSQLite(t *testing.T) {
	t.Parallel()
	s := open(t, gormstore.Config{URL: gormtest.SQLite(t)})
	if err := s.NotifyOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestChangeDropsItsEntry changes records at other replicas while one replica serves from its
// cache. It must read only the changed records again.
func TestChangeDropsItsEntry(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		var c counter
		here, there := open(t, gormstore.Config{URL: url, OnStatement: c.add}), open(t, gormstore.Config{URL: url})
		seed(t, there)
		changed := listening(t, here)
		ctx := t.Context()
		put := func(s *gormstore.Store, id, name string) {
			t.Helper()
			current, err := there.Client(ctx, id)
			if err != nil {
				current = storage.Client{ID: id, ProfileID: "default", Active: true}
			}
			current.Name = name
			if _, err := s.PutClient(ctx, current); err != nil {
				t.Fatal(err)
			}
		}
		read := func(id string) string {
			t.Helper()
			client, err := here.Client(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			return client.Name
		}
		hears := func(id, name string) {
			t.Helper()
			for read(id) != name {
				<-changed
			}
		}
		put(there, "other", "first")
		hears("other", "first")
		warm := func() error {
			read("web")
			_, err := here.PasswordProfile(ctx, "default")
			if err == nil {
				_, err = here.DeliveryConfig(ctx, "dc")
			}
			return err
		}
		c.during(t, warm)
		for i, changing := range []*gormstore.Store{there, here} {
			for n := range 30 {
				put(changing, fmt.Sprintf("new-%d-%d", i, n), "registered")
			}
			name := fmt.Sprint("changed by ", i)
			put(changing, "other", name)
			hears("other", name)
			if got := c.during(t, warm); len(got) > 0 {
				t.Errorf("%d other clients changed; got these reads, want none:\n%s", i, strings.Join(got, "\n"))
			}
		}
		put(there, "web", "changed at last")
		hears("web", "changed at last")
		if err := there.AddClientSecret(ctx, "web", storage.ClientSecret{ID: "new"}, 0); err != nil {
			t.Fatal(err)
		}
		for client, err := here.Client(ctx, "web"); len(client.Secrets) == 0; client, err = here.Client(ctx, "web") {
			if err != nil {
				t.Fatal(err)
			}
			<-changed
		}
	})
}

// TestRegistrationsReadNothingAgain registers 10,000 clients as fast as the database can, while
// a replica serves sign-ins of another client. The sign-ins are served from the cache and take
// no statement for it.
func TestRegistrationsReadNothingAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		const registrations, together = 10_000, 20
		var c counter
		s := open(t, gormstore.Config{URL: url, OnStatement: c.add})
		seed(t, s)
		listening(t, s)
		signIn := func() error {
			_, err := s.Client(t.Context(), "web")
			if err == nil {
				_, err = s.PasswordProfile(t.Context(), "default")
			}
			return err
		}
		for len(c.during(t, signIn)) > 0 {
			time.Sleep(time.Millisecond) // until the replica caches what it reads
		}
		registered := make(chan error, 1)
		go func() { registered <- copyClient(direct(t, url), "web", registrations, together) }()
		signIns := 0
		read := c.during(t, func() error {
			for {
				select {
				case err := <-registered:
					return err
				default:
				}
				if err := signIn(); err != nil {
					return err
				}
				signIns++
				time.Sleep(100 * time.Microsecond)
			}
		})
		if len(read) > 0 || signIns < 100 {
			t.Errorf("%d sign-ins during %d registrations took %d statements, want none: %.100q", signIns, registrations, len(read), read)
		}
		if last, err := s.Client(t.Context(), fmt.Sprint("copy", registrations)); err != nil || !last.Active {
			t.Errorf("the last client that was registered: got %+v, error %v", last, err)
		}
	})
}

// copyClient adds n copies of a client, some of them in one statement.
func copyClient(db *sql.DB, id string, n, together int) error {
	rows, err := db.Query("SELECT * FROM clients WHERE 1 = 0")
	if err != nil {
		return err
	}
	columns, err := rows.Columns()
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	values := strings.NewReplacer(" id,", " 'copy' || i,", " id_key,", " 'copy' || i,").Replace(" " + strings.Join(columns, ", ") + ",")
	for next := 1; next <= n && err == nil; next += together {
		_, err = db.Exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO clients (%s) SELECT %s FROM clients, n WHERE id = '%s'`,
			next, next+together-1, strings.Join(columns, ", "), strings.TrimSuffix(values, ","), id))
	}
	return err
}
