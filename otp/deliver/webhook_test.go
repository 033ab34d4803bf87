package deliver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/otp/deliver"
	"latchkey/storage"
)

// loopback returns the prefixes that tests must allow to reach their own servers.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// webhookTo returns a webhook that posts "hello" to url.
func webhookTo(t *testing.T, url string, allow []netip.Prefix) *deliver.Webhook {
	t.Helper()
	return webhook(t, deliver.WebhookConfig{Allow: allow, Encode: func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error) {
		return deliver.Call{URL: url, Body: []byte("hello")}, nil
	}})
}

func webhook(t *testing.T, cfg deliver.WebhookConfig) *deliver.Webhook {
	t.Helper()
	w, err := deliver.NewWebhook(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// serve starts a server that is closed when the test ends.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func message(id string) deliver.Envelope {
	return deliver.Envelope{Message: storage.Message{ID: id}, Username: "bob", Code: "ABC123"}
}

func TestNewWebhookRefuses(t *testing.T) {
	t.Parallel()
	encode := func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error) {
		return deliver.Call{}, nil
	}
	for name, cfg := range map[string]deliver.WebhookConfig{
		"no Encode":      {},
		"invalid prefix": {Encode: encode, Allow: []netip.Prefix{{}}},
	} {
		if w, err := deliver.NewWebhook(cfg); err == nil || w != nil {
			t.Errorf("%s: got %v, error %v; want an error", name, w, err)
		}
	}
}

func TestWebhookPostsTheCall(t *testing.T) {
	t.Parallel()
	type arrived struct{ Method, Path, Key, Custom, Body string }
	var mu sync.Mutex
	var got []arrived
	server := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, arrived{r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), r.Header.Get("X-Custom"), string(body)})
		rw.WriteHeader(http.StatusAccepted)
	})
	header := http.Header{"X-Custom": {"yes"}, "Idempotency-Key": {"forged"}}
	w := webhook(t, deliver.WebhookConfig{Allow: loopback(), Encode: func(_ context.Context, s storage.Sender, e deliver.Envelope) (deliver.Call, error) {
		return deliver.Call{URL: server.URL + "/hook?x=" + s.ID, Header: header, Body: []byte(e.Username + " " + e.Code)}, nil
	}})
	for range 2 {
		if err := w.Send(t.Context(), storage.Sender{ID: "mail"}, message("msg_1")); err != nil {
			t.Fatal(err)
		}
	}
	one := arrived{"POST", "/hook?x=mail", "msg_1", "yes", "bob ABC123"}
	if diff := cmp.Diff([]arrived{one, one}, got); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if header.Get("Idempotency-Key") != "forged" {
		t.Error("Send changed the header of the call")
	}
}

func TestWebhookStatus(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	server := serve(t, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(int(status.Load())) })
	w := webhookTo(t, server.URL, loopback())
	tests := []struct {
		statuses  []int
		delivered bool
		permanent bool
	}{
		{[]int{200, 201, 202, 204, 299}, true, false},
		{[]int{300, 304, 404, 408, 409, 421, 423, 425, 429, 500, 502, 503, 504, 599}, false, false},
		{[]int{400, 401, 403, 405, 410, 413, 422, 451, 499}, false, true},
	}
	for _, test := range tests {
		for _, s := range test.statuses {
			status.Store(int64(s))
			err := w.Send(t.Context(), storage.Sender{}, message("msg_1"))
			if (err == nil) != test.delivered || deliver.IsPermanent(err) != test.permanent {
				t.Errorf("status %d: got %v, permanent %v", s, err, deliver.IsPermanent(err))
			}
			if err != nil && err.Error() != fmt.Sprintf("receiver answered %d", s) {
				t.Errorf("status %d: got %v", s, err)
			}
		}
	}
}

func TestWebhookFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	target := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := serve(t, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, target.URL, status) })
		err := webhookTo(t, server.URL, loopback()).Send(t.Context(), storage.Sender{}, message("msg_1"))
		if err == nil || deliver.IsPermanent(err) {
			t.Errorf("redirect by %d: got %v, want an error that is not permanent", status, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("got %d followed redirects, want none", n)
	}
}

func TestWebhookRefusesForbiddenAddresses(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	port := server.Listener.Addr().(*net.TCPAddr).Port
	otherPrefixes := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1.2.3",
		"169.254.169.254", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fe80::1]", "[fc00::1]", "[64:ff9b::7f00:1]",
	} {
		for _, allow := range [][]netip.Prefix{nil, otherPrefixes} {
			err := webhookTo(t, fmt.Sprintf("http://%s:%d/", host, port), allow).Send(t.Context(), storage.Sender{}, message("msg_1"))
			if !deliver.IsPermanent(err) {
				t.Errorf("%s with %v allowed: got %v, want a permanent error", host, allow, err)
			}
		}
	}
	if n := calls.Load(); n != 0 {
		t.Fatalf("got %d calls, want none", n)
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if err := webhookTo(t, fmt.Sprintf("http://%s:%d/", host, port), loopback()).Send(t.Context(), storage.Sender{}, message("msg_1")); err != nil {
			t.Errorf("%s, which is allowed: got %v, want no error", host, err)
		}
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("got %d calls, want 2", n)
	}
}

func TestWebhookUsesNoProxy(t *testing.T) {
	var calls atomic.Int64
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	err := webhookTo(t, "http://receiver.invalid/", loopback()).Send(t.Context(), storage.Sender{}, message("msg_1"))
	if err == nil || calls.Load() != 0 {
		t.Errorf("Send: got %v, and %d calls of the proxy; want an error and none", err, calls.Load())
	}
}

func TestWebhookVerifiesCertificates(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	err := webhookTo(t, server.URL, loopback()).Send(t.Context(), storage.Sender{}, message("msg_1"))
	var unverified *tls.CertificateVerificationError
	if !errors.As(err, &unverified) || deliver.IsPermanent(err) || calls.Load() != 0 {
		t.Errorf("Send: got %v after %d calls", err, calls.Load())
	}
}

func TestWebhookRefusesURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "://", "ftp://example.com/", "file:///etc/passwd", "http://", "/hook", "http://bad host/SECRET", "http://a:b:c/SECRET"} {
		err := webhookTo(t, url, loopback()).Send(t.Context(), storage.Sender{}, message("msg_1"))
		if !deliver.IsPermanent(err) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: got %v, want a permanent error without the secret", url, err)
		}
	}
}

func TestWebhookErrorsDoNotQuoteTheURL(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close() // no program listens on its port now
	err := webhookTo(t, server.URL+"/hook?key=SECRET", loopback()).Send(t.Context(), storage.Sender{}, message("msg_1"))
	if err == nil || deliver.IsPermanent(err) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("Send: got %v, want an error without the URL", err)
	}
}

func TestWebhookReturnsErrorsOfEncode(t *testing.T) {
	t.Parallel()
	cause := errors.New("no key")
	for _, permanent := range []bool{false, true} {
		w := webhook(t, deliver.WebhookConfig{Encode: func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error) {
			if permanent {
				return deliver.Call{}, deliver.Permanent(cause)
			}
			return deliver.Call{}, cause
		}})
		err := w.Send(t.Context(), storage.Sender{}, message("msg_1"))
		if !errors.Is(err, cause) || deliver.IsPermanent(err) != permanent {
			t.Errorf("Send: got %v, permanent %v", err, deliver.IsPermanent(err))
		}
	}
}

func TestWebhookLimitsTheResponse(t *testing.T) {
	t.Parallel()
	written := make(chan int64, 1)
	server := serve(t, func(rw http.ResponseWriter, _ *http.Request) {
		var n int64
		for block := make([]byte, 1<<20); ; {
			wrote, err := rw.Write(block)
			n += int64(wrote)
			if err != nil || n > 1<<30 {
				written <- n
				return
			}
		}
	})
	if err := webhookTo(t, server.URL, loopback()).Send(t.Context(), storage.Sender{}, message("msg_1")); err != nil {
		t.Fatal(err)
	}
	if n := <-written; n > 64<<20 {
		t.Errorf("the receiver could write %d bytes, want at most 64 MiB", n)
	}
}

func TestWebhookTimeout(t *testing.T) {
	t.Parallel()
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices the end of the call
		<-r.Context().Done()
	})
	w := webhook(t, deliver.WebhookConfig{Allow: loopback(), Timeout: 50 * time.Millisecond, Encode: func(context.Context, storage.Sender, deliver.Envelope) (deliver.Call, error) {
		return deliver.Call{URL: server.URL}, nil
	}})
	err := w.Send(t.Context(), storage.Sender{}, message("msg_1"))
	if !errors.Is(err, context.DeadlineExceeded) || deliver.IsPermanent(err) {
		t.Errorf("Send: got %v, want the deadline", err)
	}
}
