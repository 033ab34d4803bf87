package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Pooler is a PgBouncer in transaction mode in front of a server.
type Pooler struct {
	dir  string
	port int
	guarded
}

// Pooler starts a PgBouncer in transaction mode with Debian's defaults, which shares size
// connections to each database among all clients. It stops when the test ends. If only
// short tests run, the test is skipped.
func (s *Server) Pooler(tb testing.TB, size int) *Pooler {
	tb.Helper()
	skipShort(tb)
	program, err := pgbouncer()
	if err != nil {
		if inCI() {
			tb.Fatal(err)
		}
		tb.Skipf("\n*** SKIPPED: %v ***\nThis machine cannot test what this test checks about poolers.", err)
	}
	p, err := s.pooler(program, size)
	if p != nil {
		tb.Cleanup(func() {
			if err := errors.Join(p.end(), os.RemoveAll(p.dir)); err != nil {
				tb.Errorf("pgtest: pooler: %v", err)
			}
		})
	}
	if err != nil {
		tb.Fatalf("pgtest: pooler: %v", err)
	}
	return p
}

// pgbouncer returns the path of the program.
func pgbouncer() (string, error) {
	for _, path := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} { // Debian's is not in every PATH
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", errors.New("PgBouncer is not installed: install Debian's package pgbouncer")
}

func (s *Server) pooler(program string, size int) (_ *Pooler, err error) {
	p := &Pooler{}
	if p.dir, err = newDir(); err != nil {
		return nil, err
	}
	if p.port, err = FreePort(); err != nil {
		return p, err
	}
	server, err := url.Parse(s.url(""))
	if err != nil {
		return p, err
	}
	backend := "host=" + server.Query().Get("host")
	if server.Hostname() != "" {
		backend = "host=" + server.Hostname() + " port=" + server.Port()
	}
	ini := strings.Join([]string{
		"[databases]", "* = " + backend,
		"[pgbouncer]", "listen_addr = 127.0.0.1", "listen_port = " + strconv.Itoa(p.port), "unix_socket_dir =",
		"auth_type = trust", "auth_file = " + filepath.Join(p.dir, "users"),
		"pool_mode = transaction", "max_client_conn = 500", "default_pool_size = " + strconv.Itoa(size),
	}, "\n") + "\n"
	err = errors.Join(
		os.WriteFile(filepath.Join(p.dir, "pgbouncer.ini"), []byte(ini), 0o644),               //nolint:gosec // the user of the server reads it
		os.WriteFile(filepath.Join(p.dir, "users"), []byte(`"`+superuser+`" ""`+"\n"), 0o644), //nolint:gosec // as above
	)
	if err != nil {
		return p, err
	}
	if err := p.run(p.dir, "TERM", program, filepath.Join(p.dir, "pgbouncer.ini")); err != nil {
		return p, err
	}
	return p, p.await()
}

// await waits until the pooler accepts connections.
func (p *Pooler) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address())
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			log, _ := os.ReadFile(filepath.Join(p.dir, "log")) // for the error message only
			return fmt.Errorf("PgBouncer does not answer: %w: %s", err, log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// URL returns the URL by which a database of the server is reached through the pooler.
// database is its own URL.
func (p *Pooler) URL(database string) string {
	return "postgres://" + superuser + "@" + p.address() + "/" + databaseName(database) + "?sslmode=disable"
}

func (p *Pooler) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }
