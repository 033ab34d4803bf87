package main

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

// event is what an integration is told of a code.
type event struct {
	ID          string
	TriggeredBy string `json:"triggered_by"`
	Payload     struct {
		CreatedAt string `json:"created_at"`
		Code      string `json:"one_time_password_token"`
		Purpose   string
		User      struct{ Email string }    `json:"user_authentication_info"`
		Login     struct{ Username string } `json:"user_authentication_password_profile_info"`
	}
	body string
}

// receiver is a webhook of Elastic Path's kind, with a secret key of its own.
type receiver struct {
	url, key string
	events   chan event

	mu   sync.Mutex
	seen map[string]bool // ids of events: each may come more than once
	fail bool
}

func newReceiver(t testing.TB, key string) *receiver {
	r := &receiver{key: key, events: make(chan event, 1000), seen: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		e := event{body: string(body)}
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		h := request.Header
		if err != nil || request.Method != http.MethodPost || !strings.HasPrefix(h.Get("Content-Type"), "application/json") ||
			h.Get("X-MOLTIN-SECRET-KEY") != key || h.Get("X-MOLTIN-INTEGRATION-TRIGGER") != e.TriggeredBy || e.TriggeredBy == "" {
			t.Errorf("event by %s with header %v (%v): %s", request.Method, h, err, body)
		}
		rw.WriteHeader(r.take(e))
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) take(e event) (status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail {
		return http.StatusBadGateway
	}
	if !r.seen[e.ID] {
		r.seen[e.ID] = true
		r.events <- e
	}
	return http.StatusOK
}

func (r *receiver) failing(fail bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// integration is the resource that makes events come to the receiver.
func (r *receiver) integration(name string) jsonObject {
	return jsonObject{
		"type": "integration", "name": name, "description": "Brings codes", "enabled": true, "integration_type": "webhook",
		"observes":      []string{codeRequested},
		"configuration": jsonObject{"url": r.url + "/notify", "secret_key": r.key},
	}
}

// next waits for an event.
func (r *receiver) next(t testing.TB) event {
	t.Helper()
	select {
	case e := <-r.events:
		return e
	case <-time.After(30 * time.Second):
		t.Fatal("no event came")
		return event{}
	}
}
