package chaos

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// These are the ways in which the receiver answers.
const (
	accepting = int32(iota)
	failing   // it answers 503
	hanging   // it does not answer until the outage ends
	dropping  // it keeps the message and closes the connection without an answer
)

// arrival is the first copy of a message.
type arrival struct {
	message string // ID of the message
	code    string
	at      time.Time
	copies  int
}

// receiver is a webhook that stores messages by the correlation ID of their request.
type receiver struct {
	url      string
	mode     atomic.Int32
	mu       sync.Mutex
	arrivals map[string]arrival
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{arrivals: map[string]arrival{}}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	r.url = server.URL
	return r
}

func (r *receiver) serve(rw http.ResponseWriter, request *http.Request) {
	var m kit.Message
	if json.NewDecoder(request.Body).Decode(&m) != nil {
		return // the sender was killed while it sent the message
	}
	at, mode := time.Now(), r.mode.Load()
	switch mode {
	case hanging:
		for r.mode.Load() == hanging && request.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		fallthrough
	case failing:
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.keep(m, request.Header.Get("Idempotency-Key"), at)
	if mode == dropping {
		panic(http.ErrAbortHandler)
	}
}

func (r *receiver) keep(m kit.Message, id string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, repeated := r.arrivals[m.OcLogIdHeader]
	if !repeated {
		first = arrival{message: id, code: m.EventBody.OneTimePassword, at: at}
	}
	first.copies++
	r.arrivals[m.OcLogIdHeader] = first
}

// arrived returns the message for the request with the correlation ID.
func (r *receiver) arrived(trace string) (arrival, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.arrivals[trace]
	return a, ok
}
