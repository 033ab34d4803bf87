package listen

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/otp/limit"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	opsMaxConns = 64
	// networkShare is the divisor for the connections that one address may have
	// open: an eighth of all.
	networkShare = 8
)

var errNetworkFull = errors.New("the address has reached its limit of connections")

// limiter is a listener that limits the number of open connections, in total and
// for each address. A connection is idle while it waits for the head of a request.
// If the limit is reached, the limiter closes the connection that has been idle for
// the longest time and accepts the new one, so that unused connections cannot block
// others. If none is idle, new connections wait. An address that has reached its own
// limit, without an idle connection, is refused.
//
// Loopback, private and link-local addresses and trusted proxies have no limit of
// their own, because many clients share them; see limit.CountedNetwork.
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
	closing  atomic.Bool   // Accept closes the listener when it finds no connection
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
	for waits := 0; ; {
		if l.closing.Load() {
			l.limitAccept()
		}
		conn, err := l.Listener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if waits++; waits < backlogWaits {
				continue
			}
			return nil, errors.Join(net.ErrClosed, l.Close())
		}
		if err != nil {
			return nil, err
		}
		c := &limitedConn{Conn: conn, limiter: l}
		c.network, c.counted = limit.CountedNetwork(peerAddr(conn), l.proxies)
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

// admit adds a connection. If the limit is reached, it closes an idle one first, or
// waits until one is idle. The error is errNetworkFull, or net.ErrClosed if the
// listener is closed meanwhile.
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

// evict closes the matching connection that has been idle for the longest time. It
// returns false if there is none. The caller holds mu.
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

// remove stops counting a connection, once. The caller holds mu.
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

// count adds n to the numbers of open connections. The caller holds mu.
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

// track implements http.Server.ConnState for the server of this listener. If the
// limiter has just closed the connection of a request, the answer could not be sent.
// The panic then ends the connection before the handler is called.
func (l *limiter) track(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
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

// closeEmpty closes the channel empty. The listener may become empty twice, if it
// accepted a connection while it was closed. The caller holds mu.
func (l *limiter) closeEmpty() {
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// A listener that closes waits twice for one more connection, for backlogTime each: a
// client may need a moment to complete the handshake. The first wait does not count,
// because on a busy machine its time may be over before the system is asked at all.
const (
	backlogTime  = 50 * time.Millisecond
	backlogWaits = 2
)

// closeWhenIdle closes the listener when its backlog is empty, at the latest when ctx
// ends. The system resets the connections that a listener has not accepted when it
// closes. So where the system can, it ignores attempts to open further ones meanwhile.
func (l *limiter) closeWhenIdle(ctx context.Context) {
	ignoreNewConnections(l.Listener)
	l.closing.Store(true)
	l.limitAccept()
	select {
	case <-l.done:
	case <-ctx.Done():
		_ = l.Close()
	}
}

// limitAccept sets the time at which Accept gives up, now or at its next call.
func (l *limiter) limitAccept() {
	if timed, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = timed.SetDeadline(time.Now().Add(backlogTime)) // ctx of closeWhenIdle ends the wait otherwise
	}
}

// Close implements net.Listener. Further calls do nothing.
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

// limitedConn is a connection that a limiter counts until it is closed.
type limitedConn struct {
	net.Conn
	limiter *limiter
	network netip.Prefix // of the peer
	counted bool         // the network has a limit

	idle *list.Element // in limiter.idle; nil while a request is served
	gone bool          // closed, by its owner or by evict
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
