package load

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

	"latchkey/test/e2e/kit"
)

// buildServer builds the program as it is released.
func buildServer(tb testing.TB) string {
	tb.Helper()
	binary := filepath.Join(tb.TempDir(), "latchkey")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "latchkey/cmd/latchkey")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v: %s", err, out)
	}
	return binary
}

// startServer runs "latchkey serve" with its defaults, except the limit of a recipient, and
// discards its log.
func startServer(tb testing.TB, binary, databaseURL string) *kit.MeasuredProcess {
	tb.Helper()
	listen, ops := kit.FreeAddresses(tb)
	cmd := exec.Command(binary, "serve")
	cmd.Env = append(os.Environ(), "LATCHKEY_DATABASE_URL="+databaseURL, "LATCHKEY_MASTER_KEY="+kit.MasterKey,
		"LATCHKEY_LISTEN="+listen, "LATCHKEY_OPS_LISTEN="+ops, "LATCHKEY_ISSUER=http://latchkey.test",
		"LATCHKEY_OTP_LIMIT_RECIPIENT=1000000/1s,1000000/24h")
	return kit.StartProcess(tb, cmd, listen, "http://"+ops+"/readyz")
}

// startBare runs the bare server.
func startBare(tb testing.TB, databaseURL string) *kit.MeasuredProcess {
	tb.Helper()
	listen, _ := kit.FreeAddresses(tb)
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self, listen, databaseURL)
	cmd.Env = append(os.Environ(), bareServerVariable+"=1")
	return kit.StartProcess(tb, cmd, listen, "http://"+listen+"/")
}

// memory is the resident memory in MB, now ("VmRSS") or at most ("VmHWM").
func memory(p *kit.MeasuredProcess, which string) float64 {
	p.TB.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		p.TB.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == which+":" {
			kb, _ := strconv.Atoi(fields[1])
			return float64(kb) / 1024
		}
	}
	p.TB.Fatalf("no %s of the process", which)
	return 0
}

// awaitQuiet waits until the process has finished what it does after its answers.
func awaitQuiet(p *kit.MeasuredProcess) {
	p.TB.Helper()
	for used := ticks(p); ; {
		time.Sleep(300 * time.Millisecond)
		now := ticks(p)
		if now-used <= 1 {
			return
		}
		used = now
	}
}

// usPerTick is how many microseconds a tick has (Linux: USER_HZ is 100).
const usPerTick = 10_000

// ticks is the processor time used so far.
func ticks(p *kit.MeasuredProcess) int {
	p.TB.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
	if err != nil {
		p.TB.Fatal(err)
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
func run(p *kit.MeasuredProcess, callers []caller, end time.Duration) (calls int, took time.Duration) {
	p.TB.Helper()
	conns := make([]*bufio.ReadWriter, len(callers))
	for i := range conns {
		conn, err := net.Dial("tcp", p.Address)
		if err != nil {
			p.TB.Fatal(err)
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
					p.TB.Error(err)
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

// exchange sends a call and reads the answer. It does as little as possible, because the caller
// competes with the server for the processors.
func exchange(conn *bufio.ReadWriter, c apiCall) ([]byte, error) {
	if c.media == "" {
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: bench\r\nCookie: %s\r\n\r\n", c.path, c.cookie)
	} else {
		_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			c.path, c.media, len(c.body), c.body)
	}
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
		err = fmt.Errorf("%s: got %d %s, want %d", c.path, response.StatusCode, body, c.status)
	}
	return body, err
}
