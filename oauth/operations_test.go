package oauth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/oauth/openapi"
)

// TestOperations tests that every operation of the document has a route, and that the document
// can be encoded.
func TestOperations(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	mux := http.NewServeMux()
	w.endpoints.Mount(mux)
	operations := w.endpoints.Operations()
	for _, o := range operations {
		r := httptest.NewRequest(o.Method, strings.ReplaceAll(o.Path, "{kid}", "x"), nil)
		if _, pattern := mux.Handler(r); pattern == "" {
			t.Errorf("%s %s has no route", o.Method, o.Path)
		}
	}
	document, err := openapi.Document(openapi.Info{Title: "Latchkey", Version: "1"}, operations)
	if err != nil || !json.Valid(document) {
		t.Errorf("got %s, error %v, want valid JSON", document, err)
	}
}
