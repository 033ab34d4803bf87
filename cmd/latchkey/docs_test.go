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

// TestDocs runs the commands of the documents as they stand there.
func TestDocs(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve()
		for _, doc := range []struct {
			file, name string
			create     []string
		}{
			{"ORDERCLOUD.md", "admin", []string{"--id", "admin", "--grant", "client_credentials", "--role", "FullAccess"}},
			{"ELASTICPATH.md", "store", []string{"--id", "store", "--grant", "client_credentials", "--grant", "implicit", "--role", "FullAccess"}},
		} {
			t.Run(doc.file, func(t *testing.T) {
				secret := w.adminClient(t, append([]string{"--name", doc.name}, doc.create...)...).Secret
				receiver := newMailbox(t)
				script := commandsOf(t, filepath.Join("../../docs", doc.file))
				// The dots stand for what the receiver was told.
				script = strings.ReplaceAll(script, "CODE=…", `CODE=$(curl -sSf "$RECEIVER/next")`)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
				shell.Env = append(os.Environ(), "BASE="+n.url, "SECRET="+secret, "RECEIVER="+receiver, "NO_PROXY=127.0.0.1")
				if out, err := shell.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	})
}

// commandsOf returns the shell commands of a document: its blocks of the
// language sh.
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
	if script.Len() == 0 {
		t.Fatalf("%s has no commands", file)
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
