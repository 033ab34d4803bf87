package kit

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Event is the event that an integration receives for a code.
type Event struct {
	ID          string
	TriggeredBy string `json:"triggered_by"`
	Payload     struct {
		CreatedAt string `json:"created_at"`
		Code      string `json:"one_time_password_token"`
		Purpose   string
		User      struct{ Email string }    `json:"user_authentication_info"`
		Login     struct{ Username string } `json:"user_authentication_password_profile_info"`
	}
	Body string
}

// EventReceiver is the webhook of an Elastic Path integration. It checks each request.
type EventReceiver struct {
	URL, Key string
	Events   chan Event

	mu   sync.Mutex
	seen map[string]bool // ids of events, because an event may arrive more than once
	fail bool
}

// NewEventReceiver starts a receiver with a secret key.
func NewEventReceiver(t testing.TB, key string) *EventReceiver {
	r := &EventReceiver{Key: key, Events: make(chan Event, 1000), seen: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		e := Event{Body: string(body)}
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		h := request.Header
		if err != nil || request.Method != http.MethodPost || !strings.HasPrefix(h.Get("Content-Type"), "application/json") ||
			h.Get("X-MOLTIN-SECRET-KEY") != key || h.Get("X-MOLTIN-INTEGRATION-TRIGGER") != e.TriggeredBy || e.TriggeredBy == "" {
			t.Errorf("got an event by %s with the header %v (%v): %s", request.Method, h, err, body)
		}
		rw.WriteHeader(r.take(e))
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

func (r *EventReceiver) take(e Event) (status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail {
		return http.StatusBadGateway
	}
	if !r.seen[e.ID] {
		r.seen[e.ID] = true
		r.Events <- e
	}
	return http.StatusOK
}

// SetFailing makes the receiver answer 502, or answer normally again.
func (r *EventReceiver) SetFailing(fail bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// Integration returns the integration resource that sends events to the receiver.
func (r *EventReceiver) Integration(name string) Object {
	return Object{
		"type": "integration", "name": name, "description": "Brings codes", "enabled": true, "integration_type": "webhook",
		"observes":      []string{CodeRequestedEvent},
		"configuration": Object{"url": r.URL + "/notify", "secret_key": r.Key},
	}
}

// Next waits for an event.
func (r *EventReceiver) Next(t testing.TB) Event {
	t.Helper()
	select {
	case e := <-r.Events:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("got no event in 30s")
		return Event{}
	}
}
