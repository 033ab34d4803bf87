package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/config"
	"latchkey/oauth/server"
	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// testMasterKey is the master key of the tests, 32 bytes.
const testMasterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// postgresArgs adds the flags for a PostgreSQL database to a command line.
func postgresArgs(url string, args ...string) []string {
	return append(args, "--database-url", url, "--master-key-file", "testdata/masterkey")
}

// TestEmptyPostgres runs several commands at the same time on a database without a schema. One
// of them creates the schema, and all succeed.
func TestEmptyPostgres(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Empty(t)
	var wg sync.WaitGroup
	for _, args := range [][]string{{"migrate", "up"}, {"migrate", "up"}, {"client", "create", "--name", "a"}, {"client", "create", "--name", "b"}} {
		wg.Go(func() {
			if code, _, errs := call(t, postgresArgs(url, args...)...); code != 0 {
				t.Errorf("%q: got %d %q, want 0", args, code, errs)
			}
		})
	}
	wg.Wait()
}

// TestOneClientOfAnID creates clients of one ID at the same time.
func TestOneClientOfAnID(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	// Peppers and keys are created first, so that only the creations of the clients run at the
	// same time.
	if code, _, errs := call(t, postgresArgs(url, "client", "create", "--name", "first")...); code != 0 {
		t.Fatal(errs)
	}
	const tries = 6
	codes := make([]int, tries)
	var wg sync.WaitGroup
	for i := range tries {
		wg.Go(func() {
			id := []string{"shop", "SHOP"}[i%2]
			codes[i], _, _ = call(t, postgresArgs(url, "client", "create", "--name", fmt.Sprint(i), "--id", id)...)
		})
	}
	wg.Wait()
	slices.Sort(codes)
	if diff := cmp.Diff([]int{0, 1, 1, 1, 1, 1}, codes); diff != "" {
		t.Error(diff)
	}
	_, out, _ := call(t, postgresArgs(url, "client", "list", "--output", "json")...)
	var clients []clientView
	if err := json.Unmarshal([]byte(out), &clients); err != nil {
		t.Fatal(err)
	}
	for _, k := range clients {
		if len(k.Secrets) != 1 {
			t.Errorf("client %s: got %d secrets, want 1", k.ID, len(k.Secrets))
		}
	}
	if len(clients) != 2 {
		t.Errorf("got %d clients, want 2", len(clients))
	}
}

// TestClientCreatedMeanwhile commits a client of the same ID between the check whether it
// exists and the insert.
func TestClientCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	ctx, url := t.Context(), gormtest.Postgres(t).Database(t)
	open := func(seen func(string)) *gormstore.Store {
		store, err := gormstore.Open(ctx, gormstore.Config{URL: url, OnStatement: seen})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	other := open(nil)
	theirs := storage.Client{ID: "shop", Name: "theirs", Active: true, ProfileID: storage.DefaultProfileID}
	store := open(func(sql string) {
		if strings.HasPrefix(sql, "INSERT INTO \"clients\"") {
			if _, err := other.PutClient(ctx, theirs); err != nil {
				t.Error(err)
			}
		}
	})
	key, err := config.NewMasterKey(make([]byte, config.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	c := &cli{stderr: io.Discard, now: time.Now, random: rand.Reader}
	core, err := server.NewApp(ctx, c.serverConfig(config.Config{DatabaseURL: config.NewDatabaseURL(url), MasterKey: key}), store)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newApp(core).createClient(ctx, newClient{name: "ours", id: "shop", profile: storage.DefaultProfileID, accessDuration: time.Minute})
	if err == nil || err.Error() != "client shop exists already" {
		t.Errorf("got %v, want an error that the client exists", err)
	}
	got, err := other.Client(ctx, "shop")
	if err != nil || got.Name != "theirs" || len(got.Secrets) != 0 {
		t.Errorf("got %q with %d secrets, %v, want the client of the other transaction", got.Name, len(got.Secrets), err)
	}
}

func TestConfigCheckRefusesConsoleSender(t *testing.T) {
	t.Parallel()
	url := gormtest.Postgres(t).Database(t)
	check := postgresArgs(url, "config", "check")
	if code, out, errs := call(t, check...); code != 0 || !strings.HasPrefix(out, "configuration is valid; senders: checked; password profiles: checked\n") {
		t.Fatalf("without senders: got %d %q %q", code, out, errs)
	}
	store, err := gormstore.Open(t.Context(), gormstore.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	sender := storage.Sender{ID: "tty", RealmID: storage.DefaultRealmID, Name: "Terminal", Kind: storage.ConsoleSender}
	if _, err := store.PutSender(t.Context(), sender); err != nil {
		t.Fatal(err)
	}
	code, out, errs := call(t, check...)
	want := "latchkey: configuration: console_sender_forced: must be true for the console sender \"tty\" with PostgreSQL\n"
	if code != 2 || out != "" || errs != want {
		t.Errorf("got %d %q %q, want 2 and %q", code, out, errs, want)
	}
	if code, _, errs := call(t, append(check, "--console-sender-forced")...); code != 0 {
		t.Errorf("forced: got %d %q, want 0", code, errs)
	}
}

func TestCheckSenders(t *testing.T) {
	t.Parallel()
	senders := []storage.Sender{{ID: "a", Kind: storage.WebhookSender}, {ID: "b", Kind: storage.ConsoleSender}}
	tests := []struct {
		url     string
		forced  bool
		senders []storage.Sender
		ok      bool
	}{
		{"sqlite:x", false, senders, true},
		{"postgres://db/x", false, senders, false},
		{"postgresql://db/x", false, senders, false},
		{"postgres://db/x", true, senders, true},
		{"postgres://db/x", false, senders[:1], true},
	}
	for _, tt := range tests {
		cfg := config.Config{DatabaseURL: config.NewDatabaseURL(tt.url), ConsoleSenderForced: tt.forced}
		if err := server.CheckSenders(cfg, tt.senders); (err == nil) != tt.ok {
			t.Errorf("%s, forced %v, %d senders: got %v", tt.url, tt.forced, len(tt.senders), err)
		}
	}
}
