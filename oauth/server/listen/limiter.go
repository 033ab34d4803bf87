package listen

import (
	"container/list"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	opsMaxConns = 64
	// networkShare is the part of all connections that one address may have
	// open: an eighth.
	networkShare = 8
)

var errNetworkFull = errors.New("the address has as many connections as it may")

// limiter is a listener with a bounded number of open connections, in all and
// for each address. A connection is idle while it waits for the head of a
// request. When the bound is reached, the connection that has been idle for
// longest is closed and the new one takes its place: connections that nobody
// uses cannot keep others out. If none is idle, new connections wait until one
// is, and an address that has reached its own bound is refused.
//
// Loopback, private and link-local addresses and named proxies stand for many
// clients and have no bound of their own; see countedNetwork.
type limiter struct {
	net.Listener
	limit      int // connections open at once
	perNetwork int // connections that one address may have open at once
	proxies    []netip.Prefix
	gauge      prometheus.Gauge // may be nil

	mu       sync.Mutex
	changed  sync.Cond // a connection was closed or became idle, or the listener was closed
	open     int
	networks map[netip.Prefix]int // open connections of addresses that are counted
	idle     *list.List           // of *limitedConn, the longest idle first
	closed   bool
	done     chan struct{} // closed with the listener
	empty    chan struct{} // closed when the listener and every connection is
}

func newLimiter(l net.Listener, limit int, proxies []netip.Prefix, gauge prometheus.Gauge) *limiter {
	limited := &limiter{
		Listener:   l,
		limit:      limit,
		perNetwork: max(limit/networkShare, 1),
		proxies:    proxies,
		gauge:      gauge,
		networks:   map[netip.Prefix]int{},
		idle:       list.New(),
		done:       make(chan struct{}),
		empty:      make(chan struct{}),
	}
	limited.changed.L = &limited.mu
	return limited
}

// Accept implements net.Listener.
func (l *limiter) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: conn, limiter: l}
		c.network, c.counted = countedNetwork(peerAddr(conn), l.proxies)
		err = l.admit(c)
		if err == nil {
			return c, nil
		}
		_ = conn.Close()
		if !errors.Is(err, errNetworkFull) {
			return nil, err
		}
	}
}

// admit adds a connection, if necessary in place of an idle one. It waits while
// the limit is reached and none is idle. The error is errNetworkFull, or
// net.ErrClosed if the listener is closed meanwhile.
func (l *limiter) admit(c *limitedConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	sameNetwork := func(other *limitedConn) bool { return other.counted && other.network == c.network }
	if c.counted && l.networks[c.network] >= l.perNetwork && !l.evict(sameNetwork) {
		return errNetworkFull
	}
	for l.open >= l.limit {
		if l.closed {
			return net.ErrClosed
		}
		if !l.evict(func(*limitedConn) bool { return true }) {
			l.changed.Wait()
		}
	}
	l.count(c, 1)
	c.idle = l.idle.PushBack(c)
	return nil
}

// evict closes the connection that has been idle for longest of those that
// match. It returns false if there is none. It is called with mu held.
func (l *limiter) evict(matches func(*limitedConn) bool) bool {
	for e := l.idle.Front(); e != nil; e = e.Next() {
		if c, _ := e.Value.(*limitedConn); matches(c) {
			l.remove(c)
			_ = c.Conn.Close()
			return true
		}
	}
	return false
}

// remove gives the place of a connection back, once. It is called with mu held.
func (l *limiter) remove(c *limitedConn) {
	if c.gone {
		return
	}
	c.gone = true
	l.leaveIdle(c)
	l.count(c, -1)
	l.changed.Signal()
}

func (l *limiter) leaveIdle(c *limitedConn) {
	if c.idle != nil {
		l.idle.Remove(c.idle)
		c.idle = nil
	}
}

// count is called with mu held.
func (l *limiter) count(c *limitedConn, n int) {
	l.open += n
	if l.gauge != nil {
		l.gauge.Set(float64(l.open))
	}
	if c.counted {
		if l.networks[c.network] += n; l.networks[c.network] == 0 {
			delete(l.networks, c.network)
		}
	}
	if l.closed && l.open == 0 {
		l.closeEmpty()
	}
}

// track implements http.Server.ConnState for the server of this listener. A
// request whose connection was closed at that moment must not be served, since
// its answer could not be sent: the panic ends the connection before the
// handler is called.
func (l *limiter) track(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*limitedConn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateActive:
		if c.gone {
			panic(http.ErrAbortHandler)
		}
		l.leaveIdle(c)
	case http.StateIdle:
		if !c.gone && c.idle == nil {
			c.idle = l.idle.PushBack(c)
			l.changed.Signal()
		}
	case http.StateNew, http.StateHijacked, http.StateClosed:
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
	l.changed.Signal()
	if l.open == 0 {
		l.closeEmpty()
	}
	return l.Listener.Close()
}

// limitedConn is a connection of a limiter. It gives its place back when it is
// closed.
type limitedConn struct {
	net.Conn
	limiter *limiter
	network netip.Prefix // of the peer
	counted bool         // the network has a bound

	idle *list.Element // in limiter.idle; nil while a request is served
	gone bool          // closed, by its owner or to make room
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.limiter.mu.Lock()
	c.limiter.remove(c)
	c.limiter.mu.Unlock()
	return c.Conn.Close()
}

func peerAddr(conn net.Conn) netip.Addr {
	peer, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	return peer.Addr()
}
