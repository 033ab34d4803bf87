package surface

import "net/http"

// HTTPRules is what the HTTP server must know about a surface in order to answer
// requests before a handler of the surface runs. Paths are those of the routes,
// without the path of the issuer.
type HTTPRules struct {
	// Root is the beginning of the paths of the surface, such as "/v1/". A slash
	// at the end of a path below Root is ignored. It may be empty.
	Root string
	// NotFound answers requests for Root without its last slash, and for paths
	// below Root with empty segments or dots. No route has such a path, and the
	// router would redirect. If it is nil, the router answers.
	NotFound http.HandlerFunc
	// CrossOriginPaths are the beginnings of the paths that web pages of other
	// origins may call, if the settings name the origin.
	CrossOriginPaths []string
	// CrossOriginHeaders are the names, in lower case, of the surface's own request
	// headers that such pages may send. CrossOriginHeaderPrefixes are the
	// beginnings of further names.
	CrossOriginHeaders, CrossOriginHeaderPrefixes []string
	// Guessable are the paths at which secrets are tried and messages asked for.
	Guessable []GuessablePath
}

// GuessablePath is the beginning of paths at which an address may fail only a
// limited number of times, and the answer 429 to an address that has failed too
// often.
type GuessablePath struct {
	Prefix string
	Type   string // Content-Type of the answer
	Body   string
	// Page writes the answer instead, if it depends on the request. Retry-After is set.
	Page http.HandlerFunc
}
