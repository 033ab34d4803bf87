package elasticpath

import "latchkey/oauth/surface"

// HTTPRules returns the rules for the paths of the dialect. The prefixes are those of
// headers that Elastic Path's client libraries send.
func HTTPRules() surface.HTTPRules {
	return surface.HTTPRules{
		Root: "/v2/", NotFound: NotFound,
		CrossOriginPaths:          []string{"/v2/"},
		CrossOriginHeaders:        []string{"ep-account-management-authentication-token"},
		CrossOriginHeaderPrefixes: []string{"ep-", "x-moltin-"},
		Guessable: []surface.GuessablePath{{
			Prefix: "/v2/account-members/tokens", Type: "application/json",
			Body: `{"errors":[{"title":"Too Many Requests","status":"429","detail":"Too many requests. Try again later."}]}`,
		}},
	}
}
