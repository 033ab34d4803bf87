package deliver_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// dnsServer is a DNS server that answers every query with its current addresses.
type dnsServer struct {
	mu    sync.Mutex
	addrs []netip.Addr
}

func (s *dnsServer) setAddresses(addrs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = nil
	for _, a := range addrs {
		s.addrs = append(s.addrs, netip.MustParseAddr(a))
	}
}

// resolver starts the server and returns a resolver that uses it.
func (s *dnsServer) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(s.answer(buf[:n]), from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer writes a response to a query with one question (RFC 1035 §4).
func (s *dnsServer) answer(query []byte) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // skip the root label, type and class
	kind := binary.BigEndian.Uint16(query[end-4:])
	s.mu.Lock()
	defer s.mu.Unlock()
	var records []byte
	count := uint16(0)
	for _, a := range s.addrs {
		if kind != 1 { // A is answered; there are no AAAA records
			break
		}
		count++
		records = append(records, 0xC0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name, A, IN, TTL 0, length 4
		records = append(records, a.AsSlice()...)
	}
	response := append([]byte{query[0], query[1], 0x84, 0, 0, 1}, binary.BigEndian.AppendUint16(nil, count)...)
	response = append(response, 0, 0, 0, 0)
	return append(append(response, query[header:end]...), records...)
}

// TestWebhookDNSRebinding tests that a webhook refuses a host name that changes from an allowed
// address to a forbidden one.
func TestWebhookDNSRebinding(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := serve(t, func(rw http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		rw.Header().Set("Connection", "close") // so that each call looks up the name
	})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names := &dnsServer{}
	w := webhook(t, deliver.WebhookConfig{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Resolver: names.resolver(t),
		Encode: func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error) {
			return deliver.Call{URL: "http://receiver.example.:" + port + "/"}, nil
		},
	})
	tests := []struct {
		addrs     []string
		delivered bool
	}{
		{[]string{"127.0.0.1"}, true},
		{[]string{"127.0.0.2"}, false},
		{[]string{"169.254.169.254"}, false},
		{[]string{"10.0.0.1", "192.168.0.1"}, false},
		{[]string{"0.0.0.0"}, false},
		{[]string{"127.0.0.1"}, true},
	}
	want := int64(0)
	for _, tt := range tests {
		names.setAddresses(tt.addrs...)
		err := w.Send(t.Context(), storage.Sender{}, message("msg_1"))
		if tt.delivered {
			want++
		}
		if (err == nil) != tt.delivered || !tt.delivered && !deliver.IsPermanent(err) {
			t.Errorf("%v: got %v", tt.addrs, err)
		}
		if n := calls.Load(); n != want {
			t.Fatalf("%v: got %d calls, want %d", tt.addrs, n, want)
		}
	}
}
