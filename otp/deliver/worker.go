package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"latchkey/otp"
	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

const (
	lease              = 30 * time.Second // of a claimed message
	extendEvery        = 10 * time.Second // while an attempt is under way
	attemptTime        = 90 * time.Second // for the attempt alone; transports have shorter limits of their own
	workTime           = attemptTime + 20*time.Second
	stopTime           = 15 * time.Second // that an attempt may still take when the worker stops
	lastAttempt        = 3 * time.Second  // before the end of a message's life
	defaultConcurrency = 128
	sweepEvery         = time.Second
	sweepLimit         = 500
	maxErrorText       = 300 // bytes kept of an error
)

// Store is the queue; *gormstore.Store is one.
type Store interface {
	// ClaimMessages leases at most limit messages that are queued, due,
	// unexpired, leased by nobody and not of the senders except, and counts
	// the attempt.
	ClaimMessages(ctx context.Context, now, leaseUntil time.Time, limit int, except ...string) ([]storage.Message, error)
	// ExtendLease prolongs the lease of a message while its attempt of that
	// number is under way; ErrStale if the lease was lost.
	ExtendLease(ctx context.Context, messageID string, attempt int, until time.Time) error
	// FinishAttempt settles an attempt; ErrStale if its lease was lost.
	FinishAttempt(context.Context, storage.Attempt) error
	// ExpireMessages ends messages whose time is over and returns them.
	ExpireMessages(ctx context.Context, now time.Time, limit int) ([]storage.Message, error)
	// Sender returns the sender of that ID, or ErrNotFound.
	Sender(ctx context.Context, id string) (storage.Sender, error)
}

// Config is what a Worker needs.
type Config struct {
	Store       Store
	Sealer      otp.Opener // opens the payloads
	Transports  map[storage.SenderKind]Transport
	Now         func() time.Time // nil: time.Now
	Rand        io.Reader        // safe for concurrent use, as crypto/rand.Reader
	Logger      zerolog.Logger
	Recorder    storage.Recorder // nil: events are discarded
	Concurrency int              // attempts at a time; 0: 128
	Overflow    func()           // called when messages wait that this process has no room for; nil: nobody
}

// Worker delivers messages.
type Worker struct {
	cfg   Config
	loop  *poll.Loop[storage.Message]
	share share     // as swept, of the loop's goroutine
	swept time.Time // when messages were last expired

	running context.Context // of Run
}

// New returns a Worker. It fails if a field that has no default is missing.
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
	if cfg.Overflow == nil {
		cfg.Overflow = func() {}
	}
	w := &Worker{cfg: cfg, share: newShare(cfg.Concurrency)}
	w.loop = poll.New(poll.Config[storage.Message]{
		Name:        "message delivery",
		Claim:       w.claim,
		Freed:       func(m storage.Message) bool { return w.share.release(m.SenderID) },
		Work:        w.deliver,
		WorkLimit:   workTime,
		Concurrency: cfg.Concurrency,
		Logger:      cfg.Logger,
	})
	return w, nil
}

// Wake makes the worker look for messages at once. It never blocks.
func (w *Worker) Wake() { w.loop.Wake() }

// Run delivers until ctx ends. Then it gives the attempts that are under way
// 15 seconds, settles them, and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	w.running = ctx
	w.loop.Run(ctx)
	return nil
}

// claim leases what the senders' shares leave room for, which is less than
// limit: see share.
func (w *Worker) claim(ctx context.Context, _ int) (messages []storage.Message, more bool, err error) {
	now := w.cfg.Now().UTC()
	if now.Sub(w.swept) >= sweepEvery {
		if err := w.expire(ctx, now); err != nil {
			return nil, false, err
		}
		w.swept = now
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

// expire ends messages whose code expired while nobody was trying, as after a
// long standstill.
func (w *Worker) expire(ctx context.Context, now time.Time) error {
	expired, err := w.cfg.Store.ExpireMessages(ctx, now, sweepLimit)
	if err != nil || len(expired) == 0 {
		return err
	}
	w.cfg.Logger.Warn().Int("messages", len(expired)).Msg("messages expired undelivered")
	for _, m := range expired {
		w.cfg.Recorder.Record(ctx, storage.AuditEvent{
			Time: now, Action: "message.expired", Outcome: "unsent in time", UserUID: m.UserUID,
			Factor: otp.Factor(m.Type), TraceID: m.TraceID, Took: now.Sub(m.CreatedAt),
		})
	}
	return nil
}

// deliver makes one attempt and settles it. Only the settlement is repeated
// while the storage is away: the receiver shall not get a second copy for it.
func (w *Worker) deliver(ctx context.Context, m storage.Message) error {
	began := w.cfg.Now().UTC()
	e, cause := w.attempt(ctx, m)
	attempt := w.outcome(e, cause)
	attempt.BeganAt = began
	err := poll.Retry(ctx, func(ctx context.Context) error { return w.cfg.Store.FinishAttempt(ctx, attempt) })
	if errors.Is(err, storage.ErrStale) {
		return nil // the lease was lost; whoever has the message settles it
	}
	if err != nil {
		return fmt.Errorf("settle message %s: %w", m.ID, err)
	}
	w.report(ctx, e, attempt, cause)
	return nil
}

// attempt opens the message and hands it to the transport of its sender.
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
	e = Enclose(m, payload)
	return e, w.send(ctx, transport, sender, e)
}

// errTooLate says that the code expired before it could be sent.
var errTooLate = Reason("code expired")

// send makes the call, within the code's life and under a lease that it keeps
// extending.
func (w *Worker) send(ctx context.Context, t Transport, sender storage.Sender, e Envelope) error {
	left := e.Message.ExpiresAt.Sub(w.cfg.Now())
	if left <= 0 {
		return errTooLate
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

// extendLease prolongs the lease of a message until ctx ends. If another worker
// has claimed the message meanwhile, it ends the attempt by calling lost.
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

// outcome decides what becomes of the message after an attempt that ended with
// err. While the message lives, its last attempt is made shortly before the end
// of its life.
func (w *Worker) outcome(e Envelope, err error) storage.Attempt {
	m, now := e.Message, w.cfg.Now().UTC()
	a := storage.Attempt{MessageID: m.ID, Number: m.Attempts, State: storage.MessageDelivered, Now: now}
	if err == nil {
		return a
	}
	a.Error = keepable(ReasonOf(err).Error(), e.Code)
	tries, wait := retryHint(err)
	pause := pauseAfter(m.Attempts, m.ExpiresAt.Sub(m.CreatedAt), w.cfg.Rand)
	next, last := now.Add(max(pause, wait)), m.ExpiresAt.Add(-lastAttempt)
	switch {
	case IsPermanent(err), tries > 0 && m.Attempts >= tries:
		a.State = storage.MessageDead
	case next.Before(last):
		a.State, a.RunAt = storage.MessageQueued, next
	case now.Add(lastAttempt).Before(last):
		a.State, a.RunAt = storage.MessageQueued, last
	default:
		a.State = storage.MessageExpired
	}
	return a
}

// report tells the log and the Recorder how a settled attempt ended. Of the
// attempts that fail for now only a message's first is more than a detail. The
// text of cause goes to the log alone, because it may name internal addresses.
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
	line := w.cfg.Logger.WithLevel(level).Str("message", a.MessageID).Str("sender", e.Message.SenderID).
		Str("trace", e.Message.TraceID).Int("attempt", a.Number).Str("state", string(a.State)).
		Str("reason", a.Error)
	if cause != nil && cause.Error() != a.Error {
		line.Str("cause", keepable(cause.Error(), e.Code))
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

// keepable returns an error's text as the database may keep it: short, valid,
// and without the code, which a receiver may have echoed into its answer.
func keepable(text, code string) string {
	if code != "" {
		text = strings.ReplaceAll(text, code, "[code]")
	}
	text = text[:min(len(text), maxErrorText)]
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}
