package listen

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnswerAndAccessLog(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, RequestID(r.Context()))
	})
	ticks := new(atomic.Int64)
	s := start(t, mux, func(c *Config) {
		c.Rand = strings.NewReader("0123456789abcdef")
		c.Now = func() time.Time { return time.UnixMilli(2 * ticks.Add(1)) }
	})
	resp, body := s.get(t, s.url("/things/7?code=SECRET"), http.Header{"Authorization": {"Basic SECRET"}, "User-Agent": {"SECRET"}})
	const id = "30313233343536373839616263646566"
	if resp.StatusCode != http.StatusAccepted || body != id {
		t.Errorf("got %d %q, want 202 and the request ID", resp.StatusCode, body)
	}
	resp.Header.Del("Date")
	wantHeader := http.Header{
		"X-Request-Id": {id}, "X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"},
		"Content-Length": {"32"}, "Content-Type": {"text/plain; charset=utf-8"},
	}
	if diff := cmp.Diff(wantHeader, resp.Header); diff != "" {
		t.Error(diff)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{
		"level": "info", "message": "request", "method": "GET", "pattern": "GET /things/{id}", "status": 202.0,
		"bytes": 32.0, "duration_ms": 2.0, "request_id": id, "remote": "127.0.0.1",
	}}
	if diff := cmp.Diff(want, s.log.lines(t, "request")); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(s.log.text(), "SECRET") {
		t.Errorf("the log contains the request: %s", s.log.text())
	}
}

func TestHSTS(t *testing.T) {
	t.Parallel()
	for _, https := range []bool{false, true} {
		s := start(t, http.NotFoundHandler(), func(c *Config) { c.HTTPS = https })
		resp, _ := s.get(t, s.url("/"), nil)
		if got := resp.Header.Get("Strict-Transport-Security") != ""; got != https {
			t.Errorf("HTTPS %v: got Strict-Transport-Security %v, want %v", https, got, https)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		sent []string
		kept bool
	}{
		{"good", []string{"Az09_-"}, true},
		{"longest", []string{strings.Repeat("a", 64)}, true},
		{"too long", []string{strings.Repeat("a", 65)}, false},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"two", []string{"a", "b"}, false},
		{"JSON", []string{`a","level":"fatal`}, false},
		{"escape sequence", []string{"a\x1b[31m"}, false},
		{"line break", []string{"a\nb"}, false},
		{"not ASCII", []string{"é"}, false},
		{"space", []string{"a b"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := requestID(tt.sent, "", strings.NewReader(strings.Repeat("\xff", 16)))
			want := strings.Repeat("f", 32)
			if tt.kept {
				want = tt.sent[0]
			}
			if err != nil || got != want {
				t.Errorf("got %q, error %v, want %q", got, err, want)
			}
		})
	}
	if got := RequestID(t.Context()); got != "" {
		t.Errorf("outside of a request: got %q, want none", got)
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.Header().Set("Set-Cookie", "a=b")
		panic("SECRET")
	})
	mux.HandleFunc("/runtime", func(http.ResponseWriter, *http.Request) {
		var none []int
		_ = none[len(none)]
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "begun")
		_ = http.NewResponseController(w).Flush()
		panic(errors.New("SECRET"))
	})
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s := start(t, mux, nil)
	for _, path := range []string{"/early", "/runtime"} {
		resp, body := s.get(t, s.url(path), nil)
		if resp.StatusCode != 500 || body != "{\"error\":\"server_error\"}\n" || resp.Header.Get("Set-Cookie") != "" ||
			resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %q %v", path, resp.StatusCode, body, resp.Header)
		}
	}
	for _, path := range []string{"/late", "/abort"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url(path), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.client.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: a broken answer was read without an error", path)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	var panics []any
	for _, event := range s.log.lines(t, "handler panicked") {
		panics = append(panics, event["panic"])
		if stack, _ := event["stack"].(string); !strings.Contains(stack, "handler_test.go") {
			t.Errorf("got the stack %q, want one with the handler", stack)
		}
	}
	want := []any{"string", "runtime error: index out of range [0] with length 0", "*errors.errorString"}
	if diff := cmp.Diff(want, panics); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(s.log.text(), "SECRET") {
		t.Error("the log contains the value of a panic")
	}
	if got := len(s.log.lines(t, "request")); got != 4 {
		t.Errorf("got %d lines in the access log, want 4", got)
	}
}

// TestLogForging sends characters that could end a log line, begin another or control a
// terminal, in every place where a caller can send text. Each request must cause exactly one
// line, which contains nothing of that text.
func TestLogForging(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/known/{rest...}", func(http.ResponseWriter, *http.Request) {})
	s := start(t, mux, nil)
	const forged = `%22%7d%0d%0a{"level":"info","message":"FORGED"}`
	requests := []string{
		"GET /known/" + forged + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /unknown/%1b[31mFORGED?x=" + forged + " HTTP/1.1\r\nHost: FORGED\r\n\r\n",
		"GET /known/ HTTP/1.1\r\nHost: a\r\nUser-Agent: \"}{\"message\":\"FORGED\"}\r\nX-Request-ID: \"FORGED\"\r\n\r\n",
		"GET /known/ HTTP/1.1\r\nHost: a\r\nX-Request-ID: a\r\nX-Request-ID: FORGED\r\nX-Forwarded-For: FORGED\r\n\r\n",
		"FORGED /known/ HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://FORGED/known/ HTTP/1.1\r\nHost: FORGED\r\nReferer: \x1b]0;FORGED\r\n\r\n",
	}
	for _, request := range requests {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	lines := s.log.lines(t, "request")
	// net/http refuses the control character of the last request before any handler.
	if len(lines) != len(requests)-1 {
		t.Errorf("got %d lines for %d requests", len(lines), len(requests)-1)
	}
	if text := s.log.text(); strings.Contains(text, "FORGED") || strings.Contains(text, "\x1b") {
		t.Errorf("the log contains text of a caller:\n%s", text)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		deadline, ok := r.Context().Deadline()
		if left := time.Until(deadline); !ok || left > 3*time.Second {
			t.Errorf("got a deadline in %s, %v; want one within 3s", left, ok)
		}
		var tooLarge *http.MaxBytesError
		if _, err := io.ReadAll(r.Body); errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	s := start(t, mux, func(c *Config) { c.RequestTimeout, c.MaxBodyBytes = 3*time.Second, 10 })
	for body, want := range map[string]int{"0123456789": 200, "0123456789a": 413} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("body of %d bytes: got %d, want %d", len(body), resp.StatusCode, want)
		}
	}
	// The server resets the connection after the refusal, so only the status counts.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("a", maxHeaderBytes+8<<10))
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("head of 40 KiB: got %d, want 431", resp.StatusCode)
	}
}

func TestOps(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", func(http.ResponseWriter, *http.Request) {})
	broken := new(atomic.Bool)
	s := start(t, mux, func(c *Config) {
		c.Ready = func(context.Context) (changes, reason string, err error) {
			if broken.Load() {
				return "", "the disk is full", errors.New("no database at db.internal")
			}
			return "listening", "", nil
		}
	})
	check := func(path string, status int, body string) {
		t.Helper()
		resp, got := s.get(t, s.opsURL(path), nil)
		if resp.StatusCode != status || got != body {
			t.Errorf("%s: got %d %q, want %d %q", path, resp.StatusCode, got, status, body)
		}
	}
	check("/healthz", 200, "{\"status\":\"ok\"}\n")
	check("/readyz", 200, "{\"status\":\"ready\",\"changes\":\"listening\"}\n")
	broken.Store(true)
	check("/healthz", 200, "{\"status\":\"ok\"}\n")
	check("/readyz", 503, "{\"status\":\"unavailable\",\"reason\":\"the disk is full\"}\n")
	s.get(t, s.url("/oauth/token"), nil)   // 405: no route
	s.get(t, s.url("/a%0Amade=up{}"), nil) // 404: no route
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url("/oauth/token"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	s.get(t, s.url("/oauth/token"), nil)
	_, text := s.get(t, s.opsURL("/metrics"), nil)
	for _, want := range []string{
		`latchkey_http_request_duration_seconds_count{method="POST",pattern="/oauth/token",status="200"} 1`,
		`latchkey_http_request_duration_seconds_count{method="GET",pattern="unmatched",status="404"} 1`,
		`latchkey_http_panics_total 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("/metrics: got no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "made") {
		t.Error("/metrics has a label that a caller made")
	}
	if resp, _ := s.get(t, s.url("/metrics"), nil); resp.StatusCode != 404 {
		t.Errorf("/metrics on the address of the API: got %d, want 404", resp.StatusCode)
	}
}

func BenchmarkServeHTTP(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	s, err := New(Config{Handler: mux})
	if err != nil {
		b.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "/oauth/token", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.RemoteAddr = "127.0.0.1:1"
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(discard{}, req)
	}
}

// discard is a ResponseWriter that discards everything.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }
