// Package admin tests what administrators do through /v1 and /v2: resources, lists, permissions
// for changes, isolation between companies, the OpenAPI document, and the audit events of
// changes.
package admin
