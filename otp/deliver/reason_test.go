package deliver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// callError calls a URL through a webhook and returns the error. Loopback addresses are
// allowed, and the resolver looks up host names.
func callError(t *testing.T, url string, timeout time.Duration, resolver *net.Resolver) error {
	t.Helper()
	w, err := deliver.NewWebhook(deliver.WebhookConfig{
		Encode: func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error) {
			return deliver.Call{URL: url}, nil
		},
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: timeout, Resolver: resolver,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.Send(t.Context(), storage.Sender{}, deliver.Envelope{})
}

// onEachConnection starts a listener on a loopback address. It calls do with each
// connection and then closes it.
func onEachConnection(t *testing.T, do func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			do(conn)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

// TestReasonsNameNothing tests that the reason for any error is one of the texts that contain
// nothing about the network.
func TestReasonsNameNothing(t *testing.T) {
	t.Parallel()
	// A connection that is closed before the request is written gives another error.
	readAndClose := func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }
	closing := onEachConnection(t, readAndClose)
	silent := onEachConnection(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	notHTTP := onEachConnection(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 relay.internal ESMTP\r\n\r\n") })
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	alsoClosing := onEachConnection(t, readAndClose)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := l.Addr().String()
	_ = l.Close()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "udp", Addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.53:53")), Err: errors.New("refused")}
	}}
	for url, want := range map[string]deliver.Reason{
		"http://10.9.8.7:8443/hook":         "address not allowed",
		"http://[fd00::17]/":                "address not allowed",
		"http://169.254.169.254/latest":     "address not allowed",
		"http://" + refusing + "/":          "connection refused",
		"http://" + closing + "/":           "connection closed",
		"http://" + silent + "/":            "timed out",
		"http://" + notHTTP + "/":           "delivery failed",
		secure.URL:                          "TLS certificate not accepted",
		"https://" + plain.URL[7:]:          "TLS handshake failed",
		"https://" + alsoClosing + "/":      "connection closed",
		"http://db.internal.example/":       "name lookup failed",
		plain.URL:                           "receiver answered 404",
		"http://user:pa ss@host/":           "not a URL",
		"ftp://files.example/":              "not an http or https URL",
		"http://127.0.0.1:99999/secret-key": "delivery failed",
	} {
		timeout := time.Minute // the machine may be busy
		if want == "timed out" {
			timeout = 100 * time.Millisecond
		}
		err := callError(t, url, timeout, resolver)
		if got := deliver.ReasonOf(err); got != want {
			t.Errorf("%s: got %q, want %q (%v)", url, got, want, err)
		}
	}
}

func TestReasonOf(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.1.2.3:25: secret.internal")
	for _, test := range []struct {
		err  error
		want deliver.Reason
	}{
		{cause, "delivery failed"},
		{fmt.Errorf("connect: %w", &net.DNSError{Err: "no such host", Name: "secret.internal", Server: "10.0.0.53:53", IsNotFound: true}), "name not found"},
		{&net.DNSError{Err: "i/o timeout", Name: "secret.internal", Server: "10.0.0.53:53", IsTimeout: true}, "name lookup failed"},
		{fmt.Errorf("TLS: %w", tls.AlertError(40)), "TLS handshake failed"},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), "timed out"},
		{fmt.Errorf("read: %w", storage.ErrUnavailable), "database unavailable"},
		{deliver.Permanent(fmt.Errorf("%w: %w", deliver.Reason("the recipient is disabled"), cause)), "the recipient is disabled"},
		{deliver.RetryAfter(fmt.Errorf("encode: %w", deliver.Reason("no key")), time.Second), "no key"},
	} {
		if got := deliver.ReasonOf(test.err); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}

// TestCauseIsLoggedOnly tests that the stored message and the events have only the reason. The
// log also has the cause, without the code.
func TestCauseIsLoggedOnly(t *testing.T) {
	t.Parallel()
	f := newFixture()
	f.receiver.answer = func(_ context.Context, e deliver.Envelope) error {
		return deliver.Permanent(fmt.Errorf("dial tcp 10.1.2.3:25: refused %s", e.Code))
	}
	f.put(t, "m1", time.Minute)
	_, stop := f.start(t, 0)
	for deadline := time.Now().Add(10 * time.Second); f.message("m1").State == storage.MessageQueued && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	if m := f.message("m1"); m.LastError != "delivery failed" {
		t.Errorf("got the error %q, want delivery failed", m.LastError)
	}
	if lines := fmt.Sprint(f.recorder.lines()); !strings.Contains(lines, "delivery failed") || strings.Contains(lines, "10.1.2.3") {
		t.Errorf("got the events %s", lines)
	}
	if log := f.log.String(); !strings.Contains(log, `"cause":"dial tcp 10.1.2.3:25: refused [code]"`) {
		t.Errorf("got the log %s", log)
	}
}
