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

// TestOneIssuer tests that while a server runs on a database, a server with another issuer does
// not start on it, and servers with the same issuer do. When all have stopped, a server with
// another issuer starts at once.
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
			t.Error("the first server with another issuer waited for stopped servers")
		}
		refusesIssuer(t, w, "https://two.example", issuer)
		third.Stop()
	})
}

// refusesIssuer starts a server with the settings. It must end, because another server runs
// with that issuer.
func refusesIssuer(t *testing.T, w *kit.Fixture, other string, settings ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := w.Config(settings...)
	err := server.Run(ctx, w.ServerConfig(&w.Clock, cfg))
	want := "issuer: is " + cfg.Issuer + ", but a server with the issuer " + other + " runs on this database: " +
		"all servers of a database must have the same issuer; to change it, stop all of them first"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a server with the issuer %s: got %v at its end", cfg.Issuer, err)
	}
}

// joinsIssuer starts a server without an issuer. It must use the issuer of the other servers
// and log it.
func joinsIssuer(t *testing.T, w *kit.Fixture, issuer string) {
	t.Helper()
	cfg := w.Config()
	log := runUntilPrinted(t, `"issuer":"([^"]+)".*"message":"serving"`, func(ctx context.Context, out *kit.Buffer) error { return serve(ctx, w, cfg, out) })
	defer log.stop()
	n := &kit.Server{T: t, URL: "http://" + cfg.Listen}
	_, claims := kit.DecodeJWT(t, n.SignIn("jane", kit.Password).AccessToken(t))
	metadata := n.Do(http.MethodGet, "/.well-known/oauth-authorization-server", "", "")
	if log.found != issuer || claims["iss"] != issuer || claims["aud"] != issuer || metadata.Field("issuer") != issuer {
		t.Errorf("got issuer %s, iss %v, aud %v, metadata %s", log.found, claims["iss"], claims["aud"], metadata.Body)
	}
	if !strings.Contains(log.printed(), "issuer is not set; taking over that of the servers that run on this database") {
		t.Errorf("got the output %s", log.printed())
	}
}

// TestOneIssuerAtOnce starts servers with several issuers at once. Those with one of the
// issuers run, and the others end.
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
				t.Errorf("a server: got %v at its end", err)
			}
		}
		if ctx.Err() != nil {
			t.Error("got no refusals in time")
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server that ran: got %v at its end, want no error", err)
		}
	})
}

// TestIssuerAfterKill tests that a killed server does not prevent the start of servers with its
// issuer, and that of others only for a short time. If a server with another issuer has
// started, a frozen server ends when it continues.
func TestIssuerAfterKill(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		killed := processOf(w, t, "https://one.example")
		_ = killed.Process.Kill()
		_ = killed.Wait() // the error says that it was killed
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
			t.Errorf("the frozen server: got the end %v: %s", err, stderr)
		}
		next.Stop()
	})
}

// processOf starts a server as a process.
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
