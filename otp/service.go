package otp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"latchkey/otp/internal/poll"
	"latchkey/storage"
)

const (
	maxCodeTTL    = 10 * time.Minute   // OrderCloud, one-time passwords
	renewalTTL    = 120 * time.Minute  // OrderCloud, verification codes
	reminderTTL   = 120 * time.Minute  // of a message without a code
	invitationTTL = 7 * 24 * time.Hour // of the verification code in it
	noticeTTL     = 24 * time.Hour     // of the news that a login was locked

	lease       = 30 * time.Second // of a claimed request
	resolveTime = 20 * time.Second // well within the lease
	resolvers   = 8                // requests resolved at a time

	requestPrefix = "otr_" // of identifiers
)

// ErrNobodyNamed says that a request does not name whom it is about: neither by
// username nor by e-mail address, or not in the way that its type demands.
var ErrNobodyNamed = errors.New("neither username nor e-mail address given")

// ErrType says that there are no requests of that type.
var ErrType = errors.New("no such type of request")

// Store is the queue of requests and what they yield; *gormstore.Store is one.
type Store interface {
	// AddCodeRequest writes the request down if all budgets it is charged to
	// have room, else it answers a *storage.LimitError. Once it answers nil,
	// the request survives the process.
	AddCodeRequest(context.Context, storage.CodeRequest, ...storage.Charge) error
	// ClaimCodeRequests leases at most limit requests that are unfinished and
	// leased by nobody, expired ones included. It takes turns over the pairs of
	// source and client.
	ClaimCodeRequests(ctx context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error)
	// EndUnknownRequests ends those of the requests whose names no login of their
	// password profile has, and returns their IDs. It may leave requests that
	// name nobody, but never ends one that names somebody.
	EndUnknownRequests(ctx context.Context, names []storage.RequestNames) ([]string, error)
	// WaitingRequests counts the requests that are unfinished and leased by
	// nobody, by source and client, and those of them that are newer than after.
	WaitingRequests(ctx context.Context, now, after time.Time) ([]storage.WaitingRequests, error)
	// IssueCodes charges the logins' budgets, replaces their codes, queues the
	// messages and ends the request, all or nothing; ErrStale if the request has
	// ended already. The answer names the logins that got nothing because a
	// budget is used up.
	IssueCodes(context.Context, storage.Issuance) (storage.Limited, error)
}

// People finds the logins that requests name; *gormstore.Store is one.
type People interface {
	// Recipients returns the logins of the request's profile that have the
	// username key and the e-mail key; an empty key is not asked for.
	Recipients(ctx context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error)
	// LoginsOfUser returns the logins of a user, in an order that does not
	// change.
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	// PrincipalOf returns all that there is to know of a login, or ErrNotFound.
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
}

// Directory reads configuration; *gormstore.Store is one.
type Directory interface {
	// Client returns the client of that ID, or ErrNotFound.
	Client(ctx context.Context, id string) (storage.Client, error)
	// PasswordProfile returns the profile of that ID, or ErrNotFound.
	PasswordProfile(ctx context.Context, id string) (storage.PasswordProfile, error)
	// Senders returns all senders of all realms.
	Senders(context.Context) ([]storage.Sender, error)
	// DeliveryConfig returns the delivery config of that ID, or ErrNotFound.
	DeliveryConfig(ctx context.Context, id string) (storage.DeliveryConfig, error)
}

// Config is what a Service needs.
type Config struct {
	Store     Store
	People    People
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
	cfg     Config
	loop    *poll.Loop[storage.CodeRequest]
	claimed claimed // of the loop alone
	backlog backlog
}

// New returns a Service. It fails if a field that has no default is missing.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.People == nil || cfg.Directory == nil || cfg.Codes == nil || cfg.Sealer == nil || cfg.Rand == nil {
		return nil, errors.New("otp: Store, People, Directory, Codes, Sealer and Rand are required")
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
	s := &Service{cfg: cfg, backlog: backlog{rate: assumedRate}}
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

// Request says who wants what. With Username and Email only a login that has
// both is meant.
type Request struct {
	// Type is what is to be sent; empty: a one-time password. A forgotten
	// username is asked for by Email, an invitation is for UserUID, everything
	// else goes by Username, Email or both.
	Type     storage.MessageType
	Username string
	Email    string
	UserUID  string
	// ProfileID is the password profile that the logins are in, and makes the
	// request one through no client in particular: anybody's client may redeem
	// the codes, and none decides who gets them. Empty: that of the client,
	// whose codes they are.
	ProfileID string
	Purpose   storage.Purpose // of one-time passwords; empty: to sign in
	GrantType string          // that the client must have to redeem a one-time password; empty: any that takes codes
	URL       string          // for the message to tell: where a password is renewed
	Address   netip.Addr      // of the caller; the zero value is not limited
	TraceID   string          // correlation id of the HTTP request
}

// Request writes down that somebody wants codes or messages through the client,
// which may be the zero Client if r names a profile or is an invitation. A nil
// error means that the request is durable, not that anybody will get anything:
// what it does and how long it takes depends on nobody's existence. It fails
// with ErrNobodyNamed, ErrType, a *storage.LimitError, storage.ErrNotFound if
// there is no such profile, storage.ErrUnavailable if so many requests wait that
// the code would expire first, or as the store does.
func (s *Service) Request(ctx context.Context, client storage.Client, r Request) error {
	request, err := s.written(ctx, client, r)
	if err != nil {
		return err
	}
	if err := s.admit(ctx, &request); err != nil {
		return err
	}
	err = s.cfg.Store.AddCodeRequest(ctx, request, s.charges(request, r.Address)...)
	var limit *storage.LimitError
	if errors.As(err, &limit) {
		s.record(ctx, request, ".limited", limit.Budget, nil)
	}
	if err != nil {
		return fmt.Errorf("request code: %w", err)
	}
	s.backlog.add(&request)
	s.record(ctx, request, ".requested", "success", nil)
	s.loop.Wake()
	return nil
}

// admit refuses a request that would wait too long; see backlog.admit.
func (s *Service) admit(ctx context.Context, request *storage.CodeRequest) error {
	err := s.backlog.admit(request, request.CreatedAt)
	if err == nil {
		return nil
	}
	outcome := "busy"
	if limit := (*storage.LimitError)(nil); errors.As(err, &limit) {
		outcome = limit.Budget
	}
	s.record(ctx, *request, ".limited", outcome, nil)
	return fmt.Errorf("request code: %w", err)
}

// Invitation returns the request that invites the user r.UserUID to choose a
// password, for a store to write down together with the user itself. Wake the
// service afterwards. Of r it reads UserUID; ProfileID, the password profile of
// the login that is meant, empty for the first; URL; Address and TraceID. It
// fails if the random source does, or as Request does if too many requests wait.
func (s *Service) Invitation(ctx context.Context, r Request) (storage.CodeRequest, error) {
	request, err := s.stamped(storage.CodeRequest{
		Type: storage.MessageNewUserInvitation, ProfileID: r.ProfileID, UserUID: r.UserUID,
		URL: storable(r.URL), TraceID: r.TraceID, Source: Source(r.Address),
	}, invitationTTL)
	if err == nil {
		err = s.admit(ctx, &request)
	}
	return request, err
}

// LockNotice returns the request that tells the user of the login, if there is
// one, that failed attempts have locked it, for a store to write down together
// with the lock. It fails if random does.
func LockNotice(random io.Reader, key storage.LoginKey, now time.Time) (storage.CodeRequest, error) {
	id, err := storage.NewID(random, requestPrefix)
	if err != nil {
		return storage.CodeRequest{}, fmt.Errorf("notice of a lock: %w", err)
	}
	return storage.CodeRequest{
		ID: id, Type: storage.MessageAccountLocked, ProfileID: key.ProfileID, Username: storable(key.UsernameKey),
		Source: key.Source, CreatedAt: now, ExpiresAt: now.Add(noticeTTL),
	}, nil
}

// written returns what is to be written down of a request.
func (s *Service) written(ctx context.Context, client storage.Client, r Request) (storage.CodeRequest, error) {
	request, err := named(r)
	if err != nil {
		return request, err
	}
	if r.ProfileID == "" && request.Type != storage.MessageNewUserInvitation {
		request.ClientID, request.ProfileID = client.ID, client.ProfileID
	}
	var profile storage.PasswordProfile
	if request.ProfileID != "" || request.UserUID == "" {
		if profile, err = s.cfg.Directory.PasswordProfile(ctx, request.ProfileID); err != nil {
			return request, fmt.Errorf("request code: password profile %s: %w", request.ProfileID, err)
		}
	}
	if request.Type == storage.MessageOneTimePassword {
		through := &client
		if request.ClientID == "" {
			through = nil
		}
		if err := checkCodesAllowed(through, &profile, r.GrantType); err != nil {
			return request, fmt.Errorf("request code: %w", err)
		}
	}
	return s.stamped(request, life(request.Type, profile))
}

// named returns the part of a request that says what is wanted for whom.
func named(r Request) (storage.CodeRequest, error) {
	request := storage.CodeRequest{
		Type: r.Type, ProfileID: r.ProfileID, Username: storable(r.Username), Email: storable(r.Email),
		URL: storable(r.URL), TraceID: r.TraceID, Source: Source(r.Address),
	}
	switch r.Type {
	case "", storage.MessageOneTimePassword:
		request.Type, request.Purpose = storage.MessageOneTimePassword, cmp.Or(r.Purpose, storage.PurposeSignIn)
	case storage.MessageForgottenPassword:
	case storage.MessageForgottenUsername:
		request.Username = ""
	case storage.MessageNewUserInvitation:
		request.Username, request.Email, request.UserUID = "", "", r.UserUID
	default:
		return request, fmt.Errorf("request code: %w: %s", ErrType, r.Type)
	}
	if NormalizeUsername(request.Username) == "" && NormalizeUsername(request.Email) == "" && request.UserUID == "" {
		return request, ErrNobodyNamed
	}
	return request, nil
}

// stamped gives the request an identity and a life.
func (s *Service) stamped(r storage.CodeRequest, ttl time.Duration) (storage.CodeRequest, error) {
	id, err := storage.NewID(s.cfg.Rand, requestPrefix)
	if err != nil {
		return r, fmt.Errorf("request code: %w", err)
	}
	r.ID, r.CreatedAt = id, s.cfg.Now().UTC()
	r.ExpiresAt = r.CreatedAt.Add(ttl)
	return r, nil
}

// Run resolves requests until ctx ends, of this process and of others that
// died over theirs; then it finishes what it has begun and returns nil.
func (s *Service) Run(ctx context.Context) error {
	sampling, stop := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { s.sample(sampling) })
	s.loop.Run(ctx)
	s.finish(ctx)
	stop()
	sampler.Wait()
	return nil
}

// Wake makes the service look for requests at once. It never blocks.
func (s *Service) Wake() { s.loop.Wake() }

// record tells the Recorder what became of a request; p is the login
// concerned, nil for the request as a whole. What was typed is left out: it may
// be a password in the wrong field. An action that begins with a dot is one of
// the request's kind.
func (s *Service) record(ctx context.Context, r storage.CodeRequest, action, outcome string, p *storage.Principal) {
	if strings.HasPrefix(action, ".") {
		action = subject(r.Type) + action
	}
	event := storage.AuditEvent{
		Time:     s.cfg.Now().UTC(),
		Action:   action,
		Outcome:  outcome,
		ClientID: r.ClientID,
		Factor:   Factor(r.Type),
		TraceID:  r.TraceID,
	}
	if p != nil {
		event.UserUID, event.Username = p.User.UID, p.Login.Username
	} else if strings.HasSuffix(action, ".not_sent") { // long after the HTTP request
		event.Source = r.Source
	}
	s.cfg.Recorder.Record(ctx, event)
}

// Factor is what audit events about messages of the type name as the factor:
// "otp" for one-time passwords, nothing for the others, which sign nobody in.
func Factor(t storage.MessageType) string {
	if t == storage.MessageOneTimePassword {
		return "otp"
	}
	return ""
}

// subject is how the actions of audit events about requests of the type begin.
func subject(t storage.MessageType) string {
	switch t {
	case storage.MessageForgottenPassword:
		return "renewal"
	case storage.MessageForgottenUsername:
		return "reminder"
	case storage.MessageNewUserInvitation:
		return "invitation"
	case storage.MessageAccountLocked, storage.MessageContactChanged:
		return "notice"
	case storage.MessageOneTimePassword:
	}
	return "code"
}

// life returns how long what a request of the type yields is good for.
func life(t storage.MessageType, p storage.PasswordProfile) time.Duration {
	switch t {
	case storage.MessageForgottenPassword:
		return renewalTTL
	case storage.MessageForgottenUsername:
		return reminderTTL
	case storage.MessageNewUserInvitation:
		return invitationTTL
	case storage.MessageAccountLocked, storage.MessageContactChanged:
		return noticeTTL
	case storage.MessageOneTimePassword:
	}
	return codeTTL(p)
}

// codeTTL returns the life of the profile's one-time passwords: never above ten
// minutes, and ten minutes if the profile does not say.
func codeTTL(p storage.PasswordProfile) time.Duration {
	if p.CodeTTL <= 0 {
		return maxCodeTTL
	}
	return min(p.CodeTTL, maxCodeTTL)
}
