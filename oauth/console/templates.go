package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed templates/*.html texts/*.json assets
var embedded embed.FS

// files are the templates by page, the texts by language and name, and the assets by name.
type files struct {
	pages  map[string]func() (*template.Template, error)
	texts  map[string]map[string]string
	assets map[string]asset
}

type asset struct {
	content []byte
	kind    string // media type
}

// Templates that are parts of all pages.
const (
	layoutTemplate = "templates/layout.html"
	kitTemplate    = "templates/kit.html"
)

// loadFiles reads what is embedded.
func loadFiles() (*files, error) {
	f := &files{pages: map[string]func() (*template.Template, error){}, texts: map[string]map[string]string{}, assets: map[string]asset{}}
	for _, read := range []func() error{f.readTexts, f.readAssets, f.readTemplates} {
		if err := read(); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
	}
	return f, nil
}

// readTemplates finds the pages. Each defines "content". A page is parsed when it is shown
// for the first time, because all parsed pages take 5 MB.
func (f *files) readTemplates() error {
	names, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		return err
	}
	styles, scripts := f.stamp("console.css"), f.stamp("console.js")
	functions := template.FuncMap{"stylesStamp": func() string { return styles }, "scriptsStamp": func() string { return scripts }, "list": func(values ...string) []string { return values }}
	for _, name := range names {
		if name == layoutTemplate || name == kitTemplate {
			continue
		}
		f.pages[strings.TrimSuffix(path.Base(name), ".html")] = sync.OnceValues(func() (*template.Template, error) {
			return template.New("").Funcs(functions).Option("missingkey=error").ParseFS(embedded, layoutTemplate, kitTemplate, name)
		})
	}
	return nil
}

// readTexts reads NAME.LOCALE.json. The names of its texts begin with NAME and a period.
func (f *files) readTexts() error {
	names, err := fs.Glob(embedded, "texts/*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		parts := strings.Split(path.Base(name), ".")
		content, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		var texts map[string]string
		if err := json.Unmarshal(content, &texts); err != nil || len(parts) != 3 {
			return fmt.Errorf("%s: %w", name, err)
		}
		if f.texts[parts[1]] == nil {
			f.texts[parts[1]] = map[string]string{}
		}
		for key, text := range texts {
			f.texts[parts[1]][parts[0]+"."+key] = text
		}
	}
	return nil
}

// readAssets reads the style sheets, which are served as one, and the scripts.
func (f *files) readAssets() error {
	var css bytes.Buffer
	sheets, err := fs.Glob(embedded, "assets/css/*.css")
	if err != nil {
		return err
	}
	for _, name := range sheets { // in the order of their names
		content, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		css.Write(content)
	}
	f.assets["console.css"] = asset{css.Bytes(), "text/css; charset=utf-8"}
	for name, from := range map[string]string{"console.js": "assets/console.js", "htmx.min.js": "assets/htmx/htmx.min.js", "icon.svg": "assets/icon.svg"} {
		content, err := embedded.ReadFile(from)
		if err != nil {
			return err
		}
		kind := "text/javascript; charset=utf-8"
		if strings.HasSuffix(name, ".svg") {
			kind = "image/svg+xml"
		}
		f.assets[name] = asset{content, kind}
	}
	return nil
}

// stamp identifies the content of an asset, so that browsers do not use that of an earlier
// version.
func (f *files) stamp(name string) string {
	sum := sha256.Sum256(f.assets[name].content)
	return hex.EncodeToString(sum[:6])
}

// text returns a text in a language, with the placeholders that pairs name replaced by the
// values in them.
func (f *files) text(locale, name string, pairs ...string) string {
	text, ok := f.texts[locale][name]
	if !ok {
		return f.valueIn(locale, name)
	}
	if len(pairs) == 0 {
		return text
	}
	replacements := make([]string, len(pairs))
	for i, value := range pairs {
		if replacements[i] = value; i%2 == 0 {
			replacements[i] = "{" + value + "}"
		}
	}
	return strings.NewReplacer(replacements...).Replace(text)
}

// valueIn returns the end of the name of a text that does not exist. Names end in a value of
// /v1, which may be one that the texts do not know yet: keystate.frozen is shown as
// "frozen".
func (f *files) valueIn(locale, name string) string {
	longest := 0
	for known := range f.texts[locale] {
		same := 0
		for same < len(known) && same < len(name) && known[same] == name[same] {
			same++
		}
		if end := strings.LastIndexAny(name[:same], ".-") + 1; end > longest {
			longest = end
		}
	}
	return name[longest:]
}

// fill executes a page.
func (f *files) fill(name string, v view) ([]byte, error) {
	parsed, ok := f.pages[name]
	if !ok {
		return nil, fmt.Errorf("console: there is no template %q", name)
	}
	page, err := parsed()
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	var body bytes.Buffer
	err = page.ExecuteTemplate(&body, "layout", v)
	return body.Bytes(), err
}

// serveAsset serves a file beside the pages.
func (c *Console) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := c.files.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	_, _ = w.Write(a.content) // an error means that the browser has gone
}
