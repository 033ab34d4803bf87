package listen

import (
	"net/http"
	"slices"
	"strings"
)

// WithoutTrailingSlash serves a path below one of the prefixes that ends in a
// slash as the path without that slash, whatever the method is. A redirect would
// do the same for a GET, but clients lose the body of other requests on it, or do
// not follow. A prefix is like "/v1/"; a path that is a prefix is not changed.
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
