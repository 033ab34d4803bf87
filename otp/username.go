package otp

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// NormalizeUsername returns the form under which a username or e-mail address
// is looked up and counted: NFKC, case folded, without surrounding space. Two
// names with one form are one login. The result is valid UTF-8 without NUL and
// normalises to itself.
func NormalizeUsername(s string) string {
	// Folding can undo the composition and composing can bring back something
	// to fold; two rounds settle it (Unicode, definition D147).
	s = norm.NFD.String(storable(s))
	for range 2 {
		s = norm.NFKC.String(cases.Fold().String(s))
	}
	return strings.TrimSpace(s)
}

// storable returns s with what a database refuses to keep in a text column
// replaced, so that nobody can make a statement fail by a name.
func storable(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

// MaxNameBytes bounds what is taken for a name at all; see IsName.
const MaxNameBytes = 512

// IsName tells whether s can be somebody's username, e-mail address or client
// id at all: at most 512 bytes of valid UTF-8 without control characters. The
// empty name is one. What no name can be need not be looked up.
func IsName(s string) bool {
	return len(s) <= MaxNameBytes && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
