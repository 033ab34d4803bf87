package ordercloud

import "latchkey/oauth/surface"

// HTTPRules returns the rules for the paths of the dialect.
func HTTPRules() surface.HTTPRules {
	const tooMany = `{"Errors":[{"ErrorCode":"TooManyRequests","Message":"Too many requests. Try again later.","Data":null}]}`
	return surface.HTTPRules{
		Root: "/v1/", NotFound: NotFound,
		CrossOriginPaths: []string{"/v1/"},
		Guessable: []surface.GuessablePath{
			{Prefix: "/v1/password", Type: mediaType, Body: tooMany},
			{Prefix: "/v1/username/", Type: mediaType, Body: tooMany},
		},
	}
}
