//go:build deployment

package deployment

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// proxy is an example of a proxy's configuration.
type proxy struct {
	program, file string
	wrap          func(dir, text string) string
	args          func(dir, file string) []string
	delay         string // value of LATCHKEY_SHUTDOWN_DELAY
}

var proxies = []proxy{
	{
		program: "nginx", file: "nginx.conf", delay: "11s",
		wrap: func(dir, text string) string {
			paths := ""
			for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
				paths += fmt.Sprintf("%s_temp_path %s/%[1]s;\n", kind, dir)
			}
			return "daemon off; pid " + dir + "/pid; error_log " + dir + "/error.log;\nevents {}\nhttp {\naccess_log off;\n" + paths + text + "}\n"
		},
		args: func(dir, file string) []string { return []string{"-p", dir, "-c", file} },
	},
	{
		program: "haproxy", file: "haproxy.cfg", delay: "3s",
		wrap: func(_, text string) string { return text },
		args: func(_, file string) []string { return []string{"-db", "-f", file} },
	},
}

// TestProxies tests that no request fails while both replicas are restarted one after the other
// behind the examples of proxies, with the delays that the page names.
func TestProxies(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.program, func(t *testing.T) {
			kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
				if strings.HasPrefix(w.DatabaseURL, "sqlite:") {
					return // this example has one machine with one replica
				}
				p.test(t, kit.NewOneServer(w))
			})
		})
	}
}

func (p proxy) test(t *testing.T, a *kit.OneServer) {
	t.Helper()
	machine := a.CreateClient(t, "--name", "load", "--grant", "client_credentials", "--role", "OrderReader")
	replicas := []*replica{newReplica(t, a, p.delay), newReplica(t, a, p.delay)}
	url := p.start(t, replicas)
	var served, failed atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			n := &kit.Server{T: t, URL: url}
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if got := n.ClientCredentials(machine.ID, machine.Secret); got.Status != http.StatusOK {
					failed.Add(1)
					t.Logf("%s: %d %s", time.Now().Format(time.StampMilli), got.Status, got.Body)
				}
				served.Add(1)
			}
		})
	}
	time.Sleep(2 * time.Second)
	for _, r := range append(replicas, replicas...) {
		t.Logf("%s: restart", time.Now().Format(time.StampMilli))
		r.restart()
		time.Sleep(2 * time.Second)
	}
	close(stop)
	load.Wait()
	t.Logf("%d requests, %d failed", served.Load(), failed.Load())
	if failed.Load() > 0 || served.Load() < 1000 {
		t.Errorf("got %d failed requests of %d, want none", failed.Load(), served.Load())
	}
}

// replica is a server that is restarted at its addresses.
type replica struct {
	t           *testing.T
	a           *kit.OneServer
	listen, ops string
	delay       string
	process     *kit.Process
}

func newReplica(t *testing.T, a *kit.OneServer, delay string) *replica {
	t.Helper()
	r := &replica{t: t, a: a, delay: delay}
	r.listen, r.ops = kit.FreeAddresses(t)
	r.start()
	return r
}

func (r *replica) start() {
	r.t.Helper()
	r.process = r.a.StartProcess("LATCHKEY_LISTEN="+r.listen, "LATCHKEY_OPS_LISTEN="+r.ops,
		"LATCHKEY_SHUTDOWN_DELAY="+r.delay, "LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8", "LATCHKEY_CLIENT_SECRET_LIMIT=0")
}

func (r *replica) restart() {
	r.t.Helper()
	r.process.Stop()
	r.start()
}

// start runs the proxy with its example, in which only the addresses are replaced. It returns
// the URL of the proxy.
func (p proxy) start(t *testing.T, replicas []*replica) (url string) {
	t.Helper()
	text, err := os.ReadFile(root + "/deploy/proxy/" + p.file)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := kit.FreeAddresses(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	opsPort := func(r *replica) string { return r.ops[strings.LastIndexByte(r.ops, ':')+1:] }
	addressed := strings.NewReplacer(
		"listen 8000", "listen 127.0.0.1:"+port, "bind :8000", "bind 127.0.0.1:"+port,
		"127.0.0.1:8080", replicas[0].listen, "127.0.0.1:8082", replicas[1].listen,
		"latchkey-1:8080 port 8081", replicas[0].listen+" port "+opsPort(replicas[0]),
		"latchkey-2:8080 port 8081", replicas[1].listen+" port "+opsPort(replicas[1]),
	).Replace(string(text))
	dir := t.TempDir()
	file := filepath.Join(dir, p.file)
	if err := os.WriteFile(file, []byte(p.wrap(dir, addressed)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p.program, p.args(dir, file)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	var out kit.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); t.Failed() {
			t.Logf("%s ended: %v\n%s", p.program, err, out.String())
		}
	})
	kit.Eventually(t, p.program+" serves", func() bool {
		response, err := http.Get("http://127.0.0.1:" + port + "/.well-known/oauth-authorization-server")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	return "http://127.0.0.1:" + port
}
