// Package openapi writes an OpenAPI 3.1 document from what a server says of its
// operations. The schemas come from the Go types that the server decodes and
// encodes, so the document cannot tell a member that is not there.
//
// It does not own what the operations are: the packages that serve them say
// that, and register their routes from the same values.
package openapi
