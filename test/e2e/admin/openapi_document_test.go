package admin

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// TestDocumentIsComplete tests that the OpenAPI document contains every route of the server,
// and that the server serves every operation of the document.
func TestDocumentIsComplete(t *testing.T) {
	t.Parallel()
	m := kit.OneOrderCloud(t)
	var documented, served []string
	for path, methods := range fetchDocument(m, t).Paths {
		for method := range methods {
			documented = append(documented, strings.ToUpper(method)+" "+path)
		}
	}
	for _, pattern := range patterns(m, t) {
		switch {
		case slices.Contains(kit.UnlistedPatterns(), pattern):
		case strings.Contains(pattern, " "):
			served = append(served, pattern)
		default: // a handler that checks the method itself
			served = append(served, methods(m, t, pattern)...)
		}
	}
	slices.Sort(documented)
	slices.Sort(served)
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("operations (-in the document +served):\n%s", diff)
	}
}

// methods returns the methods for which a path is served.
func methods(m *kit.OrderCloud, t *testing.T, path string) (served []string) {
	t.Helper()
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		got := m.Send(m.First, "", method, strings.NewReplacer("{", "", "}", "").Replace(path), nil)
		if got.Status != http.StatusMethodNotAllowed {
			served = append(served, method+" "+path)
		}
	}
	return served
}

// patterns returns the patterns of the router of a server. net/http does not export them, so
// they are read from its index.
func patterns(m *kit.OrderCloud, t *testing.T) (patterns []string) {
	t.Helper()
	m.WithApp(func(ctx context.Context, a *server.App) error {
		if err := a.OpenRing(ctx); err != nil {
			return err
		}
		r, err := server.New(a)
		if err != nil {
			return err
		}
		index := reflect.ValueOf(r.Routes()).Elem().FieldByName("index")
		note := func(all reflect.Value) {
			for i := range all.Len() {
				patterns = append(patterns, all.Index(i).Elem().FieldByName("str").String())
			}
		}
		for each := index.FieldByName("segments").MapRange(); each.Next(); {
			note(each.Value())
		}
		note(index.FieldByName("multis"))
		return nil
	})
	slices.Sort(patterns)
	return slices.Compact(patterns)
}
