package oauth

import "latchkey/oauth/surface"

// InternalErrorBody is the body of the answer 500 of the HTTP server after a panic in
// a handler (RFC 6749 §5.2).
const InternalErrorBody = `{"error":"server_error"}` + "\n"

// HTTPRules returns the rules for the OAuth endpoints and their public documents.
func HTTPRules() surface.HTTPRules {
	return surface.HTTPRules{
		Root: "/oauth/",
		// Clients in browsers read the metadata (RFC 8414 §3) and the keys, which are
		// below /.well-known/.
		CrossOriginPaths:   []string{"/oauth/", "/.well-known/"},
		CrossOriginHeaders: []string{"idempotency-key"},
		Guessable: []surface.GuessablePath{{
			Prefix: "/oauth/", Type: "application/json;charset=UTF-8",
			Body: `{"error":"temporarily_unavailable","error_description":"Too many requests. Try again later.",` +
				`"Errors":[{"ErrorCode":"TooManyRequests","Message":"Too many requests. Try again later.","Data":null}]}`,
		}},
	}
}
