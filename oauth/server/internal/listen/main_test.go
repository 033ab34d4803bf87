package listen

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"go.uber.org/goleak"

	"latchkey/oauth/surface"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log that several goroutines can write to.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// lines returns the log lines whose message is msg. Every line must be one JSON object.
func (j *journal) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(j.buf.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if event["message"] == msg {
			found = append(found, event)
		}
	}
	return found
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// running is a started server with its own client.
type running struct {
	*Server
	log    *journal
	client *http.Client
	stop   func() error // begins the stop, waits for its end and returns Wait's error
	begin  func()       // begins the stop without waiting
}

// start runs a server with the handler on free ports of the loopback interface.
func start(t *testing.T, handler http.Handler, change func(*Config)) *running {
	t.Helper()
	return startTuned(t, handler, change, func(*Server) {})
}

// startTuned is start with a change of values that are not settings.
func startTuned(t *testing.T, handler http.Handler, change func(*Config), tune func(*Server)) *running {
	t.Helper()
	r := &running{log: &journal{}}
	cfg := Config{Handler: handler, Listen: "127.0.0.1:0", OpsListen: "127.0.0.1:0", Logger: zerolog.New(r.log), Surfaces: testSurfaces, InternalError: "{\"error\":\"server_error\"}\n"}
	if change != nil {
		change(&cfg)
	}
	var err error
	if r.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	tune(r.Server)
	ctx, cancel := context.WithCancel(t.Context())
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Wait(ctx) }()
	r.begin = cancel
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	r.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = r.stop()
	})
	return r
}

func (r *running) url(path string) string { return "http://" + r.Addr().String() + path }

func (r *running) opsURL(path string) string { return "http://" + r.OpsAddr().String() + path }

// get returns the answer to a GET request and its body.
func (r *running) get(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// testSurfaces has rules like those of the surfaces of the API.
var testSurfaces = []surface.HTTPRules{
	{
		Root: "/oauth/", CrossOriginPaths: []string{"/oauth/", "/.well-known/", "/openapi.json"},
		Guessable: []surface.GuessablePath{{Prefix: "/oauth/", Type: "application/json;charset=UTF-8", Body: `{"error":"temporarily_unavailable"}`}},
	},
	{
		Root: "/v1/", CrossOriginPaths: []string{"/v1/"},
		Guessable: []surface.GuessablePath{{Prefix: "/v1/password", Type: "application/json", Body: `{"Errors":[]}`}},
	},
	{
		Root: "/v2/", CrossOriginPaths: []string{"/v2/"},
		CrossOriginHeaders: []string{"ep-account-management-authentication-token"}, CrossOriginHeaderPrefixes: []string{"ep-", "x-moltin-"},
		Guessable: []surface.GuessablePath{{Prefix: "/v2/account-members/tokens", Type: "application/json", Body: `{"errors":[]}`}},
	},
}
