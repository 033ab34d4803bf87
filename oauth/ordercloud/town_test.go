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
	"path/filepath"
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
)

// town is an API over a database of its own, with callers known by their
// tokens.
type town struct {
	t       *testing.T
	ctx     context.Context
	store   *gormstore.Store
	mux     *http.ServeMux
	codes   *otp.Codes
	hasher  *signin.Hasher
	sealer  *keys.Sealer
	config  Config
	bearers map[string]func(context.Context) (*token.Caller, error)

	mu     sync.Mutex
	time   time.Time
	events []storage.AuditEvent
}

const testPassword = "Correct-Horse-7"

// newTown opens an empty town with an admin whose token is "root".
func newTown(t *testing.T, change ...func(*Config)) *town {
	t.Helper()
	w := &town{t: t, ctx: context.WithoutCancel(t.Context()), time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.bearers = map[string]func(context.Context) (*token.Caller, error){}
	var err error
	w.store, err = gormstore.Open(w.ctx, gormstore.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "town.db"), Relaxed: true, Now: w.now})
	w.must(err)
	t.Cleanup(func() { _ = w.store.Close() })
	w.must(w.store.Migrate(w.ctx))
	w.sealer, err = keys.NewSealer(make([]byte, 32))
	w.must(err)
	peppers, err := keys.LoadPeppers(w.ctx, w.store, w.sealer, rand.Reader, w.now())
	w.must(err)
	ring, err := keys.NewRing(w.ctx, keys.RingConfig{
		Store: w.store, Sealer: w.sealer, Algs: []string{"ES256"}, PublishAhead: time.Minute, MaxTokenLife: time.Hour,
		Now: w.now, Rand: rand.Reader,
	})
	w.must(err)
	w.store.ChainAuditEvents(peppers)
	w.codes = otp.NewCodes(peppers)
	w.hasher, err = signin.NewHasher(signin.HasherConfig{})
	w.must(err)
	passwords, err := signin.NewPasswords(signin.PasswordsConfig{Store: w.store, Hasher: w.hasher, Codes: w.codes, Now: w.now})
	w.must(err)
	service, err := otp.New(otp.Config{Store: w.store, People: w.store, Directory: w.store, Codes: w.codes, Sealer: w.sealer, Now: w.now, Rand: rand.Reader})
	w.must(err)
	s := w.store
	rules, err := admin.New(s)
	w.must(err)
	w.config = Config{
		Bearer: w, Rules: rules, Tx: s, Passwords: passwords, Codes: service, Sealer: w.sealer, Peppers: peppers,
		Stores: Stores{
			Clients: s, Secrets: s, Profiles: s, Assignments: s, Accounts: s, Users: s, Logins: s, Senders: s,
			DeliveryConfigs: s, Records: s, Messages: s, Keys: ring,
		},
		Runtime: surface.Runtime{
			TraceID:  func(context.Context) string { return "trace-1" },
			Address:  func(context.Context) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
			Recorder: w, Now: w.now, Rand: rand.Reader, Logger: zerolog.New(zerolog.NewTestWriter(t)),
		},
	}
	for _, c := range change {
		c(&w.config)
	}
	api, err := New(w.config)
	w.must(err)
	w.mux = http.NewServeMux()
	api.Mount(w.mux)
	w.client("back-office", nil)
	w.clientToken("root", "back-office", token.RoleFullAccess)
	return w
}

func (w *town) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *town) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *town) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// Record implements storage.Recorder.
func (w *town) Record(_ context.Context, e storage.AuditEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// recorded lists "action object" of all events and forgets them.
func (w *town) recorded() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, e := range w.events {
		all = append(all, e.Action+" "+e.Object)
	}
	w.events = nil
	return all
}

// Authorize implements Bearer for the tokens that the tests made.
func (w *town) Authorize(r *http.Request) (*token.Caller, error) {
	presented, ok := token.BearerToken(r.Header)
	if !ok {
		return nil, token.ErrNoToken
	}
	find, ok := w.bearers[presented]
	if !ok {
		return nil, token.ErrInvalidToken
	}
	return find(r.Context())
}

// client makes an OAuth client for everybody's users.
func (w *town) client(id string, change func(*storage.Client)) storage.Client {
	w.t.Helper()
	c := wire.ApiClient{ID: id, AppName: id, AllowAnyBuyer: true, AllowAnySupplier: true, AllowSeller: true}.ToRecord(storage.Client{})
	if change != nil {
		change(&c)
	}
	c, err := w.store.PutClient(w.ctx, c)
	w.must(err)
	return c
}

func (w *town) clientToken(name, clientID string, roles ...string) {
	w.bearers[name] = func(ctx context.Context) (*token.Caller, error) {
		c, err := w.store.Client(ctx, clientID)
		return &token.Caller{Client: &c, Roles: roles}, err
	}
}

// userToken makes a token of a user who signs in now through the client. It is
// refused as a real one would be.
func (w *town) userToken(name, clientID, username string, roles ...string) {
	w.t.Helper()
	login, err := w.store.Login(w.ctx, storage.DefaultProfileID, otp.NormalizeUsername(username))
	w.must(err)
	issued := w.now()
	w.bearers[name] = func(ctx context.Context) (*token.Caller, error) {
		p, err := w.store.PrincipalOf(ctx, login.ID)
		if err != nil {
			return nil, token.ErrInvalidToken
		}
		c, err := w.store.Client(ctx, clientID)
		if err != nil {
			return nil, err
		}
		switch {
		case issued.Before(p.User.TokensValidFrom), issued.Before(p.Login.SessionsValidFrom) && p.Login.KeptSession != name:
			return nil, token.ErrTokenRevoked
		case c.Refusal(&p, w.now()) != "":
			return nil, token.ErrInvalidToken
		}
		return &token.Caller{Client: &c, Principal: &p, Roles: roles, AMR: []string{"pwd"}, SessionID: name, IssuedAt: issued}, nil
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *town) call(token, method, path, body string, header ...string) answer {
	w.t.Helper()
	var sent io.Reader = http.NoBody
	if body != "" {
		sent = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(w.ctx, method, path, sent)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.mux.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// expect calls and demands a status.
func (w *town) expect(status int, token, method, path, body string, header ...string) answer {
	w.t.Helper()
	a := w.call(token, method, path, body, header...)
	if a.status != status {
		w.t.Fatalf("%s %s as %s: %d %s, want %d", method, path, token, a.status, a.body, status)
	}
	return a
}

// refuses calls and demands a refusal of that status and code.
func (w *town) refuses(status int, code, token, method, path, body string, header ...string) answer {
	w.t.Helper()
	a := w.call(token, method, path, body, header...)
	if a.status != status || a.code() != code {
		w.t.Errorf("%s %s %s as %s: %d %s, want %d %s", method, path, body, token, a.status, a.body, status, code)
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

// paths are those that the faults of a refusal name.
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

// get decodes a member of the answer, "XP.a" say.
func (a answer) get(t *testing.T, path string) any {
	t.Helper()
	var v any
	in := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	in.UseNumber()
	if err := in.Decode(&v); err != nil {
		t.Fatalf("%q: %v", a.body, err)
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

// ids lists the IDs on a page.
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

// settle makes two buyers and a supplier with a user each, and an admin user.
func (w *town) settle() {
	w.t.Helper()
	w.client("shop", nil)
	for _, of := range []struct{ path, id string }{{"buyers", "acme"}, {"buyers", "globex"}, {"suppliers", "smith"}} {
		w.expect(201, "root", "POST", "/v1/"+of.path, fmt.Sprintf(`{"ID":%q,"Name":"%s Ltd"}`, of.id, of.id))
	}
	for path, id := range map[string]string{
		"/v1/buyers/acme/users": "ann", "/v1/buyers/globex/users": "gus", "/v1/suppliers/smith/users": "sue", "/v1/adminusers": "ada",
	} {
		w.expect(201, "root", "POST", path, fmt.Sprintf(
			`{"ID":%[1]q,"Username":%[1]q,"FirstName":"First-%[1]s","LastName":"Last","Email":"%[1]s@example.com","Password":%[2]q,"Active":true}`, id, testPassword))
	}
}

// grant gives a party a security profile of those roles.
func (w *town) grant(profile string, to storage.Party, roles ...string) {
	w.t.Helper()
	_, err := w.store.PutSecurityProfile(w.ctx, storage.SecurityProfile{ID: profile, RealmID: storage.DefaultRealmID, Name: profile, Roles: roles})
	w.must(err)
	w.must(w.store.AssignSecurityProfile(w.ctx, profile, to))
}

func (w *town) login(username string) storage.Login {
	w.t.Helper()
	l, err := w.store.Login(w.ctx, storage.DefaultProfileID, otp.NormalizeUsername(username))
	w.must(err)
	return l
}

func (w *town) user(username string) storage.User {
	w.t.Helper()
	u, err := w.store.UserByUID(w.ctx, w.login(username).UserUID)
	w.must(err)
	return u
}

func (w *town) hasPassword(username, password string) bool {
	w.t.Helper()
	ok, _, err := w.hasher.Verify(w.ctx, w.login(username).PasswordHash, password)
	w.must(err)
	return ok
}
