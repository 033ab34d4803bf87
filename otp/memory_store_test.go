package otp_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"latchkey/otp"
	"latchkey/storage"
)

// testDigester is an otp.Digester with a single secret that counts its MACs.
type testDigester struct{ macs atomic.Int64 }

func (p *testDigester) Digest(purpose string, parts ...string) storage.Digest {
	p.macs.Add(1)
	mac := hmac.New(sha256.New, []byte("pepper"))
	for _, part := range append([]string{purpose}, parts...) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part)))
		mac.Write([]byte(part))
	}
	return storage.Digest{PepperID: "p1", Sum: mac.Sum(nil)}
}

func (p *testDigester) Matches(d storage.Digest, purpose string, parts ...string) bool {
	return d.PepperID == "p1" && hmac.Equal(d.Sum, p.Digest(purpose, parts...).Sum)
}

// testSealer is an otp.Sealer and otp.Opener with a single key.
type testSealer struct{ aead cipher.AEAD }

func newTestSealer(t *testing.T) testSealer {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return testSealer{aead}
}

func (v testSealer) Seal(plain []byte, context string) (storage.Sealed, error) {
	return storage.Sealed{KeyID: "k1", Data: v.aead.Seal(nil, nil, plain, []byte(context))}, nil
}

func (v testSealer) Open(s storage.Sealed, context string) ([]byte, error) {
	return v.aead.Open(nil, nil, s.Data, []byte(context))
}

// eventRecorder is a storage.Recorder that keeps all events.
type eventRecorder struct {
	mu     sync.Mutex
	events []storage.AuditEvent
}

func (d *eventRecorder) Record(_ context.Context, e storage.AuditEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// lines returns the events as "action outcome username", sorted.
func (d *eventRecorder) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.events {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Outcome, e.Username)))
	}
	slices.Sort(lines)
	return lines
}

// queuedRequest is a request in the queue.
type queuedRequest struct {
	storage.CodeRequest
	leaseUntil time.Time
	ended      bool
	postponed  bool // the request waits for a budget
}

// memoryStore is an otp.Store, otp.People and otp.Directory in memory. It observes leases.
type memoryStore struct {
	mu         sync.Mutex
	client     storage.Client
	profile    storage.PasswordProfile
	senders    []storage.Sender
	logins     []*storage.Principal
	requests   []*queuedRequest
	messages   []storage.Message
	configs    []storage.DeliveryConfig
	verified   map[string]storage.VerificationCode // codes by the ID of their login
	charges    [][]storage.Charge                  // charges of each request
	limit      error                               // error of AddCodeRequest
	issueLimit *storage.LimitError                 // used-up budget of every login

	unavailable bool // all calls fail with storage.ErrUnavailable
	slowLookups bool // Recipients fails while it is set
	lookups     int
	statements  int    // number of calls of ClaimCodeRequests and EndUnknownRequests
	beforeIssue func() // called by IssueCodes without holding the mutex
}

func (m *memoryStore) AddCodeRequest(_ context.Context, r storage.CodeRequest, charges ...storage.Charge) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return storage.ErrUnavailable
	}
	m.charges = append(m.charges, charges)
	if m.limit != nil {
		return m.limit
	}
	m.requests = append(m.requests, &queuedRequest{CodeRequest: r})
	return nil
}

func (m *memoryStore) ClaimCodeRequests(_ context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return nil, storage.ErrUnavailable
	}
	m.statements++
	var claimed []storage.CodeRequest
	for _, r := range m.requests {
		if len(claimed) < limit && !r.ended && !now.Before(r.leaseUntil) {
			r.leaseUntil = leaseUntil
			claimed = append(claimed, r.CodeRequest)
		}
	}
	return claimed, nil
}

func (m *memoryStore) Recipients(_ context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable || m.slowLookups {
		return nil, storage.ErrUnavailable
	}
	m.lookups++
	var found []storage.Principal
	for _, p := range m.logins {
		if p.Login.ProfileID == r.ProfileID && (usernameKey == "" || p.Login.UsernameKey == usernameKey) &&
			(emailKey == "" || p.User.EmailKey == emailKey) {
			found = append(found, *p)
		}
	}
	return found, nil
}

func (m *memoryStore) EndUnknownRequests(_ context.Context, names []storage.RequestNames) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return nil, storage.ErrUnavailable
	}
	m.statements++
	var ended []string
	for _, n := range names {
		known := slices.ContainsFunc(m.logins, func(p *storage.Principal) bool {
			return p.Login.ProfileID == n.ProfileID && (n.UsernameKey == p.Login.UsernameKey || n.UsernameKey == "" && n.EmailKey == p.User.EmailKey)
		})
		at := slices.IndexFunc(m.requests, func(r *queuedRequest) bool { return r.ID == n.ID && !r.ended })
		if !known && at >= 0 {
			m.requests[at].ended = true
			ended = append(ended, n.ID)
		}
	}
	return ended, nil
}

func (m *memoryStore) WaitingRequests(_ context.Context, now, after time.Time) ([]storage.WaitingRequests, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return nil, storage.ErrUnavailable
	}
	byLane := map[[2]string]*storage.WaitingRequests{}
	for _, r := range m.requests {
		if r.ended || now.Before(r.leaseUntil) {
			continue
		}
		lane := byLane[[2]string{r.Source, r.ClientID}]
		if lane == nil {
			lane = &storage.WaitingRequests{Source: r.Source, ClientID: r.ClientID, Since: r.CreatedAt}
			byLane[[2]string{r.Source, r.ClientID}] = lane
		}
		lane.Count++
		if r.CreatedAt.After(after) {
			lane.New++
		}
	}
	var all []storage.WaitingRequests
	for _, lane := range byLane {
		all = append(all, *lane)
	}
	return all, nil
}

// newerThan reports whether the request with the ID was stored after that at the index.
func (m *memoryStore) newerThan(at int, id string) bool {
	return slices.ContainsFunc(m.requests[at+1:], func(r *queuedRequest) bool { return r.ID == id })
}

func (m *memoryStore) IssueCodes(_ context.Context, i storage.Issuance) (storage.IssueResult, error) {
	if m.beforeIssue != nil {
		m.beforeIssue()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return storage.IssueResult{}, storage.ErrUnavailable
	}
	at := slices.IndexFunc(m.requests, func(r *queuedRequest) bool { return r.ID == i.RequestID })
	if m.requests[at].ended {
		return storage.IssueResult{}, storage.ErrStale
	}
	m.requests[at].ended = true
	limited := storage.Limited{}
	for id, charges := range i.Charges {
		m.charges = append(m.charges, charges)
		if m.issueLimit != nil {
			limited[id] = m.issueLimit
		}
	}
	if len(limited) > 0 {
		m.requests[at].postponed = i.Postpone
		return storage.IssueResult{Limited: limited}, nil
	}
	result := storage.IssueResult{Retired: map[string]bool{}, Superseded: map[string]bool{}}
	for _, issued := range i.Codes {
		for _, p := range m.logins {
			if p.Login.ID != issued.LoginID {
				continue
			}
			if m.newerThan(at, p.Login.Code.RequestID) {
				result.Superseded[issued.LoginID], issued.Messages = true, nil
				continue
			}
			result.Retired[issued.LoginID] = p.Login.Code.Live(i.Now)
			p.Login.Code = issued.Code
		}
		m.messages = append(m.messages, issued.Messages...)
	}
	for _, issued := range i.Verifications {
		if m.verified == nil {
			m.verified = map[string]storage.VerificationCode{}
		}
		m.verified[issued.Code.LoginID] = issued.Code
		m.messages = append(m.messages, issued.Messages...)
	}
	for _, notice := range i.Notices {
		m.messages = append(m.messages, notice.Messages...)
	}
	return result, nil
}

func (m *memoryStore) LoginsOfUser(_ context.Context, uid string) ([]storage.Login, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return nil, storage.ErrUnavailable
	}
	m.lookups++
	var logins []storage.Login
	for _, p := range m.logins {
		if p.User.UID == uid {
			logins = append(logins, p.Login)
		}
	}
	return logins, nil
}

func (m *memoryStore) PrincipalOf(_ context.Context, loginID string) (storage.Principal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unavailable {
		return storage.Principal{}, storage.ErrUnavailable
	}
	for _, p := range m.logins {
		if p.Login.ID == loginID {
			return *p, nil
		}
	}
	return storage.Principal{}, storage.ErrNotFound
}

func (m *memoryStore) DeliveryConfig(_ context.Context, id string) (storage.DeliveryConfig, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.configs {
		if c.ID == id {
			return c, nil
		}
	}
	return storage.DeliveryConfig{}, storage.ErrNotFound
}

func (m *memoryStore) Client(_ context.Context, id string) (storage.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client.ID != id {
		return storage.Client{}, storage.ErrNotFound
	}
	return m.client, nil
}

func (m *memoryStore) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.profile.ID != id {
		return storage.PasswordProfile{}, storage.ErrNotFound
	}
	return m.profile, nil
}

func (m *memoryStore) Senders(context.Context) ([]storage.Sender, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.senders), nil
}

// change calls f with the mutex held, to change the store while a service runs.
func (m *memoryStore) change(f func(*memoryStore)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// ended returns the number of requests that have ended.
func (m *memoryStore) ended() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.requests {
		if r.ended {
			n++
		}
	}
	return n
}

// fixture is a service with a store that contains one client, one sender and the users
// bob, bobby and ann of one buyer. bob and bobby have the same e-mail address.
type fixture struct {
	*memoryStore
	service  *otp.Service
	codes    *otp.Codes
	sealer   testSealer
	limits   otp.Limits
	recorded *eventRecorder
	log      *bytes.Buffer
	logger   zerolog.Logger // writes to log
	wakes    atomic.Int64
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{recorded: &eventRecorder{}, log: &bytes.Buffer{}, codes: otp.NewCodes(&testDigester{}), sealer: newTestSealer(t)}
	w.logger = zerolog.New(zerolog.SyncWriter(w.log))
	w.memoryStore = &memoryStore{
		client: storage.Client{
			ID: "shop", Active: true, ProfileID: "default", GrantTypes: []string{"password"},
			Credentials: storage.Credentials{OTP: true}, AllowAnyBuyer: true,
		},
		profile: storage.PasswordProfile{ID: "default", OneTimeCodes: true, Code: otp.DefaultFormat(), CodeTTL: 5 * time.Minute},
		senders: []storage.Sender{{ID: "mail", Active: true, Types: allTypes(), AllowAllBuyers: true}},
		logins:  []*storage.Principal{newPrincipal("bob", "bob@example.com"), newPrincipal("bobby", "bob@example.com"), newPrincipal("ann", "ann@example.com")},
	}
	w.service = w.newService(t)
	return w
}

func (w *fixture) newService(t *testing.T) *otp.Service {
	t.Helper()
	s, err := otp.New(otp.Config{
		Store: w.memoryStore, People: w.memoryStore, Directory: w.memoryStore, Codes: w.codes, Sealer: w.sealer, Rand: rand.Reader,
		Limits: w.limits, Recorder: w.recorded, Logger: w.logger, Wake: func() { w.wakes.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func allTypes() []storage.MessageType {
	return []storage.MessageType{
		storage.MessageOneTimePassword, storage.MessageForgottenPassword,
		storage.MessageForgottenUsername, storage.MessageNewUserInvitation, storage.MessageAccountLocked, storage.MessageContactChanged,
	}
}

func newPrincipal(username, email string) *storage.Principal {
	return &storage.Principal{
		Known: true,
		Login: storage.Login{ID: "lgn_" + username, ProfileID: "default", Username: username, UsernameKey: username, Active: true},
		User: storage.User{
			UID: "usr_" + username, Kind: storage.Buyer, AccountUID: "acc_1",
			Email: email, EmailKey: email, Active: true,
		},
		Account: storage.Account{UID: "acc_1", Kind: storage.Buyer, Active: true},
	}
}

// run starts the service. stop ends it and waits until Run has returned.
func (w *fixture) run(t *testing.T, s *otp.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error)
	go func() { returned <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-returned; err != nil {
			t.Errorf("Run: got %v, want no error", err)
		}
	}
}

// ask calls Request and fails the test on an error.
func (w *fixture) ask(t *testing.T, r otp.Request) {
	t.Helper()
	if err := w.service.Request(t.Context(), w.client, r); err != nil {
		t.Fatal(err)
	}
}

// opened returns the decrypted payload of the message.
func (w *fixture) opened(t *testing.T, m storage.Message) otp.Payload {
	t.Helper()
	p, err := otp.OpenPayload(w.sealer, m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
