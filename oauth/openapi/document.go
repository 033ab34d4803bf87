package openapi

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Names of the security schemes.
const (
	bearerScheme = "bearer"
	clientScheme = "client"
)

// object is a JSON object of the document. encoding/json sorts the members by name, so
// the same operations always give the same document.
type object = map[string]any

// Info describes the server.
type Info struct {
	Title     string
	Version   string
	ServerURL string // without a slash at the end; empty: the origin of the document
}

// Document returns the OpenAPI 3.1 document of the operations as JSON. It returns an
// error for the first operation that is not valid: a method and path or an ID that is
// not unique, two paths that differ only in the names of their parameters, two types of
// the same name, or a parameter of an unknown type.
func Document(info Info, operations []Operation) ([]byte, error) {
	schemas, err := newSchemas(operations)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	b := builder{schemas: schemas, paths: map[string]object{}, shapes: map[string]string{}, ids: map[string]bool{}}
	for i := range operations {
		if err := b.add(&operations[i]); err != nil {
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
		"tags":    b.tags,
		"paths":   b.paths,
		"components": object{
			"schemas": schemas.components(),
			"securitySchemes": object{
				bearerScheme: object{"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
				clientScheme: object{"type": "http", "scheme": "basic", "description": "The client's id and secret, form-encoded each (RFC 6749 §2.3.1)."},
			},
		},
	})
}

// builder collects the operations of a document.
type builder struct {
	schemas *schemas
	paths   map[string]object
	shapes  map[string]string // paths, by the path without the names of its parameters
	ids     map[string]bool
	tags    []object
}

// add adds an operation to the document.
func (b *builder) add(o *Operation) error {
	path, parameters := pathParameters(o.Path)
	if err := b.reserve(o, path, len(parameters)); err != nil {
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
	body, err := b.requestBody(o)
	if err != nil {
		return err
	}
	out := object{
		"operationId": o.ID, "summary": o.Summary, "tags": []string{o.Tag},
		"security": security(o), "responses": b.responses(o),
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
	b.paths[path][strings.ToLower(o.Method)] = out
	return nil
}

// reserve checks that the ID, the method and the path of an operation are not in use, and
// records them.
func (b *builder) reserve(o *Operation, path string, parameters int) error {
	if b.ids[o.ID] || o.ID == "" {
		return fmt.Errorf("the ID %q is not unique", o.ID)
	}
	b.ids[o.ID] = true
	shape := pathShape(path)
	if other, ok := b.shapes[shape]; ok && other != path {
		return fmt.Errorf("the path differs from %s in the names of its parameters only", other)
	}
	if strings.Count(path, "{") != parameters {
		return errors.New("the path names a parameter twice")
	}
	b.shapes[shape] = path
	if b.paths[path] == nil {
		b.paths[path] = object{}
	}
	if b.paths[path][strings.ToLower(o.Method)] != nil {
		return errors.New("the operation is not unique")
	}
	if !slices.ContainsFunc(b.tags, func(t object) bool { return t["name"] == o.Tag }) {
		b.tags = append(b.tags, object{"name": o.Tag})
	}
	return nil
}

// pathParameters converts a pattern of net/http to a path of OpenAPI, and returns the
// parameters in it.
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

// pathShape returns a path without the names of its parameters.
func pathShape(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "{}"
		}
	}
	return strings.Join(segments, "/")
}

// parameter returns the object of a parameter in the query or the header.
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

// requestBody returns the request body of an operation, or nil.
func (b *builder) requestBody(o *Operation) (object, error) {
	if len(o.Form) > 0 {
		schema, err := formSchema(o.Form)
		return object{"required": true, "content": object{"application/x-www-form-urlencoded": object{"schema": schema}}}, err
	}
	if o.Body == nil {
		return nil, nil
	}
	return object{"required": true, "content": jsonContent(b.schemas.of(o.Body, bodyMode(o)))}, nil
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

// responses returns the responses of an operation: the successes, its own errors, and the
// errors of every operation of its kind.
func (b *builder) responses(o *Operation) object {
	all := object{}
	for status, body := range o.Answers {
		answer := object{"description": http.StatusText(status)}
		if body != nil {
			answer["content"] = object{cmp.Or(o.MediaType, "application/json"): object{"schema": b.schemas.of(body, inResponse)}}
		}
		all[strconv.Itoa(status)] = answer
	}
	for _, status := range errorStatuses(o) {
		failure := object{"description": http.StatusText(status)}
		if o.Error != nil {
			failure["content"] = jsonContent(b.schemas.of(o.Error, inResponse))
		}
		all[strconv.Itoa(status)] = failure
	}
	return all
}

// errorStatuses returns the error statuses of an operation.
func errorStatuses(o *Operation) []int {
	all := append([]int{http.StatusInternalServerError, http.StatusServiceUnavailable}, o.Refuses...)
	if !o.Open || o.ClientAuth {
		all = append(all, http.StatusUnauthorized)
	}
	if !o.Open && !o.ClientAuth && len(o.Roles) > 0 {
		all = append(all, http.StatusForbidden)
	}
	return all
}

// security returns the security requirements of an operation. The empty requirement is
// for clients that authenticate in the form, which OpenAPI cannot describe, and for
// public clients.
func security(o *Operation) []object {
	switch {
	case o.ClientAuth:
		return []object{{clientScheme: []string{}}, {}}
	case o.Open:
		return []object{}
	}
	return []object{{bearerScheme: []string{}}}
}
