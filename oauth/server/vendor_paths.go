package server

import (
	"net/http"
	"path"
	"strings"

	"latchkey/oauth/elasticpath"
	"latchkey/oauth/ordercloud"
)

// vendorPaths answers what the router would redirect: the roots of the dialects
// without a slash, and paths below them with empty segments or dots. No route has
// such a path, and the vendors' clients read JSON only. The base path is that of the
// issuer, such as /tenant; it may be empty.
func vendorPaths(base string, next http.Handler) http.Handler {
	dialects := map[string]http.HandlerFunc{"/v1": ordercloud.NotFound, "/v2": elasticpath.NotFound}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		escaped := r.URL.EscapedPath()
		below := strings.TrimPrefix(escaped, base)
		for root, notFound := range dialects {
			clean := strings.TrimSuffix(escaped, "/") == path.Clean(escaped)
			if below == root || strings.HasPrefix(below, root+"/") && !clean {
				r.Pattern = root + "/" // for the log and the metrics
				notFound(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
