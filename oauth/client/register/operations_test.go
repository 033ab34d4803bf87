package register

import (
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
	mux := http.NewServeMux()
	new(Endpoint).Mount(mux)
	for _, o := range Operations() {
		r := httptest.NewRequest(o.Method, strings.ReplaceAll(o.Path, "{client_id}", "x"), nil)
		if _, pattern := mux.Handler(r); pattern != o.Method+" "+o.Path {
			t.Errorf("%s %s is served by %q", o.Method, o.Path, pattern)
		}
	}
	if _, err := openapi.Document(openapi.Info{Title: "Latchkey", Version: "1"}, Operations()); err != nil {
		t.Error(err)
	}
}

// TestNewRequiresAllFields tests that New refuses an incomplete configuration.
func TestNewRequiresAllFields(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{Issuer: "https://id.example"}); err == nil {
		t.Error("New without stores: got no error, want one")
	}
}
