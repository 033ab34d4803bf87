// Package domain writes internet domain names in ASCII.
package domain

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

var errDomain = errors.New("not a valid internationalized domain name (RFC 5891)")

// ToASCII returns a domain name in A-labels (RFC 5890 §2.3.2.1), which every server
// understands. It does not change a name in ASCII or an IP address. It returns an
// error if the name has no A-labels.
func ToASCII(name string) (string, error) {
	if IsASCII(name) {
		return name, nil
	}
	labels, err := idna.Lookup.ToASCII(name)
	if err != nil {
		return "", errDomain
	}
	return labels, nil
}

// IsASCII reports whether s has only ASCII characters.
func IsASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
