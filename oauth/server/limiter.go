package server

import (
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const opsMaxConns = 64

// limiter is a listener with a bounded number of open connections. Further
// ones wait in the queue of the operating system.
type limiter struct {
	net.Listener
	slots chan struct{}
	gauge prometheus.Gauge // may be nil

	mu     sync.Mutex
	open   int
	closed bool
	done   chan struct{} // closed with the listener
	empty  chan struct{} // closed when the listener and every connection is
}

func newLimiter(l net.Listener, limit int, gauge prometheus.Gauge) *limiter {
	return &limiter{
		Listener: l,
		slots:    make(chan struct{}, limit),
		gauge:    gauge,
		done:     make(chan struct{}),
		empty:    make(chan struct{}),
	}
}

// Accept implements net.Listener.
func (l *limiter) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.count(1)
	return &limitedConn{Conn: conn, release: sync.OnceFunc(l.release)}, nil
}

func (l *limiter) release() {
	l.count(-1)
	<-l.slots
}

func (l *limiter) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	if l.gauge != nil {
		l.gauge.Set(float64(l.open))
	}
	if l.closed && l.open == 0 {
		l.closeEmpty()
	}
}

// closeEmpty is called with mu held. A connection that was taken at the moment
// of the close may empty the listener a second time.
func (l *limiter) closeEmpty() {
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// Close implements net.Listener. It may be called again.
func (l *limiter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.done)
	if l.open == 0 {
		l.closeEmpty()
	}
	return l.Listener.Close()
}

// limitedConn gives its slot back when it is closed.
type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
