package server

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"latchkey/config"
	"latchkey/storage"
)

// refusedAddress returns an address of the loopback interface that refuses connections.
func refusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it only has to be closed
	return l.Addr().String()
}

func openOnce(ctx context.Context, cfg Config) error {
	store, err := OpenStore(ctx, cfg)
	if err != nil {
		return err
	}
	return store.Close()
}

// TestWaitsForTheDatabase tests that a server waits at its start for an unreachable database,
// for the configured time and no longer than the server lives. It does not wait for an SQLite
// file that cannot be opened.
func TestWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	away := "postgres://u@" + refusedAddress(t) + "/db?sslmode=disable"
	tests := []struct {
		name, url  string
		wait, stop time.Duration // stop is the time after which the server is stopped; 0 means never
		least      time.Duration
		waits      bool
	}{
		{"for the setting", away, 3 * time.Second, 0, 2 * time.Second, true},
		{"not at all", away, 0, 0, 0, false},
		{"until the stop", away, time.Hour, 2500 * time.Millisecond, 2 * time.Second, true},
		{"not for a file", "sqlite:/nowhere/latchkey.db", time.Hour, 0, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			settings := config.Default()
			settings.DatabaseURL, settings.DatabaseWait = config.NewDatabaseURL(test.url), test.wait
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.stop > 0 {
				time.AfterFunc(test.stop, cancel)
			}
			began := time.Now()
			cfg := Config{Settings: settings, Log: &log, Now: time.Now}
			err := waitForDatabase(ctx, cfg, func() error { return openOnce(ctx, cfg) })
			took := time.Since(began)
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("got error %v, want storage.ErrUnavailable", err)
			}
			if took < test.least {
				t.Errorf("waited %v, want at least %v", took, test.least)
			}
			if got := strings.Count(log.String(), "waiting for the database"); (got == 1) != test.waits || got > 1 {
				t.Errorf("got %d log lines about waiting: %s", got, log.String())
			}
		})
	}
}
