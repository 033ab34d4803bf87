package config

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestIssuer(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]string{
		"https://id.example":                "",
		"https://id.example:8443/tenant":    "",
		"https://id.example/a/b-c_d.e~f/G1": "",
		"http://localhost:8080":             "",
		"http://my_service:8080/auth/v1":    "",
		"http://127.0.0.1":                  "",
		"http://[::1]:8080/a":               "",
		"https://xn--bcher-kva.example":     "",
		"https://id.example/...":            "",

		"":                             "must be an http or https URL such as https://id.example",
		"id.example":                   "must be an http or https URL such as https://id.example",
		"ftp://id.example":             "must be an http or https URL such as https://id.example",
		"https:id.example":             "must be an http or https URL such as https://id.example",
		"https://":                     "must be an http or https URL such as https://id.example",
		"HTTPS://id.example":           "must have its scheme in lower case: write https://id.example",
		"HTTPS://me:pw@id.example":     "must have no user: write HTTPS://id.example",
		"https://me:pw@id.example/a":   "must have no user: write https://id.example/a",
		"https:///a":                   "must have a host name or an IP address, such as https://id.example",
		"https://:8443":                "must have a host name or an IP address, such as https://id.example",
		"https://id..example":          "must have a host name or an IP address, such as https://id.example",
		"https://-id.example":          "must have a host name or an IP address, such as https://id.example",
		"https://*.example":            "must have a host name or an IP address, such as https://id.example",
		"https://{tenant}.example":     "must have a host name or an IP address, such as https://id.example",
		"https://id%2eexample":         "must have a host name or an IP address, such as https://id.example",
		`https://id.example\a`:         "must have a host name or an IP address, such as https://id.example",
		"https://1.2.3":                "must have a host name or an IP address, such as https://id.example",
		"https://256.1.1.1":            "must have a host name or an IP address, such as https://id.example",
		"https://0x7f000001":           "must have a host name or an IP address, such as https://id.example",
		"https://id.example.":          "must have no dot at the end of its host: write https://id.example",
		"https://Id.Example/A":         "must have its host in lower case: write https://id.example/A",
		"https://bücher.example/a":     "must have its host in ASCII (RFC 5890): write https://xn--bcher-kva.example/a",
		"https://BÜCHER.example:444":   "must have its host in ASCII (RFC 5890): write https://xn--bcher-kva.example:444",
		"https://\u200b.example":       "must have an internet host name in ASCII (RFC 5890)",
		"https://[::1":                 "must have an IPv6 address without a zone in its brackets, such as http://[::1]:8080",
		"https://[1.2.3.4]":            "must have an IPv6 address without a zone in its brackets, such as http://[::1]:8080",
		"https://[fe80::1%25eth0]":     "must have an IPv6 address without a zone in its brackets, such as http://[::1]:8080",
		"https://[::0:1]:444/a":        "must have its address in the usual form: write https://[::1]:444/a",
		"https://id.example:":          "must have a port from 1 to 65535, or none and no colon",
		"https://id.example:0":         "must have a port from 1 to 65535, or none and no colon",
		"https://id.example:65536":     "must have a port from 1 to 65535, or none and no colon",
		"https://id.example:08443":     "must have a port from 1 to 65535, or none and no colon",
		"https://id.example:+84":       "must have a port from 1 to 65535, or none and no colon",
		"https://id.example:a":         "must have a port from 1 to 65535, or none and no colon",
		"https://id.example:443":       "must not name the port 443, which https has anyway",
		"http://id.example:80/a":       "must not name the port 80, which http has anyway",
		"https://id.example/":          "must not end in a slash: write https://id.example",
		"https://id.example/a/":        "must not end in a slash: write https://id.example/a",
		"https://id.example//a":        "must have no empty segments and no . or .. in its path: write https://id.example/a",
		"https://id.example/a//":       "must have no empty segments and no . or .. in its path: write https://id.example/a",
		"https://id.example/a/../b":    "must have no empty segments and no . or .. in its path: write https://id.example/b",
		"https://id.example/./a":       "must have no empty segments and no . or .. in its path: write https://id.example/a",
		"https://id.example/a%20b":     "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/%2e%2e/a":  "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/{t}":       "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/{t...}":    "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/{$}":       "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/ä":         "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/a:b":       "must have no other characters in its path than letters, digits and -._~",
		"https://id.example/a b":       "must have no spaces and control characters",
		"https://id.example\x00":       "must have no spaces and control characters",
		"https://id.example/a?":        "must have no query or fragment: write https://id.example/a",
		"https://id.example?x=1#y":     "must have no query or fragment: write https://id.example",
		"https://id.example#":          "must have no query or fragment: write https://id.example",
		"https://id.example/v1":        "must not have a path that begins with one of the server's own: /.well-known, /oauth, /openapi.json, /v1, /v2",
		"https://id.example/oauth/two": "must not have a path that begins with one of the server's own: /.well-known, /oauth, /openapi.json, /v1, /v2",
		"https://id.example//v2":       "must not have a path that begins with one of the server's own: /.well-known, /oauth, /openapi.json, /v1, /v2",
	} {
		if got := issuerProblem(issuer); got != want {
			t.Errorf("%q: got %q, want %q", issuer, got, want)
		}
	}
}

// FuzzIssuer tests that an accepted issuer is in the normal form of Go's URLs and of its
// router, and that a refused issuer gets one line of text.
func FuzzIssuer(f *testing.F) {
	for _, seed := range []string{
		"https://id.example/tenant", "https://host//a", "https://host/a%20b", "https://host/a/../b", "https://host/{t}",
		"http://[::1]:80", "https://b\u00fccher.example", "https://me@host", "https://host?x", "https://host:0/", "https://host/%2e",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, issuer string) {
		if problem := issuerProblem(issuer); problem != "" {
			if strings.ContainsAny(problem, "\r\n\x1b\x00") {
				t.Errorf("%q: got the problem %q, want one line without control characters", issuer, problem)
			}
			return
		}
		u, err := url.Parse(issuer)
		if err != nil || u.String() != issuer || u.Hostname() == "" || u.Path != u.EscapedPath() {
			t.Fatalf("%q is accepted: got the URL %v, error %v", issuer, u, err)
		}
		if got := (Config{Issuer: issuer}).IssuerPath(); got != u.Path {
			t.Errorf("%q: got the path %q, want %q", issuer, got, u.Path)
		}
		mux := http.NewServeMux()
		for _, own := range ownPaths {
			mux.HandleFunc("/"+own, http.NotFound)
		}
		mux.HandleFunc(u.Path+"/", http.NotFound) // panics if the path is not a pattern
		request, err := http.NewRequest(http.MethodGet, issuer+"/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, pattern := mux.Handler(request); pattern != u.Path+"/" {
			t.Errorf("%q: got the pattern %q", issuer, pattern)
		}
	})
}

// TestDerivedIssuer tests that the default issuer is the address on which the server listens.
func TestDerivedIssuer(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080":     "http://127.0.0.1:8080",
		"localhost:8080":     "http://localhost:8080",
		":8080":              "http://127.0.0.1:8080",
		"0.0.0.0:8080":       "http://127.0.0.1:8080",
		"[::]:8080":          "http://127.0.0.1:8080",
		"[::1]:8080":         "http://[::1]:8080",
		"[0:0::1]:8080":      "http://[::1]:8080",
		"LocalHost:08080":    "http://localhost:8080",
		"127.0.0.1:80":       "http://127.0.0.1",
		"127.0.0.1:0":        "http://127.0.0.1:4711",
		"localhost:0":        "http://localhost:4711",
		"[::1]:0":            "http://[::1]:4711",
		":0":                 "http://127.0.0.1:4711",
		"bücher.example:0":   "",
		"[fe80::1%eth0]:80":  "",
		"host/with/path:80":  "",
		"host:http":          "",
		"host{}:80":          "",
		"user@host:80":       "",
		"no-port.of.example": "",
	} {
		c, err := Load(Sources{Environ: []string{"LATCHKEY_LISTEN=" + listen, "LATCHKEY_PLAIN_HTTP=true"}})
		got := c.WithPort(4711)
		if (err == nil) != (want != "") || got.Issuer != want || got.Audience != want {
			t.Errorf("%s: got issuer %q, audience %q, error %v; want %q", listen, got.Issuer, got.Audience, err, want)
		}
	}
	c, err := Load(Sources{Environ: []string{"LATCHKEY_LISTEN=localhost:0", "LATCHKEY_ISSUER=https://id.example", "LATCHKEY_AUDIENCE=api"}})
	if got := c.WithPort(4711); err != nil || got.Issuer != "https://id.example" || got.Audience != "api" || got.Listen != "localhost:4711" {
		t.Errorf("a configured issuer: got %v, error %v", got, err)
	}
}
