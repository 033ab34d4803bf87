package kit

import (
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// MeasuredProcess is a server whose load is measured from outside.
type MeasuredProcess struct {
	TB      testing.TB
	Cmd     *exec.Cmd
	Address string
	URL     string // answers when the process is ready
}

// StartProcess starts a command, and waits until it answers at url.
func StartProcess(tb testing.TB, cmd *exec.Cmd, address, url string) *MeasuredProcess {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &MeasuredProcess{TB: tb, Cmd: cmd, Address: address, URL: url}
	tb.Cleanup(p.end)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if response, err := http.Get(url); err == nil {
			_ = response.Body.Close()
			if response.StatusCode < http.StatusInternalServerError {
				return p
			}
		}
	}
	tb.Fatalf("%s does not answer", cmd)
	return nil
}

func (p *MeasuredProcess) end() {
	_ = p.Cmd.Process.Kill()
	_ = p.Cmd.Wait() // the error says that it was killed
}
