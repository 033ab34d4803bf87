package mailer

import (
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// compose returns the mail. Its Message-ID contains id, the id of the message, so that
// mail servers and mail programs can recognise a second copy.
func compose(from, to *mail.Address, id string, now time.Time, text Text) *gomail.Msg {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(from)
	m.ToMailAddress(to)
	m.Subject(text.Subject)
	m.SetMessageIDWithValue(id + "@" + domainOf(from))
	m.SetDateWithValue(now)
	// No automatic reply, such as an absence notice, may answer this mail (RFC 3834 §5).
	m.SetGenHeader(gomail.Header("Auto-Submitted"), "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, text.Plain)
	m.AddAlternativeString(gomail.TypeTextHTML, text.HTML)
	return m
}

// domainOf returns the part of an address after the @.
func domainOf(a *mail.Address) string { return a.Address[strings.LastIndexByte(a.Address, '@')+1:] }
