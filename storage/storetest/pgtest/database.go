package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	template        = "latchkey_template"
	databaseTimeout = 60 * time.Second
)

// Shared returns a function that returns one server for all tests of the process. Its
// first call starts the server. It fails the test if the server cannot be started.
func Shared(cfg Config) func(testing.TB) *Server {
	started := sync.OnceValues(func() (*Server, error) { return Start(cfg) })
	return func(tb testing.TB) *Server {
		tb.Helper()
		s, err := started()
		if err != nil {
			tb.Fatalf("pgtest: %v", err)
		}
		return s
	}
}

// Database returns the URL of a new, migrated database. It is dropped when the test ends,
// and open connections are closed then.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	return s.database(tb, s.create)
}

// Empty returns the URL of a new database that is not migrated. Otherwise it is like
// Database.
func (s *Server) Empty(tb testing.TB) string {
	tb.Helper()
	return s.database(tb, func(name string) error { return s.admin("CREATE DATABASE " + name) })
}

// database creates a database with a random name, and drops it when the test ends.
func (s *Server) database(tb testing.TB, create func(name string) error) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := create(name); err != nil {
		tb.Fatalf("pgtest: database: %v", err)
	}
	tb.Cleanup(func() {
		if s.external == nil && !s.running() {
			return // Close deletes the database with the server
		}
		if err := s.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: drop database: %v", err)
		}
	})
	return s.url(name)
}

// create creates a migrated database.
func (s *Server) create(name string) error {
	if s.external == nil {
		return s.clone(name, template)
	}
	// A template database on an external server would not be deleted at the end.
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		return err
	}
	return s.migrate(name)
}

// clone copies a database of a server that this package started.
func (s *Server) clone(name, of string) error {
	return s.admin("CREATE DATABASE " + name + " TEMPLATE " + of + s.copying)
}

// makeTemplate creates the database that create clones.
func (s *Server) makeTemplate() error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	var files bool // since PostgreSQL 15 a copy otherwise goes through the write-ahead log, which takes three times as long
	if err := value(ctx, s.url("postgres"), "SELECT current_setting('server_version_num')::int >= 150000", &files); err != nil {
		return err
	}
	if files {
		s.copying = " STRATEGY FILE_COPY"
	}
	if err := s.admin("CREATE DATABASE " + template); err != nil {
		return fmt.Errorf("template database: %w", err)
	}
	return s.migrate(template)
}

func (s *Server) migrate(name string) error {
	if s.cfg.Migrate == nil {
		return nil
	}
	if err := s.cfg.Migrate(s.url(name)); err != nil {
		return fmt.Errorf("migrate %s: %w", name, err)
	}
	return nil
}

// Exec runs statements as administrator, one at a time and outside of a transaction block.
func (s *Server) Exec(statements ...string) error {
	for _, sql := range statements {
		if err := s.admin(sql); err != nil {
			return err
		}
	}
	return nil
}

// admin runs a statement as administrator.
func (s *Server) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	database := "postgres"
	if s.external != nil {
		database = strings.TrimPrefix(s.external.Path, "/")
	}
	return admin(ctx, s.url(database), sql)
}
