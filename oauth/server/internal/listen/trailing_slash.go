package listen

import (
	"net/http"
	"slices"
	"strings"
)

// WithoutTrailingSlash returns a handler that removes a slash at the end of paths
// below the prefixes, for all methods, and calls next. A redirect would do for GET,
// but clients drop the body of other requests, or do not follow. A prefix is like
// "/v1/". A path that equals a prefix is not changed.
func WithoutTrailingSlash(prefixes []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath() // an escaped slash at the end is part of a name
		below := func(prefix string) bool { return strings.HasPrefix(path, prefix) && path != prefix }
		if !strings.HasSuffix(path, "/") || !slices.ContainsFunc(prefixes, below) {
			next.ServeHTTP(w, r)
			return
		}
		inner, target := *r, *r.URL
		target.Path, target.RawPath = strings.TrimSuffix(target.Path, "/"), strings.TrimSuffix(target.RawPath, "/")
		inner.URL = &target
		defer func() { r.Pattern = inner.Pattern }() // for the log and the metrics
		next.ServeHTTP(w, &inner)
	})
}
