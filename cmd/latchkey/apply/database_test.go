package apply_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/cmd/latchkey/apply"
	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// database is an SQLite database to which tests apply documents.
type database struct {
	t      *testing.T
	store  *gormstore.Store
	cfg    apply.Config
	hasher *signin.Hasher

	mu     sync.Mutex
	writes []string // statements that write
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	db := &database{t: t}
	var err error
	db.store, err = gormstore.Open(t.Context(), gormstore.Config{
		URL: gormtest.SQLite(t), Relaxed: true, OnStatement: db.recordStatement,
	})
	must(t, err)
	t.Cleanup(func() { _ = db.store.Close() })
	sealer, err := keys.NewSealer(bytes.Repeat([]byte{1}, keys.MasterKeySize))
	must(t, err)
	peppers, err := keys.LoadPeppers(t.Context(), db.store, sealer, rand.Reader, time.Now())
	must(t, err)
	db.hasher, err = signin.NewHasher(signin.HasherConfig{})
	must(t, err)
	db.cfg = apply.Config{
		Tx: db.store, Realms: db.store, SecurityProfiles: db.store, People: db.store, Logins: db.store,
		Clients: db.store, Senders: db.store, Hasher: db.hasher, Peppers: peppers, Sealer: sealer,
	}
	return db
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (db *database) recordStatement(sql string) {
	verb := strings.ToUpper(strings.TrimSpace(sql))
	for _, writing := range []string{"INSERT", "UPDATE", "DELETE", "BEGIN"} {
		if strings.HasPrefix(verb, writing) {
			db.mu.Lock()
			db.writes = append(db.writes, sql)
			db.mu.Unlock()
		}
	}
}

// written returns the writing statements since the last call.
func (db *database) written() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	was := db.writes
	db.writes = nil
	return was
}

func (db *database) run(doc string, dryRun bool) (apply.Result, error) {
	db.t.Helper()
	parsed, err := apply.Decode([]byte(doc), apply.Secrets{})
	must(db.t, err)
	applier, err := apply.New(db.cfg)
	must(db.t, err)
	return applier.Apply(db.t.Context(), parsed, dryRun)
}

// apply applies the document and returns the lines of the result.
func (db *database) apply(doc string) []string {
	db.t.Helper()
	result, err := db.run(doc, false)
	must(db.t, err)
	return lines(result)
}

func lines(r apply.Result) []string {
	var list []string
	for _, c := range r.Changes {
		list = append(list, c.String())
	}
	return list
}

func (db *database) principal(username string) storage.Principal {
	db.t.Helper()
	p, err := db.store.Principal(db.t.Context(), storage.LoginKey{ProfileID: "default", UsernameKey: username})
	must(db.t, err)
	if !p.Known {
		db.t.Fatalf("got no login %q", username)
	}
	return p
}
