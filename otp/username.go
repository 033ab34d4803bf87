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

// HasInvisible reports whether s contains a character that is not seen, such as
// a zero-width space, a soft hyphen or a bidirectional control. A name with one
// looks like another name, so no new username or e-mail address may have one.
func HasInvisible(s string) bool { return strings.ContainsFunc(s, isInvisible) }

// isInvisible reports whether r is a format character or has the property
// Default_Ignorable_Code_Point (Unicode Standard, section 5.21). All
// bidirectional controls are format characters.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
