package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("New without a handler succeeded")
	}
	shared := prometheus.NewRegistry()
	cfg := Config{Handler: http.NotFoundHandler(), Registry: shared}
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil {
		t.Error("New with a registry that is in use succeeded")
	}
}

func TestStartFailsWhenAnAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, cfg := range []Config{
		{Listen: taken.Addr().String(), OpsListen: "127.0.0.1:0"},
		{Listen: "127.0.0.1:0", OpsListen: taken.Addr().String()},
	} {
		cfg.Handler = http.NotFoundHandler()
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); err == nil {
			t.Error("Run on an address in use: got no error, want one")
		}
	}
}

// TestStopUnderLoad stops the server while many clients send requests on open connections.
// Every request that reached the server must be answered completely.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, before = 16, 2000
	served := new(atomic.Int64)
	enough := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		if served.Add(1) == before {
			close(enough)
		}
	})
	s := start(t, mux, func(c *Config) {
		c.DrainTimeout = 10 * time.Second // a busy machine needs longer than the default; the stop ends when all clients have closed
	})
	answered := new(atomic.Int64)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for {
				err := echo(t.Context(), s.client, s.url("/"))
				var dial *net.OpError
				if errors.As(err, &dial) && dial.Op == "dial" {
					return // the listener is closed, so nothing was sent
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	<-enough
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if served.Load() != answered.Load() {
		t.Errorf("got %d served requests and %d received answers, want the same", served.Load(), answered.Load())
	}
}

// echo sends a body and expects the same body. net/http does not repeat a POST request, so an
// answer means that this request was served.
func echo(ctx context.Context, client *http.Client, url string) error {
	const text = "grant_type=client_credentials"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.NopCloser(strings.NewReader(text)))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != text {
		return fmt.Errorf("answer %q: %w", body, err)
	}
	return nil
}

// TestReadinessFallsFirst tests that readiness is 503 during ShutdownDelay. New connections are
// still accepted, and their answers ask the client to close them. Then the listener closes.
func TestReadinessFallsFirst(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	s := start(t, mux, func(c *Config) { c.ShutdownDelay = time.Hour })
	s.begin()
	for {
		if resp, _ := s.get(t, s.opsURL("/readyz"), nil); resp.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	for range 3 {
		if resp, body := s.get(t, s.url("/"), nil); resp.StatusCode != http.StatusOK || body != "served" || !resp.Close {
			t.Errorf("a new connection while readiness is 503: got %d %q, close: %v", resp.StatusCode, body, resp.Close)
		}
	}
	_ = s.apiLimit.Close() // the delay ends with the listener
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// heldListener accepts nothing until the server closes it or limits the time of Accept.
type heldListener struct {
	*net.TCPListener
	open func()
	held chan struct{}
}

func (l *heldListener) Accept() (net.Conn, error) {
	<-l.held
	return l.TCPListener.Accept()
}

func (l *heldListener) SetDeadline(t time.Time) error {
	l.open()
	return l.TCPListener.SetDeadline(t)
}

func (l *heldListener) Close() error {
	l.open()
	return l.TCPListener.Close()
}

// TestBacklogIsServed stops a server while clients have connected and sent a request that the
// server has not accepted yet. The system would reset these connections if the server closed
// the listener.
func TestBacklogIsServed(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	held := &heldListener{TCPListener: l.(*net.TCPListener), held: make(chan struct{})}
	held.open = sync.OnceFunc(func() { close(held.held) })
	s := start(t, mux, func(c *Config) { c.Listener, c.DrainTimeout, c.ShutdownTimeout = held, time.Minute, time.Minute })
	conns := make([]net.Conn, 6)
	for i := range conns {
		conns[i] = s.dial(t)
		if _, err := io.WriteString(conns[i], "GET / HTTP/1.1\r\nHost: latchkey.test\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	s.begin()
	for i, conn := range conns {
		got, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(got), "served") || !strings.Contains(string(got), "Connection: close") {
			t.Errorf("connection %d: got %q, error %v", i, got, err)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("the listener is open after the stop, want it closed")
	}
}

// TestStopOrder tests a stop while a request is in flight. Readiness reports it, new
// connections are refused, and the request is still answered.
func TestStopOrder(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		_, _ = fmt.Fprintf(w, "done, context: %v", r.Context().Err())
	})
	s := start(t, mux, func(c *Config) { c.ShutdownTimeout = time.Minute })
	slow := make(chan string, 1)
	go func() {
		resp, body := s.get(t, s.url("/slow"), nil)
		slow <- fmt.Sprintf("%d %s, close: %v", resp.StatusCode, body, resp.Close)
	}()
	<-entered
	s.begin()
	<-s.apiLimit.done
	if resp, body := s.get(t, s.opsURL("/readyz"), nil); resp.StatusCode != 503 || body != "{\"status\":\"stopping\"}\n" {
		t.Errorf("readiness during the stop: got %d %q, want 503", resp.StatusCode, body)
	}
	// The descriptor closes soon after done, so the first attempts may still succeed.
	for {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(release)
	if got, want := <-slow, "200 done, context: <nil>, close: true"; got != want {
		t.Errorf("request in flight: got %q, want %q", got, want)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestStopCutsOffWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
	})
	s := start(t, mux, func(c *Config) { c.ShutdownTimeout = 20 * time.Millisecond })
	failed := make(chan error, 1)
	go func() {
		failed <- echo(t.Context(), s.client, s.url("/"))
	}()
	<-entered
	if err := s.stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline exceeded", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request that was cut off: got no error, want one")
	}
}
