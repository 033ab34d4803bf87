package operations

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// TestOneIssuer tests that while a server runs on a database, a server with another issuer
// does not start on it. Servers with the same issuer start. When all have stopped, a server
// with another issuer starts at once.
func TestOneIssuer(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const issuer = "LATCHKEY_ISSUER=https://one.example"
		first, second := w.Serve(issuer), w.Serve(issuer)
		refusesIssuer(t, w, "https://one.example", "LATCHKEY_ISSUER=https://two.example")
		joinsIssuer(t, w, "https://one.example")
		refusesIssuer(t, w, "https://one.example", "LATCHKEY_ISSUER=https://one.example/path")
		first.Stop()
		refusesIssuer(t, w, "https://one.example", "LATCHKEY_ISSUER=https://two.example")
		second.Stop()
		before := len(w.Log.String())
		third := w.Serve("LATCHKEY_ISSUER=https://two.example")
		if strings.Contains(w.Log.String()[before:], "waiting for a sign of life") {
			t.Error("the first server with another issuer waited for those that had stopped")
		}
		refusesIssuer(t, w, "https://two.example", issuer)
		third.Stop()
	})
}

// refusesIssuer starts a server with the settings, which must end because another
// one runs with that issuer.
func refusesIssuer(t *testing.T, w *kit.Fixture, other string, settings ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := w.Config(settings...)
	err := server.Run(ctx, w.ServerConfig(&w.Clock, cfg))
	want := "issuer: is " + cfg.Issuer + ", but a server with the issuer " + other + " runs on this database: " +
		"all servers of a database must have the same issuer; to change it, stop all of them first"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a server with the issuer %s ended with %v", cfg.Issuer, err)
	}
}

// joinsIssuer starts a server that is told no issuer: it takes over that of the
// others, and says so.
func joinsIssuer(t *testing.T, w *kit.Fixture, issuer string) {
	t.Helper()
	cfg := w.Config()
	log := runUntilPrinted(t, `"issuer":"([^"]+)".*"message":"serving"`, func(ctx context.Context, out *kit.Buffer) error { return serve(ctx, w, cfg, out) })
	defer log.stop()
	n := &kit.Server{T: t, URL: "http://" + cfg.Listen}
	_, claims := kit.DecodeJWT(t, n.SignIn("jane", kit.Password).AccessToken(t))
	metadata := n.Do(http.MethodGet, "/.well-known/oauth-authorization-server", "", "")
	if log.found != issuer || claims["iss"] != issuer || claims["aud"] != issuer || metadata.Field("issuer") != issuer {
		t.Errorf("issuer %s, iss %v, aud %v, metadata %s", log.found, claims["iss"], claims["aud"], metadata.Body)
	}
	if !strings.Contains(log.printed(), "issuer is not set; taking over that of the servers that run on this database") {
		t.Errorf("the server printed %s", log.printed())
	}
}

// TestOneIssuerAtOnce tests that servers with several issuers start at once. Those of one
// issuer run, the others end.
func TestOneIssuerAtOnce(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		issuers := []string{"https://one.example", "https://two.example", "https://three.example"}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		ended := make(chan error, len(issuers))
		for _, issuer := range issuers {
			cfg := w.Config("LATCHKEY_ISSUER=" + issuer)
			go func() { ended <- server.Run(ctx, w.ServerConfig(&w.Clock, cfg)) }()
		}
		for range len(issuers) - 1 {
			if err := <-ended; err == nil || !strings.Contains(err.Error(), "all servers of a database must have the same issuer") {
				t.Errorf("a server ended with %v", err)
			}
		}
		if ctx.Err() != nil {
			t.Error("the refusals took too long")
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the one that ran ended with %v", err)
		}
	})
}

// TestIssuerAfterKill tests that a killed server does not keep servers with its issuer from
// starting, and others only for a short time. A frozen server ends when it wakes up and a
// server with another issuer has started.
func TestIssuerAfterKill(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		killed := processOf(w, t, "https://one.example")
		_ = killed.Process.Kill()
		_ = killed.Wait() // says that it was killed
		w.Serve("LATCHKEY_ISSUER=https://one.example").Stop()

		frozen := processOf(w, t, "https://one.example")
		if err := frozen.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		next := w.Serve("LATCHKEY_ISSUER=https://two.example")
		if err := frozen.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		err := frozen.Wait()
		if stderr, _ := frozen.Stderr.(*bytes.Buffer); err == nil || !strings.Contains(stderr.String(), "a server with the issuer https://two.example runs on this database") {
			t.Errorf("the frozen server ended with %v: %s", err, stderr)
		}
		next.Stop()
	})
}

// processOf starts a server as a process of its own.
func processOf(w *kit.Fixture, t *testing.T, issuer string) *exec.Cmd {
	t.Helper()
	listen, ops := kit.FreeAddresses(t)
	cmd := exec.Command(kit.Program(t), "serve")
	cmd.Stderr = new(bytes.Buffer)
	cmd.Env = append(kit.BaseEnviron(), "LATCHKEY_DATABASE_URL="+w.DatabaseURL, "LATCHKEY_MASTER_KEY="+kit.MasterKey,
		"LATCHKEY_LISTEN="+listen, "LATCHKEY_OPS_LISTEN="+ops, "LATCHKEY_ISSUER="+issuer, "LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	n := &kit.Server{T: t, OpsURL: "http://" + ops}
	n.AwaitReady(nil)
	return cmd
}
