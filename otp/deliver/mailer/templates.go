package mailer

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
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

// fileName matches TYPE.PART and TYPE.LOCALE.PART.
var fileName = regexp.MustCompile(`^([A-Za-z]+)(?:\.([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?\.(subject|txt|html)$`)

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

// read takes the letters of dir over.
func (t *Templates) read(dir fs.FS) error {
	files, err := sources(dir)
	if err != nil {
		return err
	}
	var faults []error
	for _, kind := range slices.Sorted(maps.Keys(files)) {
		locales := files[kind]
		if !slices.Contains(kinds[:], kind) {
			faults = append(faults, fmt.Errorf("mail templates: there are no messages of type %s", kind))
			continue
		}
		letters := map[string]letter{}
		if locales[""] == nil {
			faults = append(faults, fmt.Errorf("mail templates: %s has no default language: %s.subject, %[1]s.txt and %[1]s.html are needed", kind, kind))
		}
		for _, locale := range slices.Sorted(maps.Keys(locales)) {
			l, err := parse(kind, locale, locales[locale])
			if err != nil {
				faults = append(faults, err)
			}
			letters[locale] = l
		}
		t.letters[kind] = letters
	}
	return errors.Join(faults...)
}

// sources reads the files of dir, by message type, locale and part. Hidden
// files and directories are left alone; any other name is a fault, since it is
// a template that nobody would ever use.
func sources(dir fs.FS) (map[storage.MessageType]map[string]map[string]string, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("mail templates: %w", err)
	}
	found := map[storage.MessageType]map[string]map[string]string{}
	var faults []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || entry.IsDir() {
			continue
		}
		match := fileName.FindStringSubmatch(entry.Name())
		if match == nil {
			faults = append(faults, fmt.Errorf("mail templates: %s is not named TYPE.subject, .txt or .html, with or without a locale as in TYPE.de-AT.txt", entry.Name()))
			continue
		}
		text, err := readFile(dir, entry.Name())
		if err != nil {
			faults = append(faults, fmt.Errorf("mail templates: %w", err))
			continue
		}
		kind, locale, part := storage.MessageType(match[1]), strings.ToLower(match[2]), match[3]
		if found[kind] == nil {
			found[kind] = map[string]map[string]string{}
		}
		if found[kind][locale] == nil {
			found[kind][locale] = map[string]string{}
		}
		found[kind][locale][part] = text
	}
	return found, errors.Join(faults...)
}

func readFile(dir fs.FS, name string) (string, error) {
	f, err := dir.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return string(text), err
}

// parse makes a letter of its parts and fills it once.
func parse(kind storage.MessageType, locale string, parts map[string]string) (letter, error) {
	name := string(kind)
	if locale != "" {
		name += "." + locale
	}
	var missing []error
	for _, part := range []string{subjectPart, plainPart, htmlPart} {
		if strings.TrimSpace(parts[part]) == "" {
			missing = append(missing, fmt.Errorf("mail templates: %s.%s is missing or empty", name, part))
		}
	}
	if missing != nil {
		return letter{}, errors.Join(missing...)
	}
	var l letter
	var err [3]error
	l.subject, err[0] = texttemplate.New(name + ".subject").Option("missingkey=error").Parse(strings.TrimSpace(parts[subjectPart]))
	l.plain, err[1] = texttemplate.New(name + ".txt").Option("missingkey=error").Parse(parts[plainPart])
	l.html, err[2] = htmltemplate.New(name + ".html").Option("missingkey=error").Parse(parts[htmlPart])
	if err := errors.Join(err[:]...); err != nil {
		return letter{}, fmt.Errorf("mail templates: %w", err)
	}
	return l, l.try(kind, name)
}

// try fills the letter with samples, once with a URL and once without. What
// the message is about must be in both bodies: the code, or the username.
func (l letter) try(kind storage.MessageType, name string) error {
	sample := Data{Site: "Example", Username: "jane", Code: "8BM3SYBG", Minutes: 10, Days: 1, LockedUntil: "2026-03-29 14:05 UTC"}
	field, wanted := "Code", sample.Code
	if !kind.HasCode() {
		sample.Code, field, wanted = "", "Username", sample.Username
	}
	for _, sample.URL = range []string{"https://example.com/renew", ""} {
		text, err := l.fill(sample)
		switch {
		case err != nil:
			return fmt.Errorf("mail templates: %w", err)
		case strings.ContainsAny(text.Subject, "\r\n"):
			return fmt.Errorf("mail templates: %s.subject has more than one line", name)
		case !strings.Contains(text.Plain, wanted):
			return fmt.Errorf("mail templates: %s.txt does not show {{.%s}}", name, field)
		case !strings.Contains(text.HTML, wanted):
			return fmt.Errorf("mail templates: %s.html does not show {{.%s}}", name, field)
		}
	}
	return nil
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
