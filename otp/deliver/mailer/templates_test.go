package mailer_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"latchkey/otp/deliver/mailer"
	"latchkey/storage"
)

// templateDir returns a directory with a complete OneTimePassword template in the default
// language. The files in more are added, or replace others. The content "absent" removes a
// file.
func templateDir(more map[string]string) fstest.MapFS {
	dir := fstest.MapFS{}
	all := map[string]string{
		"OneTimePassword.subject": "Code", "OneTimePassword.txt": "use {{.Code}}", "OneTimePassword.html": "<b>{{.Code}}</b>",
	}
	for name, text := range more {
		all[name] = text
	}
	for name, text := range all {
		if text != "absent" {
			dir[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return dir
}

// TestLoadTemplatesRefuses tests that faulty templates are refused when they are loaded.
func TestLoadTemplatesRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, text, want string }{
		{"syntax", "OneTimePassword.txt", "{{.Code", "unclosed action"},
		{"unknown field", "OneTimePassword.txt", "{{.Code}} {{.Password}}", "can't evaluate field Password"},
		{"unknown field in HTML", "OneTimePassword.html", "{{.Code}} {{.Password}}", "can't evaluate field Password"},
		{"unknown field in the subject", "OneTimePassword.subject", "{{.Password}}", "can't evaluate field Password"},
		{"function", "OneTimePassword.txt", "{{env}} {{.Code}}", `function "env" not defined`},
		{"no code", "OneTimePassword.txt", "hello", "OneTimePassword.txt does not show {{.Code}}"},
		{"no code in HTML", "OneTimePassword.html", "hello", "OneTimePassword.html does not show {{.Code}}"},
		{"two lines of subject", "OneTimePassword.subject", "a\nBcc: b", "OneTimePassword.subject has more than one line"},
		{"part missing", "OneTimePassword.html", "absent", "OneTimePassword.html is missing or empty"},
		{"incomplete language", "OneTimePassword.fr.txt", "{{.Code}}", "OneTimePassword.fr.subject is missing or empty"},
		{"unknown file name", "OneTimePassword.text", "{{.Code}}", "OneTimePassword.text is not named"},
		{"unknown message type", "Greeting.txt", "{{.Code}}", "there are no messages of type Greeting"},
		{"text too long", "OneTimePassword.txt", "{{.Code}}{{range 100000000}}{{$.Code}}{{end}}", "longer than"},
		{"broken HTML", "OneTimePassword.html", `<a href='{{if .Code}}"{{end}}>{{.Code}}`, "OneTimePassword.html"},
		{"file too large", "OneTimePassword.txt", strings.Repeat("x", 300<<10), "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := mailer.LoadTemplates(templateDir(map[string]string{tt.file: tt.text}))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
		})
	}
	only := fstest.MapFS{
		"OneTimePassword.de.subject": {Data: []byte("x")}, "OneTimePassword.de.txt": {Data: []byte("{{.Code}}")}, "OneTimePassword.de.html": {Data: []byte("{{.Code}}")},
	}
	if _, err := mailer.LoadTemplates(only); err == nil || !strings.Contains(err.Error(), "no default language") {
		t.Errorf("without a default: got %v, want an error", err)
	}
	if _, err := mailer.LoadTemplates(fstest.MapFS{"x": {Mode: fs.ModeDir}, ".hidden": {}}); err != nil {
		t.Errorf("an empty directory: got %v, want no error", err)
	}
}

func TestDirectoryReplacesEmbeddedTemplates(t *testing.T) {
	t.Parallel()
	templates, err := mailer.LoadTemplates(templateDir(map[string]string{
		"OneTimePassword.pt-BR.subject": "Senha", "OneTimePassword.pt-BR.txt": "{{.Code}} pt-BR", "OneTimePassword.pt-BR.html": "{{.Code}}",
	}))
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string]string{
		"": "use C0DE", "de": "use C0DE", "pt": "use C0DE", "pt-br": "C0DE pt-BR", "pt-BR-x": "C0DE pt-BR",
	} {
		text, err := templates.Render(storage.MessageOneTimePassword, locale, mailer.Data{Code: "C0DE"})
		if err != nil || text.Plain != want {
			t.Errorf("%q: got %q, %v; want %q", locale, text.Plain, err, want)
		}
	}
	if _, err := templates.Render("Other", "", mailer.Data{}); err == nil {
		t.Error("a type without templates was rendered, want an error")
	}
}

// TestRenderErrorHasNoCode tests that the error of a failing template does not contain the
// code.
func TestRenderErrorHasNoCode(t *testing.T) {
	t.Parallel()
	templates, err := mailer.LoadTemplates(templateDir(map[string]string{
		"OneTimePassword.txt": "{{.Code}} {{if eq .Username \"eve\"}}{{index .Code 99}}{{end}}",
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = templates.Render(storage.MessageOneTimePassword, "", mailer.Data{Code: "C0DE", Username: "eve"})
	if err == nil || strings.Contains(err.Error(), "C0DE") || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Render: got %v, want an error without the code", err)
	}
}
