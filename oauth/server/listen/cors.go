package listen

import (
	"net/http"
	"slices"
	"strings"
)

// crossOriginPaths are the beginnings of the paths that pages of other origins
// may call, without the issuer's path (see Below). The last two are the public documents that
// browser clients configure themselves by: metadata (RFC 8414 §3), keys, and
// the description of the API.
var crossOriginPaths = []string{"/oauth/", "/v1/", "/v2/", "/.well-known/", "/openapi.json"}

// What cross-origin callers may send and read besides what the Fetch standard
// always lets them. Elastic Path's libraries have headers of their own.
var (
	crossOriginHeaders  = []string{"authorization", "content-type", "dpop", "if-match", "x-request-id", "ep-account-management-authentication-token"}
	crossOriginPrefixes = []string{"ep-", "x-moltin-"}
)

const (
	crossOriginMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	crossOriginReads   = "DPoP-Nonce, ETag, Latchkey-Changed, Latchkey-Notice, Location, Retry-After, WWW-Authenticate, X-Request-Id"
	preflightMaxAge    = "600" // seconds
	preflightPattern   = "OPTIONS preflight"
)

// crossOrigin lets pages of the origins call next from a browser (Fetch
// standard, §3.3). An origin is compared as a whole, there is no wildcard, and
// no credentials are allowed: callers carry tokens, not cookies.
func crossOrigin(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isCrossOriginPath(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Origin") // also where no origin was sent
		sent := r.Header.Values("Origin")
		if len(sent) != 1 || !slices.Contains(origins, sent[0]) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", sent[0])
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			answerPreflight(w, r)
			return
		}
		w.Header().Set("Access-Control-Expose-Headers", crossOriginReads)
		next.ServeHTTP(w, r)
	})
}

func isCrossOriginPath(path string) bool {
	return slices.ContainsFunc(crossOriginPaths, func(p string) bool { return strings.HasPrefix(path, p) })
}

func answerPreflight(w http.ResponseWriter, r *http.Request) {
	r.Pattern = preflightPattern // for the log: no mux sees the request
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", crossOriginMethods)
	h.Set("Access-Control-Allow-Headers", strings.Join(allowedHeaders(r.Header), ", "))
	h.Set("Access-Control-Max-Age", preflightMaxAge)
	w.WriteHeader(http.StatusNoContent)
}

// allowedHeaders returns the names of the headers that may be sent: the fixed
// ones and, of those asked for, the ones that begin with an allowed prefix. The
// wildcard would not do, as browsers take it for every header but
// Authorization.
func allowedHeaders(request http.Header) []string {
	allowed := slices.Clone(crossOriginHeaders)
	for _, line := range request.Values("Access-Control-Request-Headers") {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.Trim(name, " \t"))
			if hasAllowedPrefix(name) && !slices.Contains(allowed, name) {
				allowed = append(allowed, name)
			}
		}
	}
	return allowed
}

func hasAllowedPrefix(name string) bool {
	word := func(c rune) bool { return c == '-' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	if strings.ContainsFunc(name, func(c rune) bool { return !word(c) }) {
		return false
	}
	return slices.ContainsFunc(crossOriginPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
