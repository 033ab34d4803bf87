package operations

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestServiceManager tests that systemd is notified when a server is ready, that it is alive,
// and that it stops. The command healthcheck succeeds while the server runs, and fails
// afterwards.
func TestServiceManager(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		dir, err := os.MkdirTemp("", "notify") // the path of a socket has a small limit
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a leftover does no harm
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close() //nolint:errcheck // only read
		states := make(chan string, 1000)
		go func() {
			defer close(states)
			for buffer := make([]byte, 100); ; {
				n, err := socket.Read(buffer)
				if err != nil {
					return
				}
				states <- string(buffer[:n])
			}
		}()
		await := func(want string) {
			t.Helper()
			for timeout := time.After(30 * time.Second); ; {
				select {
				case got := <-states:
					if got == want {
						return
					}
				case <-timeout:
					t.Fatalf("got no notification %s", want)
				}
			}
		}
		a := kit.NewOneServer(w)
		p := a.StartProcess("NOTIFY_SOCKET="+filepath.Join(dir, "s"), "WATCHDOG_USEC=200000")
		await("READY=1")
		await("WATCHDOG=1")
		await("WATCHDOG=1")
		ops := append(w.Environ(), "LATCHKEY_OPS_LISTEN="+strings.TrimPrefix(p.OpsURL, "http://"))
		if r := kit.TryCommand(t, ops, "healthcheck"); r.ExitCode != 0 || !strings.Contains(r.Stdout, `"status":"ready"`) {
			t.Errorf("healthcheck: got %+v", r)
		}
		p.Terminate()
		await("STOPPING=1")
		p.Stop()
		for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "--live"}} {
			if r := kit.TryCommand(t, ops, args...); r.ExitCode != 1 || !strings.Contains(r.Stderr, "connection refused") {
				t.Errorf("%q of a stopped server: got %+v", args, r)
			}
		}
	})
}
