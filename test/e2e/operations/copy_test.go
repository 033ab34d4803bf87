package operations

import (
	"context"
	"database/sql"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// manyUsers is the number of users in the large database.
const manyUsers = 5_000

// otherDatabase returns the URL of an empty database of the other type.
func otherDatabase(t *testing.T, databaseURL string) string {
	t.Helper()
	if strings.HasPrefix(databaseURL, "sqlite:") {
		return gormtest.Postgres(t).Empty(t)
	}
	return "sqlite:" + filepath.Join(t.TempDir(), "target.db")
}

func openDatabase(t *testing.T, databaseURL string) *sql.DB {
	t.Helper()
	driver, source := "pgx", databaseURL
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// addManyUsers copies the user and the login of jane.
func addManyUsers(t *testing.T, db *sql.DB) {
	t.Helper()
	name := func(prefix string) string { return "'" + prefix + "copy' || n.i" }
	for _, table := range []struct {
		name, row string
		of        map[string]string // expressions for the columns that differ
	}{
		{"users", "id = 'jane'", map[string]string{"uid": name("usr_"), "id": name(""), "email": name(""), "email_key": name("")}},
		{"logins", "username = 'jane'", map[string]string{"id": name("lgn_"), "username": name(""), "username_key": name(""), "user_uid": name("usr_")}},
	} {
		if err := kit.CopyRow(t.Context(), db, table.name, table.row, table.of, manyUsers); err != nil {
			t.Fatal(err)
		}
	}
}

// killWhen runs a command of the program and kills it (kill -9) when its standard error stream
// contains the text.
func killWhen(t *testing.T, environ []string, text string, args ...string) {
	t.Helper()
	var out kit.Buffer
	cmd := exec.CommandContext(t.Context(), kit.Program(t), args...)
	cmd.Dir, cmd.Stderr, cmd.Env = t.TempDir(), &out, append(kit.BaseEnviron(), environ...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the command prints "+text, func() bool { return strings.Contains(out.String(), text) })
	_ = cmd.Process.Kill() // if the command has ended, the next line fails
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("got the end %v, want a killed command\n%s", err, out.String())
	}
}

// mustFail runs a command that must fail with a text and without a stack trace.
func mustFail(t *testing.T, environ []string, text string, args ...string) {
	t.Helper()
	r := kit.TryCommand(t, environ, args...)
	if r.ExitCode == 0 || !strings.Contains(r.Stderr, text) {
		t.Errorf("latchkey %q: got exit code %d, want an error with %q: %s%s", args, r.ExitCode, text, r.Stdout, r.Stderr)
	}
}

func mustRun(t *testing.T, environ []string, args ...string) kit.Result {
	t.Helper()
	r := kit.TryCommand(t, environ, args...)
	if r.ExitCode != 0 {
		t.Fatalf("latchkey %q: got exit code %d: %s", args, r.ExitCode, r.Stderr)
	}
	return r
}

func environOf(databaseURL string) []string {
	return []string{"LATCHKEY_DATABASE_URL=" + databaseURL, "LATCHKEY_MASTER_KEY=" + kit.MasterKey}
}

// TestCopy tests that a copy to the other database, made while the source serves, has all rows.
// The target accepts the refresh tokens, codes and passwords of the source. It continues the
// numbers of requests for codes, so that newer codes replace older ones.
func TestCopy(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.AddUsersWithoutPassword("mary")
		first := kit.MustIssue(t, "before the copy", a.Server.SignInThrough("kiosk", "mary", a.RequestCode(a.Server, "kiosk", "mary")))
		code := a.RequestCode(a.Server, "kiosk", "mary")
		execute(t, a.DB, "DELETE FROM code_requests") // retention deletes them too
		target := otherDatabase(t, w.DatabaseURL)
		r := mustRun(t, environOf(w.DatabaseURL), "copy", "--from", w.DatabaseURL, "--to", target)
		for _, want := range []string{"the digests are the same on both sides", "events are as they were written"} {
			if !strings.Contains(r.Stdout, want) {
				t.Errorf("copy: got no %q in %s", want, r.Stdout)
			}
		}
		if !strings.Contains(r.Stderr, "latchkey: users: ") {
			t.Errorf("copy: got no progress in %s", r.Stderr)
		}
		mustFail(t, environOf(target), "not empty", "copy", "--from", w.DatabaseURL, "--to", target)
		a.Server.Stop()

		moved := &kit.Fixture{T: t, DatabaseURL: target, Inbox: w.Inbox}
		mustRun(t, environOf(target), "audit", "verify")
		b := kit.NewOneServer(moved)
		n := b.Server
		kit.MustIssue(t, "refresh token of the source", n.RefreshThrough("kiosk", first.Field("refresh_token")))
		kit.MustIssue(t, "code of the source", n.SignInThrough("kiosk", "mary", code))
		kit.MustIssue(t, "password of the source", n.SignIn("jane", kit.Password))
		kit.MustIssue(t, "newer code", n.SignInThrough("kiosk", "mary", b.RequestCode(n, "kiosk", "mary")))
	})
}

// TestCopyOfManyUsers tests that a killed copy leaves an empty target and can be repeated. A
// row that differs from the source is found, and then nothing is copied.
func TestCopyOfManyUsers(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		addManyUsers(t, openDatabase(t, w.DatabaseURL))
		target := otherDatabase(t, w.DatabaseURL)
		environ, args := environOf(w.DatabaseURL), []string{"copy", "--from", w.DatabaseURL, "--to", target}
		killWhen(t, environ, "latchkey: users:", args...)

		db := openDatabase(t, target)
		rows := func(table string) (n int) {
			if err := db.QueryRowContext(context.Background(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := rows("users"); n != 0 {
			t.Fatalf("got %d users after the interruption", n)
		}
		const flipped = "uid = 'usr_copy4711'"
		undo := flipOneByte(t, db, strings.HasPrefix(target, "sqlite:"), flipped)
		mustFail(t, environ, "table users: the rows that were written differ", args...)
		if n := rows("users") + rows("clients"); n != 0 {
			t.Errorf("got %d users and clients after a failed copy", n)
		}
		execute(t, db, undo)
		begun := time.Now()
		r := mustRun(t, environ, args...)
		t.Logf("%d users copied in %s\n%s", manyUsers, time.Since(begun), r.Stdout)
		if n := rows("users"); n <= manyUsers {
			t.Errorf("got %d users, want more than the copied ones", n)
		}
	})
}

// flipOneByte changes one byte of a user while it is inserted. It returns the statement that
// ends this.
func flipOneByte(t *testing.T, db *sql.DB, sqlite bool, of string) (undo string) {
	t.Helper()
	if sqlite {
		execute(t, db, "CREATE TRIGGER flip AFTER INSERT ON users WHEN NEW."+of+" BEGIN UPDATE users SET email = 'd' || substr(email, 2) WHERE "+of+"; END")
		return "DROP TRIGGER flip"
	}
	execute(t, db, `CREATE FUNCTION flip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.`+of+` THEN NEW.email := 'd' || substr(NEW.email, 2); END IF; RETURN NEW; END $$`,
		"CREATE TRIGGER flip BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION flip()")
	return "DROP TRIGGER flip ON users"
}

// TestCopyOfMissingDatabase tests that a copy from a database that does not exist names it and
// creates no files.
func TestCopyOfMissingDatabase(t *testing.T) {
	dir := t.TempDir()
	from, to := "sqlite:"+filepath.Join(dir, "from.db"), "sqlite:"+filepath.Join(dir, "to.db")
	mustFail(t, nil, from, "copy", "--from", from, "--to", to)
	mustFail(t, environOf(from), from, "backup", filepath.Join(dir, "backup"))
	mustFail(t, environOf(from), filepath.Join(dir, "backup"), "restore", filepath.Join(dir, "backup"))
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); left != nil {
		t.Errorf("got the created files %v, want none", left)
	}
}
