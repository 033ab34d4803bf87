//go:build browser

package page

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// loopbackDocument contains clients whose application is a server of the test, and a user
// who belongs to two accounts.
const loopbackDocument = `
ApiClients:
  - {ID: loopback, AppName: Corner Shop, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true,
     GrantTypes: [authorization_code, password], AllowedCredentials: [otp, password], RedirectUris: ["http://127.0.0.1/callback"]}
  - {ID: partner-app, AppName: Price Watch, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true, ThirdParty: true,
     GrantTypes: [authorization_code, refresh_token], AllowedCredentials: [otp], RedirectUris: ["http://127.0.0.1/callback"]}
Buyers:
  - {ID: second, Name: Second Hand Bicycles and Accessories Ltd, Active: true}
`

// TestBrowser signs users in with Chromium, driven by playwright-core, and lets axe-core
// inspect the pages. Its pictures are in browser/screenshots. "make browser" runs it.
func TestBrowser(t *testing.T) {
	scripts := t.TempDir()
	if err := os.CopyFS(scripts, os.DirFS("browser")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = scripts
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	screenshots, err := filepath.Abs("browser/screenshots")
	if err == nil {
		err = os.MkdirAll(screenshots, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Run("databases", func(t *testing.T) {
		kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
			s := newSite(t, w, "LATCHKEY_OTP_LIMIT_RECIPIENT=0")
			s.Apply(loopbackDocument)
			s.AddUsers("mia")
			s.exec(`INSERT INTO memberships (account_uid, user_uid, roles, version, created_at, updated_at, id)
				SELECT a.uid, u.uid, 'Shopper', 1, 1, 1, 'm-second' FROM accounts a, users u WHERE a.id = 'second' AND u.id = 'mia'`)
			s.drive(scripts, filepath.Join(screenshots, filepath.Base(t.Name())))
		})
	})
}

// drive runs the scenarios.
func (s *site) drive(scripts, screenshots string) {
	s.t.Helper()
	chromium, err := exec.LookPath("chromium")
	s.Must(err)
	s.Must(os.MkdirAll(screenshots, 0o755))
	input, err := json.Marshal(map[string]string{
		"server": s.Server.URL, "application": s.application(), "chromium": chromium, "screenshots": screenshots, "only": os.Getenv("ONLY"),
	})
	s.Must(err)
	ctx, cancel := context.WithTimeout(s.t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "run.mjs")
	cmd.Dir = scripts
	cmd.Env = append(os.Environ(), "INPUT="+string(input))
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	s.t.Logf("%s", out)
}

var received = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><title>Application</title><pre>{{.}}</pre></html>`))

// application starts the client's own server, which shows what it receives, and returns
// its URL. It also gives the codes that were sent.
func (s *site) application() string {
	mux := http.NewServeMux()
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		got := map[string]string{"method": r.Method}
		if err := r.ParseForm(); err != nil {
			s.t.Error(err)
		}
		for name := range r.Form {
			got[name] = r.Form.Get(name)
		}
		text, err := json.Marshal(got)
		if err == nil {
			err = received.Execute(w, string(text))
		}
		if err != nil {
			s.t.Error(err)
		}
	})
	mux.HandleFunc("GET /code", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(s.Inbox.Next(s.t).EventBody.OneTimePassword)) // the script fails without it
	})
	server := httptest.NewServer(mux)
	s.t.Cleanup(server.Close)
	return server.URL
}
