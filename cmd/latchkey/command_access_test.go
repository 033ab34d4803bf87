package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/spf13/cobra"

	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// access is what a command may do with the database.
type access int

const (
	noAccess  access = iota // it does not open the database
	reads                   // it only reads, and needs the schema
	describes               // it only reads, and reports on any schema
	changes                 // it changes records and needs the schema
	creates                 // it adds records, and creates the schema in an empty database
	migrates                // it updates the schema
	fills                   // it fills an empty database; see test/e2e/operations
	ownFile                 // it has its own database
)

// commandAccess classifies every relevant command line. The key is the command. A new command
// fails TestEveryCommandHasItsAccess until it is listed. DOCUMENT, POLICY and BACKUP are files.
var commandAccess = map[string]map[string]access{
	"apply":                {"apply -f DOCUMENT": creates, "apply -f DOCUMENT --dry-run": reads, "apply -f DOCUMENT --prune --dry-run": reads},
	"apply schema":         {"apply schema": noAccess},
	"audit export":         {"audit export": reads},
	"audit head":           {"audit head": reads},
	"audit restart":        {"audit restart": changes},
	"audit verify":         {"audit verify": reads},
	"backup":               {"backup BACKUP": reads},
	"client create":        {"client create --name A --id a": creates, "client create --name B --id b --signing-alg EdDSA": creates},
	"client delete":        {"client delete a": changes},
	"client disable":       {"client disable a": changes},
	"client enable":        {"client enable a": changes},
	"client list":          {"client list": reads},
	"client show":          {"client show a": reads},
	"client update":        {"client update a --name B": changes},
	"client secret add":    {"client secret add a": changes},
	"client secret delete": {"client secret delete a b": changes},
	"config check":         {"config check": describes},
	"config reference":     {"config reference": noAccess},
	"copy":                 {"copy": ownFile},
	"demo":                 {"demo": ownFile},
	"export":               {"export": reads},
	"healthcheck":          {"healthcheck": noAccess},
	"keys list":            {"keys list": reads},
	"keys revoke":          {"keys revoke a": changes, "keys revoke a --plan": reads},
	"keys rewrap":          {"keys rewrap": changes, "keys rewrap --dry-run": reads},
	"keys rotate":          {"keys rotate": changes, "keys rotate --plan": reads, "keys rotate --alg EdDSA --dry-run": reads},
	"man":                  {"man /nowhere": noAccess},
	"message list":         {"message list": reads},
	"message retry":        {"message retry a": changes},
	"message show":         {"message show a": reads},
	"migrate status":       {"migrate status": describes, "migrate status --output json": describes},
	"migrate up":           {"migrate up": migrates},
	"policy explain":       {"policy explain": reads},
	"policy replay":        {"policy replay --policy POLICY": reads},
	"restore":              {"restore BACKUP": fills},
	"selftest":             {"selftest": ownFile},
	"sender list":          {"sender list": reads},
	"sender test":          {"sender test a --to a@b.example": reads},
	"serve":                {"serve": migrates},
	"session list":         {"session list a": reads},
	"session end":          {"session end a": changes},
	"user create":          {"user create a --admin": changes},
	"user disable":         {"user disable a": changes},
	"user enable":          {"user enable a": changes},
	"user list":            {"user list": reads},
	"user show":            {"user show a": reads},
	"user unlock":          {"user unlock a": changes},
	"version":              {"version": noAccess},
}

// TestEveryCommandHasItsAccess tests that commandAccess lists all commands of the program.
func TestEveryCommandHasItsAccess(t *testing.T) {
	t.Parallel()
	var commands []string
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.HasSubCommands() || cmd.Name() == "apply" {
			commands = append(commands, strings.TrimPrefix(cmd.CommandPath(), "latchkey "))
		}
	}
	walk((&cli{}).rootCommand())
	slices.Sort(commands)
	if diff := cmp.Diff(commands, slices.Sorted(maps.Keys(commandAccess))); diff != "" {
		t.Errorf("commands (-of the program +classified):\n%s", diff)
	}
	for command, lines := range commandAccess {
		for line := range lines {
			if !strings.HasPrefix(line, command) {
				t.Errorf("got the line %q, want one of %q", line, command)
			}
		}
	}
}

// schemaTest runs commands on databases of one kind.
type schemaTest struct {
	dir      string // directory of the documents
	version  int64  // schema version that the program needs
	missing  func(t *testing.T) string
	migrated func(t *testing.T) string
	alter    func(t *testing.T, url, statement string)
	snapshot func(t *testing.T, url string) string
}

// TestCommandsLeaveDatabasesAlone tests what commands do with databases. Commands that read
// create and change nothing. apply and "client create" create the schema in an empty database,
// all others need it. Only serve, demo and "migrate up" change an existing schema.
func TestCommandsLeaveDatabasesAlone(t *testing.T) {
	t.Parallel()
	steps, err := gormstore.PendingMigrations("sqlite:x")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"DOCUMENT": "Buyers:\n  - {ID: acme, Name: Acme}\nApiClients:\n  - {ID: c, AppName: C, ClientSecret: secret-secret-secret-secret-secret}\n",
		"POLICY":   "threshold: 5\nduration: 5m\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]*schemaTest{
		"sqlite": {
			missing:  func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db") },
			migrated: func(t *testing.T) string { return gormtest.SQLite(t) },
			alter: func(t *testing.T, url, statement string) {
				alterBy(t, "sqlite", strings.TrimPrefix(url, "sqlite:"), statement)
			},
			snapshot: filesOf,
		},
		"postgres": {
			missing:  func(t *testing.T) string { return gormtest.Postgres(t).Empty(t) },
			migrated: func(t *testing.T) string { return gormtest.Postgres(t).Database(t) },
			alter:    func(t *testing.T, url, statement string) { alterBy(t, "pgx", url, statement) },
			snapshot: rowsOf,
		},
	}
	for name, s := range kinds {
		s.dir, s.version = dir, steps[len(steps)-1].Version
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("no schema", s.withoutSchema)
			t.Run("tables of another program", s.withOtherTables)
			t.Run("older schema", s.withOlderSchema)
			t.Run("newer schema", s.withNewerSchema)
			t.Run("current schema", s.withCurrentSchema)
		})
	}
}

func alterBy(t *testing.T, driver, dsn, statement string) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the statement has been executed
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// filesOf returns the names and digests of the files of an SQLite database.
func filesOf(t *testing.T, url string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(strings.TrimPrefix(url, "sqlite:")), "*"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", filepath.Base(file), sha256.Sum256(data))
	}
	return b.String()
}

// rowsOf returns the tables of a PostgreSQL database with digests of their rows.
func rowsOf(t *testing.T, url string) string {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // only read
	var tables string
	err = db.QueryRowContext(t.Context(), `SELECT coalesce(string_agg(relname || ' ' ||
		(xpath('/row/c/text()', query_to_xml('SELECT md5(string_agg(t::text, '','' ORDER BY t::text)) AS c FROM ' || quote_ident(relname) || ' t', false, true, '')))[1]::text,
		E'\n' ORDER BY relname), '') FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`).Scan(&tables)
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// commandResult is the result of a command.
type commandResult struct {
	code           int
	stdout, stderr string
}

// run executes a command line with the database.
func (s *schemaTest) run(t *testing.T, line, url string) commandResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := &cli{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, now: time.Now, random: rand.Reader, output: "text",
		environ: []string{"LATCHKEY_DATABASE_URL=" + url, "LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0"},
	}
	if strings.HasPrefix(url, "postgres") {
		c.environ = append(c.environ, "LATCHKEY_MASTER_KEY="+testMasterKey)
	}
	args := strings.Fields(strings.NewReplacer("DOCUMENT", filepath.Join(s.dir, "DOCUMENT"), "POLICY", filepath.Join(s.dir, "POLICY"),
		"BACKUP", filepath.Join(t.TempDir(), "backup")).Replace(line))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code := c.run(ctx, args)
	return commandResult{code, stdout.String(), stderr.String()}
}

// each calls test for every command line of the accesses.
func (s *schemaTest) each(test func(line string, a access), accesses ...access) {
	for _, command := range slices.Sorted(maps.Keys(commandAccess)) {
		for line, a := range commandAccess[command] {
			if slices.Contains(accesses, a) {
				test(line, a)
			}
		}
	}
}

// unchanged runs a command line that must not change the database.
func (s *schemaTest) unchanged(t *testing.T, line, url string) commandResult {
	t.Helper()
	before := s.snapshot(t, url)
	got := s.run(t, line, url)
	if diff := cmp.Diff(before, s.snapshot(t, url)); diff != "" {
		t.Errorf("latchkey %s changed the database (-before +after):\n%s", line, diff)
	}
	return got
}

func (s *schemaTest) withoutSchema(t *testing.T) {
	url := s.missing(t)
	s.each(func(line string, a access) {
		got := s.unchanged(t, line, url)
		want := "The database schema is at version 0; this program needs version " + fmt.Sprint(s.version) + ". Run `latchkey migrate up`."
		if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
			want = "The database sqlite:" + path + " does not exist. Run `latchkey migrate up`."
		}
		if refused := got.code == exitFailed && strings.Contains(got.stderr, want); refused != (a == reads || a == changes) {
			t.Errorf("latchkey %s: got %d %s", line, got.code, got.stderr)
		}
	}, noAccess, reads, changes, describes)
	s.each(func(line string, _ access) {
		url := s.missing(t)
		got := s.run(t, line, url)
		if !strings.Contains(got.stderr, fmt.Sprintf("was empty; it now has the schema of version %d", s.version)) {
			t.Errorf("latchkey %s: got %d %s", line, got.code, got.stderr)
		}
		if got := s.run(t, "client list", url); got.code != exitDone {
			t.Errorf("client list after latchkey %s: got %s, want no error", line, got.stderr)
		}
	}, creates)
}

// withOtherTables tests a database that belongs to another program and so is not empty.
func (s *schemaTest) withOtherTables(t *testing.T) {
	url := s.missing(t)
	s.alter(t, url, "CREATE TABLE orders (id INTEGER)")
	want := fmt.Sprintf("latchkey: The database has tables, but no schema of this program, which needs version %d. If it is the right database, run `latchkey migrate up`.\n", s.version)
	s.run(t, "client create --name A", url) // creates the lock file of SQLite
	s.each(func(line string, a access) {
		got := s.unchanged(t, line, url)
		if a != describes && (got.code != exitFailed || got.stderr != want || got.stdout != "") || a == describes && got.code != exitDone {
			t.Errorf("latchkey %s: got %d %s", line, got.code, got.stderr)
		}
	}, reads, changes, creates, describes)
	if got := s.run(t, "migrate up", url); got.code != exitDone {
		t.Errorf("migrate up: got %d %s", got.code, got.stderr)
	}
	if got := s.run(t, "client list", url); got.code != exitDone {
		t.Errorf("client list: got %d %s", got.code, got.stderr)
	}
}

func (s *schemaTest) withOlderSchema(t *testing.T) {
	url := s.migrated(t)
	s.alter(t, url, fmt.Sprintf("DELETE FROM goose_db_version WHERE version_id = %d", s.version))
	want := fmt.Sprintf("latchkey: The database schema is at version %d; this program needs version %d. Run `latchkey migrate up`.\n", s.version-1, s.version)
	s.run(t, "client create --name A", url) // creates the lock file of SQLite
	s.each(func(line string, a access) {
		got := s.unchanged(t, line, url)
		if a != describes && (got.code != exitFailed || got.stderr != want || got.stdout != "") || a == describes && got.code != exitDone {
			t.Errorf("latchkey %s: got %d %s", line, got.code, got.stderr)
		}
	}, reads, changes, creates, describes)
	if got := s.run(t, "config check", url); !strings.Contains(got.stdout, fmt.Sprintf("schema: at version %d, a server brings it to version %d", s.version-1, s.version)) {
		t.Errorf("config check: got %s", got.stdout)
	}
	if got := s.run(t, "migrate status", url); !strings.Contains(got.stdout, " pending\n") {
		t.Errorf("migrate status: got %s", got.stdout)
	}
}

func (s *schemaTest) withNewerSchema(t *testing.T) {
	url := s.migrated(t)
	newer := s.version + 1
	s.alter(t, url, fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, %s)", newer, map[bool]string{true: "1", false: "true"}[strings.HasPrefix(url, "sqlite")]))
	want := fmt.Sprintf("latchkey: The database schema is at version %d; this program needs version %d. Use the release that made the schema, or a later one.\n", newer, s.version)
	s.run(t, "client create --name A", url) // creates the lock file of SQLite
	s.each(func(line string, a access) {
		got := s.unchanged(t, line, url)
		if refused := got.code == exitFailed && got.stderr == want && got.stdout == ""; refused == strings.HasPrefix(line, "migrate status") {
			t.Errorf("latchkey %s: got %d %s %s", line, got.code, got.stdout, got.stderr)
		}
	}, reads, changes, creates, migrates, describes)
	if got := s.run(t, "migrate status", url); !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), fmt.Sprintf(" %d (of a newer latchkey) 2", newer)) {
		t.Errorf("migrate status: got %s", got.stdout)
	}
	if got := s.run(t, "migrate status --output json", url); !strings.Contains(got.stdout, fmt.Sprintf(`{"version":%d,"name":"(of a newer latchkey)","applied_at":"2`, newer)) || !strings.Contains(got.stdout, `"newer":true`) {
		t.Errorf("migrate status: got %s", got.stdout)
	}
}

// withCurrentSchema runs the commands on a new database without records, and then on one with a
// client.
func (s *schemaTest) withCurrentSchema(t *testing.T) {
	url := s.migrated(t)
	for range 2 {
		s.each(func(line string, _ access) {
			if got := s.unchanged(t, line, url); strings.Contains(got.stderr, "schema") || got.code == exitUsage {
				t.Errorf("latchkey %s: got %d %s", line, got.code, got.stderr)
			}
		}, noAccess, reads, describes)
		if got := s.run(t, "client create --name A --id a", url); got.code != exitDone || got.stderr != "" {
			t.Errorf("client create: got %d %s", got.code, got.stderr)
		}
		if got := s.run(t, "keys rotate", url); got.code != exitDone || got.stderr != "" {
			t.Errorf("keys rotate: got %d %s", got.code, got.stderr)
		}
		if got := s.run(t, "migrate up", url); got.code != exitDone || got.stderr != "" {
			t.Errorf("migrate up: got %d %s", got.code, got.stderr)
		}
		url = s.reopened(t, url)
	}
}

// reopened makes the second round start with a client that does not exist yet.
func (s *schemaTest) reopened(t *testing.T, url string) string {
	t.Helper()
	s.alter(t, url, "DELETE FROM client_secrets")
	s.alter(t, url, "DELETE FROM clients")
	return url
}
