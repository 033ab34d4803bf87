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

// read parses the files of dir. They replace the translations of their message types.
func (t *Templates) read(dir fs.FS) error {
	files, err := readFiles(dir)
	if err != nil {
		return err
	}
	var faults []error
	for _, kind := range slices.Sorted(maps.Keys(files)) {
		locales := files[kind]
		if !slices.Contains(messageTypes[:], kind) {
			faults = append(faults, fmt.Errorf("mail templates: there are no messages of type %s", kind))
			continue
		}
		translations := map[string]translation{}
		if locales[""] == nil {
			faults = append(faults, fmt.Errorf("mail templates: %s has no default language: %s.subject, %[1]s.txt and %[1]s.html are needed", kind, kind))
		}
		for _, locale := range slices.Sorted(maps.Keys(locales)) {
			tr, err := parse(kind, locale, locales[locale])
			if err != nil {
				faults = append(faults, err)
			}
			translations[locale] = tr
		}
		t.byType[kind] = translations
	}
	return errors.Join(faults...)
}

// readFiles returns the texts of the files of dir, by message type, locale in lower case
// and suffix. It ignores hidden files and directories. Any other name that is not the
// name of a template is a fault, because the file would never be used.
func readFiles(dir fs.FS) (map[storage.MessageType]map[string]map[string]string, error) {
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

// parse parses the three templates of a translation and fills them with sample data.
func parse(kind storage.MessageType, locale string, parts map[string]string) (translation, error) {
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
		return translation{}, errors.Join(missing...)
	}
	var t translation
	var err [3]error
	t.subject, err[0] = texttemplate.New(name + ".subject").Option("missingkey=error").Parse(strings.TrimSpace(parts[subjectPart]))
	t.plain, err[1] = texttemplate.New(name + ".txt").Option("missingkey=error").Parse(parts[plainPart])
	t.html, err[2] = htmltemplate.New(name + ".html").Option("missingkey=error").Parse(parts[htmlPart])
	if err := errors.Join(err[:]...); err != nil {
		return translation{}, fmt.Errorf("mail templates: %w", err)
	}
	return t, t.check(kind, name)
}

// check fills the templates with sample data, once with a URL and once without. Both
// bodies must show the code, or the username if the message type has no code.
func (t translation) check(kind storage.MessageType, name string) error {
	sample := Data{Site: "Example", Username: "jane", Code: "8BM3SYBG", Minutes: 10, Days: 1, LockedUntil: "2026-03-29 14:05 UTC"}
	field, wanted := "Code", sample.Code
	if !kind.HasCode() {
		sample.Code, field, wanted = "", "Username", sample.Username
	}
	for _, sample.URL = range []string{"https://example.com/renew", ""} {
		text, err := t.fill(sample)
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
