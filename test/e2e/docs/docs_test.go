package docs

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestDocs tests that the shell commands of each page of docs work as written, with a running
// server.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatal(err, pages)
	}
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		w.CreateClient(t, "--name", "First") // AUDIT.md finds this client in the audit events
		receiver := newMailbox(t)
		for _, page := range pages {
			script := commandsOf(t, page)
			if script == "" {
				continue
			}
			t.Run(filepath.Base(page), func(t *testing.T) {
				run := pageRun{page: page, script: script, server: n.URL, receiver: receiver}
				for _, client := range clientsOfPages[filepath.Base(page)] {
					run.secret = w.CreateClient(t, client...).Secret
				}
				run.run(t, w)
			})
		}
	})
}

// clientsOfPages are the arguments of "client create" commands that pages show with their
// output, and so do not contain as commands to run.
var clientsOfPages = map[string][][]string{
	"ORDERCLOUD.md":  {{"--name", "admin", "--id", "admin", "--grant", "client_credentials", "--role", "FullAccess"}},
	"ELASTICPATH.md": {{"--name", "store", "--id", "store", "--grant", "client_credentials", "--grant", "implicit", "--role", "FullAccess"}},
}

// pageRun contains the values that the commands of a page get in their environment.
type pageRun struct{ page, script, server, receiver, secret string }

func (r pageRun) run(t *testing.T, w *kit.Fixture) {
	t.Helper()
	// The dots represent the code that the receiver got.
	script := strings.ReplaceAll(r.script, "CODE=…", `CODE=$(curl -sSf "$RECEIVER/next")`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	shell.Dir = t.TempDir()
	shell.Env = append(kit.BaseEnviron(), "PATH="+filepath.Dir(kit.Program(t))+":"+os.Getenv("PATH"), "BASE="+r.server, "SECRET="+r.secret, "RECEIVER="+r.receiver, "NO_PROXY=127.0.0.1",
		"LATCHKEY_DATABASE_URL="+w.DatabaseURL, "LATCHKEY_MASTER_KEY="+kit.MasterKey)
	if out, err := shell.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// commandsOf returns the shell commands of a page: its blocks of the language sh.
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

// newMailbox starts a receiver of messages of both dialects and returns its URL. GET URL/next
// waits for the next code.
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
		var message struct {
			EventBody struct{ OneTimePassword string }
			Payload   struct {
				Code string `json:"one_time_password_token"`
			} `json:"payload"`
		}
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Error(err)
		}
		codes <- message.EventBody.OneTimePassword + message.Payload.Code
	}))
	t.Cleanup(box.Close)
	return box.URL
}
