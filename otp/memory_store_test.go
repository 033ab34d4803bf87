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

// pepper is an otp.Digester with a single secret that counts its MACs.
type pepper struct{ macs atomic.Int64 }

func (p *pepper) Digest(purpose string, parts ...string) storage.Digest {
	p.macs.Add(1)
	mac := hmac.New(sha256.New, []byte("pepper"))
	for _, part := range append([]string{purpose}, parts...) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part)))
		mac.Write([]byte(part))
	}
	return storage.Digest{PepperID: "p1", Sum: mac.Sum(nil)}
}

func (p *pepper) Matches(d storage.Digest, purpose string, parts ...string) bool {
	return d.PepperID == "p1" && hmac.Equal(d.Sum, p.Digest(purpose, parts...).Sum)
}

// vault is an otp.Sealer and otp.Opener with a single key.
type vault struct{ aead cipher.AEAD }

func newVault(t *testing.T) vault {
	t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return vault{aead}
}

func (v vault) Seal(plain []byte, context string) (storage.Sealed, error) {
	return storage.Sealed{KeyID: "k1", Data: v.aead.Seal(nil, nil, plain, []byte(context))}, nil
}

func (v vault) Open(s storage.Sealed, context string) ([]byte, error) {
	return v.aead.Open(nil, nil, s.Data, []byte(context))
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

// lines returns the events as "action outcome username", sorted.
func (d *diary) lines() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.events {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Action, e.Outcome, e.Username)))
	}
	slices.Sort(lines)
	return lines
}

// held is a request in the queue.
type held struct {
	storage.CodeRequest
	leaseUntil time.Time
	ended      bool
	postponed  bool // it was to wait for a budget
}

// memory is an otp.Store and otp.Directory with honest leases.
type memory struct {
	mu         sync.Mutex
	client     storage.Client
	profile    storage.PasswordProfile
	senders    []storage.Sender
	logins     []*storage.Principal
	requests   []*held
	messages   []storage.Message
	configs    []storage.DeliveryConfig
	verified   map[string]storage.VerificationCode // by login
	charges    [][]storage.Charge                  // of each request
	limit      error                               // answer to requests
	issueLimit *storage.LimitError                 // stops every login

	away        bool // the database is
	slowLookups bool // reading recipients fails until the database is back
	lookups     int
	statements  int    // claims of requests, and those that end many
	beforeIssue func() // called without the lock
}

func (m *memory) AddCodeRequest(_ context.Context, r storage.CodeRequest, charges ...storage.Charge) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return storage.ErrUnavailable
	}
	m.charges = append(m.charges, charges)
	if m.limit != nil {
		return m.limit
	}
	m.requests = append(m.requests, &held{CodeRequest: r})
	return nil
}

func (m *memory) ClaimCodeRequests(_ context.Context, now, leaseUntil time.Time, limit int) ([]storage.CodeRequest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
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

func (m *memory) Recipients(_ context.Context, r storage.CodeRequest, usernameKey, emailKey string) ([]storage.Principal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away || m.slowLookups {
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

func (m *memory) EndUnknownRequests(_ context.Context, names []storage.RequestNames) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, storage.ErrUnavailable
	}
	m.statements++
	var ended []string
	for _, n := range names {
		known := slices.ContainsFunc(m.logins, func(p *storage.Principal) bool {
			return p.Login.ProfileID == n.ProfileID && (n.UsernameKey == p.Login.UsernameKey || n.UsernameKey == "" && n.EmailKey == p.User.EmailKey)
		})
		at := slices.IndexFunc(m.requests, func(r *held) bool { return r.ID == n.ID && !r.ended })
		if !known && at >= 0 {
			m.requests[at].ended = true
			ended = append(ended, n.ID)
		}
	}
	return ended, nil
}

func (m *memory) WaitingRequests(_ context.Context, now, after time.Time) ([]storage.WaitingRequests, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
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

func (m *memory) IssueCodes(_ context.Context, i storage.Issuance) (storage.Limited, error) {
	if m.beforeIssue != nil {
		m.beforeIssue()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return nil, storage.ErrUnavailable
	}
	at := slices.IndexFunc(m.requests, func(r *held) bool { return r.ID == i.RequestID })
	if m.requests[at].ended {
		return nil, storage.ErrStale
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
		return limited, nil
	}
	for _, issued := range i.Codes {
		for _, p := range m.logins {
			if p.Login.ID == issued.LoginID {
				p.Login.Code = issued.Code
			}
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
	return nil, nil
}

func (m *memory) LoginsOfUser(_ context.Context, uid string) ([]storage.Login, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
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

func (m *memory) PrincipalOf(_ context.Context, loginID string) (storage.Principal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return storage.Principal{}, storage.ErrUnavailable
	}
	for _, p := range m.logins {
		if p.Login.ID == loginID {
			return *p, nil
		}
	}
	return storage.Principal{}, storage.ErrNotFound
}

func (m *memory) DeliveryConfig(_ context.Context, id string) (storage.DeliveryConfig, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.configs {
		if c.ID == id {
			return c, nil
		}
	}
	return storage.DeliveryConfig{}, storage.ErrNotFound
}

func (m *memory) Client(_ context.Context, id string) (storage.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client.ID != id {
		return storage.Client{}, storage.ErrNotFound
	}
	return m.client, nil
}

func (m *memory) PasswordProfile(_ context.Context, id string) (storage.PasswordProfile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.profile.ID != id {
		return storage.PasswordProfile{}, storage.ErrNotFound
	}
	return m.profile, nil
}

func (m *memory) Senders(context.Context) ([]storage.Sender, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.senders), nil
}

// change lets f alter the store while a service runs.
func (m *memory) change(f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// ended tells how many requests have ended.
func (m *memory) ended() int {
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

// world is a service over a store with one client, one sender and one buyer's
// users bob, bobby and ann; bob and bobby share an e-mail address.
type world struct {
	*memory
	service *otp.Service
	codes   *otp.Codes
	vault   vault
	limits  otp.Limits
	diary   *diary
	log     *bytes.Buffer
	logger  zerolog.Logger // writes to log
	wakes   atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{diary: &diary{}, log: &bytes.Buffer{}, codes: otp.NewCodes(&pepper{}), vault: newVault(t)}
	w.logger = zerolog.New(zerolog.SyncWriter(w.log))
	w.memory = &memory{
		client: storage.Client{
			ID: "shop", Active: true, ProfileID: "default", GrantTypes: []string{"password"},
			Credentials: storage.Credentials{OTP: true}, AllowAnyBuyer: true,
		},
		profile: storage.PasswordProfile{ID: "default", OneTimeCodes: true, Code: otp.DefaultFormat(), CodeTTL: 5 * time.Minute},
		senders: []storage.Sender{{ID: "mail", Active: true, Types: allTypes(), AllowAllBuyers: true}},
		logins:  []*storage.Principal{person("bob", "bob@example.com"), person("bobby", "bob@example.com"), person("ann", "ann@example.com")},
	}
	w.service = w.newService(t)
	return w
}

func (w *world) newService(t *testing.T) *otp.Service {
	t.Helper()
	s, err := otp.New(otp.Config{
		Store: w.memory, People: w.memory, Directory: w.memory, Codes: w.codes, Sealer: w.vault, Rand: rand.Reader,
		Limits: w.limits, Recorder: w.diary, Logger: w.logger, Wake: func() { w.wakes.Add(1) },
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

func person(username, email string) *storage.Principal {
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

// run starts the service; stop ends it and waits until it has returned.
func (w *world) run(t *testing.T, s *otp.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error)
	go func() { returned <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-returned; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// ask requests codes and fails the test if that does not succeed.
func (w *world) ask(t *testing.T, r otp.Request) {
	t.Helper()
	if err := w.service.Request(t.Context(), w.client, r); err != nil {
		t.Fatal(err)
	}
}

// opened returns the payload of the message.
func (w *world) opened(t *testing.T, m storage.Message) otp.Payload {
	t.Helper()
	p, err := otp.OpenPayload(w.vault, m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
