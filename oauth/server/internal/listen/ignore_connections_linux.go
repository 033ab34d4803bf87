package listen

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// synFilter is a BPF program that drops TCP segments with the flag SYN (RFC 9293
// section 3.1, byte 13) and lets all others pass.
var synFilter = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: 0x02, Jt: 0, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xFFFFFFFF},
}

// ignoreNewConnections makes the system ignore attempts to connect to the listener, as
// if they had been lost on the way: the client repeats them, and is refused when the
// listener is closed. Connections that are open, or half open, are still accepted.
// Without it, a connection that opens between the last call of Accept and the close is
// reset. Errors do not matter.
func ignoreNewConnections(l net.Listener) {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		program := unix.SockFprog{Len: uint16(len(synFilter)), Filter: &synFilter[0]} //nolint:gosec // a few instructions
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
}
