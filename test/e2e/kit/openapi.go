package kit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"latchkey/oauth/console"
)

// UnlistedPatterns returns the patterns of the router that are not operations.
func UnlistedPatterns() []string {
	return append(console.Patterns(), []string{
		"/v1/", "/v2/", // answers for unknown paths
		"GET /openapi.json",
		// These are pages for people.
		"GET /oauth/authorize", "POST /oauth/authorize", "GET /oauth/signin", "POST /oauth/signin", "POST /oauth/signin/logout", "GET /oauth/end_session", "POST /oauth/end_session", "GET /oauth/signin/assets/{name}",
		// These are other spellings of documented paths.
		"DELETE /v1/buyers/{buyerID}/apiclients/assignments/{apiClientID}", "DELETE /v1/suppliers/{supplierID}/apiclients/assignments/{apiClientID}",
	}...)
}

// documentChecker is an http.RoundTripper that compares each request and response with
// the OpenAPI document of the server.
type documentChecker struct {
	*openAPIDocument
	t    testing.TB
	next http.RoundTripper
}

// openAPIDocument is a document that was read and validated. The servers of a test process
// share it, because the library is slow.
type openAPIDocument struct {
	spec *openapi3.T
	mux  *http.ServeMux // the paths of the document as patterns, and the unlisted patterns

	mu   sync.Mutex
	seen map[string]bool // schemas and shapes of compared bodies
}

// openAPIDocuments are the documents that this process has read, by their texts.
var openAPIDocuments = struct {
	sync.Mutex
	byText map[string]*openAPIDocument
}{byText: map[string]*openAPIDocument{}}

// CheckDocument compares all further requests and responses with the OpenAPI document.
func (m *OrderCloud) CheckDocument(t *testing.T) {
	t.Helper()
	m.HTTPClient = &http.Client{
		Timeout: HTTPClient.Timeout, Transport: &documentChecker{openAPIDocument: m.fetchOpenAPIDocument(t), t: t, next: HTTPClient.Transport},
	}
}

// fetchOpenAPIDocument fetches the document of the server. All servers of this type have the
// same one, because it contains their issuer and no address.
func (m *OrderCloud) fetchOpenAPIDocument(t *testing.T) *openAPIDocument {
	t.Helper()
	got := m.Send(m.First, "", http.MethodGet, "/openapi.json", nil)
	if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Fatalf("got %d %v, want 200", got.Status, got.Header)
	}
	openAPIDocuments.Lock()
	defer openAPIDocuments.Unlock()
	d, ok := openAPIDocuments.byText[got.Body]
	if !ok {
		d = readOpenAPIDocument(t, got.Body)
		openAPIDocuments.byText[got.Body] = d
	}
	return d
}

// readOpenAPIDocument reads a document and validates it.
func readOpenAPIDocument(t *testing.T, text string) *openAPIDocument {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData([]byte(closed(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Validate(context.WithoutCancel(t.Context())); err != nil || !spec.IsOpenAPI31OrLater() {
		t.Fatalf("OpenAPI %s: %v", spec.OpenAPI, err)
	}
	d := &openAPIDocument{spec: spec, mux: http.NewServeMux(), seen: map[string]bool{}}
	for path, item := range spec.Paths.Map() {
		for method := range item.Operations() {
			d.mux.Handle(method+" "+path, http.NotFoundHandler())
		}
	}
	for _, pattern := range UnlistedPatterns() {
		d.mux.Handle(pattern, http.NotFoundHandler())
	}
	return d
}

// closed forbids members in each object of a document that the document does not name.
// Otherwise undocumented members would be accepted. It sets a keyword of JSON Schema 2020-12,
// without which the library reads a schema with references as OpenAPI 3.0.
func closed(t *testing.T, document string) string {
	t.Helper()
	var d any
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				walk(one)
			}
		case map[string]any:
			for _, one := range v {
				walk(one)
			}
			if _, open := v["additionalProperties"]; v["type"] == "object" && v["properties"] != nil && !open {
				v["unevaluatedProperties"] = false
			}
		}
	}
	walk(d)
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// RoundTrip implements http.RoundTripper.
func (w *documentChecker) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := drain(&r.Body)
	if err != nil {
		return nil, err
	}
	response, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := drain(&response.Body)
	if err != nil {
		return nil, err
	}
	_, pattern := w.mux.Handler(r)
	if strings.HasSuffix(pattern, "/") && response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMethodNotAllowed {
		w.t.Errorf("%s %s: got %d, but the operation is not in the document", r.Method, r.URL.Path, response.StatusCode)
	}
	if pattern == "" || slices.Contains(UnlistedPatterns(), pattern) {
		return response, nil
	}
	w.check(r, response, pattern, sent, got)
	return response, nil
}

// isNew reports whether no body of this schema and shape was compared before. The library
// is slow.
func (w *openAPIDocument) isNew(schema string, body []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := schema + outline(body)
	before := w.seen[key]
	w.seen[key] = true
	return !before
}

// outline returns the shape of a document: the types of values instead of values.
func outline(document []byte) string {
	var v any
	if json.Unmarshal(document, &v) != nil {
		return fmt.Sprint(len(document) > 0)
	}
	var draw func(v any) any
	draw = func(v any) any {
		switch v := v.(type) {
		case []any:
			for i := range v {
				v[i] = draw(v[i])
			}
			return slices.CompactFunc(v, reflect.DeepEqual)
		case map[string]any:
			for name := range v {
				v[name] = draw(v[name])
			}
			return v
		}
		return fmt.Sprintf("%T", v)
	}
	return fmt.Sprint(draw(v))
}

// drain reads a body, and replaces it by a copy.
func drain(body *io.ReadCloser) ([]byte, error) {
	if *body == nil {
		return nil, nil
	}
	text, err := io.ReadAll(*body)
	_ = (*body).Close()
	*body = io.NopCloser(bytes.NewReader(text))
	return text, err
}

// route returns the operation of a request with the pattern.
func (w *openAPIDocument) route(r *http.Request, pattern string) (*routers.Route, map[string]string) {
	_, path, _ := strings.Cut(pattern, " ")
	item := w.spec.Paths.Value(path)
	parameters := map[string]string{}
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, name := range strings.Split(path, "/") {
		if strings.HasPrefix(name, "{") {
			parameters[strings.Trim(name, "{}")], _ = url.PathUnescape(segments[i])
		}
	}
	return &routers.Route{Spec: w.spec, Path: path, PathItem: item, Method: r.Method, Operation: item.GetOperation(r.Method)}, parameters
}

// linesOfJSON is the media type of bodies with a JSON document on each line.
const linesOfJSON = "application/x-ndjson"

var readLinesOfJSON = sync.OnceFunc(func() {
	openapi3filter.RegisterBodyDecoder(linesOfJSON, openapi3filter.RegisteredBodyDecoder("application/json"))
})

// check compares a response with the document, and the request unless it was refused.
func (w *documentChecker) check(r *http.Request, response *http.Response, pattern string, sent, got []byte) {
	w.t.Helper()
	route, parameters := w.route(r, pattern)
	documented := route.Operation.Responses.Status(response.StatusCode)
	if documented == nil {
		w.t.Errorf("%s %s: got %d, which the document does not contain: %s", r.Method, r.URL.Path, response.StatusCode, got)
		return
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	media := documented.Value.Content.Get("application/json")
	if kind == linesOfJSON {
		media = documented.Value.Content.Get(kind)
		got, _, _ = bytes.Cut(got, []byte("\n")) // each line is a document
	}
	if (media == nil) != (len(got) == 0) {
		w.t.Errorf("%s %s: got %d with a body that differs from the document: %q", r.Method, r.URL.Path, response.StatusCode, got)
	}
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body = io.NopCloser(bytes.NewReader(sent))
	input := &openapi3filter.RequestValidationInput{
		Request: again, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true, MultiError: true,
		},
	}
	if response.StatusCode < http.StatusBadRequest && w.isNew(route.Operation.OperationID, sent) {
		if err := openapi3filter.ValidateRequest(again.Context(), input); err != nil {
			w.t.Errorf("%s %s was accepted, but differs from the document: %v: %s", r.Method, r.URL.Path, err, sent)
		}
	}
	if media == nil || !w.isNew(response.Header.Get("Content-Type")+schemaOf(media, pattern+response.Status), got) {
		return
	}
	readLinesOfJSON()
	answered := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: response.StatusCode, Header: response.Header,
		Body: io.NopCloser(bytes.NewReader(got)), Options: input.Options,
	}
	if err := openapi3filter.ValidateResponse(again.Context(), answered); err != nil {
		w.t.Errorf("%s %s: got %d with an answer that differs from the document: %v: %s", r.Method, r.URL.Path, response.StatusCode, err, got)
	}
}

// schemaOf returns the name of the schema of a body, or its place in the document if it
// has no name.
func schemaOf(media *openapi3.MediaType, place string) string {
	if media.Schema != nil && media.Schema.Ref != "" {
		return media.Schema.Ref
	}
	return place
}
