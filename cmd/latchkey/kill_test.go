package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the server as a process of the operating system, with its own
// memory and the real time.
type program struct {
	*node
	cmd   *exec.Cmd
	ended chan error
}

// launch starts the program on the world's database. It stops when the test
// ends, unless it was killed, and must then end well: a data race in it is
// exit code 66.
func (a *arena) launch(settings ...string) *program {
	a.t.Helper()
	listen, ops := freeAddresses(a.t)
	cfg := map[string]string{
		"LATCHKEY_DATABASE_URL": a.databaseURL, "LATCHKEY_MASTER_KEY": testMasterKey,
		"LATCHKEY_OUTBOUND_ALLOW": "127.0.0.0/8", "LATCHKEY_ISSUER": "http://latchkey.test",
		"LATCHKEY_LISTEN": listen, "LATCHKEY_OPS_LISTEN": ops,
		"LATCHKEY_GUESS_CEILING": "2e-4", // for codes of six digits
	}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		cfg[key] = value
	}
	cmd := exec.Command("latchkey", "serve")
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.t.TempDir(), &a.log, &a.log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1"}
	for key := range maps.Keys(cfg) {
		cmd.Env = append(cmd.Env, key+"="+cfg[key])
	}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	p := &program{
		node: &node{t: a.t, url: "http://" + cfg["LATCHKEY_LISTEN"], ops: "http://" + cfg["LATCHKEY_OPS_LISTEN"]},
		cmd:  cmd, ended: make(chan error, 1),
	}
	go func() {
		p.ended <- cmd.Wait()
		close(p.ended) // whoever asks again need not wait
	}()
	t := a.t
	p.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be dead
		if err := <-p.ended; err != nil {
			t.Errorf("the server ended with %v:\n%s", err, a.log.String())
		}
	})
	t.Cleanup(func() { p.stop() })
	p.awaitReady(p.ended)
	return p
}

// kill ends the program with no chance to do anything more.
func (p *program) kill() {
	p.t.Helper()
	p.stop = func() {}
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-p.ended; !errors.As(err, &exit) || exit.ExitCode() != -1 {
		p.t.Fatalf("killed, and ended with %v", err)
	}
}

// TestKilled: what was acknowledged survives kill -9, is delivered once, and
// not when it is too late.
func TestKilled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		a.n.stop()
		a.deliveredAfterKill(t)
		a.expiredAfterKill(t)
	})
}

func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(prefix, i)
	}
	return names
}

// deliveredAfterKill kills the server at the last of twenty acknowledgements.
// A message that was on its way may be sent again, under its old id.
func (a *arena) deliveredAfterKill(t *testing.T) {
	names := numbered("kill-", 20)
	a.enrolWithout(names...)
	p := a.launch()
	for i, got := range atOnce(len(names), func(i int) answer { return p.askForCodeThrough("kiosk", names[i], "") }) {
		if got.status != http.StatusNoContent {
			t.Fatalf("request %d: %d %s", i, got.status, got.body)
		}
	}
	p.kill()
	a.clock.advance(time.Minute) // the dead server's leases are over
	n := a.another()
	ids, codes := map[string]string{}, map[string]string{}
	for _, m := range a.settled() {
		name := m.EventBody.Username
		id := m.header.Get("Idempotency-Key")
		if id == "" || ids[name] != "" && ids[name] != id || codes[name] != "" && codes[name] != m.EventBody.OneTimePassword {
			t.Errorf("%s got messages %q and %q", name, ids[name], id)
		}
		ids[name], codes[name] = id, m.EventBody.OneTimePassword
	}
	for _, name := range names {
		granted(t, name, n.signInTo("kiosk", name, codes[name]))
	}
	if got := a.one("SELECT count(*) FROM messages"); got != "20" {
		t.Errorf("%s messages, want 20", got)
	}
	n.stop()
}

// expiredAfterKill has the server killed while the receiver is down, and
// started again when the codes have expired.
func (a *arena) expiredAfterKill(t *testing.T) {
	names := numbered("late-", 5)
	a.enrolWithout(append(names, "in-time")...)
	a.inbox.answer.Store(http.StatusServiceUnavailable)
	p := a.launch()
	for _, name := range names {
		if got := p.askForCodeThrough("kiosk", name, ""); got.status != http.StatusNoContent {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
	}
	awaitThat(t, "all were tried", func() bool {
		return a.one("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts > 0") == "5"
	})
	p.kill()
	a.inbox.answer.Store(http.StatusOK)
	a.clock.advance(11 * time.Minute)
	n := a.another()
	if mails := a.settled(); len(mails) != 0 {
		t.Errorf("%d messages were delivered after the end of their codes", len(mails))
	}
	if got := a.one("SELECT count(*) FROM messages WHERE state = 'expired' AND length(payload) = 0"); got != "5" {
		t.Errorf("%s messages are expired and empty, want 5", got)
	}
	granted(t, "asked afterwards", n.signInTo("kiosk", "in-time", a.codeThrough(n, "kiosk", "in-time")))
}

// TestReceiverDown: a receiver that refuses connections, then answers errors,
// gets each message once it is up, and one copy.
func TestReceiverDown(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		names := numbered("down-", 5)
		a.enrolWithout(names...)
		address, _ := freeAddresses(t)
		a.applyObject(jsonObject{"MessageSenders": []jsonObject{{
			"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OneTimePassword"}, "AllowAllBuyers": true,
			"URL": "http://" + address + "/{messagetype}", "SharedKey": sharedKey,
		}}})
		a.n.stop() // it may still know the old address
		n := a.another()
		for _, name := range names {
			if got := n.askForCodeThrough("kiosk", name, ""); got.status != http.StatusNoContent {
				t.Fatalf("%s: %d %s", name, got.status, got.body)
			}
		}
		tried := func(times int) func() bool {
			return func() bool {
				a.clock.advance(500 * time.Millisecond) // the pauses grow
				return a.one(fmt.Sprintf("SELECT count(*) FROM messages WHERE state = 'queued' AND attempts >= %d", times)) == "5"
			}
		}
		awaitThat(t, "all were tried in vain", tried(1))
		received := make(chan string, 100)
		status := http.StatusInternalServerError
		var mu sync.Mutex
		listener, err := net.Listen("tcp", address)
		a.must(err)
		receiver := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if status == http.StatusOK {
				received <- r.Header.Get("Idempotency-Key")
			}
			rw.WriteHeader(status)
		})}
		go func() { _ = receiver.Serve(listener) }()
		t.Cleanup(func() { _ = receiver.Close() })
		awaitThat(t, "all were answered with errors", tried(3))
		mu.Lock()
		status = http.StatusOK
		mu.Unlock()
		awaitThat(t, "all were delivered", func() bool {
			a.clock.advance(500 * time.Millisecond) // the pauses grow
			return a.one("SELECT count(*) FROM messages WHERE state = 'delivered'") == "5"
		})
		ids := map[string]bool{}
		for range len(received) {
			id := <-received
			if ids[id] {
				t.Errorf("message %s came twice", id)
			}
			ids[id] = true
		}
		if len(ids) != 5 {
			t.Errorf("%d messages came, want 5", len(ids))
		}
	})
}
