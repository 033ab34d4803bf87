package pgtest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
)

// Template is a database with content, which the tests of a process clone.
type Template struct {
	server *Server
	name   string
}

// NewTemplate creates a migrated database, calls fill with its URL, and returns it as a
// template. fill must close its connections before it returns. NewTemplate fails for the
// server of LATCHKEY_TEST_POSTGRES, where a template would outlive the tests; see
// External.
func (s *Server) NewTemplate(fill func(url string) error) (*Template, error) {
	if s.External() {
		return nil, fmt.Errorf("the server of LATCHKEY_TEST_POSTGRES has no templates")
	}
	t := &Template{server: s, name: "template_" + strings.ToLower(rand.Text())}
	if err := s.create(t.name); err != nil {
		return nil, err
	}
	return t, fill(s.url(t.name))
}

// Database returns the URL of a new copy of the template. It is dropped when the test
// ends, and open connections are closed then.
func (t *Template) Database(tb testing.TB) string {
	tb.Helper()
	return t.server.database(tb, func(name string) error {
		return t.server.clone(name, t.name)
	})
}

// External reports whether the server is that of LATCHKEY_TEST_POSTGRES.
func (s *Server) External() bool { return s.external != nil }
