// Package admin tells what administrators do through /v1 and /v2: resources, lists, who
// may change what, isolation between companies, the OpenAPI document, and the audit
// events of changes.
package admin
