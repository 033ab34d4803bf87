package pgtest_test

import (
	"net"
	"strconv"
	"testing"

	"latchkey/storage/storetest/pgtest"
)

// TestFreePort tests that no port is given twice, and that other processes see what is reserved.
func TestFreePort(t *testing.T) {
	t.Parallel()
	const ports = 1000 // of random ports without reservations, many would be the same
	seen := map[int]bool{}
	for range ports {
		port, err := pgtest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pgtest.ReleasePort(port) })
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
	}
	port, err := pgtest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	name := "@latchkey-test-port-" + strconv.Itoa(port)
	if _, err := net.Listen("unix", name); err == nil {
		t.Errorf("port %d is not reserved", port)
	}
	pgtest.ReleasePort(port)
	socket, err := net.Listen("unix", name)
	if err != nil {
		t.Fatalf("port %d is still reserved: %v", port, err)
	}
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
}
