package mailer

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"strings"
	texttemplate "text/template"
	"unicode"

	"latchkey/storage"
)

//go:embed templates
var embedded embed.FS

// Data is what a template can use.
type Data struct {
	Site     string // the site's name
	Username string // of the login that the message is about
	Code     string // empty for ForgottenUsername, AccountLocked and ContactChanged
	URL      string // where the code is to be entered; empty: the message does not say
	Minutes  int    // until the code expires, at least 1
	Days     int    // the same, at least 1

	// LockedUntil is, for AccountLocked, when the lock ends, as in
	// "2026-03-29 14:05 UTC"; empty: the message does not say.
	LockedUntil string
}

// Text is a filled template.
type Text struct{ Subject, Plain, HTML string }

const (
	maxFile = 256 << 10 // bytes of a template
	maxText = 1 << 20   // bytes of what it is filled to
)

// Names of the three files a message has in each language, behind
// TYPE. or TYPE.LOCALE.
const (
	subjectPart = "subject"
	plainPart   = "txt"
	htmlPart    = "html"
)

// kinds are the types of message that there are mails of.
var kinds = [...]storage.MessageType{
	storage.MessageOneTimePassword, storage.MessageForgottenPassword,
	storage.MessageForgottenUsername, storage.MessageNewUserInvitation, storage.MessageAccountLocked, storage.MessageContactChanged,
}

// letter is a message in one language.
type letter struct {
	subject, plain *texttemplate.Template
	html           *htmltemplate.Template
}

// Templates are the texts of mails by message type and language.
type Templates struct {
	letters map[storage.MessageType]map[string]letter // by lower-case locale, "" being the default
}

// LoadTemplates reads templates from the files of dir, or the embedded ones if
// dir is nil. For a message type that dir has files of, these are all there
// are; of other types the embedded ones stay. The error tells every fault:
// each template is filled once, so that it does not fail for the first time
// when somebody waits for a code.
func LoadTemplates(dir fs.FS) (*Templates, error) {
	builtin, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	t := &Templates{letters: map[storage.MessageType]map[string]letter{}}
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

// Render fills the template of the message type in the best language there is
// for the locale: "de-AT", else "de", else the default. Names are data
// wherever they end up: what is no printable character is replaced, so that
// none can begin a line of its own, and HTML is escaped.
func (t *Templates) Render(kind storage.MessageType, locale string, d Data) (Text, error) {
	letters, ok := t.letters[kind]
	if !ok {
		return Text{}, fmt.Errorf("there is no mail template for messages of type %s", kind)
	}
	d.Site, d.Username, d.Code, d.URL = line(d.Site), line(d.Username), line(d.Code), line(d.URL)
	text, err := pick(letters, locale).fill(d)
	if err != nil {
		return Text{}, err
	}
	// What looks like an encoded-word (RFC 2047 §2) would be read as what it
	// encodes.
	text.Subject = strings.ReplaceAll(line(text.Subject), "=?", "= ?")
	return text, nil
}

func pick(letters map[string]letter, locale string) letter {
	locale = strings.ToLower(strings.ReplaceAll(locale, "_", "-"))
	for locale != "" {
		if l, ok := letters[locale]; ok {
			return l
		}
		locale = locale[:max(0, strings.LastIndexByte(locale, '-'))]
	}
	return letters[""]
}

func (l letter) fill(d Data) (Text, error) {
	var subject, plain, html limited
	// The causes may quote the data, hence the code.
	if l.subject.Execute(&subject, d) != nil || l.plain.Execute(&plain, d) != nil || l.html.Execute(&html, d) != nil {
		return Text{}, l.blame(d)
	}
	return Text{Subject: subject.String(), Plain: plain.String(), HTML: html.String()}, nil
}

// blame says which part fails, by what it says of a sample.
func (l letter) blame(d Data) error {
	for _, part := range []interface {
		Execute(w io.Writer, data any) error
		Name() string
	}{l.subject, l.plain, l.html} {
		if err := part.Execute(&limited{}, d); err != nil {
			return fmt.Errorf("template %s: %s", part.Name(), without(err.Error(), d.Code))
		}
	}
	return errors.New("a mail template failed")
}

// without returns the text without the code.
func without(text, code string) string {
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

// line returns s without anything that is not a printable character: no line
// breaks, no other controls, no marks that reverse the direction of the text.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
