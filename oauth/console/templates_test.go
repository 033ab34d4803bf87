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
		t.Errorf("htmx.min.js: got the SHA-256 %x, want %s", sum, htmxSum)
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

// TestPagesAreParsed tests that all pages can be parsed. A server parses a page only when it is first
// shown.
func TestPagesAreParsed(t *testing.T) {
	t.Parallel()
	for name, parsed := range load(t).pages {
		if page, err := parsed(); err != nil || page.Lookup("content") == nil {
			t.Errorf("page %q: got the error %v, or no template \"content\", want the template", name, err)
		}
	}
}

var placeholders = regexp.MustCompile(`\{[a-z]+\}`)

// TestTextsInAllLanguages tests that the languages have the same texts with the same
// placeholders.
func TestTextsInAllLanguages(t *testing.T) {
	t.Parallel()
	f := load(t)
	for _, locale := range locales {
		for name, text := range f.texts[locale] {
			other, ok := f.texts[otherLocale(locale)][name]
			if !ok || strings.TrimSpace(text) == "" {
				t.Errorf("%s: got %s in one language only, or empty, want a text in each", locale, name)
			}
			used := slices.Sorted(slices.Values(placeholders.FindAllString(text, -1)))
			if !slices.Equal(slices.Compact(used), slices.Compact(slices.Sorted(slices.Values(placeholders.FindAllString(other, -1))))) {
				t.Errorf("%s: %s: got %q and %q, want the same placeholders", locale, name, text, other)
			}
		}
	}
}

// textNames matches the names of texts in handlers and templates.
var textNames = regexp.MustCompile(`"([a-z][A-Za-z]*\.[A-Za-z][A-Za-z.-]*)"`)

// TestTextsExist tests that each text that a template or a handler names exists. The name of a text
// begins with the name of its file in the directory texts.
func TestTextsExist(t *testing.T) {
	t.Parallel()
	f := load(t)
	prefixes := map[string]bool{}
	for name := range f.texts["en"] {
		prefixes[name[:strings.IndexByte(name, '.')]] = true
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
			if prefixes[name[:strings.IndexByte(name, '.')]] && !hasPrefix(f.texts["en"], name) {
				t.Errorf("%s: got no text %q, want one", path, name)
			}
		}
	}
}

// hasPrefix reports whether the name of a text is name or begins with it. The code adds the rest of
// some names.
func hasPrefix(texts map[string]string, name string) bool {
	for known := range texts {
		if strings.HasPrefix(known, name) {
			return true
		}
	}
	return false
}

// TestNothingInline tests that templates have no inline scripts or styles, which the
// Content-Security-Policy forbids, and no URLs of other sites.
func TestNothingInline(t *testing.T) {
	t.Parallel()
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|<script(?:\s[^>]*)?>[^<]|\son[a-z]+=|https?://|hx-on|hx-vals|javascript:`)
	sources := templateSources(t)
	for _, path := range slices.Sorted(maps.Keys(sources)) {
		if found := inline.FindString(sources[path]); found != "" {
			t.Errorf("%s: got %q, want nothing inline", path, found)
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
