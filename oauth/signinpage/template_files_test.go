package signinpage

import (
	"io/fs"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"latchkey/oauth"
)

func mustLoad(t *testing.T, dir fs.FS) *Templates {
	t.Helper()
	templates, err := LoadTemplates(dir)
	if err != nil {
		t.Fatal(err)
	}
	return templates
}

// TestEmbeddedLanguages tests that each language has all texts, with the same placeholders.
func TestEmbeddedLanguages(t *testing.T) {
	t.Parallel()
	templates := mustLoad(t, nil)
	if got := strings.Join(templates.Locales(), " "); got != "de en" {
		t.Errorf("got languages %q, want \"de en\"", got)
	}
	english := templates.texts[defaultLocale]
	for locale, texts := range templates.texts {
		if err := compareTexts(locale, texts, english); err != nil {
			t.Error(err)
		}
		for key, text := range texts {
			if len(placeholder.FindAllString(text, -1)) != len(placeholder.FindAllString(english[key], -1)) {
				t.Errorf("%s: %s: got %s, want the placeholders of the English text", locale, key, text)
			}
		}
	}
}

// TestSize tests that each page and its files have less than 30 kB together.
func TestSize(t *testing.T) {
	t.Parallel()
	templates := mustLoad(t, nil)
	beside := 0
	for _, content := range templates.assets {
		beside += len(content)
	}
	if lines := strings.Count(string(templates.assets["page.js"]), "\n"); lines > 150 {
		t.Errorf("page.js has %d lines, want at most 150", lines)
	}
	for _, s := range samples() {
		s.Locale = "de"
		s.State = strings.Repeat("x", 6000) // a request with long parameters
		body, err := templates.fill(s.page)
		if err != nil || len(body)+beside >= 30_000 {
			t.Errorf("%s: got %d bytes with its files, error %v; want less than 30000", s.Step, len(body)+beside, err)
		}
		if strings.Contains(string(body), "http://") || strings.Contains(strings.ReplaceAll(string(body), "https://app.example/", ""), "https://") {
			t.Errorf("%s: got another origin in %s, want none", s.Step, body)
		}
	}
}

// TestReplacedFiles tests that a directory replaces texts, style and template, and adds a
// language and a logo.
func TestReplacedFiles(t *testing.T) {
	t.Parallel()
	french := strings.ReplaceAll(string(mustRead(t, "texts/en.json")), `"Sign in"`, `"Se connecter"`)
	own := strings.ReplaceAll(string(mustRead(t, "templates/page.html")), "<main>", `<img src="{{.Base}}/assets/logo.png" alt="Shop"><main>`)
	templates := mustLoad(t, fstest.MapFS{
		"de.json": {Data: []byte(`{"titleName": "Willkommen"}`)}, "fr.json": {Data: []byte(french)},
		"style.css": {Data: []byte("body{}")}, "logo.png": {Data: []byte("image")}, "page.html": {Data: []byte(own)},
		".hidden": {}, "drafts/page.html": {Data: []byte("{{")},
	})
	if got := strings.Join(templates.Locales(), " "); got != "de en fr" {
		t.Errorf("got languages %q, want \"de en fr\"", got)
	}
	for locale, wanted := range map[string]string{"de": "<h1>Willkommen</h1>", "en": "<h1>Sign in</h1>", "fr": "<h1>Se connecter</h1>"} {
		body, err := templates.fill(page{Step: stepName, Locale: locale})
		if err != nil || !strings.Contains(string(body), wanted) || !strings.Contains(string(body), "logo.png") {
			t.Errorf("%s: got error %v, body %s", locale, err, body)
		}
	}
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "logo.png": "image/png", "page.js": "text/javascript; charset=utf-8"} {
		content, got, ok := templates.asset(name)
		if !ok || got != kind || name == "style.css" && string(content) != "body{}" {
			t.Errorf("%s: got %q %q", name, got, content)
		}
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	content, err := embedded.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestFaultyFiles tests that a file that would break a page, or would never be used, is an
// error.
func TestFaultyFiles(t *testing.T) {
	t.Parallel()
	original := string(mustRead(t, "templates/page.html"))
	for _, tt := range []struct{ name, content, want string }{
		{"fr.json", `{"titleName": "Bonjour"}`, "fr.json: the text account is missing"},
		{"de.json", `{"titleName": ""}`, "de.json: the text titleName is missing"},
		{"de.json", `{"titel": "Hallo"}`, "de.json: there is no text titel"},
		{"de.json", `{"titleName": "Hallo {user}"}`, "de.json: the text titleName cannot have {user}"},
		{"de.json", `{"titleName": 1}`, "de.json: json: cannot unmarshal number"},
		{"page.js", "", "page.js is neither page.html"},
		{"style.scss", "", "style.scss is neither page.html"},
		{"page.html", "{{", "page templates: template: page.html:1"},
		{"page.html", "{{.Password}}", "can't evaluate field Password"},
		{"page.html", strings.ReplaceAll(original, `{{.Text "name"}}`, `{{.Text "nome"}}`), `there is no text "nome"`},
		{"page.html", strings.ReplaceAll(original, `name="state"`, `name="status"`), `page.html does not have name="state" at the step name`},
		{"page.html", strings.ReplaceAll(original, `role="alert"`, ""), `page.html does not have role="alert" at the step name`},
		{"page.html", strings.ReplaceAll(original, `autocomplete="one-time-code"`, ""), `page.html does not have autocomplete="one-time-code" at the step code`},
		{"page.html", strings.ReplaceAll(original, `{{.RequestID}}`, ""), "page.html does not have f00d at the step error"},
		{"page.html", strings.Repeat("x", maxFile+1), "page.html is larger than 262144 bytes"},
	} {
		_, err := LoadTemplates(fstest.MapFS{tt.name: {Data: []byte(tt.content)}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %.40q: got %v, want %s", tt.name, tt.content, err, tt.want)
		}
	}
}

// TestLocaleOf tests that ui_locales has priority over Accept-Language, and Accept-Language
// over the user.
func TestLocaleOf(t *testing.T) {
	t.Parallel()
	templates := mustLoad(t, nil)
	for _, tt := range []struct{ parameter, header, user, want string }{
		{"", "", "", "en"},
		{"de", "en", "en", "de"},
		{"fr de-AT en", "en", "", "de"},
		{"fr", "de-CH, en;q=0.5", "", "de"},
		{"", "de;q=0.1, en;q=0.9", "", "en"},
		{"", "fr", "de_DE", "de"},
		{"../en.json {{", "%%%", "", "en"},
		{"", strings.Repeat("-", 2000), "de", "de"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", tt.header)
		if got := templates.localeOf(r, &oauth.AuthorizationRequest{UILocales: tt.parameter}, tt.user); got != tt.want {
			t.Errorf("%q %.20q %q: got %s, want %s", tt.parameter, tt.header, tt.user, got, tt.want)
		}
	}
}

// TestNamesFillNothing tests that a placeholder in a name is not replaced, and that markup is
// escaped.
func TestNamesFillNothing(t *testing.T) {
	t.Parallel()
	body, err := mustLoad(t, nil).fill(page{Step: stepResume, Locale: "en", Client: "{user}", User: "<b>{client}"})
	if err != nil || !strings.Contains(string(body), "signed in as &lt;b&gt;{client}.") || !strings.Contains(string(body), "to continue to {user}") {
		t.Errorf("got error %v, body %s", err, body)
	}
}
