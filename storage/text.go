package storage

import (
	"strings"
	"unicode/utf8"
)

// IsStorable reports whether a text can be stored: valid UTF-8 without NUL.
// PostgreSQL refuses other texts, and a statement with one fails.
func IsStorable(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

// StorableText returns s with each NUL and invalid part replaced by U+FFFD. A text
// that can be stored does not change.
func StorableText(s string) string {
	if IsStorable(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// IsOAuthText reports whether s has only the characters of a scope and of an
// error_description (RFC 6749 §3.3 and §5.2): ASCII without controls, quotes and
// backslashes.
func IsOAuthText(s string) bool { return OAuthText(s) == s }

// OAuthText replaces each character of s that IsOAuthText refuses by a question mark.
func OAuthText(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, s)
}
