package otp

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"latchkey/storage"
)

// The alphabets of storage.CodeFormat.
const (
	// AlphabetCrockford is Crockford's base32: digits and capital letters
	// without I, L, O and U.
	AlphabetCrockford = "crockford"
	// AlphabetDigits is 0 to 9.
	AlphabetDigits = "digits"
)

const (
	minCodeBits   = 19.9 // six digits; NIST SP 800-63B, out-of-band secrets, rounds that to 20
	maxCodeLength = 64
)

// ErrFormat says that a code format has an unknown alphabet, or that its codes are
// too short or too long.
var ErrFormat = errors.New("unusable code format")

// DefaultFormat returns the default format: eight characters of Crockford's base32,
// 40 bits.
func DefaultFormat() storage.CodeFormat {
	return storage.NewPasswordProfile("", "").Code
}

// CheckFormat returns an error that wraps ErrFormat unless codes of the format have
// at least about 20 bits (four Crockford characters, six digits) and at most 64
// characters.
func CheckFormat(f storage.CodeFormat) error {
	n := len(symbols(f.Alphabet))
	switch {
	case n == 0:
		return fmt.Errorf("%w: alphabet %q is neither %q nor %q", ErrFormat, f.Alphabet, AlphabetCrockford, AlphabetDigits)
	case float64(f.Length)*math.Log2(float64(n)) < minCodeBits:
		return fmt.Errorf("%w: %d characters carry less than 20 bits", ErrFormat, f.Length)
	case f.Length > maxCodeLength:
		return fmt.Errorf("%w: %d characters, at most %d", ErrFormat, f.Length, maxCodeLength)
	}
	return nil
}

// symbols returns the characters of an alphabet, none if it is unknown.
func symbols(alphabet string) string {
	switch alphabet {
	case AlphabetCrockford:
		return "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	case AlphabetDigits:
		return "0123456789"
	}
	return ""
}

// Generate returns a new code of the format, in upper case and without separators.
// Every code is equally likely. It returns ErrFormat or the error of random.
func Generate(f storage.CodeFormat, random io.Reader) (string, error) {
	if err := CheckFormat(f); err != nil {
		return "", err
	}
	set := symbols(f.Alphabet)
	even := 256 / len(set) * len(set) // bytes from here on would make the first symbols more likely
	code := make([]byte, 0, f.Length)
	buf := make([]byte, f.Length)
	for len(code) < f.Length {
		if _, err := io.ReadFull(random, buf); err != nil {
			return "", fmt.Errorf("generate code: %w", err)
		}
		for _, b := range buf {
			if int(b) < even && len(code) < f.Length {
				code = append(code, set[int(b)%len(set)])
			}
		}
	}
	return string(code), nil
}

// Normalize returns a code as it was generated, from the way a person typed or
// pasted it. It removes spaces, dashes, combining marks and invisible
// characters, folds compatibility forms such as full-width letters (Unicode
// NFKD), converts to upper case, and reads O as 0 and I and L as 1.
//
// It does not depend on the alphabet. Crockford's base32 lacks the letters that
// are replaced, and digits have none. So every generated code is its own normal
// form, and no two codes share one.
func Normalize(code string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.In(r, unicode.Dash, unicode.M) || isInvisible(r):
			return -1
		case r == 'o' || r == 'O':
			return '0'
		case r == 'i' || r == 'I' || r == 'l' || r == 'L':
			return '1'
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, norm.NFKD.String(code))
}
