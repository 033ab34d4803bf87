package listen

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dial opens a connection to the API. The test closes it.
func (r *running) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// talk sends text and returns everything that the server answers before it closes the
// connection.
func (r *running) talk(t *testing.T, text string) string {
	t.Helper()
	conn := r.dial(t)
	_, _ = io.WriteString(conn, text) // the server may close the connection before the end
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	said, _ := io.ReadAll(conn) // a reset is an end too
	return string(said)
}

// echoing returns a handler that reads the body and answers with it.
func echoing() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "[%s %s %d]", r.Method, r.URL.Path, len(body))
	})
	return mux
}

// TestHostileConnections sends text that is not HTTP, or that two servers could read
// differently. It must not reach a handler, and good clients must be served at the same time.
func TestHostileConnections(t *testing.T) {
	t.Parallel()
	r := start(t, echoing(), nil)
	const host = "Host: a\r\n"
	const next = "GET /smuggled HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n"
	for name, test := range map[string]struct{ send, status string }{
		"no host":                      {"GET / HTTP/1.1\r\n\r\n", "400"},
		"two hosts":                    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		"HTTP/1.0":                     {"GET / HTTP/1.0\r\n\r\n", "200"},
		"HTTP/9":                       {"GET / HTTP/9.9\r\n" + host + "\r\n", "505"},
		"no HTTP":                      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
		"two lengths":                  {"POST / HTTP/1.1\r\n" + host + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + next, "400"},
		"a length and more":            {"POST / HTTP/1.1\r\n" + host + "Content-Length: 4, 5\r\n\r\nabcd" + next, "400"},
		"a negative length":            {"POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n" + next, "400"},
		"a length with a sign":         {"POST / HTTP/1.1\r\n" + host + "Content-Length: +4\r\n\r\nabcd" + next, "400"},
		"a chunk of no size":           {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabcd\r\n0\r\n\r\n" + next, "400"},
		"a chunk that is longer":       {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n" + next, "400"},
		"a chunk without an end":       {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + next, "400"},
		"an encoding that is unknown":  {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n" + next, "501"},
		"a space before the colon":     {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\nabcd" + next, "400"},
		"a folded header":              {"GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n bad\x00\r\n\r\n" + next, "400"},
		"a header of 40 KB":            {"GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", "431"},
		"a thousand headers":           {"GET / HTTP/1.1\r\n" + host + strings.Repeat("X: "+strings.Repeat("y", 40)+"\r\n", 1000) + "\r\n", "431"},
		"an address of 40 KB":          {"GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1\r\n" + host + "\r\n", "431"},
		"a body that is cut off":       {"POST / HTTP/1.1\r\n" + host + "Content-Length: 10\r\n\r\nabcd", "400"},
		"a body of two megabytes":      {"POST / HTTP/1.1\r\n" + host + "Content-Length: 2097152\r\n\r\n" + strings.Repeat("x", 2<<20), "400"},
		"chunks of two megabytes":      {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + strings.Repeat("x", 2<<20) + "\r\n0\r\n\r\n", "400"},
		"a name that is cut in halves": {"GET /%zz HTTP/1.1\r\n" + host + "\r\n", "400"},
	} {
		got := r.talk(t, test.send)
		if _, rest, _ := strings.Cut(got, " "); !strings.HasPrefix(rest, test.status) {
			t.Errorf("%s: got %.120q, want status %s", name, got, test.status)
		}
		if strings.Contains(got, "/smuggled") {
			t.Errorf("%s: got a second request: %.200q", name, got)
		}
		if resp, body := r.get(t, r.url("/good"), nil); resp.StatusCode != 200 || body != "[GET /good 0]" {
			t.Fatalf("after %s: a good client got %d %s, want 200", name, resp.StatusCode, body)
		}
	}
}

// TestChunksBeatLength tests that the chunks decide if a body also has a length. No further
// request is read on that connection (RFC 9112 §6.1).
func TestChunksBeatLength(t *testing.T) {
	t.Parallel()
	r := start(t, echoing(), nil)
	got := r.talk(t, "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	if strings.Contains(got, "/smuggled") || strings.Contains(got, "[POST /first") && !strings.Contains(got, "[POST /first 0]") {
		t.Errorf("got %q, want no second request", got)
	}
}

// TestPipelined tests that pipelined requests are answered in order.
func TestPipelined(t *testing.T) {
	t.Parallel()
	r := start(t, echoing(), nil)
	var all strings.Builder
	for i := range 50 {
		_, _ = fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
	}
	got := r.talk(t, all.String())
	for i := range 50 {
		before, after, found := strings.Cut(got, fmt.Sprintf("[POST /%d 3]", i))
		if !found || strings.Contains(before, "[") {
			t.Fatalf("answer %d is missing or out of order: %.200q", i, got)
		}
		got = after
	}
}

// TestSlowClients tests clients that send or read one byte at a time. They keep a connection
// for a limited time. Good clients are served at the same time, and all goroutines end.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const many = 150
	big := strings.Repeat("x", 1<<20)
	mux := http.NewServeMux()
	mux.Handle("/", echoing())
	mux.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		for range 32 {
			if _, err := io.WriteString(w, big); err != nil {
				return
			}
		}
	})
	r := startTuned(t, mux, func(c *Config) { c.RequestTimeout = 300 * time.Millisecond }, func(s *Server) {
		s.api.ReadHeaderTimeout, s.api.ReadTimeout, s.api.WriteTimeout = 400*time.Millisecond, 600*time.Millisecond, time.Second
	})
	before := runtime.NumGoroutine()
	conns := make([]net.Conn, 0, many)
	for i := range many {
		conn := r.dial(t)
		conns = append(conns, conn)
		begin := []string{
			"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",                          // never ends its header
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nab", // never ends its body
			"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",                           // does not read the answer
		}[i%3]
		if _, err := io.WriteString(conn, begin); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	go func() { // send one byte after the other until the connection is closed
		defer close(ended)
		for alive := len(conns); alive > 0; time.Sleep(20 * time.Millisecond) {
			alive = 0
			for i, conn := range conns {
				if i%3 == 2 {
					continue
				}
				if _, err := io.WriteString(conn, "x"); err == nil {
					alive++
				}
			}
		}
	}()
	for range 20 {
		if resp, body := r.get(t, r.url("/good"), nil); resp.StatusCode != 200 || body != "[GET /good 0]" {
			t.Errorf("a good client: got %d %s, want 200", resp.StatusCode, body)
		}
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("slow clients are still served after 20s")
	}
	r.client.CloseIdleConnections()
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before+many/10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d goroutines, want %d as before", runtime.NumGoroutine(), before)
		}
	}
}

// awaitOpen waits until the server has that many connections. It fails the test if the server
// has more. The server has one less while it replaces an idle one.
func awaitOpen(t *testing.T, r *running, want int) {
	t.Helper()
	open := func() int {
		_, metrics := r.get(t, r.opsURL("/metrics"), nil)
		_, rest, _ := strings.Cut(metrics, "\nlatchkey_http_connections_open ")
		n, err := strconv.Atoi(strings.SplitN(rest, "\n", 2)[0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n := open()
		if n > want || n < want && time.Now().After(deadline) {
			t.Fatalf("got %d open connections, want %d", n, want)
		}
		if n == want {
			return
		}
	}
}
