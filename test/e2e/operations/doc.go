// Package operations tests what an operator does with a server and its database: its addresses
// and issuer, paths behind a proxy, requests from web pages of other origins, documents of
// apply, backup, copy and upgrade, expired rows, metrics and traces, the self-test, the service manager, the
// demo with its sample application, and the files in deploy.
package operations
