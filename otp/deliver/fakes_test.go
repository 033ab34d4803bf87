package deliver_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"latchkey/otp"
	"latchkey/otp/deliver"
	"latchkey/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSealer encodes payloads in base64 and binds them to their message. It does not encrypt
// them.
type fakeSealer struct{}

func (fakeSealer) Seal(plain []byte, context string) (storage.Sealed, error) {
	return storage.Sealed{KeyID: context, Data: []byte(base64.StdEncoding.EncodeToString(plain))}, nil
}

func (fakeSealer) Open(s storage.Sealed, context string) ([]byte, error) {
	if s.KeyID != context {
		return nil, errors.New("sealed for another context")
	}
	return base64.StdEncoding.DecodeString(string(s.Data))
}

// queuedMessage is a message with its lease.
type queuedMessage struct {
	storage.Message
	leaseUntil time.Time
}

// fakeStore is a deliver.Store in memory. Like a real store it refuses to store the
// outcome of an attempt whose message was claimed again.
type fakeStore struct {
	mu       sync.Mutex
	senders  map[string]storage.Sender
	messages []*queuedMessage

	unavailable       bool // makes every call fail
	finishUnavailable bool // makes FinishAttempt fail
	claims            int
	finished          []storage.Attempt
	staleAttempts     int
}

func newFakeStore() *fakeStore {
	return &fakeStore{senders: map[string]storage.Sender{"mail": {ID: "mail", Kind: storage.WebhookSender, Active: true}}}
}

func (s *fakeStore) ClaimMessages(_ context.Context, now, leaseUntil time.Time, limit int, except ...string) ([]storage.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable {
		return nil, storage.ErrUnavailable
	}
	s.claims++
	var claimed []storage.Message
	for _, m := range s.messages {
		due := m.State == storage.MessageQueued && !now.Before(m.RunAt) && now.Before(m.ExpiresAt) && !now.Before(m.leaseUntil)
		if due && len(claimed) < limit && !slices.Contains(except, m.SenderID) {
			m.leaseUntil = leaseUntil
			m.Attempts++
			claimed = append(claimed, m.Message)
		}
	}
	return claimed, nil
}

func (s *fakeStore) ExtendLease(_ context.Context, id string, attempt int, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable {
		return storage.ErrUnavailable
	}
	m := s.find(id)
	if m.State != storage.MessageQueued || m.Attempts != attempt {
		return storage.ErrStale
	}
	m.leaseUntil = until
	return nil
}

func (s *fakeStore) FinishAttempt(_ context.Context, a storage.Attempt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable || s.finishUnavailable {
		return storage.ErrUnavailable
	}
	m := s.find(a.MessageID)
	if m.State != storage.MessageQueued || m.Attempts != a.Number {
		s.staleAttempts++
		return storage.ErrStale
	}
	s.finished = append(s.finished, a)
	m.State, m.RunAt, m.LastError, m.leaseUntil = a.State, a.RunAt, a.Error, time.Time{}
	if a.State != storage.MessageQueued {
		m.Payload, m.EndedAt = storage.Sealed{}, a.Now
	}
	return nil
}

func (s *fakeStore) ExpireMessages(_ context.Context, now time.Time, limit int) (expired []storage.Message, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable {
		return nil, storage.ErrUnavailable
	}
	for _, m := range s.messages {
		if len(expired) < limit && m.State == storage.MessageQueued && !now.Before(m.ExpiresAt) && !now.Before(m.leaseUntil) {
			m.State, m.Payload, m.EndedAt = storage.MessageExpired, storage.Sealed{}, now
			expired = append(expired, m.Message)
		}
	}
	return expired, nil
}

func (s *fakeStore) Sender(_ context.Context, id string) (storage.Sender, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unavailable {
		return storage.Sender{}, storage.ErrUnavailable
	}
	sender, ok := s.senders[id]
	if !ok {
		return storage.Sender{}, storage.ErrNotFound
	}
	return sender, nil
}

func (s *fakeStore) find(id string) *queuedMessage {
	return s.messages[slices.IndexFunc(s.messages, func(m *queuedMessage) bool { return m.ID == id })]
}

// message returns the current state of the message.
func (s *fakeStore) message(id string) storage.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(id).Message
}

// change calls f with the store locked.
func (s *fakeStore) change(f func(*fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// put queues a message with the ID from the sender "mail". Its username is bob, and its code is
// CODE-id.
func (s *fakeStore) put(t *testing.T, id string, life time.Duration) {
	t.Helper()
	s.putTo(t, "mail", id, life)
}

// putTo is put for another sender.
func (s *fakeStore) putTo(t *testing.T, sender, id string, life time.Duration) {
	t.Helper()
	now := time.Now().UTC()
	payload := otp.Payload{Username: "bob", Code: "CODE-" + id, ClientID: "shop", UserUID: "usr_bob", ExpiresAt: now.Add(life)}
	sealed, err := payload.Seal(fakeSealer{}, id)
	if err != nil {
		t.Fatal(err)
	}
	s.change(func(s *fakeStore) {
		s.messages = append(s.messages, &queuedMessage{Message: storage.Message{
			ID: id, RequestID: "otr_1", SenderID: sender, Type: storage.MessageOneTimePassword, UserUID: "usr_bob", TraceID: "t1",
			Payload: sealed, State: storage.MessageQueued, RunAt: now, CreatedAt: now, ExpiresAt: now.Add(life),
		}})
	})
}

// fakeTransport is a deliver.Transport that keeps the envelopes that it gets.
type fakeTransport struct {
	mu     sync.Mutex
	got    []deliver.Envelope
	at     []time.Time
	answer func(ctx context.Context, e deliver.Envelope) error // nil delivers every message
}

func (r *fakeTransport) Send(ctx context.Context, _ storage.Sender, e deliver.Envelope) error {
	r.mu.Lock()
	r.got, r.at = append(r.got, e), append(r.at, time.Now())
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, e)
}

func (r *fakeTransport) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// fakeRecorder is a storage.Recorder that keeps all events.
type fakeRecorder struct {
	mu     sync.Mutex
	events []storage.AuditEvent
}

func (r *fakeRecorder) Record(_ context.Context, e storage.AuditEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// lines returns the events as "action outcome username".
func (r *fakeRecorder) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, e := range r.events {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Outcome, e.Username)))
	}
	return lines
}

// fixture is what a worker under test needs.
type fixture struct {
	*fakeStore
	receiver *fakeTransport
	random   io.Reader
	recorder *fakeRecorder
	log      *bytes.Buffer
	logger   zerolog.Logger // writes to log

	overflows atomic.Int64
}

func newFixture() *fixture {
	log := &bytes.Buffer{}
	return &fixture{
		fakeStore: newFakeStore(), receiver: &fakeTransport{}, random: rand.Reader, recorder: &fakeRecorder{},
		log: log, logger: zerolog.New(zerolog.SyncWriter(log)),
	}
}

// start runs a worker. stop ends it and waits until it has returned.
func (f *fixture) start(t *testing.T, concurrency int) (w *deliver.Worker, stop func()) {
	t.Helper()
	w, err := deliver.New(deliver.Config{
		Store: f.fakeStore, Sealer: fakeSealer{}, Rand: f.random, Recorder: f.recorder, Concurrency: concurrency,
		Overflow:   func() { f.overflows.Add(1) },
		Transports: map[storage.SenderKind]deliver.Transport{storage.WebhookSender: f.receiver},
		Logger:     f.logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error)
	go func() { returned <- w.Run(ctx) }()
	return w, func() {
		cancel()
		if err := <-returned; err != nil {
			t.Errorf("Run: got %v, want no error", err)
		}
	}
}

// visibleText returns the stored messages, the log and the audit events as one text.
func (f *fixture) visibleText(t *testing.T) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	stored, err := json.Marshal(f.messages)
	if err != nil {
		t.Fatal(err)
	}
	return string(stored) + f.log.String() + strings.Join(f.recorder.lines(), "\n")
}
