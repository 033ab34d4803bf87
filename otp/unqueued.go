package otp

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"latchkey/otp/limit"
	"latchkey/storage"
)

// CodeStore keeps the codes of an Unqueued; *statestore.Store and *gormstore.Store
// implement it.
type CodeStore interface {
	// Recipient reads a login by its key; see signin.Store. Nobody signs in, so the
	// source is a known one that is not locked, if there is any.
	Recipient(ctx context.Context, key storage.LoginKey) (storage.Principal, error)
	// IssueCode replaces the code of a login. It leaves the failures alone.
	IssueCode(ctx context.Context, loginID string, code storage.Code) error
}

// UnqueuedConfig configures an Unqueued. Store, Codes and Send are required.
type UnqueuedConfig struct {
	Store CodeStore
	Codes *Codes
	// Send delivers a code to the user. It runs in the background, with half a minute of
	// time. It must not log the code.
	Send func(ctx context.Context, to storage.User, code string) error
	// Failed is called with an error of Send or of the store. nil: errors are lost.
	Failed func(error)

	Format storage.CodeFormat // zero: DefaultFormat
	TTL    time.Duration      // of a code, at most ten minutes; 0: ten minutes
	Limit  limit.Limit        // requests for one username on this server; zero: 5 in 15 minutes
	Now    func() time.Time   // nil: time.Now
	Rand   io.Reader          // nil: crypto/rand.Reader
}

const (
	unqueuedWorkers = 64               // codes that are sent at a time
	unqueuedTime    = 30 * time.Second // to send one
	limitedNames    = 100_000          // usernames whose requests are counted
)

// Unqueued issues codes and sends them at once, without a queue in a store. A code that
// is not sent when the process ends is lost, and its user asks again. Use Service where
// an accepted request must survive that. It does not read password profiles: its format,
// life and limit of codes are those of its configuration.
type Unqueued struct {
	cfg    UnqueuedConfig
	counts *limit.Memory[storage.LoginKey]
	slots  chan struct{}
	sends  sync.WaitGroup
}

// NewUnqueued returns an Unqueued. It returns an error that names the field if a required
// one is missing, ErrFormat, or an error for a TTL above ten minutes.
func NewUnqueued(cfg UnqueuedConfig) (*Unqueued, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("otp: UnqueuedConfig.Store is required")
	case cfg.Codes == nil:
		return nil, errors.New("otp: UnqueuedConfig.Codes is required")
	case cfg.Send == nil:
		return nil, errors.New("otp: UnqueuedConfig.Send is required")
	case cfg.TTL < 0 || cfg.TTL > maxCodeTTL:
		return nil, fmt.Errorf("otp: UnqueuedConfig.TTL is %s, want at most %s", cfg.TTL, maxCodeTTL)
	}
	if cfg.Format == (storage.CodeFormat{}) {
		cfg.Format = DefaultFormat()
	}
	if err := CheckFormat(cfg.Format); err != nil {
		return nil, fmt.Errorf("otp: UnqueuedConfig.Format: %w", err)
	}
	cfg.TTL = cmp.Or(cfg.TTL, maxCodeTTL)
	if cfg.Limit.None() {
		cfg.Limit = limit.Limit{Burst: 5, Per: 15 * time.Minute}
	}
	if cfg.Failed == nil {
		cfg.Failed = func(error) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	return &Unqueued{
		cfg: cfg, counts: limit.NewMemory[storage.LoginKey](cfg.Limit, limitedNames, cfg.Now), slots: make(chan struct{}, unqueuedWorkers),
	}, nil
}

// Request sends a code to the user with the username, if the client admits the user. The
// code is good for that client. Request returns before the user is looked up, so neither
// the result nor its time depends on whether the user exists. The caller has
// authenticated the client.
//
// Errors: ErrNobodyNamed, ErrClientWithoutCodes, a *storage.LimitError for too many
// requests, and storage.ErrUnavailable if too many codes are being sent.
func (u *Unqueued) Request(ctx context.Context, client storage.Client, username string) error {
	key := storage.LoginKey{ProfileID: client.ProfileID, UsernameKey: NormalizeUsername(username)}
	if key.UsernameKey == "" || !IsName(username) {
		return fmt.Errorf("request code: %w", ErrNobodyNamed)
	}
	if err := CheckClient(client); err != nil {
		return fmt.Errorf("request code: %w", err)
	}
	until, counted := u.counts.Try(key, func() bool { return true })
	if !counted {
		return fmt.Errorf("request code: %w", &storage.LimitError{Budget: "username", Until: until})
	}
	select {
	case u.slots <- struct{}{}:
	default:
		return fmt.Errorf("request code: too many are being sent: %w", storage.ErrUnavailable)
	}
	u.sends.Go(func() {
		defer func() { <-u.slots }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unqueuedTime)
		defer cancel()
		if err := u.send(ctx, &client, key); err != nil {
			u.cfg.Failed(fmt.Errorf("send code: %w", err))
		}
	})
	return nil
}

// send issues a code to the login and sends it. It does nothing if the client may not
// serve the user.
func (u *Unqueued) send(ctx context.Context, client *storage.Client, key storage.LoginKey) error {
	p, err := u.cfg.Store.Recipient(ctx, key)
	if err != nil {
		return err
	}
	now := u.cfg.Now().UTC()
	if client.CodeRefusal(&p, now) != "" {
		return nil
	}
	text, err := Generate(u.cfg.Format, u.cfg.Rand)
	if err != nil {
		return err
	}
	id, err := storage.NewID(u.cfg.Rand, codePrefix)
	if err != nil {
		return err
	}
	code := storage.Code{ID: id, ClientID: client.ID, Purpose: storage.PurposeSignIn, IssuedAt: storage.IssueTime(now, storage.CodesValidFrom(client, &p)), ExpiresAt: now.Add(u.cfg.TTL)}
	u.cfg.Codes.SetDigests(&code, &p.Login, text)
	if err := u.cfg.Store.IssueCode(ctx, p.Login.ID, code); err != nil {
		return err
	}
	return u.cfg.Send(ctx, p.User, text)
}

// Wait waits until all codes that were requested are sent, or ctx ends. Call it after the
// HTTP server has stopped.
func (u *Unqueued) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { u.sends.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
