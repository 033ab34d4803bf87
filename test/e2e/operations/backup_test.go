package operations

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// TestBackup tests that a backup of a database that is in use can be restored to either
// database. The refresh tokens, codes and audit events are those of the time of the backup. The
// file has mode 0600, does not contain the master key, and is never overwritten.
func TestBackup(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.AddUsersWithoutPassword("mary")
		first := kit.MustIssue(t, "before the backup", a.Server.SignInThrough("kiosk", "mary", a.RequestCode(a.Server, "kiosk", "mary")))
		code := a.RequestCode(a.Server, "kiosk", "mary")
		a.CreateClient(t, "--name", "Newest audit event")
		file := filepath.Join(t.TempDir(), "backup.db")
		var made struct {
			AuditHead string `json:"audit_head"`
		}
		if err := json.Unmarshal([]byte(a.Run("backup", file, "--output", "json")), &made); err != nil || made.AuditHead == "" {
			t.Fatal(err, made)
		}
		checkBackupFile(t, file)
		mustFail(t, w.Environ(), "exists", "backup", file)
		for _, target := range []string{"sqlite:" + filepath.Join(t.TempDir(), "restored.db"), gormtest.Postgres(t).Empty(t)} {
			mustRun(t, environOf(target), "restore", file)
			mustFail(t, environOf(target), "not empty", "restore", file)
			mustRun(t, environOf(target), "audit", "verify", "--expect", made.AuditHead)
			restored := &kit.Fixture{T: t, DatabaseURL: target, Inbox: w.Inbox}
			n := restored.Serve("LATCHKEY_ISSUER=http://latchkey.test")
			kit.MustIssue(t, "refresh token of the backup", n.RefreshThrough("kiosk", first.Field("refresh_token")))
			kit.MustIssue(t, "code of the backup", n.SignInThrough("kiosk", "mary", code))
			n.Stop()
		}
	})
}

func checkBackupFile(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, want 0600", info.Mode())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(kit.MasterKey)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(kit.MasterKey)) || bytes.Contains(data, key) {
		t.Error("got the master key in the backup")
	}
	beside, err := filepath.Glob(file + "?*")
	if err != nil || beside != nil {
		t.Errorf("got the files %v beside the backup, error %v", beside, err)
	}
}

// TestDamagedBackup tests that part of a backup, a backup with a changed byte, and another
// SQLite file are not restored, and that the target stays empty.
func TestDamagedBackup(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		dir := t.TempDir()
		whole := filepath.Join(dir, "whole.db")
		w.Command(t, "backup", whole)
		data, err := os.ReadFile(whole)
		if err != nil {
			t.Fatal(err)
		}
		target := otherDatabase(t, w.DatabaseURL)
		for _, test := range []struct {
			name, want string
			data       []byte
		}{
			{"half", "not a complete backup", data[:len(data)/2]},
			{"nothing", "not a complete backup", nil},
			{"flipped", "table users: its 6 rows are not those that were written", []byte(strings.Replace(string(data), "jane@example.com", "kane@example.com", 1))},
		} {
			file := filepath.Join(dir, test.name)
			if err := os.WriteFile(file, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			mustFail(t, environOf(target), test.want, "restore", file)
		}
		mustFail(t, []string{"LATCHKEY_DATABASE_URL=" + target, "LATCHKEY_MASTER_KEY=" + strings.Replace(kit.MasterKey, "M", "N", 1)}, "master key", "restore", whole)
		mustRun(t, environOf(target), "restore", whole)
	})
}

// TestKilledBackup tests that a killed backup leaves no file under its name and can be
// repeated.
func TestKilledBackup(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		addManyUsers(t, openDatabase(t, w.DatabaseURL))
		file := filepath.Join(t.TempDir(), "backup.db")
		killWhen(t, w.Environ(), "latchkey: users:", "backup", file)
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the file of the backup: got %v, want fs.ErrNotExist", err)
		}
		w.Command(t, "backup", file)
		checkBackupFile(t, file)
	})
}

// TestCopiedFile tests that a copy of the file of a live SQLite database lacks the content of
// the write-ahead log. The earlier audit head shows that the end is missing.
func TestCopiedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "latchkey.db")
	w := &kit.Fixture{T: t, DatabaseURL: "sqlite:" + path, Inbox: kit.NewInbox(t)}
	w.CreateClient(t, "--name", "Kept")
	w.Serve().Stop() // the stop moves the log into the file
	n := w.Serve()
	w.CreateClient(t, "--name", "Lost")
	head := strings.TrimSpace(w.Command(t, "audit", "head"))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copied.db")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	n.Stop()
	mustFail(t, environOf("sqlite:"+copied), "missing", "audit", "verify", "--expect", head)
	mustRun(t, w.Environ(), "audit", "verify", "--expect", head)
}
