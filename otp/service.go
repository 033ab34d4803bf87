package otp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

const (
	maxCodeTTL  = 10 * time.Minute // OrderCloud, one-time passwords
	lease       = 30 * time.Second // of a claimed request
	resolveTime = 20 * time.Second // well within the lease
	resolvers   = 8                // requests resolved at a time

	requestPrefix = "otr_" // of identifiers
)

// ErrNobodyNamed says that a request names neither a username nor an e-mail
// address.
var ErrNobodyNamed = errors.New("neither username nor e-mail address given")

// Store keeps the requests and what they yield; *gormstore.Store is one.
type Store interface {
	// AddCodeRequest writes the request down if all budgets it is charged to
	// have room, else it answers a *storage.LimitError. Once it answers nil,
	// the request survives the process.
	AddCodeRequest(context.Context, storage.CodeRequest, ...storage.Charge) error
	// ClaimCodeRequests leases at most limit requests that are unfinished and
	// leased by nobody, expired ones included.
	ClaimCodeRequests(ctx context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error)
	// Recipients returns the logins of the request's profile that have the
	// username key and the e-mail key; an empty key is not asked for.
	Recipients(ctx context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error)
	// IssueCodes replaces the logins' codes, queues the messages and ends the
	// request, all or nothing; ErrStale if the request has ended already.
	IssueCodes(context.Context, storage.Issuance) error
}

// Directory reads configuration; *gormstore.Store is one.
type Directory interface {
	// Client returns the client of that ID, or ErrNotFound.
	Client(ctx context.Context, id string) (storage.Client, error)
	// PasswordProfile returns the profile of that ID, or ErrNotFound.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	// Senders returns all senders of all realms.
	Senders(context.Context) ([]storage.Sender, error)
}

// Config is what a Service needs.
type Config struct {
	Store     Store
	Directory Directory
	Codes     *Codes
	Sealer    Sealer           // for the payloads of messages
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // safe for concurrent use, as crypto/rand.Reader
	Limits    Limits           // zero: none
	Recorder  storage.Recorder // nil: events are discarded
	Logger    zerolog.Logger
	Wake      func() // called when messages are queued; nil: nobody
	Overflow  func() // called when requests wait that this process has no room for; nil: nobody
}

// Service takes requests for codes and resolves them.
type Service struct {
	cfg  Config
	loop *poll.Loop[storage.CodeRequest]
}

// New returns a Service. It fails if a field that has no default is missing.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Directory == nil || cfg.Codes == nil || cfg.Sealer == nil || cfg.Rand == nil {
		return nil, errors.New("otp: Store, Directory, Codes, Sealer and Rand are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Recorder == nil {
		cfg.Recorder = storage.DiscardEvents{}
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	if cfg.Overflow == nil {
		cfg.Overflow = func() {}
	}
	s := &Service{cfg: cfg}
	s.loop = poll.New(poll.Config[storage.CodeRequest]{
		Name:        "code requests",
		Claim:       s.claim,
		Work:        s.work,
		WorkLimit:   resolveTime,
		Concurrency: resolvers,
		Logger:      cfg.Logger,
	})
	return s, nil
}

// Request says who wants codes. Username, Email or both are set; with both,
// only a login that has both is meant.
type Request struct {
	Username string
	Email    string
	Purpose  storage.Purpose
	Address  netip.Addr // of who asks; the zero value is not limited
	TraceID  string     // correlation id of the HTTP request
}

// Request writes down that somebody wants codes through the client. A nil
// error means that the wish is durable, not that anybody will get a code: what
// it does and how long it takes depends on nobody's existence. It fails with
// ErrNobodyNamed, with a *storage.LimitError, or as the store does.
func (s *Service) Request(ctx context.Context, client storage.Client, r Request) error {
	if NormalizeUsername(r.Username) == "" && NormalizeUsername(r.Email) == "" {
		return ErrNobodyNamed
	}
	profile, err := s.cfg.Directory.PasswordProfile(ctx, client.ProfileID)
	if err != nil {
		return fmt.Errorf("request code: password profile of client %s: %w", client.ID, err)
	}
	id, err := storage.NewID(s.cfg.Rand, requestPrefix)
	if err != nil {
		return fmt.Errorf("request code: %w", err)
	}
	now := s.cfg.Now().UTC()
	request := storage.CodeRequest{
		ID:        id,
		ClientID:  client.ID,
		ProfileID: profile.ID,
		Username:  storable(r.Username),
		Email:     storable(r.Email),
		Purpose:   r.Purpose,
		TraceID:   r.TraceID,
		CreatedAt: now,
		ExpiresAt: now.Add(codeTTL(profile)),
	}
	err = s.cfg.Store.AddCodeRequest(ctx, request, s.charges(request, r.Address)...)
	var limit *storage.LimitError
	if errors.As(err, &limit) {
		s.record(ctx, request, "code.limited", limit.Budget, nil)
	}
	if err != nil {
		return fmt.Errorf("request code: %w", err)
	}
	s.record(ctx, request, "code.requested", "success", nil)
	s.loop.Wake()
	return nil
}

// Run resolves requests until ctx ends, of this process and of others that
// died over theirs; then it finishes what it has begun and returns nil.
func (s *Service) Run(ctx context.Context) error {
	s.loop.Run(ctx)
	return nil
}

// Wake makes the service look for requests at once. It never blocks.
func (s *Service) Wake() { s.loop.Wake() }

// claim leases as many as can be resolved. If they are that many, more may
// wait, and others may have room for them.
func (s *Service) claim(ctx context.Context, limit int) (requests []storage.CodeRequest, more bool, err error) {
	now := s.cfg.Now().UTC()
	requests, err = s.cfg.Store.ClaimCodeRequests(ctx, now, now.Add(lease), limit)
	if more = len(requests) == limit; more {
		s.cfg.Overflow()
	}
	return requests, more, err
}

// record tells the Recorder what became of a request; p is the login
// concerned, nil for the request as a whole. What was typed is left out: it may
// be a password in the wrong field.
func (s *Service) record(ctx context.Context, r storage.CodeRequest, action, outcome string, p *storage.Principal) {
	event := storage.AuditEvent{
		Time:     s.cfg.Now().UTC(),
		Action:   action,
		Outcome:  outcome,
		ClientID: r.ClientID,
		Factor:   "otp",
		TraceID:  r.TraceID,
	}
	if p != nil {
		event.UserUID, event.Username = p.User.UID, p.Login.Username
	}
	s.cfg.Recorder.Record(ctx, event)
}

// codeTTL returns the life of the profile's codes: never above ten minutes,
// and ten minutes if the profile does not say.
func codeTTL(p storage.PasswordProfile) time.Duration {
	if p.CodeTTL <= 0 {
		return maxCodeTTL
	}
	return min(p.CodeTTL, maxCodeTTL)
}
