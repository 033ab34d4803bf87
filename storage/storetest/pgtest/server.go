package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	startTimeout = 60 * time.Second
	superuser    = "postgres"
)

// Config configures a Server. With the zero value the server is durable and its databases
// are empty.
type Config struct {
	// Migrate migrates the database at url. It must close its connections before it
	// returns. Nil leaves databases empty.
	Migrate func(url string) error
	// Relaxed turns fsync off, for tests that do not depend on durability.
	Relaxed bool
	// Replicated lets the server have standbys. Such a server is always started from the
	// installed programs, and listens on a TCP port.
	Replicated bool
}

// Server is a PostgreSQL server for tests. It is safe for concurrent use,
// except for Stop, Start and Close.
type Server struct {
	cfg      Config
	external *url.URL // the server of LATCHKEY_TEST_POSTGRES; nil if this package starts one
	bin, dir string
	port     int    // TCP port; 0: it listens on a socket only
	copying  string // how CREATE DATABASE copies a template
	guarded
}

// Start starts a server with a migrated template database. Call Close to stop it. It also
// stops when the process ends.
func Start(cfg Config) (*Server, error) {
	if admin := os.Getenv("LATCHKEY_TEST_POSTGRES"); admin != "" && !cfg.Replicated {
		u, err := url.Parse(admin)
		if err != nil {
			return nil, fmt.Errorf("LATCHKEY_TEST_POSTGRES: %w", err)
		}
		return &Server{cfg: cfg, external: u}, nil
	}
	return start(cfg)
}

func start(cfg Config) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, bin: bin}
	if s.dir, err = newDir(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if cfg.Replicated {
		if s.port, err = FreePort(); err != nil {
			return nil, err
		}
	}
	if err := s.initialise(); err != nil {
		return nil, err
	}
	if err := s.Start(); err != nil {
		return nil, err
	}
	return s, s.makeTemplate()
}

// binaries returns the directory of initdb and postgres.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian does not put them in PATH
	if err != nil || len(found) == 0 {
		return "", errors.New("no PostgreSQL server is installed, and these tests need one: " +
			"install Debian's package postgresql, or set LATCHKEY_TEST_POSTGRES to the URL of an administrator of a running server")
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0]), nil
}

// version returns the major version in Debian's path of initdb.
func version(initdb string) (n int) {
	_, _ = fmt.Sscanf(initdb, "/usr/lib/postgresql/%d/", &n) // 0 for another path
	return n
}

// settings returns the configuration of the server. It is small, and listens only on a
// socket in its own directory, so that servers of parallel test processes do not conflict.
// A server with standbys also listens on a port, because only TCP addresses fit into a URL
// with several hosts.
func (s *Server) settings() string {
	lines := []string{
		"unix_socket_directories = '" + s.dir + "'",
		"max_connections = 300",
		"shared_buffers = 64MB",
		"max_wal_size = 256MB",
		"logging_collector = off",
	}
	if s.port == 0 {
		lines = append(lines, "listen_addresses = ''", "wal_level = minimal", "max_wal_senders = 0")
	} else {
		lines = append(lines, "listen_addresses = '127.0.0.1'", "port = "+strconv.Itoa(s.port),
			"wal_level = replica", "max_wal_senders = 4", "wal_keep_size = '64MB'")
	}
	if s.cfg.Relaxed {
		lines = append(lines, "fsync = off", "full_page_writes = off")
		if s.port == 0 { // a standby must have what was acknowledged
			lines = append(lines, "synchronous_commit = off")
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// initialise creates the data directory.
func (s *Server) initialise() error {
	data := filepath.Join(s.dir, "data")
	cmd, err := command(s.dir, filepath.Join(s.bin, "initdb"),
		"-D", data, "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s.configure()
}

// configure appends the settings to those of the data directory.
func (s *Server) configure() error {
	conf, err := os.OpenFile(filepath.Join(s.dir, "data", "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(s.settings())
	return errors.Join(err, conf.Close())
}

// Start starts the server again after Stop, with the same data.
func (s *Server) Start() error {
	if s.external != nil {
		return errors.New("the server of LATCHKEY_TEST_POSTGRES cannot be started by tests")
	}
	err := s.run(s.dir, "QUIT", filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.dir, "data"))
	if err != nil {
		return err
	}
	return s.await()
}

// await waits until the server accepts connections.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		err := admin(ctx, s.url("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // for the error message only
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop stops the server at once, like a crash, and keeps its data for Start.
func (s *Server) Stop() error {
	if s.external != nil {
		return errors.New("the server of LATCHKEY_TEST_POSTGRES cannot be stopped by tests")
	}
	return s.stop()
}

// Close stops the server and deletes its data.
func (s *Server) Close() error {
	if s.external != nil {
		return nil
	}
	return errors.Join(s.end(), os.RemoveAll(s.dir))
}

// url returns the URL of a database for the administrator of the server.
func (s *Server) url(database string) string {
	if s.external != nil {
		u := *s.external
		u.Path = "/" + database
		return u.String()
	}
	if s.port > 0 {
		return "postgres://" + superuser + "@" + s.address() + "/" + database + "?sslmode=disable"
	}
	q := url.Values{"host": {s.dir}, "user": {superuser}}
	return "postgres:///" + database + "?" + q.Encode()
}

// admin runs one statement on a new connection.
func admin(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}
