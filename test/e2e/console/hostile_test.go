package console

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/html"

	"latchkey/keys"
	"latchkey/oauth/console"
	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
	"latchkey/test/e2e/kit"
)

// hostile is a text that runs a script or a template in a page that does not escape it.
const hostile = `javascript:alert(1)//"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}${7*7}`

// hostileServer answers requests to /v1 with values of the schemas of the OpenAPI document. Each
// text in them is hostile.
type hostileServer struct {
	schemas map[string]any
	mux     *http.ServeMux
}

func (h *hostileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// register adds a handler that answers an operation with a value of its schema.
func (h *hostileServer) register(method, path string, operation map[string]any) {
	responses, _ := operation["responses"].(map[string]any)
	for status, response := range responses {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		var schema any
		if content, ok := response.(map[string]any)["content"].(map[string]any); ok {
			for _, media := range content {
				schema = media.(map[string]any)["schema"]
			}
		}
		h.mux.HandleFunc(strings.ToUpper(method)+" "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("ETag", `"1"`)
			_ = json.NewEncoder(w).Encode(h.sample(schema, 0))
		})
		return
	}
}

// sample returns a value of a schema. It returns nil for schemas nested deeper than eight levels.
func (h *hostileServer) sample(schema any, depth int) any {
	s, _ := schema.(map[string]any)
	if depth > 8 {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		return h.sample(h.schemas[ref[strings.LastIndexByte(ref, '/')+1:]], depth+1)
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf"} {
		if list, ok := s[keyword].([]any); ok && len(list) > 0 {
			return h.sample(list[0], depth+1)
		}
	}
	kind := fmt.Sprint(s["type"])
	switch {
	case s["format"] == "date-time":
		return "2026-01-02T03:04:05Z"
	case strings.Contains(kind, "object"):
		object := map[string]any{}
		if properties, ok := s["properties"].(map[string]any); ok {
			for name, member := range properties {
				object[name] = h.sample(member, depth+1)
			}
			return object
		}
		return map[string]any{hostile: hostile}
	case strings.Contains(kind, "array"):
		if item := h.sample(s["items"], depth+1); item != nil {
			return []any{item, item}
		}
		return []any{}
	case strings.Contains(kind, "integer"), strings.Contains(kind, "number"):
		return 7
	case strings.Contains(kind, "boolean"):
		return true
	}
	return hostile
}

// hostileConsole returns a console that calls a hostileServer. Every request to it is one of an
// administrator who may do everything.
func hostileConsole(t *testing.T, document string) http.Handler {
	t.Helper()
	var doc struct {
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatal(err)
	}
	h := &hostileServer{doc.Components.Schemas, http.NewServeMux()}
	var operations []openapi.Operation
	for path, methods := range doc.Paths {
		for method, operation := range methods {
			if strings.HasPrefix(path, "/v1/") {
				h.register(method, path, operation)
			}
			id, _ := operation["operationId"].(string)
			summary, _ := operation["summary"].(string)
			operation["summary"], operation["description"] = hostile, hostile
			operations = append(operations, openapi.Operation{ID: id, Method: strings.ToUpper(method), Path: path, Summary: summary, Tag: "Tag"})
		}
	}
	h.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"paths": doc.Paths, "components": map[string]any{"schemas": doc.Components.Schemas}})
	})
	sealer, err := keys.NewSealer([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	h.mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, _ *http.Request) {
		claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"auth_time":%d}`, time.Now().Unix()))
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "refresh_token": "r", "id_token": "h." + claims + ".s", "expires_in": 600})
	})
	c, err := console.New(console.Config{
		Runtime: surface.Runtime{
			Logger: zerolog.New(zerolog.NewTestWriter(t)), TraceID: func(context.Context) string { return "f00d" }, Address: func(context.Context) netip.Addr { return netip.Addr{} }, Rand: rand.Reader,
		},
		Issuer: "http://latchkey.test", ClientID: "console", Version: "test", SessionIdle: time.Hour, Server: h, Operations: operations, Sealer: sealer,
		Forms: &surface.BrowserForms{Cookie: "browser", Origin: "http://latchkey.test", Digest: func(s string) string { return s }, Rand: rand.Reader},
		Caller: func(*http.Request) (console.Caller, error) {
			return console.Caller{Username: hostile, BuyerID: hostile, SupplierID: hostile, Permits: func(string) bool { return true }}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	c.Mount(mux)
	return mux
}

var eventAttribute = regexp.MustCompile(`^on[a-z]+$`)

// checkMarkup fails the test if hostile text is part of the markup, or if the page has elements or
// attributes that its Content-Security-Policy forbids.
func checkMarkup(t *testing.T, what string, p page) {
	t.Helper()
	if policy := p.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "://") {
		t.Errorf("%s: got the Content-Security-Policy %q, want default-src 'none' and no other sites", what, policy)
	}
	for _, n := range find(p.root, func(*html.Node) bool { return true }) {
		if n.Data == "script" && (attribute(n, "src") == "" || content(n) != "") || n.Data == "style" || n.Data == "img" && attribute(n, "src") == "x" {
			t.Errorf("%s: got the element %s %v, want none like it", what, n.Data, n.Attr)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || eventAttribute.MatchString(a.Key) {
				t.Errorf("%s: got the attribute %s=%q, want none like it", what, a.Key, a.Val)
			}
		}
	}
	for _, link := range p.links() {
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "" || u.Host != "" {
			t.Errorf("%s: got a link to %q, want a path on the same server", what, link)
		}
	}
	if strings.Contains(p.body, "<script>alert") || strings.Contains(p.text(), "4949") || strings.Contains(p.body, "ZgotmplZ") {
		t.Errorf("%s: got hostile text as markup, want it as text", what)
	}
}

// TestHostileText opens every screen, and the second step of every form, with hostile text in every
// member of every resource.
func TestHostileText(t *testing.T) {
	s := newSite(t, kit.NewFixture(t, "sqlite:"+t.TempDir()+"/latchkey.db"))
	handler := hostileConsole(t, s.Server.Do(http.MethodGet, "/openapi.json", "", "").Body)
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	shown := &site{s.Fixture, t, &kit.Server{T: t, URL: front.URL}}
	b := shown.newBrowser()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at := b.open("/console/clients")
	request, err := url.Parse(at.header.Get("Location"))
	s.must(err)
	b.open("/console/callback?" + url.Values{"state": {request.Query().Get("state")}, "code": {"c"}}.Encode())
	texts := 0
	for _, screen := range console.Screens() {
		path := console.Path + parameter.ReplaceAllString(screen.Path, url.PathEscape("x"))
		if strings.HasSuffix(screen.Path, "/{kind}") {
			path = console.Path + strings.ReplaceAll(screen.Path, "{kind}", "otp")
		}
		path = strings.ReplaceAll(path, "/api/x", "/api/apiclients.Patch")
		got := b.open(path + "?search=" + url.QueryEscape(hostile))
		if got.status >= http.StatusInternalServerError {
			t.Errorf("%s: got %d %s, want a status below 500", path, got.status, got.text())
		}
		checkMarkup(t, path, got)
		texts += strings.Count(got.text(), "<script>alert(1)</script>")
		if !screen.Posts {
			continue
		}
		action, form := got.form()
		for name := range form {
			if strings.HasPrefix(name, "f.") {
				form.Set(name, hostile)
			}
		}
		checkMarkup(t, "POST "+path, b.post(action, form))
	}
	if texts < len(console.Screens()) {
		t.Errorf("got hostile text %d times, want it at least once for each of %d screens", texts, len(console.Screens()))
	}
}
