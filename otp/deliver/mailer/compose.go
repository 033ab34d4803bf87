package mailer

import (
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// compose makes the mail. Its Message-ID is that of the delivery, so that a
// mail server or a reader can tell a second copy.
func compose(from, to *mail.Address, id string, now time.Time, text Text) *gomail.Msg {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(from)
	m.ToMailAddress(to)
	m.Subject(text.Subject)
	m.SetMessageIDWithValue(id + "@" + domain(from))
	m.SetDateWithValue(now)
	// RFC 3834 §5: nobody's absence notice shall answer this.
	m.SetGenHeader(gomail.Header("Auto-Submitted"), "auto-generated")
	m.SetBodyString(gomail.TypeTextPlain, text.Plain)
	m.AddAlternativeString(gomail.TypeTextHTML, text.HTML)
	return m
}

// domain returns what is behind the @ of an address.
func domain(a *mail.Address) string { return a.Address[strings.LastIndexByte(a.Address, '@')+1:] }
