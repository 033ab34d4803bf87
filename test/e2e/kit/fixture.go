package kit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/cmd/latchkey/apply"
	"latchkey/config"
	"latchkey/grants/signin"
	"latchkey/oauth/server"
	"latchkey/storage/storetest/pgtest"
)

// LongRequestTimeout is a setting for tests that send many requests at once. They test
// which request wins, not how fast, and the machine may be busy.
const LongRequestTimeout = "LATCHKEY_REQUEST_TIMEOUT=40s"

// BehindProxy is a setting that makes a server trust X-Forwarded-For, so that a test can
// choose the address of its requests.
const BehindProxy = "LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8"

// MasterKey is the master key of all databases.
const MasterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// The secrets of the users and clients in Document.
const (
	Password     = "correct-Horse-7-battery"
	ClientSecret = "shop-secret-shop-secret-shop-secret"
	adminSecret  = "admin-secret-admin-secret-admin-se"
	SharedKey    = "key-of-the-message-sender"
)

// Document contains the users and clients of every Fixture. SINK stands for the URL of its
// inbox.
const Document = `
SecurityProfiles:
  - {ID: shopping, Name: Shopping, Roles: [MeAdmin, Shopper], Assignments: [{BuyerID: acme}, {BuyerID: closed}]}
  - {ID: managing, Name: Managing, Roles: [BuyerAdmin], Assignments: [{}]}
Buyers:
  - ID: acme
    Name: Acme Ltd
    Active: true
    Users:
      - {ID: jane, Username: jane, Password: correct-Horse-7-battery, FirstName: Jane, LastName: Doe, Email: jane@example.com, Active: true}
      - {ID: john, Username: john, Password: correct-Horse-7-battery, FirstName: John, LastName: Doe, Email: doe@example.com, Active: true}
      - {ID: johnny, Username: johnny, FirstName: John, LastName: Doe, Email: doe@example.com, Active: true}
      - {ID: gone, Username: gone, Password: correct-Horse-7-battery, FirstName: G, LastName: One, Email: gone@example.com, Active: false}
  - ID: closed
    Name: Closed Ltd
    Active: false
    Users:
      - {ID: carl, Username: carl, Password: correct-Horse-7-battery, FirstName: C, LastName: Arl, Email: carl@example.com, Active: true}
AdminUsers:
  - {ID: ada, Username: ada, Password: correct-Horse-7-battery, FirstName: A, LastName: Da, Email: ada@example.com, Active: true}
ApiClients:
  - {ID: shop, AppName: Shop, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token], AllowedCredentials: [otp, password]}
  - {ID: other, AppName: Other shop, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token], AllowedCredentials: [otp, password]}
  - {ID: codes-only, AppName: No passwords, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 0, AllowAnyBuyer: true,
     GrantTypes: [password], AllowedCredentials: [otp]}
  - {ID: vendor, AppName: As OrderCloud makes them, Active: true, AccessTokenDuration: 600, RefreshTokenDuration: 1440, AllowAnyBuyer: true}
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword], URL: "SINK/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
`

// EachDatabase runs a test on an SQLite and on a PostgreSQL fixture.
func EachDatabase(t *testing.T, test func(t *testing.T, w *Fixture)) {
	documentDatabase.each(t, func(t *testing.T, databaseURL string, _ struct{}) {
		w := &Fixture{T: t, DatabaseURL: databaseURL, Inbox: NewInbox(t)}
		w.connectInbox()
		test(t, w)
	})
}

// documentDatabase contains the users and clients of Document.
var documentDatabase = &prepared[struct{}]{fill: func(w *Fixture) struct{} {
	w.applyDocument(preparedInbox)
	return struct{}{}
}}

// Fixture is one database with the users and clients of Document, a clock, an inbox,
// and any number of servers.
type Fixture struct {
	T           testing.TB
	DatabaseURL string
	Clock       Clock
	Inbox       *Inbox
	Log         Buffer

	hasOneServerClients bool // oneServerDocument was applied

	mu     sync.Mutex
	issuer string // issuer of the first server; the servers of a database must have the same issuer
}

// NewFixture fills an empty database. EachDatabase is faster.
func NewFixture(t testing.TB, databaseURL string) *Fixture {
	t.Helper()
	w := &Fixture{T: t, DatabaseURL: databaseURL, Inbox: NewInbox(t)}
	w.applyDocument(w.Inbox.URL)
	return w
}

// applyDocument applies Document with the URL of an inbox. All users with a password
// share one hash, because hashing takes long.
func (w *Fixture) applyDocument(inboxURL string) {
	w.T.Helper()
	hash, err := PasswordHash()
	if err != nil {
		w.T.Fatal(err)
	}
	w.Apply(strings.NewReplacer("SINK", inboxURL, "Password: "+Password, "PasswordHash: '"+hash+"'").Replace(Document))
}

// Clock is the real time plus an offset. The zero value is the real time.
type Clock struct {
	Ahead   atomic.Int64
	stopped atomic.Pointer[time.Time]
}

func (c *Clock) Now() time.Time {
	now := time.Now()
	if at := c.stopped.Load(); at != nil {
		now = *at
	}
	return now.Add(time.Duration(c.Ahead.Load()))
}

// Stop stops the clock. From then on only Advance changes it. So a limit that refills with time
// allows the same number on a slow machine, and no second attempt becomes due.
func (c *Clock) Stop() {
	now := time.Now()
	c.stopped.Store(&now)
}

func (c *Clock) Advance(d time.Duration) { c.Ahead.Add(int64(d)) }

// Config returns the settings of a server, with changes given as NAME=VALUE.
func (w *Fixture) Config(changes ...string) config.Config {
	w.T.Helper()
	listen, ops := FreeAddresses(w.T)
	settings := map[string]string{
		"LATCHKEY_DATABASE_URL": w.DatabaseURL, "LATCHKEY_MASTER_KEY": MasterKey,
		"LATCHKEY_OUTBOUND_ALLOW": "127.0.0.0/8", "LATCHKEY_LOG_LEVEL": "info",
		"LATCHKEY_OTP_LIMIT_RECIPIENT": "0", "LATCHKEY_OTP_LIMIT_CLIENT": "0", "LATCHKEY_OTP_LIMIT_ADDRESS": "0",
		"LATCHKEY_CLIENT_SECRET_LIMIT": "0",
		"LATCHKEY_SIGN_UP_LIMIT":       "0",
		"LATCHKEY_GUESS_CEILING":       "2e-4", // some codes have six digits
		"LATCHKEY_SHUTDOWN_DELAY":      "0s",
		"LATCHKEY_LISTEN":              listen, "LATCHKEY_OPS_LISTEN": ops,
	}
	for _, change := range changes {
		key, value, _ := strings.Cut(change, "=")
		settings[key] = value
	}
	var environ []string
	for key := range maps.Keys(settings) {
		environ = append(environ, key+"="+settings[key])
	}
	cfg, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		w.T.Fatal(err)
	}
	return cfg
}

// FreeAddresses returns two addresses that no other test uses until this one ends.
func FreeAddresses(t testing.TB) (one, other string) {
	t.Helper()
	return freeAddress(t), freeAddress(t)
}

func freeAddress(t testing.TB) string {
	t.Helper()
	port, err := pgtest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pgtest.ReleasePort(port) })
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// ServerConfig returns the configuration of a server of the fixture in this process. The server
// logs to the fixture's log.
func (w *Fixture) ServerConfig(c *Clock, settings config.Config) server.Config {
	return server.Config{
		Settings: settings, Version: "test", Log: &w.Log, Now: c.Now, Rand: rand.Reader, Console: &w.Log,
	}
}

// OpenApp opens the database and its secrets, and creates the schema of an empty
// database. The caller closes it.
func OpenApp(ctx context.Context, cfg server.Config) (*server.App, error) {
	store, err := server.OpenStore(ctx, cfg)
	if err != nil {
		return nil, err
	}
	var a *server.App
	if err = store.CheckSchema(ctx); err != nil {
		err = store.Migrate(ctx)
	}
	if err == nil {
		a, err = server.NewApp(ctx, cfg, store)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return a, nil
}

// WithApp calls do with the fixture's database and secrets, which no server has opened.
func (w *Fixture) WithApp(do func(ctx context.Context, a *server.App) error) {
	w.T.Helper()
	ctx := w.T.Context()
	cfg := w.ServerConfig(&w.Clock, w.Config())
	cfg.Log = nil // the log contains only the lines of servers
	a, err := OpenApp(ctx, cfg)
	if err == nil {
		err = errors.Join(do(ctx, a), a.Close())
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

// Apply stores the records of a document, like "latchkey apply".
func (w *Fixture) Apply(document string) {
	w.T.Helper()
	doc, err := apply.Decode([]byte(document), apply.Secrets{})
	if err != nil {
		w.T.Fatal(err)
	}
	w.WithApp(func(ctx context.Context, a *server.App) error {
		var algs []string
		for _, k := range doc.ApiClients {
			if k.SigningAlg != nil {
				algs = append(algs, *k.SigningAlg)
			}
		}
		if len(algs) > 0 {
			if err := a.OpenRing(ctx, algs...); err != nil {
				return err
			}
		}
		hasher, err := signin.NewHasher(signin.HasherConfig{Rand: a.Rand})
		if err != nil {
			return err
		}
		applier, err := apply.New(apply.Config{
			Tx: a.Store, Realms: a.Store, SecurityProfiles: a.Store, People: a.Store,
			Logins: a.Store, Clients: a.Store, Senders: a.Store,
			Hasher: hasher, Peppers: a.Peppers, Sealer: a.Sealer,
			GuessCeiling: a.Settings.GuessCeiling, Now: a.Now, Rand: a.Rand,
		})
		if err != nil {
			return err
		}
		_, err = applier.Apply(ctx, doc, false)
		return err
	})
}

// Serve starts a server in this process, on the clock of the fixture. The server stops
// when the test ends. Settings are given as NAME=VALUE.
func (w *Fixture) Serve(settings ...string) *Server { return w.ServeAt(&w.Clock, settings...) }

// ServeAt is Serve with another clock.
func (w *Fixture) ServeAt(c *Clock, settings ...string) *Server {
	w.T.Helper()
	cfg := w.Config(w.withIssuer(settings)...)
	w.noteIssuer(cfg.Issuer)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.T.Context()))
	done := make(chan error, 1)
	go func() {
		done <- server.Run(ctx, w.ServerConfig(c, cfg))
		close(done) // both AwaitReady and the cleanup may receive
	}()
	var once sync.Once
	end := func() {
		once.Do(func() {
			stop()
			if err := <-done; err != nil {
				w.T.Errorf("the server: got %v at its end, want no error", err)
			}
		})
	}
	w.T.Cleanup(end)
	n := &Server{T: w.T, URL: "http://" + cfg.Listen, OpsURL: "http://" + cfg.OpsListen, Stop: end}
	n.AwaitReady(done)
	return n
}

// withIssuer adds the issuer of the first server to settings without one.
func (w *Fixture) withIssuer(settings []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.issuer == "" {
		return settings
	}
	return append([]string{"LATCHKEY_ISSUER=" + w.issuer}, settings...)
}

func (w *Fixture) noteIssuer(issuer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issuer = cmp.Or(w.issuer, issuer)
}

// Server is a server as its clients see it. Its methods may be called by any goroutine.
type Server struct {
	T           testing.TB
	URL, OpsURL string
	Stop        func()
}

// AwaitReady waits until the server is ready. It fails the test if ended receives first.
func (n *Server) AwaitReady(ended <-chan error) {
	n.T.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			n.T.Fatalf("the server did not start: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if response, err := http.Get(n.OpsURL + "/readyz"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	n.T.Fatal("server did not become ready")
}

// Response is the response to a request.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Field returns a string member of a JSON object, or "" if there is none.
func (a Response) Field(name string) string {
	var object map[string]any
	if json.Unmarshal([]byte(a.Body), &object) != nil {
		return ""
	}
	text, _ := object[name].(string)
	return text
}

// Do sends a request. Headers are given as name, value, …
func (n *Server) Do(method, path, contentType, body string, header ...string) Response {
	request, err := http.NewRequest(method, n.URL+path, strings.NewReader(body))
	if err != nil {
		n.T.Error(err)
		return Response{}
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := HTTPClient.Do(request)
	if err != nil {
		n.T.Errorf("%s %s: %v", method, path, err)
		return Response{}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.T.Errorf("%s %s: %v", method, path, err)
	}
	return Response{response.StatusCode, response.Header, string(text)}
}

// HTTPClient keeps enough idle connections for tests with many requests at once.
var HTTPClient = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
	MaxIdleConnsPerHost: 512, IdleConnTimeout: UnusedConnection,
}}

// UnusedConnection is how long clients of the tests keep a connection that they do not use. A
// burst of requests opens connections that it then does not need. A server closes a connection
// that has sent nothing for five seconds, and a POST that meets the close is not repeated.
const UnusedConnection = 2 * time.Second

const FormMedia = "application/x-www-form-urlencoded"

// Form sends a form with the fields name, value, …
func (n *Server) Form(path string, fields ...string) Response {
	return n.Do(http.MethodPost, path, FormMedia, EncodeForm(fields...))
}

// EncodeForm returns the encoded form of the fields name, value, …
func EncodeForm(fields ...string) string {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return form.Encode()
}

// SignIn requests a token through client "shop", by a password or a code.
func (n *Server) SignIn(username, secret string, more ...string) Response {
	return n.Form("/oauth/token", append([]string{
		"grant_type", "password", "client_id", "shop", "client_secret", ClientSecret, "username", username, "password", secret,
	}, more...)...)
}

// Refresh sends a refresh token through client "shop".
func (n *Server) Refresh(token string, more ...string) Response {
	return n.Form("/oauth/token", append([]string{
		"grant_type", "refresh_token", "client_id", "shop", "client_secret", ClientSecret, "refresh_token", token,
	}, more...)...)
}

// Introspect introspects a token as client "shop".
func (n *Server) Introspect(token string) Response {
	return n.Form("/oauth/introspect", "client_id", "shop", "client_secret", ClientSecret, "token", token)
}

// RequestCode requests one-time passwords through client "shop".
func (n *Server) RequestCode(username, email string) Response {
	return n.RequestCodeThrough("shop", username, email)
}

// RequestCodeThrough is RequestCode through another client.
func (n *Server) RequestCodeThrough(clientID, username, email string) Response {
	body, err := json.Marshal(map[string]string{"ClientID": clientID, "Username": username, "Email": email})
	if err != nil {
		n.T.Fatal(err)
	}
	return n.Do(http.MethodPost, "/v1/password/onetimepassword", "application/json", string(body))
}

// DeliveredCode requests a one-time password, waits until it is in the inbox, and returns
// it.
func (w *Fixture) DeliveredCode(n *Server, username string) string {
	w.T.Helper()
	if a := n.RequestCode(username, ""); a.Status != http.StatusNoContent {
		w.T.Fatalf("request for a code: got %d %s, want 204", a.Status, a.Body)
	}
	return w.Inbox.Next(w.T).EventBody.OneTimePassword
}

// Message is a message as the inbox receives it.
type Message struct {
	OcLogIdHeader string //nolint:revive // OrderCloud's spelling
	BuyerID       string
	UserToken     string
	MessageType   string
	Recipient     struct{ ID, Username, Email string }
	EventBody     struct {
		Username, ClientID, OneTimePassword string

		PasswordRenewalVerificationCode, PasswordRenewalAccessToken string

		LockedUntil *time.Time
	}

	Header http.Header
	Path   string
}

// Inbox is a webhook of OrderCloud. It checks the signature of each message and keeps the
// message.
type Inbox struct {
	URL      string
	Messages chan Message
	Status   atomic.Int64         // status of the answers
	Hold     atomic.Pointer[Hold] // delays requests, unless nil
}

// Hold makes requests to an Inbox wait.
type Hold struct {
	Arrived chan struct{} // gets a value for each waiting request
	Release chan struct{} // closing it lets the requests continue
	Status  int           // of the answers to the waiting requests; 0: Status of the Inbox
}

// NewInbox starts an inbox, which answers 200.
func NewInbox(t testing.TB) *Inbox {
	t.Helper()
	b := &Inbox{Messages: make(chan Message, 1000)}
	b.Status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(SharedKey))
		mac.Write(body)
		m := Message{Header: r.Header, Path: r.URL.Path}
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); err != nil || r.Header.Get("X-Oc-Hash") != want {
			t.Errorf("got a message with hash %q, want %q (%v): %s", r.Header.Get("X-Oc-Hash"), want, err, body)
		}
		held := 0
		if hold := b.Hold.Load(); hold != nil {
			hold.Arrived <- struct{}{}
			<-hold.Release
			held = hold.Status
		}
		status := cmp.Or(held, int(b.Status.Load()))
		if status == http.StatusOK {
			b.Messages <- m
		}
		rw.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	b.URL = server.URL
	return b
}

// Next waits for the next message.
func (b *Inbox) Next(t testing.TB) Message {
	t.Helper()
	select {
	case m := <-b.Messages:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("got no message in 30s")
		return Message{}
	}
}

// Buffer is a bytes.Buffer for several goroutines.
type Buffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
