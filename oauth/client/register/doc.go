// Package register serves the dynamic registration of clients (RFC 7591) and its
// management by the client itself (RFC 7592).
//
//	endpoint.go      configuration, routes and refusals
//	metadata.go      what a client says about itself, and the checks of it
//	registration.go  registering, showing, replacing and deleting a client
//
// It does not own the authentication of clients (package client).
package register
