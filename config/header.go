package config

import (
	"net/http"
	"slices"
	"strings"
)

// takenHeaders mean something already, wherever they come from.
var takenHeaders = [...]string{
	"Authorization", "Proxy-Authorization", "Cookie", "Host", "Dpop", "Origin", "Connection", "Transfer-Encoding", "Upgrade",
	"Accept", "Content-Type", "Content-Length", "Content-Encoding", "User-Agent", "If-Match", "If-None-Match",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Request-Id",
	"Ep-Account-Management-Authentication-Token",
}

// headerProblem says why a header may not carry the address of a user; empty if
// it may, or if there is none.
func headerProblem(name string) string {
	switch {
	case name == "":
		return ""
	case !isToken(name):
		return "must be the name of a header"
	case slices.Contains(takenHeaders[:], http.CanonicalHeaderKey(name)):
		return "must be a header that means nothing else"
	}
	return ""
}

// isToken tells whether the text is a token of RFC 9110 §5.6.2.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		digit := '0' <= r && r <= '9'
		return !letter && !digit && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
