package config

import (
	"net/http"
	"slices"
	"strings"
)

// takenHeaders are headers that have another meaning already, so they cannot carry the
// address of a user.
var takenHeaders = [...]string{
	"Authorization", "Proxy-Authorization", "Cookie", "Host", "Dpop", "Origin", "Connection", "Transfer-Encoding", "Upgrade",
	"Accept", "Content-Type", "Content-Length", "Content-Encoding", "User-Agent", "If-Match", "If-None-Match",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Request-Id",
	"Ep-Account-Management-Authentication-Token",
}

// headerProblem returns why a header cannot be used for the address of a user. It
// returns "" if it can, or if name is empty.
func headerProblem(name string) string {
	switch {
	case name == "":
		return ""
	case !isToken(name):
		return "must be the name of a header"
	case slices.Contains(takenHeaders[:], http.CanonicalHeaderKey(name)):
		return "must be a header without another meaning"
	}
	return ""
}

// isToken reports whether the text is a token (RFC 9110 §5.6.2).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		digit := '0' <= r && r <= '9'
		return !letter && !digit && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
