package mailer

import (
	"net/mail"
	"strings"

	"latchkey/otp/domain"
)

// asciiAddress returns the address with its domain in A-labels (RFC 5890 §2.3.2.1),
// which every mail server understands. The local part does not change. It returns an
// error if the domain has no A-labels.
func asciiAddress(a *mail.Address) (*mail.Address, error) {
	at := strings.LastIndexByte(a.Address, '@') + 1
	host, err := domain.ToASCII(a.Address[at:])
	if err != nil {
		return nil, err
	}
	return &mail.Address{Name: a.Name, Address: a.Address[:at] + host}, nil
}
