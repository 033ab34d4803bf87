package operations

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"latchkey/test/e2e/kit"
)

// otlpReceiver receives spans by OTLP over HTTP.
type otlpReceiver struct {
	URL   string
	mu    sync.Mutex
	spans []*otlp.Span
	raw   strings.Builder // all received bytes
}

func newOTLPReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	r := &otlpReceiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var batch collector.ExportTraceServiceRequest
		if err != nil || request.URL.Path != "/v1/traces" || request.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &batch) != nil {
			t.Errorf("got %s %s, want a batch of spans", request.URL.Path, request.Header.Get("Content-Type"))
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.raw.WriteString(batch.String())
		for _, about := range batch.GetResourceSpans() {
			for _, scope := range about.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// named returns the spans of a name that belong to a trace.
func (r *otlpReceiver) named(name, traceID string) (found []*otlp.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.GetName() == name && hex.EncodeToString(s.GetTraceId()) == traceID {
			found = append(found, s)
		}
	}
	return found
}

// TestTraces tests that a trace of a caller contains the request, its named statements, and the
// attempt to deliver the message. The attempt is linked to the request and continues at the
// receiver. Log lines contain the ID of the trace, and no span contains a secret.
func TestTraces(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		const traceID, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
		receiver := newOTLPReceiver(t)
		a := kit.NewOneServer(w)
		a.Server.Stop()
		p := a.StartProcess("OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL, "OTEL_BSP_SCHEDULE_DELAY=100")
		post(t, p.URL+"/v1/password/onetimepassword", "application/json", `{"ClientID":"shop","Username":"jane"}`, traceID, caller)
		message := a.Inbox.Next(t)
		code := message.EventBody.OneTimePassword
		post(t, p.URL+"/oauth/token", kit.FormMedia, kit.EncodeForm("grant_type", "password", "client_id", "shop",
			"client_secret", kit.ClientSecret, "username", "jane", "password", code), traceID, caller)
		p.Stop() // exports the remaining spans

		requests, attempts := receiver.named("POST /v1/password/onetimepassword", traceID), receiver.named("deliver message", traceID)
		if len(requests) != 1 || len(attempts) != 1 {
			t.Fatalf("got %d spans of the request, %d of the attempt", len(requests), len(attempts))
		}
		request, attempt := requests[0], attempts[0]
		if hex.EncodeToString(request.GetParentSpanId()) != caller {
			t.Error("the request is not part of the caller's span")
		}
		if links := attempt.GetLinks(); len(links) != 1 || string(links[0].GetSpanId()) != string(request.GetSpanId()) {
			t.Errorf("the attempt: got the links %v", links)
		}
		if got := message.Header.Get("Traceparent"); !strings.HasPrefix(got, "00-"+traceID+"-"+hex.EncodeToString(attempt.GetSpanId())) {
			t.Errorf("the receiver: got traceparent %q", got)
		}
		if got := len(receiver.named("POST /oauth/token", traceID)); got != 1 {
			t.Errorf("got %d spans of the sign-in, want 1", got)
		}
		statement := receiver.named("add code request", traceID)
		if len(statement) == 0 || string(statement[0].GetParentSpanId()) != string(request.GetSpanId()) {
			t.Errorf("got the spans %v of the statement", statement)
		}
		checkTraceLog(t, a.Log.String(), traceID)
		for _, secret := range []string{code, kit.ClientSecret, "jane", "INSERT", "SELECT"} {
			if strings.Contains(receiver.raw.String(), secret) {
				t.Errorf("got the secret %q in a span", secret)
			}
		}
	})
}

// checkTraceLog checks that the lines of the request, its audit events and the attempt have the
// trace ID.
func checkTraceLog(t *testing.T, log, traceID string) {
	t.Helper()
	found := map[string]bool{}
	for line := range strings.Lines(log) {
		var entry struct {
			Message, Audit string
			TraceID        string `json:"trace_id"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.TraceID == traceID {
			found[entry.Message+entry.Audit] = true
		}
	}
	for _, want := range []string{"request", "code.requested", "sign_in", "message.delivered"} {
		if !found[want] {
			t.Errorf("got no log line of %s with the trace ID", want)
		}
	}
}

// post sends a request as part of a trace.
func post(t *testing.T, url, media, body, traceID, span string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", media)
	request.Header.Set("Traceparent", "00-"+traceID+"-"+span+"-01")
	response, err := kit.HTTPClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s: got %d", url, response.StatusCode)
	}
	if id := response.Header.Get("X-Request-Id"); !strings.HasPrefix(id, "00-"+traceID+"-") {
		t.Errorf("got the request ID %q", id)
	}
}
