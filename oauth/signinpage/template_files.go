package signinpage

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

//go:embed templates/page.html texts/*.json assets
var embedded embed.FS

const (
	templateName  = "page.html"
	defaultLocale = "en"
	maxFile       = 256 << 10 // bytes of a file of the pages
	pageSize      = 4 << 10   // bytes that most pages have
)

// assetTypes are the media types of the files beside the pages, by suffix. JavaScript can
// not be replaced, because it can read what users type.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp",
}

var (
	textsName   = regexp.MustCompile(`^([A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\.json$`)
	assetName   = regexp.MustCompile(`^[A-Za-z0-9_-]+\.(?:css|svg|png|webp)$`)
	placeholder = regexp.MustCompile(`\{[a-z]+\}`)
)

// Templates has the template of the pages, their texts in all languages, and the files
// beside them.
type Templates struct {
	page    *template.Template
	texts   map[string]map[string]string // first key: locale in lower case
	locales []string                     // as the names of the files have them, in order
	assets  map[string][]byte
	first   firstPages
}

// LoadTemplates reads the embedded files and then those in dir, which may be nil: page.html
// and style.css replace the embedded ones, LOCALE.json texts of a language, and images are
// served beside the pages. The error lists every fault. All pages are filled with sample
// data in all languages, so that a fault shows at the start and not when a user signs in.
func LoadTemplates(dir fs.FS) (*Templates, error) {
	t := &Templates{texts: map[string]map[string]string{}, assets: map[string][]byte{}}
	source := ""
	for _, folder := range []string{"templates", "texts", "assets"} {
		files, err := fs.Sub(embedded, folder)
		if err == nil {
			err = t.read(files, &source, true)
		}
		if err != nil {
			return nil, err
		}
	}
	if dir != nil {
		if err := t.read(dir, &source, false); err != nil {
			return nil, err
		}
	}
	t.locales = slices.Sorted(maps.Keys(t.texts))
	var err error
	if t.page, err = template.New(templateName).Option("missingkey=error").Parse(source); err != nil {
		return nil, fmt.Errorf("page templates: %w", err)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

// read takes the files of dir. It ignores hidden files and directories. Any other name
// that is not one of a file of the pages is a fault, because the file would never be used.
func (t *Templates) read(dir fs.FS, source *string, builtin bool) error {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return fmt.Errorf("page templates: %w", err)
	}
	var faults []error
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || entry.IsDir() {
			continue
		}
		content, err := readFile(dir, name)
		if err != nil {
			faults = append(faults, fmt.Errorf("page templates: %w", err))
			continue
		}
		locale := textsName.FindStringSubmatch(name)
		switch {
		case name == templateName:
			*source = string(content)
		case locale != nil:
			faults = append(faults, t.addTexts(locale[1], content, builtin))
		case builtin, assetName.MatchString(name):
			t.assets[name] = content
		default:
			faults = append(faults, fmt.Errorf("page templates: %s is neither page.html, nor a language such as de.json, nor a style sheet or an image (.css, .svg, .png, .webp)", name))
		}
	}
	return errors.Join(faults...)
}

func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return content, err
}

// addTexts adds the texts of a language. A file of a language that is embedded may have
// some of the texts only. A further language needs all of them.
func (t *Templates) addTexts(locale string, content []byte, builtin bool) error {
	name, key := locale+".json", strings.ToLower(locale)
	var texts map[string]string
	if err := json.Unmarshal(content, &texts); err != nil {
		return fmt.Errorf("page templates: %s: %w", name, err)
	}
	merged := maps.Clone(t.texts[key])
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, texts)
	t.texts[key] = merged
	if builtin {
		return nil // a test compares the embedded languages
	}
	return compareTexts(name, merged, t.texts[defaultLocale])
}

// compareTexts returns an error with the texts that are missing, unknown or empty, or that
// have other placeholders than the English ones.
func compareTexts(name string, texts, english map[string]string) error {
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(english)) {
		if strings.TrimSpace(texts[key]) == "" {
			faults = append(faults, fmt.Errorf("page templates: %s: the text %s is missing", name, key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		wanted, known := english[key]
		if !known {
			faults = append(faults, fmt.Errorf("page templates: %s: there is no text %s", name, key))
			continue
		}
		for _, used := range placeholder.FindAllString(texts[key], -1) {
			if !strings.Contains(wanted, used) {
				faults = append(faults, fmt.Errorf("page templates: %s: the text %s cannot have %s", name, key, used))
			}
		}
	}
	return errors.Join(faults...)
}

// Locales returns the languages of the pages as language tags, sorted.
func (t *Templates) Locales() []string { return slices.Clone(t.locales) }

// asset returns a file beside the pages with its media type.
func (t *Templates) asset(name string) (content []byte, kind string, ok bool) {
	content, ok = t.assets[name]
	return content, assetTypes[path.Ext(name)], ok
}

// fill returns the page in its language.
func (t *Templates) fill(shown page) ([]byte, error) {
	shown.texts = t.texts[strings.ToLower(shown.Locale)]
	if shown.isFirst() {
		return t.first.fill(shown, t.execute)
	}
	return t.execute(shown)
}

// execute fills the template.
func (t *Templates) execute(shown page) ([]byte, error) {
	body := bytes.NewBuffer(make([]byte, 0, pageSize))
	err := t.page.ExecuteTemplate(body, templateName, shown)
	return body.Bytes(), err
}
