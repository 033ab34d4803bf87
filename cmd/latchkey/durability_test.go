package main

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process starts a server as a process of its own, which a test may kill.
func (w *world) process() (n *node, kill func()) {
	w.t.Helper()
	cfg := w.config()
	cmd := exec.Command("latchkey", "serve")
	cmd.Env = append(os.Environ(),
		"LATCHKEY_DATABASE_URL="+w.databaseURL, "LATCHKEY_MASTER_KEY="+testMasterKey, "LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8",
		"LATCHKEY_LISTEN="+cfg.Listen, "LATCHKEY_OPS_LISTEN="+cfg.OpsListen,
		"LATCHKEY_OTP_LIMIT_RECIPIENT=0", "LATCHKEY_OTP_LIMIT_CLIENT=0", "LATCHKEY_OTP_LIMIT_ADDRESS=0")
	cmd.Stdout, cmd.Stderr = &w.log, &w.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	w.t.Cleanup(kill)
	n = &node{t: w.t, url: "http://" + cfg.Listen, ops: "http://" + cfg.OpsListen, stop: kill}
	n.awaitReady(nil)
	return n, kill
}

// TestKilledReplicas asks three replicas for codes while the receiver is down,
// kills two of them right after they answered, and brings the receiver back:
// every message arrives, and as a receiver counts them, by their idempotency
// id, each arrives once.
func TestKilledReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t, postgres(t).Database(t))
	w.inbox.answer.Store(http.StatusServiceUnavailable)
	first, killFirst := w.process()
	second, killSecond := w.process()
	third, _ := w.process()
	asked := 0
	ask := func(n *node, times int) {
		for range times {
			if a := n.askForCode("jane", ""); a.status != http.StatusNoContent {
				t.Fatalf("asked for a code: %d %s", a.status, a.body)
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
	await(t, "a failed attempt", func() bool {
		return slices.ContainsFunc(w.messages(), func(m messageView) bool { return strings.Contains(m.Reason, "503") })
	})
	w.inbox.answer.Store(http.StatusOK)

	copies := map[string]int{}
	for deadline := time.After(90 * time.Second); len(copies) < asked; {
		select {
		case m := <-w.inbox.mails:
			copies[m.header.Get("Idempotency-Key")]++
		case <-deadline:
			t.Fatalf("%d of %d messages arrived; still there: %+v", len(copies), asked, w.messages("--state", "queued"))
		}
	}
	await(t, "the settlement", func() bool { return len(w.messages("--state", "delivered")) == asked })
	for len(w.inbox.mails) > 0 {
		copies[(<-w.inbox.mails).header.Get("Idempotency-Key")]++
	}
	for _, m := range w.messages() {
		if copies[m.ID] != 1 {
			t.Errorf("message %s arrived %d times: %+v", m.ID, copies[m.ID], m)
		}
	}
	if n := len(copies); n != asked {
		t.Errorf("%d idempotency ids, want %d", n, asked)
	}
}

// TestNothingAfterExpiry brings the receiver back too late: what it missed is
// listed with the reason, and nothing is sent.
func TestNothingAfterExpiry(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		n := w.serve()
		w.inbox.answer.Store(http.StatusServiceUnavailable)
		n.askForCode("jane", "")
		await(t, "a failed attempt", func() bool { list := w.messages(); return len(list) == 1 && list[0].Reason != "" })
		w.clock.advance(10 * time.Minute)
		w.inbox.answer.Store(http.StatusOK)
		await(t, "the end of the message", func() bool { return len(w.messages("--state", "expired")) == 1 })
		m := w.messages()[0]
		if !strings.Contains(m.Reason, "503") || m.EndedAt == nil || len(w.inbox.mails) != 0 {
			t.Errorf("%d messages sent; %+v", len(w.inbox.mails), m)
		}
		steps := w.steps(m.ID)
		if steps[0] != "asked" || !slices.Contains(steps, "failed") || steps[len(steps)-1] != "expired" {
			t.Errorf("steps %q", steps)
		}
	})
}
