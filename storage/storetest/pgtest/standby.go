package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// StartReplicated starts a server for one test that can have standbys. It stops when the
// test ends. If only short tests run, the test is skipped.
func StartReplicated(tb testing.TB, cfg Config) *Server {
	tb.Helper()
	skipShort(tb)
	cfg.Replicated = true
	s, err := Start(cfg)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return s
}

// skipShort skips a test that starts servers of its own if only short tests run ("make check").
func skipShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("a short run starts no servers for one test")
	}
}

// Standby starts a server that follows this one by streaming replication, and waits until
// it has caught up. It stops when the test ends. The server must be Replicated.
func (s *Server) Standby(tb testing.TB) *Server {
	tb.Helper()
	standby, err := s.standby()
	if standby != nil {
		tb.Cleanup(func() {
			if err := standby.Close(); err != nil {
				tb.Errorf("pgtest: %v", err)
			}
		})
	}
	if err != nil {
		tb.Fatalf("pgtest: standby: %v", err)
	}
	return standby
}

func (s *Server) standby() (_ *Server, err error) {
	standby := &Server{cfg: s.cfg, bin: s.bin}
	if standby.dir, err = newDir(); err != nil {
		return nil, err
	}
	if standby.port, err = FreePort(); err != nil {
		return standby, err
	}
	cmd, err := command(standby.dir, filepath.Join(s.bin, "pg_basebackup"), "--pgdata="+filepath.Join(standby.dir, "data"),
		"--host=127.0.0.1", "--port="+strconv.Itoa(s.port), "--username="+superuser,
		"--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync")
	if err != nil {
		return standby, err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return standby, fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	if err := standby.configure(); err != nil {
		return standby, err
	}
	if err := standby.Start(); err != nil {
		return standby, err
	}
	return standby, s.awaitStandby(standby)
}

// awaitStandby waits until the standby has replayed what the server has written so far.
func (s *Server) awaitStandby(standby *Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var written string
	if err := value(ctx, s.url("postgres"), "SELECT pg_current_wal_lsn()::text", &written); err != nil {
		return err
	}
	for replayed := false; !replayed; time.Sleep(20 * time.Millisecond) {
		err := value(ctx, standby.url("postgres"), "SELECT pg_last_wal_replay_lsn() >= '"+written+"'", &replayed)
		if err != nil {
			return err
		}
	}
	return nil
}

// CatchUp waits until the standby has replayed what the server has written so far. It
// fails the test if that takes too long.
func (s *Server) CatchUp(tb testing.TB, standby *Server) {
	tb.Helper()
	if err := s.awaitStandby(standby); err != nil {
		tb.Fatalf("pgtest: standby: %v", err)
	}
}

// Promote makes a standby a primary, and returns when it accepts writes.
func (s *Server) Promote() error { return s.admin("SELECT pg_promote(true, 60)") }

// URLOf returns the URL of a database on several servers, such as a primary and its standby.
// Connections go to the server that accepts writes. database is the URL of the database on one
// of them.
func URLOf(database string, servers ...*Server) string {
	addresses := make([]string, len(servers))
	for i, s := range servers {
		addresses[i] = s.address()
	}
	return "postgres://" + superuser + "@" + strings.Join(addresses, ",") + "/" + databaseName(database) +
		"?sslmode=disable&target_session_attrs=read-write"
}

// databaseName returns the name of the database in its URL.
func databaseName(database string) string {
	path, _, _ := strings.Cut(database, "?")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// address returns host and port of a server that listens on one.
func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// value reads the single value that a query returns.
func value(ctx context.Context, url, sql string, into any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // the value is there
	return conn.QueryRow(ctx, sql).Scan(into)
}

// inCI reports whether the tests run in continuous integration, where nothing may be
// skipped.
func inCI() bool { return os.Getenv("CI") != "" }
