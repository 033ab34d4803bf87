package chaos

import (
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// startLimit is the longest time for a start until the replica is ready, and for a stop.
const startLimit = 60 * time.Second

// replica is a server process that is killed, frozen and restarted. Each start has its own
// addresses, so that no other process can use the port in between.
type replica struct {
	t       *testing.T
	w       *kit.Fixture
	url     atomic.Pointer[string] // URL of the last start
	ops     string
	process *exec.Cmd
	ended   chan error
}

// start starts the program and waits until it is ready.
func (r *replica) start() {
	listen, ops := kit.FreeAddresses(r.t)
	r.process = exec.Command(kit.Program(r.t), "serve") //nolint:noctx // a signal ends it
	r.process.Stdout, r.process.Stderr = &r.w.Log, &r.w.Log
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	r.process.Env = append(append(kit.BaseEnviron(), r.w.Environ()...),
		"LATCHKEY_LISTEN="+listen, "LATCHKEY_OPS_LISTEN="+ops, "LATCHKEY_ISSUER=http://latchkey.test",
		"LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8", "LATCHKEY_OTP_LIMIT_RECIPIENT=0", "LATCHKEY_SHIELD=0",
		"LATCHKEY_LOG_LEVEL=warn", "LATCHKEY_GUESS_CEILING=2e-4", "LATCHKEY_SHUTDOWN_DELAY=100ms")
	if err := r.process.Start(); err != nil {
		r.t.Errorf("start of a replica: %v", err)
		return
	}
	r.ended = make(chan error, 1)
	go func(process *exec.Cmd, ended chan error) { ended <- process.Wait() }(r.process, r.ended)
	url := "http://" + listen
	r.ops = "http://" + ops
	r.url.Store(&url)
	r.awaitReady()
}

func (r *replica) awaitReady() {
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if response, err := client.Get(r.ops + "/readyz"); err == nil { //nolint:noctx // the client has a timeout
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	r.t.Errorf("a replica is not ready after %v", startLimit)
}

// kill kills the process (kill -9) and waits for its end.
func (r *replica) kill() {
	r.signal(syscall.SIGKILL)
	<-r.ended
}

// stop stops the process by SIGTERM. It fails the test if that takes too long or ends with an
// error.
func (r *replica) stop() {
	r.signal(syscall.SIGTERM)
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Errorf("got %v from a replica after SIGTERM, want no error", err)
		}
	case <-time.After(startLimit):
		r.t.Error("a replica did not end after SIGTERM")
		r.kill()
	}
}

func (r *replica) signal(s syscall.Signal) {
	if err := r.process.Process.Signal(s); err != nil {
		r.t.Errorf("signal %v: %v", s, err)
	}
}

// startReplicas starts n replicas at once. They are killed when the test ends.
func startReplicas(t *testing.T, w *kit.Fixture, n int) []*replica {
	t.Helper()
	replicas := make([]*replica, n)
	var all sync.WaitGroup
	for i := range replicas {
		replicas[i] = &replica{t: t, w: w}
		all.Go(replicas[i].start)
	}
	all.Wait()
	t.Cleanup(func() {
		for _, r := range replicas {
			_ = r.process.Process.Kill() // the process may have ended
		}
	})
	return replicas
}
