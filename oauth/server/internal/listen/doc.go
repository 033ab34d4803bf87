// Package listen serves an http.Handler on the network. It provides listeners,
// limits, request ids, the access log, metrics, health, and a stop that lets
// requests in flight finish.
//
// It owns what is the same for all routes. It knows no route by name: surfaces
// hand in their paths as surface.HTTPRules. Routing, bodies, caching headers and
// errors belong to the handler. It does not terminate TLS, see Config.HTTPS. The
// address of a client is that of the connection, unless that is a proxy in
// Config.TrustedProxies.
package listen
