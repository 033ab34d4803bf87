package oauth

import "latchkey/oauth/surface"

// InternalErrorBody is the body of the answer 500 that the HTTP server gives when
// a handler panics (RFC 6749 §5.2 has the shape).
const InternalErrorBody = `{"error":"server_error"}` + "\n"

// HTTPRules returns the rules for the OAuth endpoints and their public documents.
func HTTPRules() surface.HTTPRules {
	return surface.HTTPRules{
		Root: "/oauth/",
		// Clients in browsers configure themselves by the metadata (RFC 8414 §3) and
		// the keys, which are below /.well-known/.
		CrossOriginPaths: []string{"/oauth/", "/.well-known/"},
		Guessable: []surface.GuessablePath{{
			Prefix: "/oauth/", Type: "application/json;charset=UTF-8",
			Body: `{"error":"temporarily_unavailable","error_description":"Too many requests. Try again later.",` +
				`"Errors":[{"ErrorCode":"TooManyRequests","Message":"Too many requests. Try again later.","Data":null}]}`,
		}},
	}
}
