package main

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDocs runs the shell commands of the README and of each page of docs, as
// they stand there, beside a running server.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatal(err, pages)
	}
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve()
		receiver := newMailbox(t)
		for _, page := range pages {
			script := commandsOf(t, page)
			if script == "" {
				continue
			}
			t.Run(filepath.Base(page), func(t *testing.T) {
				run := pageRun{page: page, script: script, server: n.url, receiver: receiver}
				for _, client := range clientsOfPages[filepath.Base(page)] {
					run.secret = w.adminClient(t, client...).Secret
				}
				run.run(t, w)
			})
		}
	})
}

// clientsOfPages are the arguments of the commands "client create" that pages
// show with their output, and so not as commands to run.
var clientsOfPages = map[string][][]string{
	"ORDERCLOUD.md":  {{"--name", "admin", "--id", "admin", "--grant", "client_credentials", "--role", "FullAccess"}},
	"ELASTICPATH.md": {{"--name", "store", "--id", "store", "--grant", "client_credentials", "--grant", "implicit", "--role", "FullAccess"}},
}

// pageRun is what the commands of a page find in their environment.
type pageRun struct{ page, script, server, receiver, secret string }

func (r pageRun) run(t *testing.T, w *world) {
	t.Helper()
	// The dots stand for what the receiver was told.
	script := strings.ReplaceAll(r.script, "CODE=…", `CODE=$(curl -sSf "$RECEIVER/next")`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "BASE="+r.server, "SECRET="+r.secret, "RECEIVER="+r.receiver, "NO_PROXY=127.0.0.1",
		"LATCHKEY_DATABASE_URL="+w.databaseURL, "LATCHKEY_MASTER_KEY="+testMasterKey)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReadme holds the README to its size, and every page to being reachable
// from it.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 150 {
		t.Errorf("the README has %d lines, at most 150", n)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !strings.Contains(string(text), "docs/"+filepath.Base(page)) {
			t.Errorf("the README does not link to %s", page)
		}
	}
}

// TestDocLinks follows the links between pages.
func TestDocLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)[^):]*\)`)
	for _, page := range append(pages, more...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), found[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// commandsOf returns the shell commands of a page: its blocks of the language
// sh.
func commandsOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for _, part := range strings.Split(string(text), "\n```sh\n")[1:] {
		commands, _, _ := strings.Cut(part, "\n```")
		script.WriteString(commands + "\n")
	}
	return script.String()
}

// newMailbox is a receiver of messages in either dialect. It returns its URL;
// GET URL/next waits for the next code.
func newMailbox(t *testing.T) string {
	t.Helper()
	codes := make(chan string, 10)
	box := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			select {
			case code := <-codes:
				_, _ = io.WriteString(rw, code)
			case <-r.Context().Done():
			}
			return
		}
		var told struct {
			EventBody struct{ OneTimePassword string }
			Payload   struct {
				Code string `json:"one_time_password_token"`
			} `json:"payload"`
		}
		if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
			t.Error(err)
		}
		codes <- told.EventBody.OneTimePassword + told.Payload.Code
	}))
	t.Cleanup(box.Close)
	return box.URL
}

// TestThreats: every test that docs/THREATS.md names exists.
func TestThreats(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/THREATS.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t, "../..")
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	if len(named) < 50 {
		t.Fatalf("it names %d tests", len(named))
	}
	for _, name := range named {
		if !tests[name[1]] {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// testNames returns the names of the tests below a directory.
func testNames(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, found := range declaration.FindAllStringSubmatch(string(source), -1) {
			names[found[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
