package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// peers is a listener whose connections come from addresses that the test chooses.
type peers struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPeers() *peers { return &peers{make(chan net.Conn), make(chan struct{})} }

type peerConn struct {
	net.Conn
	from net.Addr
}

func (c peerConn) RemoteAddr() net.Addr { return c.from }

// dial connects from an address and returns the client's side of the connection.
func (p *peers) dial(t *testing.T, from string) net.Conn {
	t.Helper()
	server, client := net.Pipe()
	select {
	case p.conns <- peerConn{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 40000))}:
	case <-time.After(20 * time.Second):
		t.Fatalf("the connection from %s was not accepted", from)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client
}

func (p *peers) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *peers) Close() error   { close(p.closed); return nil }
func (p *peers) Addr() net.Addr { return &net.TCPAddr{} }

// serveLimited serves HTTP through a limiter. A request for /hold is answered when release is
// closed.
func serveLimited(t *testing.T, limit int, proxies ...netip.Prefix) (l *limiter, p *peers, release chan struct{}) {
	t.Helper()
	p, release = newPeers(), make(chan struct{})
	l = newLimiter(p, limit, proxies, nil)
	srv := &http.Server{ConnState: l.track, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			<-release
		}
		_, _ = io.WriteString(w, "ok")
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
	})
	return l, p, release
}

// request sends a request and returns the status of the answer, or 0 if the connection is
// closed instead.
func request(conn net.Conn, path string) int {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
		return 0
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// isOpen reports whether the server has not closed the connection.
func isOpen(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	_ = conn.SetReadDeadline(time.Time{})
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// TestLimiterClosesTheLongestIdle tests that idle connections are closed for new ones, in the
// order in which they became idle. A connection is idle if it has sent nothing, has got an
// answer, or has begun another request.
func TestLimiterClosesTheLongestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, p, _ := serveLimited(t, 4)
		var conns []net.Conn
		for range 4 {
			conns = append(conns, p.dial(t, "127.0.0.1"))
			time.Sleep(time.Second)
		}
		silent, answered, begun, latest := conns[0], conns[1], conns[2], conns[3]
		for _, conn := range []net.Conn{answered, begun, latest} {
			if status := request(conn, "/"); status != 200 {
				t.Fatalf("got %d, want 200", status)
			}
			synctest.Wait()
		}
		_, _ = io.WriteString(begun, "GET / HT")
		_, _ = io.WriteString(silent, "G")
		for i, victim := range []net.Conn{silent, answered, begun, latest} {
			if fresh := p.dial(t, "127.0.0.1"); request(fresh, "/") != 200 {
				t.Fatalf("new connection %d got no answer, want 200", i)
			}
			synctest.Wait()
			if isOpen(victim) {
				t.Errorf("connection %d was not closed for a new one", i)
			}
			for _, later := range conns[i+1:] {
				if !isOpen(later) {
					t.Errorf("after %d new connections a later one was closed, want it open", i+1)
				}
			}
		}
		if l.open != 4 || l.idle.Len() != 4 {
			t.Errorf("got %d open and %d idle connections, want 4", l.open, l.idle.Len())
		}
	})
}

// TestLimiterKeepsRequests tests that a connection whose request is being served is never
// closed for another. New connections wait if there are no others.
func TestLimiterKeepsRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, p, release := serveLimited(t, 2)
		statuses := make(chan int, 3)
		for range 2 {
			conn := p.dial(t, "127.0.0.1")
			go func() { statuses <- request(conn, "/hold") }()
			synctest.Wait()
		}
		waiting := p.dial(t, "127.0.0.1")
		go func() { statuses <- request(waiting, "/") }()
		synctest.Wait()
		if len(statuses) != 0 || l.open != 2 {
			t.Fatalf("got %d answers and %d open connections, want 0 and 2", len(statuses), l.open)
		}
		close(release)
		for range 3 {
			if status := <-statuses; status != 200 {
				t.Errorf("got %d, want 200", status)
			}
		}
		if l.open > 2 {
			t.Errorf("got %d open connections, want at most 2", l.open)
		}
	})
}

// TestLimiterBoundsAnAddress tests that an address has at most an eighth of all connections.
// New connections of the address replace its own idle ones. If none is idle, they are refused.
func TestLimiterBoundsAnAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, p, release := serveLimited(t, 16, netip.MustParsePrefix("198.51.100.0/24"))
		other := p.dial(t, "192.0.2.200")
		first := p.dial(t, "2001:db8::1")
		second := p.dial(t, "2001:db8::2")
		third := p.dial(t, "2001:db8::ffff:3")
		synctest.Wait()
		if isOpen(first) || !isOpen(second) || !isOpen(third) || !isOpen(other) || l.open != 3 {
			t.Errorf("got open: %v %v %v, of another address %v; want false, true, true, true", isOpen(first), isOpen(second), isOpen(third), isOpen(other))
		}
		statuses := make(chan int, 2)
		for _, conn := range []net.Conn{second, third} {
			go func() { statuses <- request(conn, "/hold") }()
		}
		synctest.Wait()
		if status := request(p.dial(t, "2001:db8::4"), "/"); status != 0 {
			t.Errorf("a third connection of one address got %d, want 0", status)
		}
		if status := request(p.dial(t, "2001:db8:0:1::1"), "/"); status != 200 {
			t.Errorf("another address got %d, want 200", status)
		}
		close(release)
		for range 2 {
			if status := <-statuses; status != 200 {
				t.Errorf("a request that was being served got %d, want 200", status)
			}
		}
		for _, free := range []string{"127.0.0.9", "10.0.0.9", "100.64.0.9", "198.51.100.9"} {
			var all []net.Conn
			for range 4 {
				all = append(all, p.dial(t, free))
			}
			synctest.Wait()
			for i, conn := range all {
				if !isOpen(conn) {
					t.Errorf("connection %d of %s was closed, want it open", i, free)
				}
			}
		}
	})
}

// TestLimiterEnds tests that a closed listener is empty when its last connection is closed, and
// that a waiting connection is closed.
func TestLimiterEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPeers()
		l := newLimiter(p, 1, nil, nil)
		accepted := make(chan net.Conn, 2)
		go func() {
			defer close(accepted)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				l.track(conn, http.StateActive)
				accepted <- conn
			}
		}()
		p.dial(t, "127.0.0.1")
		waiting := p.dial(t, "127.0.0.1")
		synctest.Wait()
		_ = l.Close()
		_ = l.Close()
		synctest.Wait()
		if isOpen(waiting) {
			t.Error("a connection waits for a closed listener, want it closed")
		}
		select {
		case <-l.empty:
			t.Error("the listener is empty with an open connection")
		default:
		}
		for conn := range accepted {
			_ = conn.Close()
			_ = conn.Close() // a second close must not free a second connection
		}
		<-l.empty
		if l.open != 0 {
			t.Errorf("got %d open connections, want 0", l.open)
		}
	})
}

// TestLimiterServesNoClosedConnection tests that a request that arrives while its connection is
// closed is not handled.
func TestLimiterServesNoClosedConnection(t *testing.T) {
	t.Parallel()
	p := newPeers()
	l := newLimiter(p, 1, nil, nil)
	server, client := net.Pipe()
	defer client.Close() //nolint:errcheck // it has nothing to say
	go func() { p.conns <- server }()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler { //nolint:errorlint // the value of a panic, not an error
			t.Errorf("got %v, want the handler aborted", cause)
		}
	}()
	l.track(conn, http.StateActive)
}

// TestMoreThanMaxConns opens as many connections as allowed and keeps them open after a
// request. New clients, and operators who check the server, must still be served.
func TestMoreThanMaxConns(t *testing.T) {
	t.Parallel()
	const limit = 20
	r := start(t, echoing(), func(c *Config) { c.MaxConns = limit })
	for _, at := range []struct {
		address string
		conns   int
		path    string
		want    string
	}{
		{r.Addr().String(), 2 * limit, "/late", "[GET /late 0]"},
		{r.OpsAddr().String(), 2 * opsMaxConns, "/healthz", "{\"status\":\"ok\"}\n"},
	} {
		for i := range at.conns {
			conn, err := net.Dial("tcp", at.address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if i%2 == 0 { // the other connections send nothing
				if status := request(conn, at.path); status != 200 {
					t.Fatalf("connection %d got %d, want 200", i, status)
				}
			}
		}
		if resp, body := r.get(t, "http://"+at.address+at.path, nil); resp.StatusCode != 200 || body != at.want {
			t.Errorf("a new client: got %d %s, want 200", resp.StatusCode, body)
		}
	}
	awaitOpen(t, r, limit)
}
