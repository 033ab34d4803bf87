package ordercloud

import (
	"strings"

	"latchkey/oauth/openapi"
)

// kind describes a resource: its names, its paths, and who may call.
type kind struct {
	object string // in errors and audit events: "ApiClient"
	path   string // "/v1/apiclients"
	param  string // of the path of one: "apiClientID"
	who    audience
	admin  []string // roles that may do everything
	reader []string // roles that may read
	fields fields
	search []string // fields in which the parameter search looks

	sameID func(a, b string) bool // whether two IDs are the same; nil: the ID can be changed
	atomic bool                   // a change runs in one transaction, because get may answer from a cache or save writes twice
}

func (k kind) readers() []string { return append(append([]string{}, k.admin...), k.reader...) }

func (k kind) operation(method, path, verb, summary string, roles []string) openapi.Operation {
	return openapi.Operation{
		Method: method, Path: path, ID: operationID(strings.TrimPrefix(k.path, "/v1/"), verb), Tag: k.object, Summary: summary, Roles: roles,
	}
}

// operationID names an operation after its path: "buyers.users.Create".
func operationID(path, verb string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part[0] != '{' {
			parts = append(parts, part)
		}
	}
	return strings.Join(append(parts, verb), ".")
}
