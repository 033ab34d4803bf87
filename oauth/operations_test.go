package oauth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/oauth/openapi"
)

// TestOperations: what the document tells is served, and it can be told.
func TestOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mux := http.NewServeMux()
	w.endpoints.Mount(mux)
	operations := w.endpoints.Operations()
	for _, o := range operations {
		r := httptest.NewRequest(o.Method, strings.ReplaceAll(o.Path, "{kid}", "x"), nil)
		if _, pattern := mux.Handler(r); pattern == "" {
			t.Errorf("%s %s is not served", o.Method, o.Path)
		}
	}
	document, err := openapi.Document(openapi.Info{Title: "Latchkey", Version: "1"}, operations)
	if err != nil || !json.Valid(document) {
		t.Errorf("%s, %v", document, err)
	}
}
