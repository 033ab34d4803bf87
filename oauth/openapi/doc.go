// Package openapi writes an OpenAPI 3.1 document from a list of operations. The schemas
// come from the Go types that the server decodes and encodes, so the document cannot
// list a member that does not exist.
//
// It does not own the operations. The packages that serve them define them, and register
// their routes from the same values.
package openapi
