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

// Shared returns a function that starts one server for all tests of the test
// process, at its first call, and fails the test if there is none.
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

// Database returns the URL of a new, migrated database, which is dropped when
// the test ends. Whoever is still connected then is disconnected.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	return s.database(tb, s.create)
}

// Empty is Database without the migration.
func (s *Server) Empty(tb testing.TB) string {
	tb.Helper()
	return s.database(tb, func(name string) error { return s.admin("CREATE DATABASE " + name) })
}

func (s *Server) database(tb testing.TB, create func(name string) error) string {
	tb.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	if err := create(name); err != nil {
		tb.Fatalf("pgtest: database: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Errorf("pgtest: drop database: %v", err)
		}
	})
	return s.url(name)
}

func (s *Server) create(name string) error {
	if s.external == nil {
		return s.admin("CREATE DATABASE " + name + " TEMPLATE " + template)
	}
	// A template on somebody else's server would outlive this process.
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		return err
	}
	return s.migrate(name)
}

func (s *Server) makeTemplate() error {
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

func (s *Server) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
	defer cancel()
	database := "postgres"
	if s.external != nil {
		database = strings.TrimPrefix(s.external.Path, "/")
	}
	return admin(ctx, s.url(database), sql)
}
