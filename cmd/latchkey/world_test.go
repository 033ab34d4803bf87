package main

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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/cmd/latchkey/apply"
	"latchkey/config"
	"latchkey/storage/gormstore"
	"latchkey/storage/storetest/pgtest"
)

// postgres starts the one PostgreSQL server of this test process.
var postgres = pgtest.Shared(pgtest.Config{Relaxed: true, Migrate: func(url string) error {
	store, err := gormstore.Open(context.Background(), gormstore.Config{URL: url})
	if err != nil {
		return err
	}
	return errors.Join(store.Migrate(context.Background()), store.Close())
}})

// testMasterKey is 32 bytes that seal nothing of worth.
const testMasterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// The users and clients of every world.
const (
	janesPassword = "correct-Horse-7-battery"
	shopSecret    = "shop-secret-shop-secret-shop-secret"
	adminSecret   = "admin-secret-admin-secret-admin-se"
	sharedKey     = "key-of-the-message-sender"
)

// worldDocument is applied to every world; SINK is its webhook.
const worldDocument = `
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

// eachDatabase runs a test on SQLite and on PostgreSQL.
func eachDatabase(t *testing.T, test func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "latchkey.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newWorld(t, postgres(t).Database(t)))
	})
}

// world is one database with the people of worldDocument, a clock, a receiver
// of messages, and as many servers as a test wants.
type world struct {
	t           testing.TB
	databaseURL string
	clock       clock
	inbox       *inbox
	log         syncBuffer

	mu     sync.Mutex
	issuer string // of the first server: the servers of one database have one issuer
}

func newWorld(t testing.TB, databaseURL string) *world {
	t.Helper()
	w := &world{t: t, databaseURL: databaseURL, inbox: newInbox(t)}
	hash, err := hashOfJane() // one for all worlds: they have the same password, and it is dear
	if err != nil {
		t.Fatal(err)
	}
	w.apply(strings.NewReplacer("SINK", w.inbox.url, "Password: "+janesPassword, "PasswordHash: '"+hash+"'").Replace(worldDocument))
	return w
}

// clock runs with the real one, some time ahead.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// cli returns a program that runs on the clock.
func (w *world) cli(c *clock) *cli {
	return &cli{
		stdin: strings.NewReader(""), stdout: &w.log, stderr: &w.log,
		now: c.now, random: rand.Reader, output: "text",
	}
}

// config is the configuration of the world's servers, with changes.
func (w *world) config(changes ...string) config.Config {
	w.t.Helper()
	listen, ops := freeAddresses(w.t)
	settings := map[string]string{
		"LATCHKEY_DATABASE_URL": w.databaseURL, "LATCHKEY_MASTER_KEY": testMasterKey,
		"LATCHKEY_OUTBOUND_ALLOW": "127.0.0.0/8", "LATCHKEY_LOG_LEVEL": "info",
		"LATCHKEY_OTP_LIMIT_RECIPIENT": "0", "LATCHKEY_OTP_LIMIT_CLIENT": "0", "LATCHKEY_OTP_LIMIT_ADDRESS": "0",
		"LATCHKEY_CLIENT_SECRET_LIMIT": "0",
		"LATCHKEY_SIGN_UP_LIMIT":       "0",
		"LATCHKEY_GUESS_CEILING":       "2e-4", // for codes of six digits
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
		w.t.Fatal(err)
	}
	return cfg
}

// freeAddresses returns two addresses that nobody listens on.
func freeAddresses(t testing.TB) (one, other string) {
	t.Helper()
	var addresses [2]string
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // only its port is wanted, and the other must differ from it
		addresses[i] = l.Addr().String()
	}
	return addresses[0], addresses[1]
}

// withApp runs do with the world's database and secrets opened, as a command
// would.
func (w *world) withApp(do func(ctx context.Context, a *app) error) {
	w.t.Helper()
	ctx := w.t.Context()
	command := w.cli(&w.clock)
	command.stderr = io.Discard // what a command says is no line of the servers' log
	err := command.withApp(ctx, w.config(), func(a *app) error { return do(ctx, a) })
	if err != nil {
		w.t.Fatal(err)
	}
}

// apply brings a document into the database.
func (w *world) apply(document string) {
	w.t.Helper()
	doc, err := apply.Decode([]byte(document))
	if err != nil {
		w.t.Fatal(err)
	}
	w.withApp(func(ctx context.Context, a *app) error {
		_, err := a.apply(ctx, doc, applyFlags{})
		return err
	})
}

// serve starts a server in this process and stops it when the test ends.
// Settings are given as NAME=VALUE.
func (w *world) serve(settings ...string) *node { return w.serveAt(&w.clock, settings...) }

// serveAt is serve with a clock of the server's own.
func (w *world) serveAt(c *clock, settings ...string) *node {
	w.t.Helper()
	cfg := w.config(w.withIssuer(settings)...)
	w.noteIssuer(cfg.Issuer)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- w.cli(c).serve(ctx, cfg)
		close(done) // both awaitReady and end may receive
	}()
	var once sync.Once
	end := func() {
		once.Do(func() {
			stop()
			if err := <-done; err != nil {
				w.t.Errorf("server ended with %v", err)
			}
		})
	}
	w.t.Cleanup(end)
	n := &node{t: w.t, url: "http://" + cfg.Listen, ops: "http://" + cfg.OpsListen, stop: end}
	n.awaitReady(done)
	return n
}

// withIssuer gives a server that is told no issuer that of the world's first one.
func (w *world) withIssuer(settings []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.issuer == "" {
		return settings
	}
	return append([]string{"LATCHKEY_ISSUER=" + w.issuer}, settings...)
}

func (w *world) noteIssuer(issuer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.issuer = cmp.Or(w.issuer, issuer)
}

// node is one server, as seen by its clients.
type node struct {
	t        testing.TB
	url, ops string
	stop     func()
}

// awaitReady returns once the server answers that it is ready. ended may tell
// that it never will.
func (n *node) awaitReady(ended <-chan error) {
	n.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			n.t.Fatalf("server did not start: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if response, err := http.Get(n.ops + "/readyz"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	n.t.Fatal("server did not become ready")
}

// answer is what a server answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// field returns a member of a JSON object as text; "" if there is none.
func (a answer) field(name string) string {
	var object map[string]any
	if json.Unmarshal([]byte(a.body), &object) != nil {
		return ""
	}
	text, _ := object[name].(string)
	return text
}

// do sends a request and reads the answer; it may be called by any goroutine.
func (n *node) do(method, path, contentType, body string, header ...string) answer {
	request, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Error(err)
		return answer{}
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		n.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Errorf("%s %s: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// client keeps enough connections for the tests that race.
var client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 512}}

const formMedia = "application/x-www-form-urlencoded"

// form sends a form: name, value, name, value, …
func (n *node) form(path string, fields ...string) answer {
	return n.do(http.MethodPost, path, formMedia, encode(fields...))
}

func encode(fields ...string) string {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return form.Encode()
}

// signIn asks client "shop" for a token with a password or code.
func (n *node) signIn(username, secret string, more ...string) answer {
	return n.form("/oauth/token", append([]string{
		"grant_type", "password", "client_id", "shop", "client_secret", shopSecret, "username", username, "password", secret,
	}, more...)...)
}

// refresh asks client "shop" to refresh.
func (n *node) refresh(token string, more ...string) answer {
	return n.form("/oauth/token", append([]string{
		"grant_type", "refresh_token", "client_id", "shop", "client_secret", shopSecret, "refresh_token", token,
	}, more...)...)
}

// introspect asks client "shop" about a token.
func (n *node) introspect(token string) answer {
	return n.form("/oauth/introspect", "client_id", "shop", "client_secret", shopSecret, "token", token)
}

// askForCode asks for one-time passwords through client "shop".
func (n *node) askForCode(username, email string) answer {
	return n.askForCodeThrough("shop", username, email)
}

func (n *node) askForCodeThrough(clientID, username, email string) answer {
	body, err := json.Marshal(map[string]string{"ClientID": clientID, "Username": username, "Email": email})
	if err != nil {
		n.t.Fatal(err)
	}
	return n.do(http.MethodPost, "/v1/password/onetimepassword", "application/json", string(body))
}

// code asks for a one-time password and waits until it is delivered.
func (w *world) code(n *node, username string) string {
	w.t.Helper()
	if a := n.askForCode(username, ""); a.status != http.StatusNoContent {
		w.t.Fatalf("asked for a code: %d %s", a.status, a.body)
	}
	return w.inbox.next(w.t).EventBody.OneTimePassword
}

// mail is a message as the webhook gets it.
type mail struct {
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

	header http.Header
	path   string
}

// inbox is a webhook that checks the signature of each message and keeps it.
type inbox struct {
	url    string
	mails  chan mail
	answer atomic.Int64 // the status it answers with
}

func newInbox(t testing.TB) *inbox {
	t.Helper()
	b := &inbox{mails: make(chan mail, 1000)}
	b.answer.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(sharedKey))
		mac.Write(body)
		m := mail{header: r.Header, path: r.URL.Path}
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); err != nil || r.Header.Get("X-Oc-Hash") != want {
			t.Errorf("message with hash %q, want %q (%v): %s", r.Header.Get("X-Oc-Hash"), want, err, body)
		}
		status := int(b.answer.Load())
		if status == http.StatusOK {
			b.mails <- m
		}
		rw.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// next waits for a message.
func (b *inbox) next(t testing.TB) mail {
	t.Helper()
	select {
	case m := <-b.mails:
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("no message came")
		return mail{}
	}
}

// syncBuffer is a buffer that many may write to.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
