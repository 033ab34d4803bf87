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

// ResolveMasterKeys returns the keys that seal secrets at rest, the sealing one
// first. When none was given and the database is SQLite, they are those in the
// file beside it (PATH.key), which is created with 32 bytes from random when
// there is none; processes that start at once agree on one key. With random nil
// nothing is created: a new key does not open what another one sealed.
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

// createKeyFile makes a new key appear at path, whole or not at all: the key is
// written to a file of another name first, and a hard link, which fails when
// path exists, gives it its own. Losing that race is no error, since the
// caller reads the winner's key.
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

// syncDir makes the new name durable: a database whose key is lost in a crash
// is lost too.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
