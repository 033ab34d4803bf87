package openapi

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type stamped struct {
	CreatedAt time.Time
	Hidden    string `json:"-"`
	Name      int    // the field of the outer struct is used instead
	private   bool   //nolint:unused // not encoded
}

type color string

type node struct {
	stamped
	*extra
	Name     string `json:"name" openapi:"required"`
	Children []*node
	Parent   *node
	Note     *string `json:"note,omitempty"`
	XP       json.RawMessage
	Labels   map[string]color
	Pair     [2]int
	Count    uint
	Ratio    float64
	Big      int64 `json:",string"`
	Raw      []byte
	Net      netip.Prefix
	Any      any `json:",omitempty"`
	Inline   struct{ A bool }
}

type extra struct{ More string }

type page[W any] struct{ Items []W }

type refusal struct{ Code string }

// part decodes a document and returns its value at the path.
func part(t *testing.T, document []byte, at ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(document, &v); err != nil {
		t.Fatal(err)
	}
	for _, name := range at {
		members, ok := v.(map[string]any)
		if !ok || members[name] == nil {
			t.Fatalf("got no %q in %v", name, v)
		}
		v = members[name]
	}
	return v
}

func compact(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func nodes() []Operation {
	return []Operation{
		{
			Method: "GET", Path: "/v1/nodes", ID: "Nodes.List", Tag: "Nodes", Summary: "List nodes", Roles: []string{"NodeReader", "NodeAdmin"},
			Query:   []Parameter{{Name: "page", About: "Which page", Type: "integer"}},
			Answers: map[int]any{200: page[node]{}}, Refuses: []int{400}, Error: refusal{},
		},
		{
			Method: "PUT", Path: "/v1/nodes/{nodeID}", ID: "Nodes.Save", Tag: "Nodes", Summary: "Replace a node",
			Headers: []Parameter{{Name: "If-Match", Required: true}},
			Body:    node{}, Answers: map[int]any{200: node{}}, Error: refusal{},
		},
		{
			Method: "PATCH", Path: "/v1/nodes/{nodeID}", ID: "Nodes.Patch", Tag: "Nodes", Summary: "Change a node",
			Body: node{}, Partial: true, Answers: map[int]any{204: nil}, Error: refusal{},
		},
		{
			Method: "POST", Path: "/oauth/token", ID: "Token", Tag: "OAuth", Summary: "Get a token", Open: true, ClientAuth: true,
			Form:    []Parameter{{Name: "grant_type", Required: true, About: "Which"}, {Name: "scope"}},
			Answers: map[int]any{200: refusal{}}, Error: refusal{},
		},
		{Method: "GET", Path: "/files/{path...}", ID: "Files", Tag: "Files", Summary: "Get a file", Open: true, Answers: map[int]any{200: "text"}},
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	got, err := Document(Info{Title: "Latchkey", Version: "1.2", ServerURL: "https://id.example"}, nodes())
	if err != nil {
		t.Fatal(err)
	}
	const problem = `{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Refusal"}}},"description":`
	tests := []struct {
		at   []string
		want string
	}{
		{[]string{"openapi"}, `"3.1.0"`},
		{[]string{"info"}, `{"title":"Latchkey","version":"1.2"}`},
		{[]string{"servers"}, `[{"url":"https://id.example"}]`},
		{[]string{"tags"}, `[{"name":"Nodes"},{"name":"OAuth"},{"name":"Files"}]`},
		{[]string{"paths", "/v1/nodes", "get"}, `{"description":"The caller needs the role NodeReader or NodeAdmin.","operationId":"Nodes.List",` +
			`"parameters":[{"description":"Which page.","in":"query","name":"page","schema":{"type":"integer"}}],"responses":{` +
			`"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/PageOfNode"}}},"description":"OK"},` +
			`"400":` + problem + `"Bad Request"},"401":` + problem + `"Unauthorized"},"403":` + problem + `"Forbidden"},` +
			`"500":` + problem + `"Internal Server Error"},"503":` + problem + `"Service Unavailable"}},` +
			`"security":[{"bearer":[]}],"summary":"List nodes","tags":["Nodes"],"x-roles":["NodeReader","NodeAdmin"]}`},
		{[]string{"paths", "/v1/nodes/{nodeID}", "put", "parameters"}, `[{"in":"path","name":"nodeID","required":true,"schema":{"type":"string"}},` +
			`{"in":"header","name":"If-Match","required":true,"schema":{"type":"string"}}]`},
		{[]string{"paths", "/v1/nodes/{nodeID}", "put", "requestBody"}, `{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/NodeInput"}}},"required":true}`},
		{[]string{"paths", "/v1/nodes/{nodeID}", "patch", "requestBody", "content", "application/json", "schema"}, `{"$ref":"#/components/schemas/NodePatch"}`},
		{[]string{"paths", "/v1/nodes/{nodeID}", "patch", "responses", "204"}, `{"description":"No Content"}`},
		{[]string{"paths", "/oauth/token", "post", "security"}, `[{"client":[]},{}]`},
		{[]string{"paths", "/oauth/token", "post", "requestBody"}, `{"content":{"application/x-www-form-urlencoded":{"schema":{"properties":{` +
			`"grant_type":{"description":"Which.","type":"string"},"scope":{"type":"string"}},"required":["grant_type"],"type":"object"}}},"required":true}`},
		{[]string{"paths", "/files/{path}", "get", "security"}, `[]`},
		{[]string{"components", "schemas", "PageOfNode"}, `{"properties":{"Items":{"items":{"$ref":"#/components/schemas/Node"},"type":"array"}},"required":["Items"],"type":"object"}`},
		{[]string{"components", "schemas", "NodeInput", "required"}, `["name"]`},
		{[]string{"components", "schemas", "Node", "required"}, `["name","Children","Parent","XP","Labels","Pair","Count","Ratio","Big","Raw","Net","Inline","CreatedAt","Name"]`},
		{[]string{"components", "schemas", "Node", "properties"}, `{"Any":{},"Big":{"type":"string"},` +
			`"Children":{"items":{"anyOf":[{"$ref":"#/components/schemas/Node"},{"type":"null"}]},"type":"array"},` +
			`"Count":{"minimum":0,"type":"integer"},"CreatedAt":{"format":"date-time","type":"string"},` +
			`"Inline":{"properties":{"A":{"type":"boolean"}},"required":["A"],"type":"object"},` +
			`"Labels":{"additionalProperties":{"type":"string"},"type":"object"},"More":{"type":"string"},"Name":{"type":"integer"},"Net":{"type":"string"},` +
			`"Pair":{"items":{"type":"integer"},"maxItems":2,"minItems":2,"type":"array"},` +
			`"Parent":{"anyOf":[{"$ref":"#/components/schemas/Node"},{"type":"null"}]},"Ratio":{"type":"number"},` +
			`"Raw":{"contentEncoding":"base64","type":"string"},"XP":{},"name":{"type":"string"},"note":{"type":"string"}}`},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, compact(t, part(t, got, test.at...))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", strings.Join(test.at, " "), diff)
		}
	}
	if names := part(t, got, "components", "schemas").(map[string]any); names["NodePatch"].(map[string]any)["required"] != nil {
		t.Error("got a patch with required members, want none")
	}
}

// TestDocumentIsDeterministic tests that the same operations always give the same document.
func TestDocumentIsDeterministic(t *testing.T) {
	t.Parallel()
	first, err := Document(Info{}, nodes())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		again, err := Document(Info{}, nodes())
		if err != nil || string(again) != string(first) {
			t.Fatalf("%s\n%s\n%v", first, again, err)
		}
	}
}

func TestDocumentRefuses(t *testing.T) {
	t.Parallel()
	get := func(path, id string) Operation { return Operation{Method: "GET", Path: path, ID: id} }
	tests := []struct {
		name       string
		operations []Operation
		want       string
	}{
		{"ID not unique", []Operation{get("/a", "A"), get("/b", "A")}, `GET /b: the ID "A" is not unique`},
		{"no ID", []Operation{get("/a", "")}, `the ID "" is not unique`},
		{"operation not unique", []Operation{get("/a", "A"), get("/a", "B")}, "the operation is not unique"},
		{"paths differ in parameter names only", []Operation{get("/a/{x}", "A"), get("/a/{y}", "B")}, "the path differs from /a/{x} in the names of its parameters only"},
		{"path parameter not unique", []Operation{get("/a/{x}/{x}", "A")}, "the path names a parameter twice"},
		{"unknown type in the query", []Operation{{Method: "GET", Path: "/a", ID: "A", Query: []Parameter{{Name: "q", Type: "date"}}}}, `parameter q: unknown type "date"`},
		{"unknown type in a form", []Operation{{Method: "POST", Path: "/a", ID: "A", Form: []Parameter{{Name: "q", Type: "date"}}}}, `parameter q: unknown type "date"`},
	}
	for _, test := range tests {
		_, err := Document(Info{}, test.operations)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// TestTypesOfOneName tests that types of the same name are an error if their packages also have
// the same name.
func TestTypesOfOneName(t *testing.T) {
	t.Parallel()
	type Parameter struct{ Other int }
	_, err := Document(Info{}, []Operation{{Method: "GET", Path: "/", ID: "A", Answers: map[int]any{200: struct {
		A Parameter
		B []Operation
	}{}}}})
	if err == nil || !strings.Contains(err.Error(), "two types are named openapi.Parameter") {
		t.Errorf("got %v, want an error about two types", err)
	}
	got, err := Document(Info{}, []Operation{{Method: "GET", Path: "/", ID: "A", Answers: map[int]any{200: struct {
		A Info
		B other
	}{}}}})
	if err != nil {
		t.Fatal(err)
	}
	if names := part(t, got, "components", "schemas").(map[string]any); names["Info"] == nil || names["Other"] == nil {
		t.Errorf("got %v", names)
	}
}

type other struct{ X int }
