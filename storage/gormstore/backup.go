package gormstore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"latchkey/storage"
)

// manifestTable holds one row with the Manifest of a backup.
const manifestTable = "backup_manifest"

// ErrNotBackup is the error for a file that is not a complete backup.
var ErrNotBackup = errors.New("it is not a complete backup")

// Manifest says what is in a backup.
type Manifest struct {
	CreatedAt time.Time     `json:"created_at"`
	Tables    []CopiedTable `json:"tables"`
	AuditHead string        `json:"audit_head"` // SEQ:MAC of the newest audit event; empty: there is none
}

// BackupConfig says how Backup works.
type BackupConfig struct {
	Now      time.Time         // of the manifest
	Keys     storage.AuditKeys // with which the end of the audit chain is read
	Progress func(table string, rows int64, done bool)
}

// Backup writes all records of the store, as they are at one moment, to a new SQLite
// file with mode 0600. The store may serve meanwhile. The file appears under its name
// when it is complete. Until then it is in the directory FILE.partial, which the next
// backup with that name deletes. The error is fs.ErrExist if the file exists.
func (s *Store) Backup(ctx context.Context, file string, cfg BackupConfig) (m Manifest, err error) {
	if _, err := os.Lstat(file); err == nil {
		return Manifest{}, fmt.Errorf("%s: %w", file, fs.ErrExist)
	}
	dir := file + ".partial"
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return Manifest{}, err
	}
	unlock, alone, err := shareFile(filepath.Join(dir, "lock"))
	if err != nil || !alone {
		return Manifest{}, errors.Join(err, unlock(), fmt.Errorf("another process is writing %s", file))
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir), unlock()) }()
	draft := filepath.Join(dir, "database")
	for _, former := range []string{draft, draft + "-wal", draft + "-shm", draft + "-journal"} {
		if err := os.RemoveAll(former); err != nil {
			return Manifest{}, err
		}
	}
	if m, err = s.backUpTo(ctx, draft, cfg); err != nil {
		return Manifest{}, err
	}
	// A hard link replaces no file that was made meanwhile.
	if err := os.Link(draft, file); err != nil {
		return Manifest{}, err
	}
	return m, syncPath(filepath.Dir(file))
}

func (s *Store) backUpTo(ctx context.Context, path string, cfg BackupConfig) (m Manifest, err error) {
	target, err := Open(ctx, Config{URL: "sqlite:" + path, Now: s.now, Rand: s.rand, Relaxed: true})
	if err != nil {
		return m, err
	}
	target.ChainAuditEvents(cfg.Keys)
	_, err = target.CopyFrom(ctx, s, CopyConfig{Progress: cfg.Progress, Finish: func(ctx context.Context, tables []CopiedTable) error {
		m = Manifest{CreatedAt: cfg.Now.UTC().Truncate(time.Second), Tables: tables}
		return target.writeManifest(ctx, &m)
	}})
	if err = errors.Join(err, target.Close()); err != nil {
		return m, err
	}
	return m, settleFile(ctx, path)
}

func (s *Store) writeManifest(ctx context.Context, m *Manifest) error {
	// A database with a broken chain is backed up too. Its manifest has no head.
	if head, err := s.AuditHead(ctx); err == nil && head.Seq > 0 {
		m.AuditHead = fmt.Sprintf("%d:%s", head.Seq, base64.RawURLEncoding.EncodeToString(head.MAC))
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := s.exec(ctx, "manifest", "CREATE TABLE "+manifestTable+" (manifest TEXT NOT NULL)"); err != nil {
		return err
	}
	_, err = s.exec(ctx, "manifest", "INSERT INTO "+manifestTable+" VALUES (?)", string(text))
	return err
}

// settleFile makes a closed SQLite database one durable file, without -wal and -shm files
// beside it.
func settleFile(ctx context.Context, path string) error {
	db, err := (&sqlite{path: path, synchronous: "FULL"}).pool(1, "journal_mode(DELETE)")
	if err != nil {
		return err
	}
	if err = errors.Join(db.PingContext(ctx), db.Close()); err != nil {
		return err
	}
	return syncPath(path)
}

// syncPath writes a file, or the entries of a directory, to the disk (fsync).
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// OpenBackup opens a backup for reading. The caller closes the store. The error is
// ErrNotBackup unless Backup wrote the file to its end.
func OpenBackup(ctx context.Context, file string) (*Store, Manifest, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, Manifest{}, err
	}
	store, err := Open(ctx, Config{URL: "sqlite:" + file, ReadOnly: true})
	if err != nil {
		return nil, Manifest{}, fmt.Errorf("%s: %w (%w)", file, ErrNotBackup, err)
	}
	var text string
	var m Manifest
	err = store.pools.read.QueryRowContext(ctx, "SELECT manifest FROM "+manifestTable).Scan(&text)
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	if err != nil {
		return nil, m, errors.Join(fmt.Errorf("%s: %w (%w)", file, ErrNotBackup, err), store.Close())
	}
	return store, m, nil
}
