package main

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
)

// unlisted are the patterns that are no operations.
func unlisted() []string {
	return []string{
		"/v1/", "/v2/", // answers for paths that are none
		"GET /openapi.json",
		// Other spellings of paths that are told.
		"DELETE /v1/buyers/{buyerID}/apiclients/assignments/{apiClientID}", "DELETE /v1/suppliers/{supplierID}/apiclients/assignments/{apiClientID}",
	}
}

// TestDocumentIsComplete: whatever the server listens to is in the document,
// and what is in the document is served.
func TestDocumentIsComplete(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		var told, served []string
		for path, methods := range m.told(t).Paths {
			for method := range methods {
				told = append(told, strings.ToUpper(method)+" "+path)
			}
		}
		for _, pattern := range m.patterns(t) {
			switch {
			case slices.Contains(unlisted(), pattern):
			case strings.Contains(pattern, " "):
				served = append(served, pattern)
			default: // a handler that looks at the method itself
				served = append(served, m.methods(t, pattern)...)
			}
		}
		slices.Sort(told)
		slices.Sort(served)
		if diff := cmp.Diff(told, served); diff != "" {
			t.Errorf("operations (-in the document +served):\n%s", diff)
		}
	})
}

// methods are those that a path is served for.
func (m *market) methods(t *testing.T, path string) (served []string) {
	t.Helper()
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		got := m.send(m.first, "", method, strings.NewReplacer("{", "", "}", "").Replace(path), nil)
		if got.status != http.StatusMethodNotAllowed {
			served = append(served, method+" "+path)
		}
	}
	return served
}

// patterns are those of the mux of a server like the market's. net/http does
// not tell them, so they are read from its index.
func (m *market) patterns(t *testing.T) (patterns []string) {
	t.Helper()
	m.withApp(func(ctx context.Context, a *app) error {
		if err := a.openRing(ctx); err != nil {
			return err
		}
		r, err := server.New(a.core)
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
