package kit

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// Process is a server that runs as a process on the real time. It can be killed.
type Process struct {
	*Server
	Cmd   *exec.Cmd
	ended chan error
}

// StartProcess starts the program "latchkey serve" on the database. Unless it was killed,
// it stops when the test ends, and the test fails if it ends with an error. After a data
// race the exit code is 66.
func (a *OneServer) StartProcess(settings ...string) *Process {
	a.T.Helper()
	listen, ops := FreeAddresses(a.T)
	cfg := map[string]string{
		"LATCHKEY_DATABASE_URL": a.DatabaseURL, "LATCHKEY_MASTER_KEY": MasterKey,
		"LATCHKEY_OUTBOUND_ALLOW": "127.0.0.0/8", "LATCHKEY_ISSUER": "http://latchkey.test",
		"LATCHKEY_LISTEN": listen, "LATCHKEY_OPS_LISTEN": ops,
		"LATCHKEY_GUESS_CEILING":  "2e-4", // some codes have six digits
		"LATCHKEY_SHUTDOWN_DELAY": "0s",
	}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		cfg[key] = value
	}
	cmd := exec.Command(Program(a.T), "serve")
	cmd.Dir, cmd.Stdout, cmd.Stderr = a.T.TempDir(), &a.Log, &a.Log
	cmd.Env = BaseEnviron()
	for key := range maps.Keys(cfg) {
		cmd.Env = append(cmd.Env, key+"="+cfg[key])
	}
	if err := cmd.Start(); err != nil {
		a.T.Fatal(err)
	}
	p := &Process{
		Server: &Server{T: a.T, URL: "http://" + cfg["LATCHKEY_LISTEN"], OpsURL: "http://" + cfg["LATCHKEY_OPS_LISTEN"]},
		Cmd:    cmd, ended: make(chan error, 1),
	}
	go func() {
		p.ended <- cmd.Wait()
		close(p.ended) // a second receiver does not wait
	}()
	t := a.T
	p.Stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // the process may have ended
		if err := <-p.ended; err != nil {
			t.Errorf("the server: got %v at its end, want no error:\n%s", err, a.Log.String())
		}
	})
	t.Cleanup(func() { p.Stop() })
	p.AwaitReady(p.ended)
	return p
}

// Terminate sends SIGTERM and does not wait. Use Stop to wait afterwards. A second signal would
// end the program at once.
func (p *Process) Terminate() {
	p.T.Helper()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.T.Fatal(err)
	}
	p.Stop = sync.OnceFunc(func() {
		if err := <-p.ended; err != nil {
			p.T.Errorf("the server: got %v at its end, want no error", err)
		}
	})
}

// Kill kills the process (kill -9).
func (p *Process) Kill() {
	p.T.Helper()
	p.Stop = func() {}
	if err := p.Cmd.Process.Kill(); err != nil {
		p.T.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-p.ended; !errors.As(err, &exit) || exit.ExitCode() != -1 {
		p.T.Fatalf("got %v from a killed process", err)
	}
}

func Numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(prefix, i)
	}
	return names
}
