package ordercloud

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"latchkey/grants/signin"
	"latchkey/keys"
	"latchkey/oauth/admin"
	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/surface"
	"latchkey/oauth/token"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// testServer is an API with its own database. It identifies callers by their tokens.
type testServer struct {
	t           *testing.T
	ctx         context.Context
	store       *gormstore.Store
	databaseURL string
	mux         *http.ServeMux
	codes       *otp.Codes
	hasher      *signin.Hasher
	sealer      *keys.Sealer
	config      Config
	bearers     map[string]func(context.Context) (*token.Caller, error)
	tests       testedSenders

	verifications []storage.Task // of the whole audit chain, as the status finds them

	mu     sync.Mutex
	time   time.Time
	events []storage.AuditEvent
}

const testPassword = "Correct-Horse-7"

// newServer returns a server with an empty database and an administrator whose token is "root".
func newServer(t *testing.T, change ...func(*Config)) *testServer {
	t.Helper()
	srv := &testServer{t: t, ctx: context.WithoutCancel(t.Context()), time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	srv.bearers = map[string]func(context.Context) (*token.Caller, error){}
	var err error
	srv.databaseURL = gormtest.SQLite(t)
	srv.store, err = gormstore.Open(srv.ctx, gormstore.Config{URL: srv.databaseURL, Relaxed: true, Now: srv.now})
	srv.must(err)
	t.Cleanup(func() { _ = srv.store.Close() })
	srv.sealer, err = keys.NewSealer(make([]byte, 32))
	srv.must(err)
	peppers, err := keys.LoadPeppers(srv.ctx, srv.store, srv.sealer, rand.Reader, srv.now())
	srv.must(err)
	ring, err := keys.NewRing(srv.ctx, keys.RingConfig{
		Store: srv.store, Sealer: srv.sealer, Algs: []string{"ES256"}, PublishAhead: time.Minute, MaxTokenLife: time.Hour,
		Now: srv.now, Rand: rand.Reader,
	})
	srv.must(err)
	srv.store.ChainAuditEvents(peppers)
	srv.codes = otp.NewCodes(peppers)
	srv.hasher, err = signin.NewHasher(signin.HasherConfig{})
	srv.must(err)
	passwords, err := signin.NewPasswords(signin.PasswordsConfig{Store: srv.store, Hasher: srv.hasher, Codes: srv.codes, Now: srv.now})
	srv.must(err)
	service, err := otp.New(otp.Config{Store: srv.store, People: srv.store, Directory: srv.store, Codes: srv.codes, Sealer: srv.sealer, Now: srv.now, Rand: rand.Reader})
	srv.must(err)
	s := srv.store
	rules, err := admin.New(s)
	srv.must(err)
	tasks, err := admin.NewTasks(admin.TasksConfig{
		Store: s, Recorder: srv, Now: srv.now, Rand: rand.Reader, Logger: zerolog.New(zerolog.NewTestWriter(t)),
		Kinds: map[storage.TaskKind]admin.TaskKind{
			storage.TaskAuditVerification: admin.VerifyAuditChain(s), storage.TaskPolicyReplay: admin.ReplayPolicies(s, srv.now),
		},
	})
	srv.must(err)
	srv.config = Config{
		Tasks:  tasks,
		Bearer: srv, Rules: rules, Tx: s, Passwords: passwords, Codes: service, Sealer: srv.sealer, Peppers: peppers,
		Sessions: &admin.Sessions{Store: s, Rand: rand.Reader, Now: srv.now, Wake: service.Wake},
		Lockouts: &admin.Lockouts{Store: s, Now: srv.now},
		Stores: Stores{
			Clients: s, Secrets: s, Profiles: s, Assignments: s, Accounts: s, Users: s, UserSearch: s, Memberships: s, Consents: s, Logins: s, Senders: s,
			DeliveryConfigs: s, Records: s, Figures: s, Messages: s, Keys: ring, PasswordProfiles: s,
		},
		Status: &admin.Status{Store: s, Now: srv.now, KeyAge: 100 * 24 * time.Hour, Signing: func(context.Context) (map[string]time.Time, error) {
			return ring.SigningSince(), nil // named by their algorithms
		}, Verifications: func(context.Context) ([]storage.Task, error) { return srv.verifications, nil }},
		Tests: &srv.tests,
		Runtime: surface.Runtime{
			TraceID:  func(context.Context) string { return "trace-1" },
			Address:  func(context.Context) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
			Recorder: srv, Now: srv.now, Rand: rand.Reader, Logger: zerolog.New(zerolog.NewTestWriter(t)),
		},
	}
	for _, c := range change {
		c(&srv.config)
	}
	api, err := New(srv.config)
	srv.must(err)
	srv.mux = http.NewServeMux()
	api.Mount(srv.mux)
	srv.client("back-office", nil)
	srv.clientToken("root", "back-office", token.RoleFullAccess)
	return srv
}

func (srv *testServer) must(err error) {
	srv.t.Helper()
	if err != nil {
		srv.t.Fatal(err)
	}
}

func (srv *testServer) now() time.Time {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return srv.time
}

func (srv *testServer) advance(d time.Duration) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.time = srv.time.Add(d)
}

// Record implements storage.Recorder.
func (srv *testServer) Record(_ context.Context, e storage.AuditEvent) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.events = append(srv.events, e)
}

// recorded returns "action object" of all events and forgets the events.
func (srv *testServer) recorded() []string {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var all []string
	for _, e := range srv.events {
		all = append(all, e.Action+" "+e.Object)
	}
	srv.events = nil
	return all
}

// Authorize implements Bearer for the tokens of the tests.
func (srv *testServer) Authorize(r *http.Request) (*token.Caller, error) {
	presented, ok := token.BearerToken(r.Header)
	if !ok {
		return nil, token.ErrNoToken
	}
	find, ok := srv.bearers[presented]
	if !ok {
		return nil, token.ErrInvalidToken
	}
	return find(r.Context())
}

// client creates a client that admits all users.
func (srv *testServer) client(id string, change func(*storage.Client)) storage.Client {
	srv.t.Helper()
	c := wire.ApiClient{ID: id, AppName: id, AllowAnyBuyer: true, AllowAnySupplier: true, AllowSeller: true}.ToRecord(storage.Client{})
	if change != nil {
		change(&c)
	}
	c, err := srv.store.PutClient(srv.ctx, c)
	srv.must(err)
	return c
}

func (srv *testServer) clientToken(name, clientID string, roles ...string) {
	srv.bearers[name] = func(ctx context.Context) (*token.Caller, error) {
		c, err := srv.store.Client(ctx, clientID)
		return &token.Caller{Client: &c, Roles: roles}, err
	}
}

// userToken creates a token of a user who signs in now through the client. The token is refused
// when a real one would be.
func (srv *testServer) userToken(name, clientID, username string, roles ...string) {
	srv.t.Helper()
	login, err := srv.store.Login(srv.ctx, storage.DefaultProfileID, otp.NormalizeUsername(username))
	srv.must(err)
	issued := srv.now()
	srv.bearers[name] = func(ctx context.Context) (*token.Caller, error) {
		p, err := srv.store.PrincipalOf(ctx, login.ID)
		if err != nil {
			return nil, token.ErrInvalidToken
		}
		c, err := srv.store.Client(ctx, clientID)
		if err != nil {
			return nil, err
		}
		switch {
		case issued.Before(p.User.TokensValidFrom), issued.Before(p.Login.SessionsValidFrom) && p.Login.KeptSession != name:
			return nil, token.ErrTokenRevoked
		case c.Refusal(&p, srv.now()) != "":
			return nil, token.ErrInvalidToken
		}
		return &token.Caller{Client: &c, Principal: &p, Roles: roles, AMR: []string{"pwd"}, SessionID: name, IssuedAt: issued}, nil
	}
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
}

func (srv *testServer) call(token, method, path, body string, header ...string) answer {
	srv.t.Helper()
	var sent io.Reader = http.NoBody
	if body != "" {
		sent = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(srv.ctx, method, path, sent)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	srv.mux.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// expect sends a request and expects that status.
func (srv *testServer) expect(status int, token, method, path, body string, header ...string) answer {
	srv.t.Helper()
	a := srv.call(token, method, path, body, header...)
	if a.status != status {
		srv.t.Fatalf("%s %s as %s: got %d %s, want %d", method, path, token, a.status, a.body, status)
	}
	return a
}

// refuses sends a request and expects a refusal with that status and code.
func (srv *testServer) refuses(status int, code, token, method, path, body string, header ...string) answer {
	srv.t.Helper()
	a := srv.call(token, method, path, body, header...)
	if a.status != status || a.code() != code {
		srv.t.Errorf("%s %s %s as %s: got %d %s, want %d %s", method, path, body, token, a.status, a.body, status, code)
	}
	return a
}

func (a answer) code() string {
	var body wire.ErrorBody
	if json.Unmarshal([]byte(a.body), &body) != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].ErrorCode
}

// paths returns the paths of the faults in a refusal.
func (a answer) paths() []string {
	var body struct {
		Errors []struct{ Data struct{ Path string } }
	}
	_ = json.Unmarshal([]byte(a.body), &body)
	var paths []string
	for _, e := range body.Errors {
		paths = append(paths, e.Data.Path)
	}
	return paths
}

// get decodes a member of the answer, such as "XP.a".
func (a answer) get(t *testing.T, path string) any {
	t.Helper()
	var v any
	in := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	in.UseNumber()
	if err := in.Decode(&v); err != nil {
		t.Fatalf("decode %q: %v", a.body, err)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

// ids returns the IDs on a page.
func (a answer) ids(t *testing.T) []string {
	t.Helper()
	var page struct{ Items []struct{ ID string } }
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, item := range page.Items {
		ids = append(ids, item.ID)
	}
	return ids
}

// addPeople adds two buyers and a supplier with one user each, and an admin user.
func (srv *testServer) addPeople() {
	srv.t.Helper()
	srv.client("shop", nil)
	for _, of := range []struct{ path, id string }{{"buyers", "acme"}, {"buyers", "globex"}, {"suppliers", "smith"}} {
		srv.expect(201, "root", "POST", "/v1/"+of.path, fmt.Sprintf(`{"ID":%q,"Name":"%s Ltd"}`, of.id, of.id))
	}
	for path, id := range map[string]string{
		"/v1/buyers/acme/users": "ann", "/v1/buyers/globex/users": "gus", "/v1/suppliers/smith/users": "sue", "/v1/adminusers": "ada",
	} {
		srv.expect(201, "root", "POST", path, fmt.Sprintf(
			`{"ID":%[1]q,"Username":%[1]q,"FirstName":"First-%[1]s","LastName":"Last","Email":"%[1]s@example.com","Password":%[2]q,"Active":true}`, id, testPassword))
	}
}

// giveProfile assigns a new security profile with the roles to a party.
func (srv *testServer) giveProfile(profile string, to storage.Party, roles ...string) {
	srv.t.Helper()
	_, err := srv.store.PutSecurityProfile(srv.ctx, storage.SecurityProfile{ID: profile, RealmID: storage.DefaultRealmID, Name: profile, Roles: roles})
	srv.must(err)
	srv.must(srv.store.AssignSecurityProfile(srv.ctx, profile, to))
}

func (srv *testServer) login(username string) storage.Login {
	srv.t.Helper()
	l, err := srv.store.Login(srv.ctx, storage.DefaultProfileID, otp.NormalizeUsername(username))
	srv.must(err)
	return l
}

func (srv *testServer) user(username string) storage.User {
	srv.t.Helper()
	u, err := srv.store.UserByUID(srv.ctx, srv.login(username).UserUID)
	srv.must(err)
	return u
}

func (srv *testServer) hasPassword(username, password string) bool {
	srv.t.Helper()
	ok, _, err := srv.hasher.Verify(srv.ctx, srv.login(username).PasswordHash, password)
	srv.must(err)
	return ok
}
