// Package operations tests how a server is run: its addresses and issuer, paths behind a proxy,
// and requests from web pages of other origins.
package operations
