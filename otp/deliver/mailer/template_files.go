package mailer

import (
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

	"latchkey/storage"
)

// fileName matches TYPE.PART and TYPE.LOCALE.PART.
var fileName = regexp.MustCompile(`^([A-Za-z]+)(?:\.([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*))?\.(subject|txt|html)$`)

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
