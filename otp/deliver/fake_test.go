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

// envelopePaper hides payloads from a careless look and binds them to their
// message. It is no encryption.
type envelopePaper struct{}

func (envelopePaper) Seal(plain []byte, context string) (storage.Sealed, error) {
	return storage.Sealed{KeyID: context, Data: []byte(base64.StdEncoding.EncodeToString(plain))}, nil
}

func (envelopePaper) Open(s storage.Sealed, context string) ([]byte, error) {
	if s.KeyID != context {
		return nil, errors.New("sealed for something else")
	}
	return base64.StdEncoding.DecodeString(string(s.Data))
}

// held is a message in the queue.
type held struct {
	storage.Message
	leaseUntil time.Time
}

// queue is a deliver.Store with honest leases and attempts that only the
// holder of the newest claim can settle.
type queue struct {
	mu       sync.Mutex
	senders  map[string]storage.Sender
	messages []*held

	away        bool // the database is
	finishAway  bool // only for settlements
	claims      int
	finished    []storage.Attempt
	settleStale int
}

func newQueue() *queue {
	return &queue{senders: map[string]storage.Sender{"mail": {ID: "mail", Kind: storage.WebhookSender, Active: true}}}
}

func (q *queue) ClaimMessages(_ context.Context, now, leaseUntil time.Time, limit int, except ...string) ([]storage.Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return nil, storage.ErrUnavailable
	}
	q.claims++
	var claimed []storage.Message
	for _, m := range q.messages {
		due := m.State == storage.MessageQueued && !now.Before(m.RunAt) && now.Before(m.ExpiresAt) && !now.Before(m.leaseUntil)
		if due && len(claimed) < limit && !slices.Contains(except, m.SenderID) {
			m.leaseUntil = leaseUntil
			m.Attempts++
			claimed = append(claimed, m.Message)
		}
	}
	return claimed, nil
}

func (q *queue) ExtendLease(_ context.Context, id string, attempt int, until time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return storage.ErrUnavailable
	}
	m := q.find(id)
	if m.State != storage.MessageQueued || m.Attempts != attempt {
		return storage.ErrStale
	}
	m.leaseUntil = until
	return nil
}

func (q *queue) FinishAttempt(_ context.Context, a storage.Attempt) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away || q.finishAway {
		return storage.ErrUnavailable
	}
	m := q.find(a.MessageID)
	if m.State != storage.MessageQueued || m.Attempts != a.Number {
		q.settleStale++
		return storage.ErrStale
	}
	q.finished = append(q.finished, a)
	m.State, m.RunAt, m.LastError, m.leaseUntil = a.State, a.RunAt, a.Error, time.Time{}
	if a.State != storage.MessageQueued {
		m.Payload, m.EndedAt = storage.Sealed{}, a.Now
	}
	return nil
}

func (q *queue) ExpireMessages(_ context.Context, now time.Time, limit int) (expired []storage.Message, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return nil, storage.ErrUnavailable
	}
	for _, m := range q.messages {
		if len(expired) < limit && m.State == storage.MessageQueued && !now.Before(m.ExpiresAt) && !now.Before(m.leaseUntil) {
			m.State, m.Payload, m.EndedAt = storage.MessageExpired, storage.Sealed{}, now
			expired = append(expired, m.Message)
		}
	}
	return expired, nil
}

func (q *queue) Sender(_ context.Context, id string) (storage.Sender, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return storage.Sender{}, storage.ErrUnavailable
	}
	s, ok := q.senders[id]
	if !ok {
		return storage.Sender{}, storage.ErrNotFound
	}
	return s, nil
}

func (q *queue) find(id string) *held {
	return q.messages[slices.IndexFunc(q.messages, func(m *held) bool { return m.ID == id })]
}

// message returns the message as it is now.
func (q *queue) message(id string) storage.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.find(id).Message
}

// change lets f alter the queue while a worker runs.
func (q *queue) change(f func(*queue)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(q)
}

// put queues a message to bob with that id; the code is CODE-id.
func (q *queue) put(t *testing.T, id string, life time.Duration) {
	t.Helper()
	q.putTo(t, "mail", id, life)
}

// putTo is put for a sender.
func (q *queue) putTo(t *testing.T, sender, id string, life time.Duration) {
	t.Helper()
	now := time.Now().UTC()
	payload := otp.Payload{Username: "bob", Code: "CODE-" + id, ClientID: "shop", UserUID: "usr_bob", ExpiresAt: now.Add(life)}
	sealed, err := payload.Seal(envelopePaper{}, id)
	if err != nil {
		t.Fatal(err)
	}
	q.change(func(q *queue) {
		q.messages = append(q.messages, &held{Message: storage.Message{
			ID: id, RequestID: "otr_1", SenderID: sender, Type: storage.MessageOneTimePassword, UserUID: "usr_bob", TraceID: "t1",
			Payload: sealed, State: storage.MessageQueued, RunAt: now, CreatedAt: now, ExpiresAt: now.Add(life),
		}})
	})
}

// receiver is a deliver.Transport that notes what arrives and answers as told.
type receiver struct {
	mu     sync.Mutex
	got    []deliver.Envelope
	at     []time.Time
	answer func(ctx context.Context, e deliver.Envelope) error
}

func (r *receiver) Send(ctx context.Context, _ storage.Sender, e deliver.Envelope) error {
	r.mu.Lock()
	r.got, r.at = append(r.got, e), append(r.at, time.Now())
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(ctx, e)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// diary is a storage.Recorder that keeps everything.
type diary struct {
	mu     sync.Mutex
	events []storage.AuditEvent
}

func (d *diary) Record(_ context.Context, e storage.AuditEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// lines returns the events as "action outcome username".
func (d *diary) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.events {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Outcome, e.Username)))
	}
	return lines
}

// post is a worker with all that surrounds it.
type post struct {
	*queue
	receiver *receiver
	random   io.Reader
	diary    *diary
	log      *bytes.Buffer
	logger   zerolog.Logger // writes to log

	overflows atomic.Int64
}

func newPost() *post {
	log := &bytes.Buffer{}
	return &post{
		queue: newQueue(), receiver: &receiver{}, random: rand.Reader, diary: &diary{},
		log: log, logger: zerolog.New(zerolog.SyncWriter(log)),
	}
}

// start runs a worker over p; stop ends it and waits until it has returned.
func (p *post) start(t *testing.T, concurrency int) (w *deliver.Worker, stop func()) {
	t.Helper()
	w, err := deliver.New(deliver.Config{
		Store: p.queue, Sealer: envelopePaper{}, Rand: p.random, Recorder: p.diary, Concurrency: concurrency,
		Overflow:   func() { p.overflows.Add(1) },
		Transports: map[storage.SenderKind]deliver.Transport{storage.WebhookSender: p.receiver},
		Logger:     p.logger,
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
			t.Errorf("Run: %v", err)
		}
	}
}

// told returns everything that a curious reader of the store, the log and the
// events can see.
func (p *post) told(t *testing.T) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, err := json.Marshal(p.messages)
	if err != nil {
		t.Fatal(err)
	}
	return string(kept) + p.log.String() + strings.Join(p.diary.lines(), "\n")
}
