package main

import (
	"net"
	"strconv"
	"strings"
	"time"
)

// variable returns the value of an environment variable of the call; empty: it is not set.
func (c *cli) variable(name string) string {
	for _, v := range c.environ {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// notifier returns the function that sends the state of the service to systemd
// (sd_notify(3)), or nil if systemd does not ask for it. The function waits for no answer. A
// lost message can only cause a restart.
func (c *cli) notifier() func(state string) {
	socket := c.variable("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if abstract, ok := strings.CutPrefix(socket, "@"); ok {
		socket = "\x00" + abstract
	}
	return func(state string) {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			return
		}
		_, _ = conn.Write([]byte(state))
		_ = conn.Close()
	}
}

// watchdog returns how often systemd expects WATCHDOG=1; 0: never.
func (c *cli) watchdog() time.Duration {
	limit, err := strconv.ParseInt(c.variable("WATCHDOG_USEC"), 10, 64)
	if err != nil || limit <= 0 {
		return 0
	}
	return time.Duration(limit) * time.Microsecond / 2
}
