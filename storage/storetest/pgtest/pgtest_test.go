package pgtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"latchkey/storage/storetest/pgtest"
)

func run(t *testing.T, url, sql string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the statement has been answered
	_, err = conn.Exec(ctx, sql)
	return err
}

func TestStandbyAndPooler(t *testing.T) {
	t.Parallel()
	primary := pgtest.StartReplicated(t, pgtest.Config{Relaxed: true})
	database := primary.Database(t)
	if err := run(t, primary.Pooler(t, 2).URL(database), "CREATE TABLE kept (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	standby := primary.Standby(t)
	both := pgtest.URLOf(database, primary, standby)
	if err := run(t, both, "INSERT INTO kept VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	primary.CatchUp(t, standby)
	if err := primary.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := run(t, both, "INSERT INTO kept VALUES (2)"); err == nil {
		t.Error("a standby accepted a write")
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if err := run(t, both, "INSERT INTO kept SELECT n + 1 FROM kept"); err != nil {
		t.Error(err)
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	server := pgtest.StartReplicated(t, pgtest.Config{Relaxed: true})
	pooler := server.Pooler(t, 2)
	url := pooler.URL(server.Database(t))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // it was used
	for name, of := range map[string]interface{ Freeze() error }{"pooler": pooler, "server": server} {
		if err := of.Freeze(); err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		go func() { answered <- conn.Ping(ctx) }()
		select {
		case err := <-answered:
			t.Errorf("the frozen %s answered: %v", name, err)
		case <-time.After(200 * time.Millisecond):
		}
		if err := of.(interface{ Thaw() error }).Thaw(); err != nil { //nolint:forcetypeassert // both have Thaw
			t.Fatal(err)
		}
		if err := <-answered; err != nil {
			t.Errorf("%s after Thaw: got %v, want no error", name, err)
		}
	}
}
