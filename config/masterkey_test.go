package config

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
)

// TestMasterKeyRace resolves the master key many times at once in an empty directory. All calls
// must return the one key that is in the file.
func TestMasterKeyRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := Config{DatabaseURL: NewDatabaseURL("sqlite:" + filepath.Join(dir, "l.db"))}
	const starts = 32
	keys, begin := make([][][]byte, starts), make(chan struct{})
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() {
			<-begin
			var err error
			if keys[i], err = c.ResolveMasterKeys(rand.Reader); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	wg.Wait()
	for _, k := range keys {
		if len(k) != 1 || len(k[0]) != KeySize || !bytes.Equal(k[0], keys[0][0]) {
			t.Fatal("two calls returned different keys")
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "l.db.key" {
		t.Fatalf("want l.db.key alone, got %v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, error %v, want 0600", info.Mode(), err)
	}
}

func TestMasterKeyRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged.db")
	if err := os.WriteFile(damaged+".key", []byte("c2hvcnQ=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{
		"sqlite:" + damaged,
		"sqlite:" + filepath.Join(dir, "no-such-directory", "l.db"), "postgres://db/x",
	} {
		c := Config{DatabaseURL: NewDatabaseURL(url)}
		if keys, err := c.ResolveMasterKeys(rand.Reader); err == nil {
			t.Errorf("%s: got %d keys, want an error", url, len(keys))
		}
	}
	fresh := Config{DatabaseURL: NewDatabaseURL("sqlite:" + filepath.Join(dir, "fresh.db"))}
	broken := errors.New("no randomness")
	if _, err := fresh.ResolveMasterKeys(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	if _, err := os.Stat(filepath.Join(dir, "fresh.db.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key file: got %v, want os.ErrNotExist", err)
	}
}

func TestMasterKeyGiven(t *testing.T) {
	t.Parallel()
	given := bytes.Repeat([]byte{7}, KeySize)
	key, err := NewMasterKey(given)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := Config{MasterKey: key}.ResolveMasterKeys(rand.Reader)
	if err != nil || len(keys) != 1 || !bytes.Equal(keys[0], given) {
		t.Errorf("got %d keys, %v, want the given one", len(keys), err)
	}
	if _, err := NewMasterKey(given[1:]); err == nil {
		t.Error("31 bytes were accepted")
	}
}
