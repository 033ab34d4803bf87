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
)

// TestWorkIsTold has a store hear of the work of others, and not of its own.
func TestWorkIsTold(t *testing.T) {
	t.Parallel()
	url := postgres(t).Database(t)
	here, there := open(t, gormstore.Config{URL: url}), open(t, gormstore.Config{URL: url})
	heard := make(chan string, 10)
	here.OnWork(func() { heard <- "here" })
	there.OnWork(func() { heard <- "there" })
	listening(t, here)
	listening(t, there)
	for _, tell := range []struct {
		from *gormstore.Store
		want string
	}{{here, "there"}, {there, "here"}, {here, "there"}, {there, "here"}} {
		if err := tell.from.TellOthers(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != tell.want {
			t.Fatalf("%s heard, want %s", got, tell.want)
		}
	}
	// A store that does not run has no connection of its own to be known by.
	if err := open(t, gormstore.Config{URL: url}).TellOthers(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{<-heard: true, <-heard: true}
	if !got["here"] || !got["there"] || len(heard) != 0 {
		t.Errorf("heard %v and %d more", got, len(heard))
	}
}

// TestWorkOnSQLite sees that telling does no harm.
func TestWorkOnSQLite(t *testing.T) {
	t.Parallel()
	s := open(t, gormstore.Config{URL: sqliteFile(t)})
	if err := s.TellOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestChangeDropsItsEntry has other replicas change records while one serves from memory:
// only the changed records are read again.
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
				t.Errorf("other clients changed (%d), and this was read again:\n%s", i, strings.Join(got, "\n"))
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

// TestRegistrationsReadNothingAgain has somebody register 10,000 clients, as fast as the
// database takes them, while a replica serves sign-ins of another client. What these need
// stays in memory: not one of them asks the database for it.
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
			time.Sleep(time.Millisecond) // until the replica keeps what it reads
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
			t.Errorf("%d sign-ins during %d registrations took %d statements: %.100q", signIns, registrations, len(read), read)
		}
		if last, err := s.Client(t.Context(), fmt.Sprint("copy", registrations)); err != nil || !last.Active {
			t.Errorf("the last client that was registered: %+v, %v", last, err)
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
