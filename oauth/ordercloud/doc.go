// Package ordercloud is the /v1 dialect: OrderCloud's resources over the records of
// Latchkey.
//
// Calls run downwards:
//
//	api.go                             New, Mount: all routes, and what happens to each request
//	api_clients.go, users.go, me.go …  one file for each resource: its routes and its type,
//	                                   with the methods of resource or editable
//	collection.go, editor.go           what all resources have in common: list, create, delete; get, put, patch
//	list_parameters.go                 pages, filters, search and sorting of lists
//	lookups.go, user_record.go         records that several resources need
//	guard.go, call.go, errors.go       who may call, reading a request, the table of errors
//	wire                               a package: shapes, their validation and conversion to records
//
// The package decides nothing about sign-ins, codes and messages; grants and otp do.
// Package oauth/admin decides who may change what. Package oauth/surface has what both
// dialects share.
//
// A new member of a resource goes into its file in wire and, if lists can be filtered
// by it, into the fields of its kind. A new parameter of all lists goes into
// listParameters and query, and its answer into wire.Meta.
package ordercloud
