package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"latchkey/otp"
	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

const (
	lease              = 30 * time.Second // of a claimed message
	extendEvery        = 10 * time.Second // while an attempt is running
	attemptTime        = 90 * time.Second // limit of one attempt; transports have shorter limits of their own
	workTime           = attemptTime + 20*time.Second
	stopTime           = 15 * time.Second // limit of a running attempt when the worker stops
	lastAttempt        = 3 * time.Second  // time between the last regular attempt and the end of a message's lifetime
	lastDelay          = time.Second      // between attempts after that
	defaultConcurrency = 128
	expireEvery        = time.Second
	expireLimit        = 500 // messages a statement
	maxErrorText       = 300 // bytes stored of an error
)

// Store is the queue of messages. *gormstore.Store implements it.
type Store interface {
	// ClaimMessages leases at most limit messages and counts the attempt. The
	// messages are queued, due, not expired, not leased, and not of the senders
	// in except.
	ClaimMessages(ctx context.Context, now, leaseUntil time.Time, limit int, except ...string) ([]storage.Message, error)
	// ExtendLease extends the lease of a message for the attempt with the number
	// attempt. It returns storage.ErrStale if another worker has claimed the
	// message since.
	ExtendLease(ctx context.Context, messageID string, attempt int, until time.Time) error
	// FinishAttempt stores the outcome of an attempt. It returns storage.ErrStale
	// if another worker has claimed the message since.
	FinishAttempt(context.Context, storage.Attempt) error
	// ExpireMessages ends at most limit expired messages and returns them.
	ExpireMessages(ctx context.Context, now time.Time, limit int) ([]storage.Message, error)
	// Sender returns the sender with the ID, or storage.ErrNotFound.
	Sender(ctx context.Context, id string) (storage.Sender, error)
}

// Config is what a Worker needs.
type Config struct {
	Store       Store
	Sealer      otp.Opener // decrypts the payloads
	Transports  map[storage.SenderKind]Transport
	Now         func() time.Time // nil: time.Now
	Rand        io.Reader        // safe for concurrent use, as crypto/rand.Reader
	Logger      zerolog.Logger
	Recorder    storage.Recorder // nil: events are discarded
	Concurrency int              // attempts at a time; 0: 128
	Overflow    func()           // called when due messages wait because too many attempts are running; optional
	// Trace begins a span for an attempt. end takes its result. nil: there are no spans.
	Trace     func(ctx context.Context, m storage.Message) (_ context.Context, end func(result string))
	Attempted func(senderID, result string) // called after each attempt: delivered, delayed, failed or expired; optional
}

// Worker delivers messages.
type Worker struct {
	cfg   Config
	loop  *poll.Loop[storage.Message]
	share fairShare // used by the loop's goroutine only, like lastExpire

	lastExpire time.Time       // when ExpireMessages was last called
	running    context.Context // of Run
}

// New returns a Worker. It returns an error if Store, Sealer or Rand is missing.
func New(cfg Config) (*Worker, error) {
	if cfg.Store == nil || cfg.Sealer == nil || cfg.Rand == nil {
		return nil, errors.New("deliver: Store, Sealer and Rand are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Recorder == nil {
		cfg.Recorder = storage.DiscardEvents{}
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Attempted == nil {
		cfg.Attempted = func(string, string) {}
	}
	if cfg.Overflow == nil {
		cfg.Overflow = func() {}
	}
	w := &Worker{cfg: cfg, share: newFairShare(cfg.Concurrency)}
	w.loop = poll.New(poll.Config[storage.Message]{
		Name:        "message delivery",
		Claim:       w.claim,
		Freed:       func(m storage.Message) bool { return w.share.release(m.SenderID) },
		Admit:       w.admit,
		Work:        w.deliver,
		WorkLimit:   workTime,
		Concurrency: cfg.Concurrency,
		Logger:      cfg.Logger,
	})
	return w, nil
}

// Wake makes the worker claim messages at once, unless claims fail. It never blocks.
func (w *Worker) Wake() { w.loop.Wake() }

// Resume makes the worker claim messages at once if claims have failed. It is for
// callers who have seen that the database answers again. It never blocks.
func (w *Worker) Resume() { w.loop.Resume() }

// Reserve reserves a delivery attempt for a message of the sender that the caller is about
// to store, with LeaseUntil set and Attempts 1. Then no worker needs to claim the message.
// Reserve returns false if other messages go first. Otherwise the caller must call send
// once. stored is false if the message could not be stored.
func (w *Worker) Reserve(senderID string) (send func(m storage.Message, stored bool), ok bool) {
	return w.loop.Reserve(senderID)
}

// admit reports whether the sender may have one more attempt now, and takes it.
func (w *Worker) admit(senderID string) bool {
	_, busy := w.share.room()
	if w.share.full() || slices.Contains(busy, senderID) {
		return false
	}
	w.share.take(senderID)
	return true
}

// Run delivers messages until ctx ends. Then it waits at most 15 seconds for the
// running attempts, stores their outcomes, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	w.running = ctx
	w.loop.Run(ctx)
	return nil
}

// claim leases messages. fairShare decides how many, which is less than the limit of
// the loop.
func (w *Worker) claim(ctx context.Context, _ int) (messages []storage.Message, more bool, err error) {
	now := w.cfg.Now().UTC()
	if now.Sub(w.lastExpire) >= expireEvery {
		if err := w.expire(ctx, now); err != nil {
			return nil, false, err
		}
		w.lastExpire = now
	}
	room, busy := w.share.room()
	messages, err = w.cfg.Store.ClaimMessages(ctx, now, now.Add(lease), room, busy...)
	for _, m := range messages {
		w.share.take(m.SenderID)
	}
	if more = len(messages) == room; more && w.share.full() {
		w.cfg.Overflow()
	}
	return messages, more, err
}

// expire ends messages whose code expired before an attempt, for example while no
// worker was running.
func (w *Worker) expire(ctx context.Context, now time.Time) error {
	expired, err := w.cfg.Store.ExpireMessages(ctx, now, expireLimit)
	if err != nil || len(expired) == 0 {
		return err
	}
	w.cfg.Logger.Warn().Int("messages", len(expired)).Msg("messages expired undelivered")
	for _, m := range expired {
		w.cfg.Recorder.Record(ctx, storage.AuditEvent{
			Time: now, Action: "message.expired", Outcome: m.Unsent(), UserUID: m.UserUID,
			Factor: otp.Factor(m.Type), TraceID: m.TraceID, Took: now.Sub(m.CreatedAt),
		})
	}
	return nil
}

// deliver makes one attempt and stores its outcome. While the database is not
// available it repeats only the storing, so that the receiver gets no second copy.
func (w *Worker) deliver(ctx context.Context, m storage.Message) error {
	began := w.cfg.Now().UTC()
	end := func(string) {}
	if w.cfg.Trace != nil {
		ctx, end = w.cfg.Trace(ctx, m)
	}
	e, cause := w.attempt(ctx, m)
	attempt := w.outcome(e, cause)
	defer end(results[attempt.State])
	attempt.BeganAt = began
	err := poll.Retry(ctx, func(ctx context.Context) error { return w.cfg.Store.FinishAttempt(ctx, attempt) })
	if errors.Is(err, storage.ErrStale) {
		return nil // another worker has claimed the message and stores its outcome
	}
	if err != nil {
		return fmt.Errorf("store outcome of message %s: %w", m.ID, err)
	}
	w.report(ctx, e, attempt, cause)
	return nil
}

// attempt decrypts the message and hands it to the transport of its sender.
func (w *Worker) attempt(ctx context.Context, m storage.Message) (Envelope, error) {
	e := Envelope{Message: m, UserUID: m.UserUID}
	sender, err := w.cfg.Store.Sender(ctx, m.SenderID)
	if errors.Is(err, storage.ErrNotFound) {
		return e, Permanent(fmt.Errorf("%w: %w", Reason("the message sender does not exist any more"), err))
	}
	if err != nil {
		return e, err
	}
	if !sender.Active {
		return e, Permanent(Reason("the message sender is disabled"))
	}
	transport, ok := w.cfg.Transports[sender.Kind]
	if !ok {
		return e, Permanent(Reason(fmt.Sprintf("no transport for senders of kind %q", sender.Kind)))
	}
	payload, err := otp.OpenPayload(w.cfg.Sealer, m)
	if err != nil {
		return e, err
	}
	e = NewEnvelope(m, payload)
	return e, w.send(ctx, transport, sender, e)
}

// errExpired says that the code expired before it could be sent.
var errExpired = Reason("code expired")

// send calls the transport. The call ends with the lifetime of the code, and the
// lease is extended until then.
func (w *Worker) send(ctx context.Context, t Transport, sender storage.Sender, e Envelope) error {
	left := e.Message.ExpiresAt.Sub(w.cfg.Now())
	if left <= 0 {
		return errExpired
	}
	ctx, cancel := context.WithTimeout(ctx, min(left, attemptTime))
	defer cancel()
	stopping := context.AfterFunc(w.running, func() { time.AfterFunc(stopTime, cancel) })
	defer stopping()
	extending := make(chan struct{})
	go func() {
		defer close(extending)
		w.extendLease(ctx, cancel, e.Message)
	}()
	err := t.Send(ctx, sender, e)
	cancel()
	<-extending
	return err
}

// extendLease extends the lease of a message until ctx ends. If another worker has
// claimed the message meanwhile, it calls lost, which ends the attempt.
func (w *Worker) extendLease(ctx context.Context, lost func(), m storage.Message) {
	ticker := time.NewTicker(extendEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := w.cfg.Store.ExtendLease(ctx, m.ID, m.Attempts, w.cfg.Now().UTC().Add(lease))
		if errors.Is(err, storage.ErrStale) {
			lost()
			return
		}
	}
}

// outcome returns the outcome of an attempt that ended with err: delivered, dead,
// expired, or queued with the time of the next attempt. If the next delay would end
// too late, the next attempt is made shortly before the end of the message's lifetime.
// In the time that is left after that, attempts follow each second, because an attempt may
// have waited for a receiver that answers again now. They are not made if the receiver
// asked to wait (RetryAfter).
func (w *Worker) outcome(e Envelope, err error) storage.Attempt {
	m, now := e.Message, w.cfg.Now().UTC()
	a := storage.Attempt{MessageID: m.ID, Number: m.Attempts, State: storage.MessageDelivered, Now: now}
	if err == nil {
		return a
	}
	a.Error = storableText(ReasonOf(err).Error(), e.Code)
	tries, wait := retryLimits(err)
	delay := retryDelay(m.Attempts, m.ExpiresAt.Sub(m.CreatedAt), w.cfg.Rand)
	next, last := now.Add(max(delay, wait)), m.ExpiresAt.Add(-lastAttempt)
	switch {
	case IsPermanent(err), tries > 0 && m.Attempts >= tries:
		a.State = storage.MessageDead
	case next.Before(last):
		a.State, a.RunAt = storage.MessageQueued, next
	case now.Before(last):
		a.State, a.RunAt = storage.MessageQueued, last
	case wait == 0 && now.Add(lastDelay).Before(m.ExpiresAt):
		a.State, a.RunAt = storage.MessageQueued, now.Add(lastDelay)
	default:
		a.State = storage.MessageExpired
	}
	return a
}

// results names the outcomes of attempts by the state of the message after them.
var results = map[storage.MessageState]string{
	storage.MessageDelivered: "delivered", storage.MessageQueued: "delayed",
	storage.MessageDead: "failed", storage.MessageExpired: "expired",
}

// report logs the outcome of an attempt and records it as an audit event. Of the
// attempts that will be retried, only a message's first is recorded and logged as a
// warning. The text of cause is only logged, because it may name internal addresses.
func (w *Worker) report(ctx context.Context, e Envelope, a storage.Attempt, cause error) {
	level, action, outcome := zerolog.WarnLevel, "", a.Error
	switch a.State {
	case storage.MessageDelivered:
		level, action, outcome = zerolog.DebugLevel, "message.delivered", "success"
	case storage.MessageDead:
		action = "message.failed"
	case storage.MessageExpired:
		action = "message.expired"
	case storage.MessageQueued:
		if a.Number > 1 {
			level = zerolog.DebugLevel
		} else {
			action = "message.delayed"
		}
	}
	w.cfg.Attempted(e.Message.SenderID, results[a.State])
	line := w.cfg.Logger.WithLevel(level).Ctx(ctx).Str("message", a.MessageID).Str("sender", e.Message.SenderID).
		Str("trace", e.Message.TraceID).Int("attempt", a.Number).Str("state", string(a.State)).
		Str("reason", a.Error)
	if cause != nil && cause.Error() != a.Error {
		line.Str("cause", storableText(cause.Error(), e.Code))
	}
	line.Msg("delivery attempt")
	if action == "" {
		return
	}
	w.cfg.Recorder.Record(ctx, storage.AuditEvent{
		Time: a.Now, Action: action, Outcome: outcome, ClientID: e.ClientID, UserUID: e.UserUID,
		Username: e.Username, Factor: otp.Factor(e.Message.Type), TraceID: e.Message.TraceID, Took: a.Now.Sub(e.Message.CreatedAt),
	})
}

// storableText returns the text of an error in a form that can be stored: short,
// valid UTF-8, and without the code, which the receiver may have repeated in its
// response.
func storableText(text, code string) string {
	if code != "" {
		text = strings.ReplaceAll(text, code, "[code]")
	}
	text = storage.StorableText(text)
	return strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "") // a character may be cut
}
