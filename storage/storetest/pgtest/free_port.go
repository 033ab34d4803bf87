package pgtest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// reservations are the ports that this process has reserved. Each one is a socket whose name
// has the number of the port. Linux lets one process bind a name, until the process ends.
var reservations = struct {
	sync.Mutex
	sockets map[int]net.Listener
}{sockets: map[int]net.Listener{}}

// FreePort returns a TCP port of 127.0.0.1 on which no program listens, and reserves it: until
// ReleasePort, or the end of this process, no test process gets it from FreePort. Programs that
// do not call FreePort do not use it either, because it is below the ports that Linux gives to
// outgoing connections and to listeners of any port.
func FreePort() (int, error) {
	const first, last, tries = 10_000, 32_767, 100
	failed := errors.New("pgtest: no free port")
	for range tries {
		port := first + rand.IntN(last-first+1) //nolint:gosec // not a secret
		socket, err := net.Listen("unix", "@latchkey-test-port-"+strconv.Itoa(port))
		if err == nil {
			err = isFree(port)
		}
		if err == nil {
			reservations.Lock()
			defer reservations.Unlock()
			reservations.sockets[port] = socket
			return port, nil
		}
		if socket != nil {
			err = errors.Join(err, socket.Close())
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			failed = err
		}
	}
	return 0, failed
}

// isFree returns an error if a program listens on the port.
func isFree(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// ReleasePort ends the reservation of a port.
func ReleasePort(port int) {
	reservations.Lock()
	defer reservations.Unlock()
	_ = reservations.sockets[port].Close() // nothing was sent
	delete(reservations.sockets, port)
}
