package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The names of the security schemes.
const (
	bearerScheme = "bearer"
	clientScheme = "client"
)

// object is a JSON object of the document. Its members are written in the order
// of their names, so one set of operations gives one document.
type object = map[string]any

// Info is what a document says of the server as a whole.
type Info struct {
	Title     string
	Version   string
	ServerURL string // without a slash at the end; empty: where the document came from
}

// Document returns the OpenAPI 3.1 document of the operations, as JSON. It
// fails when they contradict each other, naming the first that does: two of one
// method and path or of one ID, two paths that differ only in the names of
// their parameters, two types of one name, or an unknown type of a parameter.
func Document(info Info, operations []Operation) ([]byte, error) {
	schemas, err := newSchemas(operations)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	d := document{schemas: schemas, paths: map[string]object{}, shapes: map[string]string{}, ids: map[string]bool{}}
	for i := range operations {
		if err := d.add(&operations[i]); err != nil {
			return nil, fmt.Errorf("openapi: %s %s: %w", operations[i].Method, operations[i].Path, err)
		}
	}
	server := info.ServerURL
	if server == "" {
		server = "/"
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info":    object{"title": info.Title, "version": info.Version},
		"servers": []object{{"url": server}},
		"tags":    d.tags,
		"paths":   d.paths,
		"components": object{
			"schemas": schemas.components(),
			"securitySchemes": object{
				bearerScheme: object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
				clientScheme: object{"type": "http", "scheme": "basic", "description": "The client's id and secret, form-encoded each (RFC 6749 §2.3.1)."},
			},
		},
	})
}

// document is one in the making.
type document struct {
	schemas *schemas
	paths   map[string]object
	shapes  map[string]string // path by what it looks like without the names of its parameters
	ids     map[string]bool
	tags    []object
}

// add writes an operation into the document.
func (d *document) add(o *Operation) error {
	path, parameters := pathParameters(o.Path)
	if err := d.place(o, path, len(parameters)); err != nil {
		return err
	}
	for _, of := range []struct {
		in  string
		all []Parameter
	}{{"query", o.Query}, {"header", o.Headers}} {
		for _, p := range of.all {
			written, err := parameter(of.in, p)
			if err != nil {
				return err
			}
			parameters = append(parameters, written)
		}
	}
	body, err := d.requestBody(o)
	if err != nil {
		return err
	}
	out := object{
		"operationId": o.ID, "summary": o.Summary, "tags": []string{o.Tag},
		"security": security(o), "responses": d.responses(o),
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	if body != nil {
		out["requestBody"] = body
	}
	if len(o.Roles) > 0 {
		out["x-roles"] = o.Roles
		out["description"] = "The caller needs the role " + strings.Join(o.Roles, " or ") + "."
	}
	d.paths[path][strings.ToLower(o.Method)] = out
	return nil
}

// place makes room for an operation, or says which one is in its place.
func (d *document) place(o *Operation, path string, parameters int) error {
	if d.ids[o.ID] || o.ID == "" {
		return fmt.Errorf("the ID %q is not unique", o.ID)
	}
	d.ids[o.ID] = true
	shape := shapeOf(path)
	if other, ok := d.shapes[shape]; ok && other != path {
		return fmt.Errorf("the path differs from %s in the names of its parameters only", other)
	}
	if strings.Count(path, "{") != parameters {
		return errors.New("the path names a parameter twice")
	}
	d.shapes[shape] = path
	if d.paths[path] == nil {
		d.paths[path] = object{}
	}
	if d.paths[path][strings.ToLower(o.Method)] != nil {
		return errors.New("the operation is not unique")
	}
	if !slices.ContainsFunc(d.tags, func(t object) bool { return t["name"] == o.Tag }) {
		d.tags = append(d.tags, object{"name": o.Tag})
	}
	return nil
}

// pathParameters translates a pattern of net/http and returns the parameters
// that it names.
func pathParameters(pattern string) (path string, parameters []object) {
	segments := strings.Split(strings.TrimSuffix(pattern, "{$}"), "/")
	seen := map[string]bool{}
	for i, s := range segments {
		name, ok := strings.CutPrefix(s, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
		segments[i] = "{" + name + "}"
		if !seen[name] {
			seen[name] = true
			parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	return strings.Join(segments, "/"), parameters
}

// shapeOf is a path without the names of its parameters.
func shapeOf(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

func parameter(in string, p Parameter) (object, error) {
	schema, err := parameterSchema(p)
	if err != nil {
		return nil, err
	}
	out := object{"name": p.Name, "in": in, "schema": schema}
	if p.Required {
		out["required"] = true
	}
	if p.About != "" {
		out["description"] = p.About + "."
	}
	return out, nil
}

func parameterSchema(p Parameter) (object, error) {
	switch p.Type {
	case "", "string":
		return object{"type": "string"}, nil
	case "integer", "boolean":
		return object{"type": p.Type}, nil
	}
	return nil, fmt.Errorf("parameter %s: unknown type %q", p.Name, p.Type)
}

// requestBody returns the body that an operation takes, or nil.
func (d *document) requestBody(o *Operation) (object, error) {
	if len(o.Form) > 0 {
		schema, err := formSchema(o.Form)
		return object{"required": true, "content": object{"application/x-www-form-urlencoded": object{"schema": schema}}}, err
	}
	if o.Body == nil {
		return nil, nil
	}
	return object{"required": true, "content": jsonContent(d.schemas.of(o.Body, bodyMode(o)))}, nil
}

func formSchema(form []Parameter) (object, error) {
	properties, required := object{}, []string{}
	for _, p := range form {
		schema, err := parameterSchema(p)
		if err != nil {
			return nil, err
		}
		if p.About != "" {
			schema["description"] = p.About + "."
		}
		if p.Required {
			required = append(required, p.Name)
		}
		properties[p.Name] = schema
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema, nil
}

func jsonContent(schema object) object {
	return object{"application/json": object{"schema": schema}}
}

// responses returns what an operation may answer: its successes, its own
// refusals, and those that every operation of its sort has.
func (d *document) responses(o *Operation) object {
	all := object{}
	for status, body := range o.Answers {
		answer := object{"description": http.StatusText(status)}
		if body != nil {
			answer["content"] = jsonContent(d.schemas.of(body, answers))
		}
		all[strconv.Itoa(status)] = answer
	}
	for _, status := range refusals(o) {
		refusal := object{"description": http.StatusText(status)}
		if o.Error != nil {
			refusal["content"] = jsonContent(d.schemas.of(o.Error, answers))
		}
		all[strconv.Itoa(status)] = refusal
	}
	return all
}

// refusals returns the statuses of an operation's refusals.
func refusals(o *Operation) []int {
	all := append([]int{http.StatusInternalServerError, http.StatusServiceUnavailable}, o.Refuses...)
	if !o.Open || o.ClientAuth {
		all = append(all, http.StatusUnauthorized)
	}
	if !o.Open && !o.ClientAuth && len(o.Roles) > 0 {
		all = append(all, http.StatusForbidden)
	}
	return all
}

// security returns how a caller shows who it is. A client may also do so in the
// form, which OpenAPI has no word for, or have no secret at all.
func security(o *Operation) []object {
	switch {
	case o.ClientAuth:
		return []object{{clientScheme: []string{}}, {}}
	case o.Open:
		return []object{}
	}
	return []object{{bearerScheme: []string{}}}
}
