package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ResolveMasterKeys returns the keys that seal secrets at rest. The first key is the
// one that seals. If no key is configured and the database is SQLite, the keys come
// from the file PATH.key beside it. If that file does not exist, it is created with
// 32 bytes from random; processes that start at once agree on one key. If random is
// nil, nothing is created: a new key could not open existing secrets. The error is
// Faults if no key is configured for PostgreSQL.
func (c Config) ResolveMasterKeys(random io.Reader) ([][]byte, error) {
	if keys := c.MasterKey.Reveal(); len(keys) > 0 {
		return keys, nil
	}
	path, ok := c.DatabaseURL.SQLitePath()
	if !ok {
		return nil, Faults{{Setting: "master_key", Problem: c.masterKeyProblem()}}
	}
	keys, err := readKeyFile(path + ".key")
	if errors.Is(err, fs.ErrNotExist) && random != nil {
		if err = createKeyFile(path+".key", random); err == nil {
			keys, err = readKeyFile(path + ".key")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("master key beside the database: %w", err)
	}
	return keys, nil
}

func readKeyFile(path string) ([][]byte, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var key MasterKey
	if err := key.UnmarshalText([]byte(strings.TrimSpace(string(text)))); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key.keys, nil
}

// createKeyFile creates the file at path atomically: it writes the key to a
// temporary file and then creates path as a hard link to it, which fails if path
// exists. It is no error if another process was first, because the caller reads the
// key from the file.
func createKeyFile(path string, random io.Reader) (err error) {
	key := make([]byte, KeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("new master key: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // O_EXCL, mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the new name durable: without its key the database would be
// useless after a crash.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
