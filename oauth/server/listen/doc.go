// Package listen carries an http.Handler to the network: listeners, limits,
// request ids, the access log, metrics, health, and a stop that lets requests
// in flight finish.
//
// It owns what is the same for every route and knows no route by name: routing,
// bodies, caching headers and the language of errors belong to the handler. It
// ends no TLS (see Config.HTTPS) and believes no forwarding header but the one of
// proxies that Config.TrustedProxies names: the remote address in the log, and
// ClientAddr, is otherwise that of the connection.
package listen
