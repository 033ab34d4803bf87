package gormstore_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// TestMigrateAtOnce migrates an empty database from several replicas at the same time.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	for dialect, empty := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "new.db") },
		"postgres": func(t *testing.T) string { return gormtest.Postgres(t).Empty(t) },
		"behind a small pooler": func(t *testing.T) string {
			return gormtest.Postgres(t).Pooler(t, 3).URL(gormtest.Postgres(t).Empty(t))
		},
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			url := empty(t)
			errs := make([]error, 6)
			var group sync.WaitGroup
			for i := range errs {
				group.Go(func() { errs[i] = gormtest.Migrate(url) })
			}
			group.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			s := open(t, gormstore.Config{URL: url})
			status, err := s.MigrationStatus(context.Background())
			if err != nil || len(status) == 0 {
				t.Fatalf("got the status %v, error %v", status, err)
			}
			for _, m := range status {
				if m.AppliedAt.IsZero() {
					t.Errorf("%s is not applied", m.Name)
				}
			}
		})
	}
}

func TestStatusBeforeMigration(t *testing.T) {
	t.Parallel()
	s := open(t, gormstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "new.db")})
	status, err := s.MigrationStatus(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := []gormstore.Migration{
		{Version: 1, Name: "0001_init"},
		{Version: 2, Name: "0002_senders"},
		{Version: 3, Name: "0003_delivery"},
		{Version: 4, Name: "0004_resources"},
		{Version: 5, Name: "0005_members"},
		{Version: 6, Name: "0006_keys"},
		{Version: 7, Name: "0007_sources"},
		{Version: 8, Name: "0008_audit"},
		{Version: 9, Name: "0009_credentials"},
		{Version: 10, Name: "0010_servers"},
		{Version: 11, Name: "0011_valid_from"},
		{Version: 12, Name: "0012_code_requests"},
		{Version: 13, Name: "0013_changed_members"},
		{Version: 14, Name: "0014_activity"},
		{Version: 15, Name: "0015_client_permissions"},
		{Version: 16, Name: "0016_rotations"},
		{Version: 17, Name: "0017_lease_owners"},
		{Version: 18, Name: "0018_request_order"},
		{Version: 19, Name: "0019_config_changes"},
		{Version: 20, Name: "0020_code_name_digest"},
		{Version: 21, Name: "0021_browser_sessions"},
		{Version: 22, Name: "0022_audit_batches"},
		{Version: 23, Name: "0023_session_clients"},
		{Version: 24, Name: "0024_kept_answers"},
		{Version: 25, Name: "0025_verified_email"},
		{Version: 26, Name: "0026_console_users"},
		{Version: 27, Name: "0027_tasks"},
		{Version: 28, Name: "0028_status"},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

// TestMigrateKeepsDefaults tests that a restart keeps what an administrator changed in the
// defaults.
func TestMigrateKeepsDefaults(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		s, ctx := open(t, gormstore.Config{URL: url}), context.Background()
		p, err := s.PasswordProfile(ctx, storage.DefaultProfileID)
		if err != nil {
			t.Fatal(err)
		}
		p.Code.Length = 12
		want, err := s.PutPasswordProfile(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		got, err := s.PasswordProfile(ctx, storage.DefaultProfileID)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v, profile (-want +got):\n%s", err, diff)
		}
	})
}

// TestSchemasAgree compares the tables and columns of both databases. It ignores their order,
// because SQLite creates a table anew where PostgreSQL adds a column. Only the table of changes
// differs, because PostgreSQL does not commit transactions in the order of their numbers.
func TestSchemasAgree(t *testing.T) {
	t.Parallel()
	onSQLite := schema(t, "sqlite", "file:"+strings.TrimPrefix(gormtest.SQLite(t), "sqlite:"),
		`SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'config_changes'
		ORDER BY 1`)
	onPostgres := schema(t, "pgx", gormtest.Postgres(t).Database(t),
		`SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' AND table_name <> 'config_changes'
		ORDER BY (table_name || '.' || column_name) COLLATE "C"`)
	if diff := cmp.Diff(onPostgres, onSQLite); diff != "" || len(onSQLite) < 100 {
		t.Errorf("got %d columns; SQLite differs from PostgreSQL (-postgres +sqlite):\n%s", len(onSQLite), diff)
	}
}

func schema(t *testing.T, driver, dsn, query string) (columns []string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // read only
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // see rows.Err
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return columns
}

func TestSQLiteFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a file?name#with%20marks.db")
	if err := gormtest.Migrate("sqlite:" + path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, want access for the owner alone", info.Mode())
	}
}

// TestOpenAtOnce opens a new file from many connections at the same time. Each of them switches
// it to WAL.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "new.db")
	errs := make([]error, 20)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			s, err := gormstore.Open(context.Background(), gormstore.Config{URL: url})
			if err == nil {
				err = s.Close()
			}
			errs[i] = err
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mysql://x", "sqlite:", "sqlite::memory:", "postgres://[", "latchkey.db"} {
		if _, err := gormstore.Open(context.Background(), gormstore.Config{URL: url}); err == nil {
			t.Errorf("opened %q, want an error", url)
		}
	}
	_, err := gormstore.Open(context.Background(), gormstore.Config{URL: "postgres://u:geheim@127.0.0.1:1/x?connect_timeout=1"})
	if !errors.Is(err, storage.ErrUnavailable) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("got error %v, want ErrUnavailable without the password", err)
	}
}
