package listen

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Below returns a handler that serves next at the root and also below the base
// path. It serves metadata at the place of RFC 8414 §3.1: /.well-known/NAME/base is
// /.well-known/NAME of next. The base path, such as /tenant, has no slash at its
// end and only characters that URLs do not escape. If it is empty, Below returns
// next. Requests outside of the base path go to next unchanged, because some
// proxies remove the path.
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

// withoutBase returns the request without the base path. It returns false if the
// request is outside of the base path, or if its path is not clean: the router of
// next redirects to the clean path.
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
	target.Path, _ = url.PathUnescape(rawPath) // a part of a valid path is valid
	target.RawPath = rawPath
	inner.URL = &target
	return &inner, true
}
