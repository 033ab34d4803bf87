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
	"latchkey/otp/limit"
	"latchkey/storage"
)

const (
	maxCodeTTL    = 10 * time.Minute   // OrderCloud, one-time passwords
	renewalTTL    = 120 * time.Minute  // OrderCloud, verification codes
	reminderTTL   = 120 * time.Minute  // of messages with forgotten usernames
	invitationTTL = 7 * 24 * time.Hour // of invitations and the verification code in them
	noticeTTL     = 24 * time.Hour     // of AccountLocked, ContactChanged and Logout messages

	lease       = 30 * time.Second // of a claimed request
	resolveTime = 20 * time.Second // to resolve a request; shorter than the lease
	resolvers   = 8                // number of requests resolved at a time

	requestPrefix = "otr_" // of request IDs
	codePrefix    = "otc_" // of code IDs
)

// ErrNobodyNamed says that a request contains neither a username nor an e-mail
// address, or not the one that its type requires.
var ErrNobodyNamed = errors.New("neither username nor e-mail address given")

// ErrType says that messages of the type cannot be requested.
var ErrType = errors.New("messages of this type cannot be requested")

// Store keeps the queue of requests and their codes and messages; *gormstore.Store
// implements it.
type Store interface {
	// AddCodeRequest charges the budgets and stores the request durably. If a budget
	// is used up, it changes nothing and returns a *storage.LimitError.
	AddCodeRequest(context.Context, storage.CodeRequest, ...storage.Charge) error
	// ClaimCodeRequests leases at most limit requests that have not ended and are
	// not leased, expired ones included. It alternates between the pairs of source
	// and client.
	ClaimCodeRequests(ctx context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error)
	// EndUnknownRequests ends the requests that match no login of their password
	// profile, and returns their IDs. It may miss some of them, but never ends a
	// request that matches a login.
	EndUnknownRequests(ctx context.Context, names []storage.RequestNames) ([]string, error)
	// WaitingRequests counts, for each source and client, the requests that have not
	// ended and are not leased, and how many of them are newer than after.
	WaitingRequests(ctx context.Context, now, after time.Time) ([]storage.WaitingRequests, error)
	// IssueCodes charges the logins' budgets, replaces their codes, queues the
	// messages and ends the request, in one transaction. It returns ErrStale if the
	// request has ended already. The result lists the logins that got nothing because
	// a budget is used up, or because a newer request has issued their code: however
	// late a request is resolved, the code of the request that was stored last stays.
	IssueCodes(context.Context, storage.Issuance) (storage.IssueResult, error)
}

// People looks up logins; *gormstore.Store implements it.
type People interface {
	// Recipients returns the logins of the request's profile that have the username
	// key and whose users have the e-mail key. An empty key matches all, but one of
	// the two is set.
	Recipients(ctx context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error)
	// LoginsOfUser returns the logins of a user, always in the same order.
	LoginsOfUser(ctx context.Context, uid string) ([]storage.Login, error)
	// PrincipalOf returns the principal of a login, or ErrNotFound.
	PrincipalOf(ctx context.Context, loginID string) (storage.Principal, error)
}

// Directory reads configuration; *gormstore.Store implements it.
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

// Sessions reads sessions of browsers; *gormstore.Store implements it.
type Sessions interface {
	// Session returns the session of that ID, or ErrNotFound.
	Session(ctx context.Context, id string) (storage.SessionState, error)
}

// Config configures a Service. Fields without a default are required.
type Config struct {
	Store     Store
	People    People
	Directory Directory
	Sessions  Sessions // of browsers; nil: there are none, and nobody is notified of their end
	Codes     *Codes
	Sealer    Sealer           // encrypts the payloads of messages
	Now       func() time.Time // nil: time.Now
	Rand      io.Reader        // safe for concurrent use, as crypto/rand.Reader
	Limits    Limits           // zero: no limits
	Recorder  storage.Recorder // nil: events are discarded
	Logger    zerolog.Logger
	Wake      func() // called when messages were queued; nil: not called
	// Deliver reserves a delivery attempt for a message of the sender, so that no worker
	// needs to claim the message. It returns false if no attempt is free. Otherwise the
	// Service calls send once. stored is false if the message could not be stored. nil:
	// workers claim all messages.
	Deliver  func(senderID string) (send func(m storage.Message, stored bool), ok bool)
	Overflow func() // called when more requests wait than this process can resolve now; nil: not called
}

// Service stores requests for codes and resolves them.
type Service struct {
	cfg     Config
	loop    *poll.Loop[storage.CodeRequest]
	claimed claimed // used by the loop only
	backlog backlog
}

// New returns a Service. It returns an error if a required field is missing.
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
	if cfg.Deliver == nil {
		cfg.Deliver = func(string) (func(storage.Message, bool), bool) { return nil, false }
	}
	s := &Service{cfg: cfg, backlog: backlog{rate: assumedRate}}
	s.loop = poll.New(poll.Config[storage.CodeRequest]{
		Name:        "code requests",
		Claim:       s.claim,
		Admit:       func(string) bool { return len(s.claimed.requests) == 0 && !s.claimed.moreWaiting },
		Work:        s.work,
		WorkLimit:   resolveTime,
		Concurrency: resolvers,
		Logger:      cfg.Logger,
	})
	return s, nil
}

// Request asks for codes or messages. With both Username and Email, only a login that
// has both matches.
type Request struct {
	// Type is the type of the messages; empty: a one-time password. A forgotten
	// username is requested by Email and an invitation by UserUID. Other types are
	// requested by Username, Email or both.
	Type     storage.MessageType
	Username string
	Email    string
	UserUID  string
	// ProfileID is the password profile of the logins. If it is set, the codes are
	// bound to no client, and no client restricts who gets them. Empty: the profile
	// of the client, and the codes are bound to the client.
	ProfileID string
	Purpose   storage.Purpose // of one-time passwords; empty: PurposeSignIn
	Binding   string          // hexadecimal text without which one-time passwords are not valid; see Bind. Empty: they are not bound
	GrantType string          // that the client must have to redeem a one-time password; empty: any that takes codes
	URL       string          // page to reset the password, for the message
	Address   netip.Addr      // of the caller; the limit Address does not apply to the zero value
	TraceID   string          // correlation id of the HTTP request
}

// Request stores a request for codes or messages through the client. client may be
// the zero Client if r.ProfileID is set or r is an invitation. A nil error means that
// the request is durable, not that a user will get a message: the result and the time
// of Request do not depend on whether a user exists.
//
// The errors are ErrNobodyNamed, ErrType, ErrClientWithoutCodes or
// ErrProfileWithoutCodes if one-time passwords are not allowed, a
// *storage.LimitError, storage.ErrNotFound if the profile does not exist,
// storage.ErrUnavailable if so many requests wait that the code would expire first,
// and errors of the store.
func (s *Service) Request(ctx context.Context, client storage.Client, r Request) error {
	request, err := s.newRequest(ctx, client, r)
	if err != nil {
		return err
	}
	if err := s.admit(ctx, &request); err != nil {
		return err
	}
	request.CreatedAt, request.ExpiresAt = request.CreatedAt.Truncate(time.Microsecond), request.ExpiresAt.Truncate(time.Microsecond)
	give, direct := s.loop.Reserve("")
	if direct {
		request.LeaseUntil = request.CreatedAt.Add(lease)
	}
	err = s.cfg.Store.AddCodeRequest(ctx, request, s.charges(request, r.Address)...)
	if direct {
		give(request, err == nil)
	}
	var used *storage.LimitError
	if errors.As(err, &used) {
		s.record(ctx, request, ".limited", used.Budget, nil)
	}
	if err != nil {
		return fmt.Errorf("request code: %w", err)
	}
	s.record(ctx, request, ".requested", "success", nil)
	if !direct {
		s.backlog.add(&request)
		s.loop.Wake()
	}
	return nil
}

// admit refuses a request that would wait too long, and records that; see
// backlog.admit.
func (s *Service) admit(ctx context.Context, request *storage.CodeRequest) error {
	err := s.backlog.admit(request, request.CreatedAt)
	if err == nil {
		return nil
	}
	reason := "busy"
	if used := (*storage.LimitError)(nil); errors.As(err, &used) {
		reason = used.Budget
	}
	s.record(ctx, *request, ".limited", reason, nil)
	return fmt.Errorf("request code: %w", err)
}

// Invitation returns the request that invites the user r.UserUID to choose a password.
// The caller stores it in the transaction that creates the user and calls Wake
// afterwards. Invitation reads these fields of r: UserUID; ProfileID, the password
// profile of the login, empty for the first login; URL; Address; TraceID. It returns
// the error of the random source, or the error of Request if too many requests wait.
func (s *Service) Invitation(ctx context.Context, r Request) (storage.CodeRequest, error) {
	request, err := s.withIDAndExpiry(storage.CodeRequest{
		Type: storage.MessageNewUserInvitation, ProfileID: r.ProfileID, UserUID: r.UserUID,
		URL: storage.StorableText(r.URL), TraceID: r.TraceID, Source: limit.Source(r.Address),
	}, invitationTTL)
	if err == nil {
		err = s.admit(ctx, &request)
	}
	return request, err
}

// LockNotice returns the request that notifies the user of a login that failed attempts
// have locked it. The caller stores it together with the lock. The login need not
// exist. LockNotice returns the error of random.
func LockNotice(random io.Reader, key storage.LoginKey, now time.Time) (storage.CodeRequest, error) {
	id, err := storage.NewID(random, requestPrefix)
	if err != nil {
		return storage.CodeRequest{}, fmt.Errorf("lock notice: %w", err)
	}
	return storage.CodeRequest{
		ID: id, Type: storage.MessageAccountLocked, ProfileID: key.ProfileID, Username: storage.StorableText(key.UsernameKey),
		Source: key.Source, CreatedAt: now, ExpiresAt: now.Add(noticeTTL),
	}, nil
}

// newRequest checks a request and returns the record of it.
func (s *Service) newRequest(ctx context.Context, client storage.Client, r Request) (storage.CodeRequest, error) {
	request, err := parseRequest(r)
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
	return s.withIDAndExpiry(request, lifetime(request.Type, profile))
}

// parseRequest returns the stored form of a request, without client, ID and times.
func parseRequest(r Request) (storage.CodeRequest, error) {
	request := storage.CodeRequest{
		Type: r.Type, ProfileID: r.ProfileID, Username: storage.StorableText(r.Username), Email: storage.StorableText(r.Email),
		Binding: r.Binding, URL: storage.StorableText(r.URL), TraceID: r.TraceID, Source: limit.Source(r.Address),
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

// withIDAndExpiry sets the ID of the request, its creation time and its expiry.
func (s *Service) withIDAndExpiry(r storage.CodeRequest, ttl time.Duration) (storage.CodeRequest, error) {
	id, err := storage.NewID(s.cfg.Rand, requestPrefix)
	if err != nil {
		return r, fmt.Errorf("request code: %w", err)
	}
	r.ID, r.CreatedAt = id, s.cfg.Now().UTC()
	r.ExpiresAt = r.CreatedAt.Add(ttl)
	return r, nil
}

// Run resolves requests until ctx ends, including requests that other processes
// claimed and did not resolve before their lease ended. Then it finishes the requests
// that it has claimed and returns nil.
func (s *Service) Run(ctx context.Context) error {
	sampling, stop := context.WithCancel(ctx)
	var sampler sync.WaitGroup
	sampler.Go(func() { s.sample(sampling) })
	s.loop.Run(ctx)
	s.resolveClaimed(ctx)
	stop()
	sampler.Wait()
	return nil
}

// Wake makes the service claim requests at once, unless claims fail. It never blocks.
func (s *Service) Wake() { s.loop.Wake() }

// Resume makes the service claim requests at once if claims have failed. It is for
// callers who have seen that the database answers again. It never blocks.
func (s *Service) Resume() { s.loop.Resume() }

// record records an audit event about a request. p is the login concerned, nil for the
// request as a whole. An action that begins with a dot gets the prefix for the type of
// the request. The username in the request is left out: a user may have entered a
// password there by mistake.
func (s *Service) record(ctx context.Context, r storage.CodeRequest, action, outcome string, p *storage.Principal) {
	if strings.HasPrefix(action, ".") {
		action = actionPrefix(r.Type) + action
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
	} else if strings.HasSuffix(action, ".not_sent") { // recorded later, without the context of the HTTP request
		event.Source = r.Source
	}
	s.cfg.Recorder.Record(ctx, event)
}

// Factor returns the factor in audit events about messages of the type: "otp" for
// one-time passwords, and "" for the others, which do not lead to a sign-in.
func Factor(t storage.MessageType) string {
	if t == storage.MessageOneTimePassword {
		return "otp"
	}
	return ""
}

// actionPrefix returns the prefix of the actions of audit events about requests of the
// type.
func actionPrefix(t storage.MessageType) string {
	switch t {
	case storage.MessageForgottenPassword:
		return "renewal"
	case storage.MessageForgottenUsername:
		return "reminder"
	case storage.MessageNewUserInvitation:
		return "invitation"
	case storage.MessageAccountLocked, storage.MessageContactChanged:
		return "notice"
	case storage.MessageLogout:
		return "logout"
	case storage.MessageOneTimePassword:
	}
	return "code"
}

// lifetime returns how long the codes and messages of a request are valid.
func lifetime(t storage.MessageType, p storage.PasswordProfile) time.Duration {
	switch t {
	case storage.MessageForgottenPassword:
		return renewalTTL
	case storage.MessageForgottenUsername:
		return reminderTTL
	case storage.MessageNewUserInvitation:
		return invitationTTL
	case storage.MessageAccountLocked, storage.MessageContactChanged, storage.MessageLogout:
		return noticeTTL
	case storage.MessageOneTimePassword:
	}
	return codeTTL(p)
}

// codeTTL returns the lifetime of the profile's one-time passwords: at most ten
// minutes, and ten minutes if the profile sets none.
func codeTTL(p storage.PasswordProfile) time.Duration {
	if p.CodeTTL <= 0 {
		return maxCodeTTL
	}
	return min(p.CodeTTL, maxCodeTTL)
}
