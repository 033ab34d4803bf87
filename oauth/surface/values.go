package surface

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"latchkey/otp"
	"latchkey/storage"
)

// Sizes of members, in bytes. Longer ones are refused.
const (
	MaxID     = 100
	MaxText   = otp.MaxNameBytes // the limit of package otp, so that a code can be requested for every username
	MaxSecret = 1024
)

// IsPlainText reports whether s is UTF-8 without control characters. PostgreSQL
// cannot store or compare some of the others.
func IsPlainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// IsEmail reports whether s is an e-mail address without a display name.
func IsEmail(s string) bool { return otp.IsEmail(s) }

// IsRole reports whether s is a scope-token (RFC 6749 §3.3) of at most MaxID
// bytes.
func IsRole(s string) bool {
	return s != "" && len(s) <= MaxID && IsScope(s) && !strings.Contains(s, " ")
}

// IsScope reports whether s is a list of scope-tokens with spaces between them
// (RFC 6749 §3.3), or empty.
func IsScope(s string) bool { return storage.IsOAuthText(s) }

// DescriptionText replaces each character that error_description may not hold
// (RFC 6749 §5.2) by a question mark.
func DescriptionText(s string) string { return storage.OAuthText(s) }

// ParseHTTPURL parses an absolute http or https URL; ok is false for other texts.
// Callers refuse URLs with a user name or password, because URLs are shown and
// logged.
func ParseHTTPURL(s string) (u *url.URL, ok bool) {
	u, err := url.Parse(s)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
