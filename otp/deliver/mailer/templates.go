package mailer

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	texttemplate "text/template"
	"unicode"

	"latchkey/storage"
)

//go:embed templates
var embedded embed.FS

// Data has the fields that a template can use.
type Data struct {
	Site     string // the site's name
	Username string // of the login that the message is about
	Code     string // empty for ForgottenUsername, AccountLocked and ContactChanged
	URL      string // of the page where the user enters the code; empty: not shown
	Minutes  int    // until the code expires, at least 1
	Days     int    // until the code expires, at least 1

	// LockedUntil is the end of the lock for AccountLocked, for example
	// "2026-03-29 14:05 UTC"; empty: not shown.
	LockedUntil string
}

// Text is a filled template.
type Text struct{ Subject, Plain, HTML string }

const (
	maxFile = 256 << 10 // bytes of a template
	maxText = 1 << 20   // bytes of a filled template
)

// Suffixes of the three files of a message, after TYPE. or TYPE.LOCALE.
const (
	subjectPart = "subject"
	plainPart   = "txt"
	htmlPart    = "html"
)

// messageTypes lists the types of messages that have templates.
var messageTypes = [...]storage.MessageType{
	storage.MessageOneTimePassword, storage.MessageForgottenPassword,
	storage.MessageForgottenUsername, storage.MessageNewUserInvitation, storage.MessageAccountLocked, storage.MessageContactChanged,
}

// translation is the template of a message in one language.
type translation struct {
	subject, plain *texttemplate.Template
	html           *htmltemplate.Template
}

// Templates has the templates of all message types in all languages.
type Templates struct {
	byType map[storage.MessageType]map[string]translation // inner key: locale in lower case; "": the default
}

// LoadTemplates reads the embedded templates and then those in dir, which may be nil.
// For a message type that has files in dir, those replace all embedded languages. The
// error lists every fault. Each template is filled once with sample data, so that a
// faulty template fails at the start and not when a user waits for a code.
func LoadTemplates(dir fs.FS) (*Templates, error) {
	builtin, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	t := &Templates{byType: map[storage.MessageType]map[string]translation{}}
	if err := t.read(builtin); err != nil {
		return nil, err
	}
	if dir != nil {
		if err := t.read(dir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Render fills the template of the message type in the best language for the locale.
// For "de-AT" that is de-AT, otherwise de, otherwise the default. Values of d cannot
// inject anything: characters that are not printable are replaced, so that no value
// starts a new line, and HTML is escaped.
func (t *Templates) Render(kind storage.MessageType, locale string, d Data) (Text, error) {
	translations, ok := t.byType[kind]
	if !ok {
		return Text{}, fmt.Errorf("there is no mail template for messages of type %s", kind)
	}
	d.Site, d.Username, d.Code, d.URL = printable(d.Site), printable(d.Username), printable(d.Code), printable(d.URL)
	text, err := pick(translations, locale).fill(d)
	if err != nil {
		return Text{}, err
	}
	// Mail programs would decode an encoded-word (RFC 2047 §2) in the subject.
	text.Subject = strings.ReplaceAll(printable(text.Subject), "=?", "= ?")
	return text, nil
}

// Locales returns the languages in which there is a template of the message type, sorted.
// The empty one is for users of all other languages.
func (t *Templates) Locales(kind storage.MessageType) []string {
	return slices.Sorted(maps.Keys(t.byType[kind]))
}

// pick returns the translation for the locale, see Render.
func pick(translations map[string]translation, locale string) translation {
	locale = strings.ToLower(strings.ReplaceAll(locale, "_", "-"))
	for locale != "" {
		if l, ok := translations[locale]; ok {
			return l
		}
		locale = locale[:max(0, strings.LastIndexByte(locale, '-'))]
	}
	return translations[""]
}

// fill executes the three templates.
func (l translation) fill(d Data) (Text, error) {
	var subject, plain, html limited
	// The errors may quote the data and so the code, so they are not returned.
	if l.subject.Execute(&subject, d) != nil || l.plain.Execute(&plain, d) != nil || l.html.Execute(&html, d) != nil {
		return Text{}, l.executionError(d)
	}
	return Text{Subject: subject.String(), Plain: plain.String(), HTML: html.String()}, nil
}

// executionError executes the templates again and returns the first error without the
// code.
func (l translation) executionError(d Data) error {
	for _, part := range []interface {
		Execute(w io.Writer, data any) error
		Name() string
	}{l.subject, l.plain, l.html} {
		if err := part.Execute(&limited{}, d); err != nil {
			return fmt.Errorf("template %s: %s", part.Name(), withoutCode(err.Error(), d.Code))
		}
	}
	return errors.New("a mail template failed")
}

func withoutCode(text, code string) string {
	if code == "" {
		return text
	}
	return strings.ReplaceAll(text, code, "[code]")
}

// limited is a buffer that refuses to grow beyond maxText.
type limited struct{ strings.Builder }

func (b *limited) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, fmt.Errorf("longer than %d bytes", maxText)
	}
	return b.Builder.Write(p)
}

// printable replaces the characters of s that are not printable. Those are line breaks,
// other control characters, and marks that change the direction of the text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
