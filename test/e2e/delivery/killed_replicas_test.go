package delivery

import (
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// startReplica starts a server as a process, which a test can kill.
func startReplica(w *kit.Fixture) (n *kit.Server, kill func()) {
	w.T.Helper()
	cfg := w.Config()
	cmd := exec.Command(kit.Program(w.T), "serve")
	cmd.Env = append(kit.BaseEnviron(),
		"LATCHKEY_DATABASE_URL="+w.DatabaseURL, "LATCHKEY_MASTER_KEY="+kit.MasterKey, "LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8",
		"LATCHKEY_LISTEN="+cfg.Listen, "LATCHKEY_OPS_LISTEN="+cfg.OpsListen,
		"LATCHKEY_OTP_LIMIT_RECIPIENT=0", "LATCHKEY_OTP_LIMIT_CLIENT=0", "LATCHKEY_OTP_LIMIT_ADDRESS=0")
	cmd.Stdout, cmd.Stderr = &w.Log, &w.Log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		w.T.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	w.T.Cleanup(kill)
	n = &kit.Server{T: w.T, URL: "http://" + cfg.Listen, OpsURL: "http://" + cfg.OpsListen, Stop: kill}
	n.AwaitReady(nil)
	return n, kill
}

// TestKilledReplicas requests codes from three replicas while the receiver is down, kills two
// of them right after they answered, and starts the receiver again. Each message must arrive
// once, by its idempotency ID.
func TestKilledReplicas(t *testing.T) {
	t.Parallel()
	w := kit.NewFixture(t, gormtest.Postgres(t).Database(t))
	users := "Buyers:\n  - ID: acme\n    Name: Acme Ltd\n    Active: true\n    Users:\n" // one user for each request, because the newest request of a user replaces the others
	for i := range 35 {
		users += fmt.Sprintf("      - {ID: waiting-%d, Username: waiting-%d, Email: waiting-%d@example.com, Active: true}\n", i, i, i)
	}
	w.Apply(users)
	w.Inbox.Status.Store(http.StatusServiceUnavailable)
	first, killFirst := startReplica(w)
	second, killSecond := startReplica(w)
	third, _ := startReplica(w)
	asked := 0
	ask := func(n *kit.Server, times int) {
		for range times {
			if a := n.RequestCode(fmt.Sprint("waiting-", asked), ""); a.Status != http.StatusNoContent {
				t.Fatalf("request for a code: got %d %s, want 204", a.Status, a.Body)
			}
			asked++
		}
	}
	ask(third, 5)
	ask(second, 5)
	ask(first, 10)
	killFirst()
	ask(second, 10)
	killSecond()
	ask(third, 5)
	kit.Eventually(t, "a failed attempt", func() bool {
		return slices.ContainsFunc(messages(w), func(m queuedMessage) bool { return strings.Contains(m.Reason, "503") })
	})
	w.Inbox.Status.Store(http.StatusOK)

	copies := map[string]int{}
	for deadline := time.After(90 * time.Second); len(copies) < asked; {
		select {
		case m := <-w.Inbox.Messages:
			copies[m.Header.Get("Idempotency-Key")]++
		case <-deadline:
			t.Fatalf("got %d of %d messages; still queued: %+v", len(copies), asked, messages(w, "--state", "queued"))
		}
	}
	kit.Eventually(t, "the settlement", func() bool { return len(messages(w, "--state", "delivered")) == asked })
	for len(w.Inbox.Messages) > 0 {
		copies[(<-w.Inbox.Messages).Header.Get("Idempotency-Key")]++
	}
	for _, m := range messages(w) {
		if copies[m.ID] != 1 {
			t.Errorf("message %s: got %d copies, want 1: %+v", m.ID, copies[m.ID], m)
		}
	}
	if n := len(copies); n != asked {
		t.Errorf("got %d idempotency IDs, want %d", n, asked)
	}
}

// TestNothingIsDeliveredAfterExpiry starts the receiver again after the codes have expired.
// Nothing must be sent, and each message must be listed with the reason.
func TestNothingIsDeliveredAfterExpiry(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		w.Inbox.Status.Store(http.StatusServiceUnavailable)
		w.Clock.Stop() // otherwise a second attempt could run when the receiver starts again
		n.RequestCode("jane", "")
		kit.Eventually(t, "a failed attempt", func() bool { list := messages(w); return len(list) == 1 && list[0].Reason != "" })
		w.Clock.Advance(10 * time.Minute)
		w.Inbox.Status.Store(http.StatusOK)
		kit.Eventually(t, "the end of the message", func() bool { return len(messages(w, "--state", "expired")) == 1 })
		m := messages(w)[0]
		if !strings.Contains(m.Reason, "503") || m.EndedAt == nil || len(w.Inbox.Messages) != 0 {
			t.Errorf("got %d sent messages; %+v", len(w.Inbox.Messages), m)
		}
		steps := stepsOf(w, m.ID)
		if steps[0] != "asked" || !slices.Contains(steps, "failed") || steps[len(steps)-1] != "expired" {
			t.Errorf("got the steps %q", steps)
		}
	})
}
