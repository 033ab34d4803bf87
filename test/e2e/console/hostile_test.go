package console

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/net/html"

	"latchkey/keys"
	"latchkey/oauth/console"
	"latchkey/oauth/openapi"
	"latchkey/oauth/surface"
	"latchkey/test/e2e/kit"
)

// hostile is a text that does harm where it is not shown as text.
const hostile = `javascript:alert(1)//"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}${7*7}`

// hostileServer answers every request to /v1 with the shape of the document, in which each
// text is hostile.
type hostileServer struct {
	schemas map[string]any
	mux     *http.ServeMux
}

func (h *hostileServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// answers registers an operation.
func (h *hostileServer) answers(method, path string, operation map[string]any) {
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

// sample returns a value of a schema.
func (h *hostileServer) sample(schema any, depth int) any {
	s, _ := schema.(map[string]any)
	if depth > 8 {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		return h.sample(h.schemas[ref[strings.LastIndexByte(ref, '/')+1:]], depth+1)
	}
	for _, several := range []string{"allOf", "anyOf", "oneOf"} {
		if list, ok := s[several].([]any); ok && len(list) > 0 {
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

// hostileConsole returns a console before the hostile server, in which everybody is signed
// in and may do everything.
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
				h.answers(method, path, operation)
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
		_, _ = w.Write([]byte(`{"access_token":"a","refresh_token":"r","id_token":"i","expires_in":600}`))
	})
	c, err := console.New(console.Config{
		Runtime: surface.Runtime{
			Logger: zerolog.New(zerolog.NewTestWriter(t)), TraceID: func(context.Context) string { return "f00d" }, Address: func(context.Context) netip.Addr { return netip.Addr{} }, Rand: rand.Reader,
		},
		Issuer: "http://latchkey.test", ClientID: "console", Version: "test", Server: h, Operations: operations, Sealer: sealer,
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

var attributeOfScript = regexp.MustCompile(`^on[a-z]+$`)

// checkMarkup fails the test if hostile text has become markup, or if the page has
// something that its policy forbids.
func checkMarkup(t *testing.T, what string, p page) {
	t.Helper()
	if policy := p.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "://") {
		t.Errorf("%s: policy %q", what, policy)
	}
	for _, n := range find(p.root, func(*html.Node) bool { return true }) {
		if n.Data == "script" && (attribute(n, "src") == "" || content(n) != "") || n.Data == "style" || n.Data == "img" && attribute(n, "src") == "x" {
			t.Errorf("%s: element %s %v", what, n.Data, n.Attr)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || attributeOfScript.MatchString(a.Key) {
				t.Errorf("%s: attribute %s=%q", what, a.Key, a.Val)
			}
		}
	}
	for _, link := range p.links() {
		u, err := url.Parse(link)
		if err != nil || u.Scheme != "" || u.Host != "" {
			t.Errorf("%s: link to %q", what, link)
		}
	}
	if strings.Contains(p.body, "<script>alert") || strings.Contains(p.text(), "4949") || strings.Contains(p.body, "ZgotmplZ") {
		t.Errorf("%s: hostile text is not shown as text", what)
	}
}

// TestHostileText shows every screen, and the second step of every form, with hostile text
// in every member of every resource.
func TestHostileText(t *testing.T) {
	s := newSite(t, kit.NewFixture(t, "sqlite:"+t.TempDir()+"/latchkey.db"))
	handler := hostileConsole(t, s.Server.Do(http.MethodGet, "/openapi.json", "", "").Body)
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	shown := &site{s.Fixture, t, &kit.Server{T: t, URL: front.URL}}
	b := shown.newBrowser()
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at := b.open("/console/clients")
	asked, err := url.Parse(at.header.Get("Location"))
	s.must(err)
	b.open("/console/callback?" + url.Values{"state": {asked.Query().Get("state")}, "code": {"c"}}.Encode())
	texts := 0
	for _, screen := range console.Screens() {
		path := console.Path + parameter.ReplaceAllString(screen.Path, url.PathEscape("x"))
		if strings.HasSuffix(screen.Path, "/{kind}") {
			path = console.Path + strings.ReplaceAll(screen.Path, "{kind}", "otp")
		}
		path = strings.ReplaceAll(path, "/api/x", "/api/apiclients.Patch")
		got := b.open(path + "?search=" + url.QueryEscape(hostile))
		if got.status >= http.StatusInternalServerError {
			t.Errorf("%s: %d %s", path, got.status, got.text())
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
		t.Errorf("hostile text is shown %d times only, so the test shows little", texts)
	}
}
