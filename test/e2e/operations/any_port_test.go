package operations

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey/config"
	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// TestAnyPort tests that a server with a port that the system chooses uses that port in its
// issuer, its audience and the published URLs.
func TestAnyPort(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		for listen, host := range map[string]string{
			"localhost:0": "localhost", "127.0.0.1:0": "127.0.0.1", "[::1]:0": "[::1]", ":0": "127.0.0.1", "0.0.0.0:00": "127.0.0.1",
		} {
			if host == "[::1]" && !listensOnIPv6() {
				t.Log("this machine has no IPv6 loopback address")
				continue
			}
			cfg := w.Config("LATCHKEY_LISTEN="+listen, "LATCHKEY_OPS_LISTEN=127.0.0.1:0", "LATCHKEY_PLAIN_HTTP=true")
			log := runUntilPrinted(t, `"issuer":"([^"]+)".*"message":"serving"`, func(ctx context.Context, out *kit.Buffer) error { return serve(ctx, w, cfg, out) })
			isServed(t, w, log.found, host, log.stop)
		}
	})
}

// TestAnyPortOfDemo tests that the welcome text of the demo contains the port that the system
// has chosen.
func TestAnyPortOfDemo(t *testing.T) {
	t.Parallel()
	log := runDemo(t, `Latchkey demo on (\S+):`, "localhost:0")
	isServed(t, nil, log.found, "localhost", log.stop)
}

// runDemo runs "latchkey demo" at the address until its output matches the pattern.
func runDemo(t *testing.T, pattern, listen string) loggedServer {
	t.Helper()
	program := kit.Program(t) // the build may take longer than the time for the start of the demo
	return runUntilPrinted(t, pattern, func(ctx context.Context, out *kit.Buffer) error {
		cmd := exec.CommandContext(ctx, program, "demo")
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), out, out
		cmd.Env = append(kit.BaseEnviron(), "LATCHKEY_LISTEN="+listen, "LATCHKEY_OPS_LISTEN=127.0.0.1:0")
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		err := cmd.Run()
		if cmd.ProcessState.Success() {
			return nil // ignore the error of the context
		}
		return err
	})
}

// TestDemoThatCannotStart tests that a demo that cannot start prints the reason and no commands
// to try.
func TestDemoThatCannotStart(t *testing.T) {
	t.Parallel()
	templates := t.TempDir()
	if err := os.WriteFile(filepath.Join(templates, "page.html"), []byte("{{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"LATCHKEY_PAGE_TEMPLATES", "LATCHKEY_MAIL_TEMPLATES"} {
		r := kit.TryCommand(t, []string{"LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0", setting + "=" + templates}, "demo")
		if name := strings.ToLower(strings.TrimPrefix(setting, "LATCHKEY_")); r.ExitCode != 2 || r.Stdout != "" || !strings.Contains(r.Stderr, name) {
			t.Errorf("%s: got %+v, want exit code 2 and only the reason", setting, r)
		}
	}
}

// TestDemoOnTakenPort tests that a demo whose address is in use reports it, and prints no
// commands that would reach another server.
func TestDemoOnTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // the test is over then
	for _, setting := range []string{"LATCHKEY_LISTEN", "LATCHKEY_OPS_LISTEN"} {
		settings := map[string]string{"LATCHKEY_LISTEN": "127.0.0.1:0", "LATCHKEY_OPS_LISTEN": "127.0.0.1:0", setting: taken.Addr().String()}
		r := kit.TryCommand(t, []string{"LATCHKEY_LISTEN=" + settings["LATCHKEY_LISTEN"], "LATCHKEY_OPS_LISTEN=" + settings["LATCHKEY_OPS_LISTEN"]}, "demo")
		if r.ExitCode != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, "address already in use") {
			t.Errorf("%s is in use: got %+v", setting, r)
		}
	}
}

// serve runs a server in this process that logs to out.
func serve(ctx context.Context, w *kit.Fixture, settings config.Config, out *kit.Buffer) error {
	cfg := w.ServerConfig(&w.Clock, settings)
	cfg.Log = out
	return server.Run(ctx, cfg)
}

func listensOnIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

// loggedServer is a running server that has printed something.
type loggedServer struct {
	found   string
	stop    func()
	printed func() string
}

// runUntilPrinted runs a server until its output matches the pattern, and returns the group of
// the pattern.
func runUntilPrinted(t *testing.T, pattern string, run func(context.Context, *kit.Buffer) error) loggedServer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out kit.Buffer
	done := make(chan error, 1)
	go func() { done <- run(ctx, &out) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server: got %v at its end, want no error", err)
		}
	}
	line := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if m := line.FindStringSubmatch(out.String()); m != nil {
			return loggedServer{m[1], stop, out.String}
		}
	}
	t.Fatalf("got the output %s", out.String())
	return loggedServer{}
}

// isServed calls a server by its issuer, and then stops the server.
func isServed(t *testing.T, w *kit.Fixture, issuer, host string, stop func()) {
	t.Helper()
	defer stop()
	if !strings.HasPrefix(issuer, "http://"+host+":") || strings.HasSuffix(issuer, ":0") {
		t.Fatalf("got the issuer %q", issuer)
	}
	n := &kit.Server{T: t, URL: issuer}
	var metadata map[string]any
	for deadline := time.Now().Add(time.Minute); metadata == nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if response, err := http.Get(issuer + "/.well-known/oauth-authorization-server"); err == nil { // the demo prints its text before it serves
			_ = json.NewDecoder(response.Body).Decode(&metadata)
			_ = response.Body.Close()
		}
	}
	if metadata["issuer"] != issuer || metadata["token_endpoint"] != issuer+"/oauth/token" {
		t.Errorf("metadata of %s: got %v", issuer, metadata)
	}
	if w == nil {
		return
	}
	_, claims := kit.DecodeJWT(t, n.SignIn("jane", kit.Password).AccessToken(t))
	if claims["iss"] != issuer || claims["aud"] != issuer {
		t.Errorf("got iss %v, aud %v, want %s", claims["iss"], claims["aud"], issuer)
	}
}
