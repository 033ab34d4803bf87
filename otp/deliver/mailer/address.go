package mailer

import (
	"errors"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// asciiAddress returns the address with its domain in A-labels (RFC 5890 §2.3.2.1),
// which every mail server understands. The local part does not change. It returns an
// error if the domain has no A-labels.
func asciiAddress(a *mail.Address) (*mail.Address, error) {
	at := strings.LastIndexByte(a.Address, '@') + 1
	host, err := asciiHost(a.Address[at:])
	if err != nil {
		return nil, err
	}
	return &mail.Address{Name: a.Name, Address: a.Address[:at] + host}, nil
}

// asciiHost returns a host name in A-labels. It does not change an ASCII name or an
// IP address.
func asciiHost(host string) (string, error) {
	if isASCII(host) {
		return host, nil
	}
	labels, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return "", errors.New("not a valid internationalized domain name (RFC 5891)")
	}
	return labels, nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
