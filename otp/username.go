package otp

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"latchkey/storage"
)

// NormalizeUsername returns the form under which a username or e-mail address is looked
// up and counted: NFKC, case folded, without surrounding space. Names with the same
// form identify the same login. The result is valid UTF-8 without NUL, and normalizing
// it again does not change it.
func NormalizeUsername(s string) string {
	// Folding can undo the composition, and composing can produce characters to fold.
	// After two rounds nothing changes any more (Unicode, definition D147).
	s = norm.NFD.String(storage.StorableText(s))
	for range 2 {
		s = norm.NFKC.String(cases.Fold().String(s))
	}
	return strings.TrimSpace(s)
}

// MaxNameBytes is the longest name that IsName accepts, in bytes.
const MaxNameBytes = 512

// IsName reports whether s can be a username, an e-mail address or a client ID: at most
// MaxNameBytes bytes of valid UTF-8 without control characters. The empty string is
// one. Text that cannot be a name need not be looked up.
func IsName(s string) bool {
	return len(s) <= MaxNameBytes && utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// HasInvisible reports whether s contains an invisible character, such as a zero-width
// space, a soft hyphen or a bidirectional control. A name with one looks like another
// name, so new usernames and e-mail addresses must not contain any.
func HasInvisible(s string) bool { return strings.ContainsFunc(s, isInvisible) }

// isInvisible reports whether r is a format character or has the property
// Default_Ignorable_Code_Point (Unicode Standard, section 5.21). All
// bidirectional controls are format characters.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Errors of SetUsername.
var (
	ErrUsernameEmpty     = errors.New("the username is empty")
	ErrUsernameNotEmail  = errors.New("the username is not an e-mail address, as the password profile demands")
	ErrUsernameInvisible = errors.New("the username contains invisible characters")
)

// SetUsername gives a login of the password profile a username, or returns one of the
// errors above.
func SetUsername(l *storage.Login, p storage.PasswordProfile, username string) error {
	key := NormalizeUsername(username)
	switch {
	case p.UsernameFormat == storage.UsernameEmail && (!IsEmail(username) || HasInvisible(username)):
		return ErrUsernameNotEmail
	case HasInvisible(username):
		return ErrUsernameInvisible
	case key == "":
		return ErrUsernameEmpty
	}
	l.Username, l.UsernameKey = username, key
	return nil
}

// IsEmail reports whether s is an e-mail address without a display name.
func IsEmail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}
