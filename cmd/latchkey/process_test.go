package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a server of its own, under measurement.
type process struct {
	tb      testing.TB
	cmd     *exec.Cmd
	address string
}

// buildServer builds the program as it is released.
func buildServer(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "latchkey")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v: %s", err, out)
	}
	return binary
}

// startServer runs "latchkey serve" with its defaults, but for the limit of a recipient,
// and throws its log away.
func startServer(tb testing.TB, binary, databaseURL string) *process {
	tb.Helper()
	listen, ops := freeAddresses(tb)
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(os.Environ(), "LATCHKEY_DATABASE_URL="+databaseURL, "LATCHKEY_MASTER_KEY="+testMasterKey,
		"LATCHKEY_LISTEN="+listen, "LATCHKEY_OPS_LISTEN="+ops, "LATCHKEY_ISSUER=http://latchkey.test",
		"LATCHKEY_OTP_LIMIT_RECIPIENT=1000000/1s,1000000/24h")
	return startProcess(tb, cmd, listen, "http://"+ops+"/readyz")
}

// startBare runs the bare server.
func startBare(tb testing.TB, databaseURL string) *process {
	tb.Helper()
	listen, _ := freeAddresses(tb)
	return startProcess(tb, exec.Command("bare-server", listen, databaseURL), listen, "http://"+listen+"/")
}

// startProcess returns once the process answers at url.
func startProcess(tb testing.TB, cmd *exec.Cmd, address, url string) *process {
	tb.Helper()
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &process{tb: tb, cmd: cmd, address: address}
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

func (p *process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // says that it was killed
}

// memory is the resident memory in MB, now ("VmRSS") or at most ("VmHWM").
func (p *process) memory(which string) float64 {
	p.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == which+":" {
			kb, _ := strconv.Atoi(fields[1])
			return float64(kb) / 1024
		}
	}
	p.tb.Fatalf("no %s of the process", which)
	return 0
}

// awaitQuiet waits until the process has finished what goes on behind its
// answers.
func (p *process) awaitQuiet() {
	p.tb.Helper()
	for used := p.ticks(); ; {
		time.Sleep(300 * time.Millisecond)
		now := p.ticks()
		if now-used <= 1 {
			return
		}
		used = now
	}
}

// usPerTick is how many microseconds a tick has (Linux: USER_HZ is 100).
const usPerTick = 10_000

// ticks is the processor time used so far.
func (p *process) ticks() int {
	p.tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

// caller makes the calls of one connection, one after the other.
type caller struct {
	next     func() (c apiCall, ok bool) // ok: there is one more
	answered func(body []byte)           // may be nil
}

// run lets the callers send calls until the end, each over a connection of its
// own, and returns how many were answered in what time.
func (p *process) run(callers []caller, end time.Duration) (calls int, took time.Duration) {
	p.tb.Helper()
	conns := make([]*bufio.ReadWriter, len(callers))
	for i := range conns {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			p.tb.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck,gocritic // all of them are open until the last call
		conns[i] = bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
	}
	counts := make([]int, len(callers))
	var group sync.WaitGroup
	start := time.Now()
	for i, caller := range callers {
		group.Go(func() {
			for time.Since(start) < end {
				c, ok := caller.next()
				if !ok {
					return
				}
				body, err := exchange(conns[i], c)
				if err != nil {
					p.tb.Error(err)
					return
				}
				if caller.answered != nil {
					caller.answered(body)
				}
				counts[i]++
			}
		})
	}
	group.Wait()
	took = time.Since(start)
	for _, n := range counts {
		calls += n
	}
	return calls, took
}

// exchange sends a call and reads the answer. It does no more than it must:
// the caller competes with the server for the processors.
func exchange(conn *bufio.ReadWriter, c apiCall) ([]byte, error) {
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		c.path, c.media, len(c.body), c.body)
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(conn.Reader, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != c.status {
		err = fmt.Errorf("%s: %d %s, want %d", c.path, response.StatusCode, body, c.status)
	}
	return body, err
}
