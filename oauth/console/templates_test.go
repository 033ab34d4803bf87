package console

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// htmxSum is the SHA-256 of dist/htmx.min.js in the package htmx.org 2.0.11.
const htmxSum = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"

func TestHTMXIsUnchanged(t *testing.T) {
	t.Parallel()
	content, err := embedded.ReadFile("assets/htmx/htmx.min.js")
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != htmxSum {
		t.Errorf("htmx.min.js is not that of the package: %x", sum)
	}
}

func load(t *testing.T) *files {
	t.Helper()
	f, err := loadFiles()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestPagesAreParsed parses all pages. A server parses each when it is shown first.
func TestPagesAreParsed(t *testing.T) {
	t.Parallel()
	for name, parsed := range load(t).pages {
		if page, err := parsed(); err != nil || page.Lookup("content") == nil {
			t.Errorf("page %q: %v, or it defines no content", name, err)
		}
	}
}

var placeholders = regexp.MustCompile(`\{[a-z]+\}`)

// TestTextsInAllLanguages checks that the languages have the same texts with the same
// placeholders.
func TestTextsInAllLanguages(t *testing.T) {
	t.Parallel()
	f := load(t)
	for _, locale := range locales {
		for name, text := range f.texts[locale] {
			other, ok := f.texts[otherLocale(locale)][name]
			if !ok || strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is missing in another language, or empty", locale, name)
			}
			used := slices.Sorted(slices.Values(placeholders.FindAllString(text, -1)))
			if !slices.Equal(slices.Compact(used), slices.Compact(slices.Sorted(slices.Values(placeholders.FindAllString(other, -1))))) {
				t.Errorf("%s: %s has other placeholders than in the other language", locale, name)
			}
		}
	}
}

// textNames matches texts as handlers and templates name them.
var textNames = regexp.MustCompile(`"([a-z][A-Za-z]*\.[A-Za-z][A-Za-z.-]*)"`)

// TestTextsExist checks that each text that a template or a handler names exists. Names
// begin with the name of a file in texts.
func TestTextsExist(t *testing.T) {
	t.Parallel()
	f := load(t)
	beginnings := map[string]bool{}
	for name := range f.texts["en"] {
		beginnings[name[:strings.IndexByte(name, '.')]] = true
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(sources, pages...) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range textNames.FindAllStringSubmatch(string(content), -1) {
			name := found[1]
			if beginnings[name[:strings.IndexByte(name, '.')]] && !begins(f.texts["en"], name) {
				t.Errorf("%s: there is no text %q", path, name)
			}
		}
	}
}

// begins reports whether there is a text of that name, or one whose name begins so: some
// names are made of parts.
func begins(texts map[string]string, name string) bool {
	for known := range texts {
		if strings.HasPrefix(known, name) {
			return true
		}
	}
	return false
}

// TestNothingInline checks that templates have neither scripts nor styles of their own,
// which the Content-Security-Policy forbids, and no addresses of other sites.
func TestNothingInline(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|<script(?:\s[^>]*)?>[^<]|\son[a-z]+=|https?://|hx-on|hx-vals|javascript:`)
	sources := templateSources(t)
	for _, path := range slices.Sorted(maps.Keys(sources)) {
		if found := inline.FindString(sources[path]); found != "" {
			t.Errorf("%s has %q", path, found)
		}
	}
}

func templateSources(t *testing.T) map[string]string {
	t.Helper()
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		content, err := embedded.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(content)
	}
	return all
}
