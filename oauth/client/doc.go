// Package client decides who the client of a request is: it reads the client's
// credentials (RFC 6749 §2.3), compares secrets, verifies assertions (RFC 7523)
// and limits the guesses at both. It also makes client secrets and checks the key
// sets of clients.
//
// It does not own what a client may do (packages grants and admin), how clients
// register themselves (package register), or what a refusal looks like on the wire
// (package oauth).
package client
