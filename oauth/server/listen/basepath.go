package listen

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Below serves everything that next serves at the root below the base path as
// well, and metadata where RFC 8414 §3.1 puts it: /.well-known/NAME/base is
// /.well-known/NAME of next. The base path, such as /tenant, has no slash at its
// end and only characters that URLs leave unescaped; empty: next alone is
// returned. Requests outside of the base path go to next unchanged, because some
// proxies take the path away.
func Below(base string, next http.Handler) http.Handler {
	if base == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner, ok := withoutBase(r, base)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		defer func() { r.Pattern = inner.Pattern }() // for the log and the metrics
		next.ServeHTTP(w, inner)
	})
}

// withoutBase returns the request as next knows it, and false if it is outside
// of the base path. Paths that are not clean are left to the router of next,
// which redirects to the clean path.
func withoutBase(r *http.Request, base string) (*http.Request, bool) {
	escaped := r.URL.EscapedPath()
	cut := func(p string) (string, bool) {
		if below, ok := strings.CutPrefix(p, base+"/"); ok {
			return "/" + below, true
		}
		name, ok := strings.CutSuffix(p, base)
		return name, ok && strings.HasPrefix(name, "/.well-known/") && strings.Count(name, "/") == 2
	}
	if clean := path.Clean(escaped); clean != escaped && clean+"/" != escaped {
		return nil, false
	}
	rawPath, ok := cut(escaped)
	if !ok {
		return nil, false
	}
	inner, target := *r, *r.URL
	target.Path, _ = url.PathUnescape(rawPath) // it is part of a valid path
	target.RawPath = rawPath
	inner.URL = &target
	return &inner, true
}
