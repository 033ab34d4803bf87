package listen

import (
	"net/http"
	"slices"
	"strings"

	"latchkey/oauth/surface"
)

// crossOriginHeaders are the request headers that cross-origin callers of every
// surface may send, besides those that the Fetch standard always allows.
var crossOriginHeaders = []string{"authorization", "content-type", "dpop", "if-match", "x-request-id"}

const (
	crossOriginMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	crossOriginReads   = "DPoP-Nonce, ETag, Latchkey-Changed, Latchkey-Notice, Latchkey-Total, Location, Retry-After, WWW-Authenticate, X-Request-Id"
	preflightMaxAge    = "600" // seconds
	preflightPattern   = "OPTIONS preflight"
)

// crossOrigin lets pages of other origins call the API from a browser (Fetch
// standard, §3.3). An origin is compared as a whole, there is no wildcard, and no
// credentials are allowed: callers carry tokens, not cookies.
type crossOrigin struct {
	origins  []string
	paths    []string // beginnings of the paths that may be called
	headers  []string // names of the headers that may be sent
	prefixes []string // beginnings of further names
}

// newCrossOrigin returns nil, which lets nobody call, if there are no origins.
func newCrossOrigin(origins []string, surfaces []surface.HTTPRules) *crossOrigin {
	if len(origins) == 0 {
		return nil
	}
	c := &crossOrigin{origins: origins, headers: slices.Clone(crossOriginHeaders)}
	for i := range surfaces {
		c.paths = append(c.paths, surfaces[i].CrossOriginPaths...)
		c.headers = append(c.headers, surfaces[i].CrossOriginHeaders...)
		c.prefixes = append(c.prefixes, surfaces[i].CrossOriginHeaderPrefixes...)
	}
	return c
}

// wrap returns next with the headers that let pages of the origins call it.
func (c *crossOrigin) wrap(next http.Handler) http.Handler {
	if c == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasPrefix(c.paths, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Origin") // also if no origin was sent
		sent := r.Header.Values("Origin")
		if len(sent) != 1 || !slices.Contains(c.origins, sent[0]) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", sent[0])
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			c.answerPreflight(w, r)
			return
		}
		w.Header().Set("Access-Control-Expose-Headers", crossOriginReads)
		next.ServeHTTP(w, r)
	})
}

// hasPrefix reports whether the text begins with one of the prefixes.
func hasPrefix(prefixes []string, text string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(text, p) })
}

func (c *crossOrigin) answerPreflight(w http.ResponseWriter, r *http.Request) {
	r.Pattern = preflightPattern // for the log: no mux sees the request
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", crossOriginMethods)
	h.Set("Access-Control-Allow-Headers", strings.Join(c.allowedHeaders(r.Header), ", "))
	h.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// allowedHeaders returns the names of the headers that may be sent: the fixed ones
// and, of the requested ones, those that begin with an allowed prefix. The wildcard
// "*" is no substitute, since browsers do not apply it to Authorization.
func (c *crossOrigin) allowedHeaders(request http.Header) []string {
	allowed := slices.Clone(c.headers)
	for _, line := range request.Values("Access-Control-Request-Headers") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			if isHeaderName(name) && hasPrefix(c.prefixes, name) && !slices.Contains(allowed, name) {
				allowed = append(allowed, name)
			}
		}
	}
	return allowed
}

// isHeaderName reports whether the name has lower-case letters, digits and hyphens
// only. It is written into an answer.
func isHeaderName(name string) bool {
	word := func(c rune) bool { return c == '-' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	return !strings.ContainsFunc(name, func(c rune) bool { return !word(c) })
}
