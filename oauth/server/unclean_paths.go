package server

import (
	"net/http"
	"path"
	"strings"

	"latchkey/oauth/surface"
)

// answerUncleanPaths answers requests that the router would redirect: for the root
// of a surface without its slash, and for paths below it with empty segments or
// dots. No route has such a path, and the clients of dialects read JSON only. The
// base path is that of the issuer, such as /tenant; it may be empty.
func answerUncleanPaths(base string, rules []surface.HTTPRules, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		below := strings.TrimPrefix(escaped, base)
		for _, rule := range rules {
			if rule.NotFound == nil {
				continue
			}
			clean := strings.TrimSuffix(escaped, "/") == path.Clean(escaped)
			if below == strings.TrimSuffix(rule.Root, "/") || strings.HasPrefix(below, rule.Root) && !clean {
				r.Pattern = rule.Root // for the log and the metrics
				rule.NotFound(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
