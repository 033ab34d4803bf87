package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// documentPath is where the server describes its API.
const documentPath = "/openapi.json"

// apiDocument is the description of the API, as the screens show it.
type apiDocument struct {
	Groups     []apiGroup
	operations map[string]*apiOperation
	schemas    map[string]apiSchema
}

// apiGroup is the operations with one tag.
type apiGroup struct {
	Tag        string
	Operations []*apiOperation
}

// apiOperation is an operation of the document.
type apiOperation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Description string                `json:"description"`
	Tags        []string              `json:"tags"`
	Roles       []string              `json:"x-roles"`
	Parameters  []apiParameter        `json:"parameters"`
	Security    []map[string][]string `json:"security"`
	RequestBody struct {
		Content map[string]apiMedia `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string              `json:"description"`
		Content     map[string]apiMedia `json:"content"`
	} `json:"responses"`

	Method, Path string
}

type apiMedia struct {
	Schema apiSchema `json:"schema"`
}

// apiParameter is a parameter in the path, the query or the header.
type apiParameter struct {
	Name        string    `json:"name"`
	In          string    `json:"in"`
	Description string    `json:"description"`
	Required    bool      `json:"required"`
	Schema      apiSchema `json:"schema"`
}

// apiSchema is the part of a JSON schema that the document uses.
type apiSchema struct {
	Ref        string               `json:"$ref"`
	Type       apiTypes             `json:"type"`
	Format     string               `json:"format"`
	Properties map[string]apiSchema `json:"properties"`
	Required   []string             `json:"required"`
	Items      *apiSchema           `json:"items"`
	AnyOf      []apiSchema          `json:"anyOf"`
}

// apiTypes is the types of a schema: one, or a list.
type apiTypes []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *apiTypes) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(t))
	}
	*t = apiTypes{""}
	return json.Unmarshal(text, &(*t)[0])
}

// apiDocumentReader reads the document of the API once. A failure is not remembered.
type apiDocumentReader struct {
	mu       sync.Mutex
	document *apiDocument
}

// apiDocument returns the document of the API.
func (x *call) apiDocument() (*apiDocument, error) {
	r := &x.console.document
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.document != nil {
		return r.document, nil
	}
	request, err := http.NewRequestWithContext(x.Context(), http.MethodGet, documentPath, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer := x.console.do(request)
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("console: the document of the API: status %d", answer.status)
	}
	read, err := parseDocument(answer.body.Bytes())
	if err == nil {
		r.document = read
	}
	return read, err
}

func parseDocument(text []byte) (*apiDocument, error) {
	var read struct {
		Paths      map[string]map[string]*apiOperation `json:"paths"`
		Components struct {
			Schemas map[string]apiSchema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, fmt.Errorf("console: the document of the API: %w", err)
	}
	d := &apiDocument{operations: map[string]*apiOperation{}, schemas: read.Components.Schemas}
	groups := map[string][]*apiOperation{}
	for path, methods := range read.Paths {
		for method, o := range methods {
			o.Method, o.Path = strings.ToUpper(method), path
			d.operations[o.ID] = o
			tag := strings.Join(o.Tags, ", ")
			groups[tag] = append(groups[tag], o)
		}
	}
	for tag, operations := range groups {
		slices.SortFunc(operations, func(a, b *apiOperation) int {
			return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
		})
		d.Groups = append(d.Groups, apiGroup{tag, operations})
	}
	slices.SortFunc(d.Groups, func(a, b apiGroup) int { return strings.Compare(a.Tag, b.Tag) })
	return d, nil
}

// JSONBody reports whether the operation takes a body in JSON.
func (o *apiOperation) JSONBody() bool {
	_, ok := o.RequestBody.Content["application/json"]
	return ok
}

// triable reports whether the operation can be tried with an access token: it is below /v1
// or /v2, and its request and its answer are JSON or empty.
func (o *apiOperation) triable() bool {
	if !strings.HasPrefix(o.Path, "/v1/") && !strings.HasPrefix(o.Path, "/v2/") || len(o.RequestBody.Content) > 0 && !o.JSONBody() {
		return false
	}
	for status, answer := range o.Responses {
		if _, ok := answer.Content["application/json"]; status < "300" && len(answer.Content) > 0 && !ok {
			return false
		}
	}
	return slices.ContainsFunc(o.Security, func(s map[string][]string) bool { _, basic := s["client"]; return len(s) > 0 && !basic })
}

// apiMember is a member of a body, as a row of a table.
type apiMember struct {
	Name, Type string
	Required   bool
}

// maxMemberDepth is how deep the members of members are listed.
const maxMemberDepth = 3

// resolve returns the schema that a reference names.
func (d *apiDocument) resolve(s apiSchema) apiSchema {
	for range maxMemberDepth {
		name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/")
		if !ok {
			break
		}
		s = d.schemas[name]
	}
	for _, one := range s.AnyOf {
		if len(one.Type) != 1 || one.Type[0] != "null" {
			return d.resolve(one)
		}
	}
	return s
}

// members lists the members of a schema, and those of objects in it.
func (d *apiDocument) members(s apiSchema, prefix string, depth int) []apiMember {
	s = d.resolve(s)
	var all []apiMember
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		member := d.resolve(s.Properties[name])
		kind, inner, suffix := typeName(member), member, "."
		if member.Items != nil {
			inner = d.resolve(*member.Items)
			kind, suffix = "array of "+typeName(inner), "[]."
		}
		all = append(all, apiMember{Name: prefix + name, Type: kind, Required: slices.Contains(s.Required, name)})
		if depth < maxMemberDepth && len(inner.Properties) > 0 {
			all = append(all, d.members(inner, prefix+name+suffix, depth+1)...)
		}
	}
	return all
}

func typeName(s apiSchema) string {
	kinds := slices.DeleteFunc(slices.Clone(s.Type), func(t string) bool { return t == "null" })
	name := strings.Join(kinds, " or ")
	switch {
	case s.Format != "":
		name = s.Format
	case name == "":
		name = "any"
	}
	return name
}

// example returns a body with the members that a request needs. Others are not in it: an
// empty value could undo what is stored.
func (d *apiDocument) example(s apiSchema) string {
	s = d.resolve(s)
	body := map[string]any{}
	for name, member := range s.Properties {
		if !slices.Contains(s.Required, name) {
			continue
		}
		switch member = d.resolve(member); typeName(member) {
		case "string", "date-time":
			body[name] = ""
		case "boolean":
			body[name] = false
		case "integer", "number":
			body[name] = 0
		case "array":
			body[name] = []any{}
		default:
			body[name] = map[string]any{}
		}
	}
	return indented(body)
}
