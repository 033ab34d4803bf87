package kit

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/grants/signin"
	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
)

// The literal refusals that tell nothing.
const (
	WrongCredentialsBody = `{"error":"invalid_grant","error_description":"Invalid username or password.",` +
		`"Errors":[{"ErrorCode":"Auth.InvalidUsernameOrPassword","Message":"Invalid username or password.","Data":null}]}`
	InvalidRefreshTokenBody = `{"error":"invalid_grant","error_description":"The refresh token is invalid, expired or revoked.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The refresh token is invalid, expired or revoked.","Data":null}]}`
	InvalidScopeBody = `{"error":"invalid_scope","error_description":"The requested scope exceeds the scope granted.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The requested scope exceeds the scope granted.","Data":null}]}`
	InactiveBody = `{"active":false}`
)

// oneServerDocument adds to a world what its adversaries need.
const oneServerDocument = `
authentication_realms:
  - id: default
    password_profiles:
      - {id: digits, enable_one_time_password_token: true, code_alphabet: digits, code_length: 6}
ApiClients:
  - {ID: kiosk, AppName: Codes with refresh, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token], AllowedCredentials: [otp]}
  - {ID: lazy, AppName: Idle limit, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 180, RefreshTokenIdleDuration: 60, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token], AllowedCredentials: [otp, password]}
  - {ID: strict, AppName: Minimum roles, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     MinimumRequiredRoles: [MeAdmin], GrantTypes: [password, refresh_token], AllowedCredentials: [password]}
  - {ID: branch, AppName: Six digits, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     GrantTypes: [password, refresh_token], AllowedCredentials: [otp], PasswordProfileID: digits}
`

// OneServer is a world with an adversary in it: more clients, a server, a look
// into the database past the server, and people for one test each.
type OneServer struct {
	*Fixture
	Server *Server
	App    *server.App
	DB     *sql.DB
	seen   map[string]bool // messages that codeThrough has returned, by id
}

// NewOneServer serves the world; see world.serve for the settings.
func NewOneServer(w *Fixture, settings ...string) *OneServer {
	w.T.Helper()
	if !w.hasOneServerClients {
		w.Apply(oneServerDocument)
		w.hasOneServerClients = true
	}
	a := &OneServer{Fixture: w, seen: map[string]bool{}}
	var err error
	if a.App, err = OpenApp(w.T.Context(), w.ServerConfig(&w.Clock, w.Config())); err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = a.App.Close() })
	driver, source := "pgx", w.DatabaseURL
	if path, ok := strings.CutPrefix(w.DatabaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	if a.DB, err = sql.Open(driver, source); err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = a.DB.Close() })
	a.Server = a.StartServerAt(&w.Clock, settings...)
	return a
}

// StartServerAt starts a server that the others do not differ from, but perhaps in
// its clock.
func (a *OneServer) StartServerAt(c *Clock, settings ...string) *Server {
	a.T.Helper()
	n := a.ServeAt(c, append(settings, "LATCHKEY_ISSUER=http://latchkey.test")...)
	a.T.Cleanup(HTTPClient.CloseIdleConnections) // or the server would wait a second for them
	return n
}

// StartServer starts one more server on the world's clock.
func (a *OneServer) StartServer(settings ...string) *Server {
	a.T.Helper()
	return a.StartServerAt(&a.Clock, settings...)
}

// Object is a part of a document.
type Object map[string]any

func (a *OneServer) ApplyObject(document Object) {
	a.T.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		a.T.Fatal(err)
	}
	a.Apply(string(text))
}

// PasswordHash is a hash of janesPassword, made once.
var PasswordHash = sync.OnceValues(func() (string, error) {
	h, err := signin.NewHasher(signin.HasherConfig{Rand: rand.Reader})
	if err != nil {
		return "", err
	}
	return h.Hash(context.Background(), Password)
})

// AddUsers makes buyers of company acme who sign in with janesPassword or with
// codes; their mail address is NAME@people.example.
func (a *OneServer) AddUsers(names ...string) {
	a.T.Helper()
	a.AddUsersTo("acme", func(user Object) {
		hash, err := PasswordHash()
		if err != nil {
			a.T.Fatal(err)
		}
		user["PasswordHash"] = hash
	}, names...)
}

// AddUsersWithoutPassword is enrol without a permanent password.
func (a *OneServer) AddUsersWithoutPassword(names ...string) {
	a.T.Helper()
	a.AddUsersTo("acme", func(Object) {}, names...)
}

func (a *OneServer) AddUsersTo(buyer string, change func(user Object), names ...string) {
	a.T.Helper()
	var users []Object
	for _, name := range names {
		user := Object{"ID": name, "Username": name, "Email": name + "@people.example", "Active": true}
		change(user)
		users = append(users, user)
	}
	a.ApplyObject(Object{"Buyers": []Object{{"ID": buyer, "Name": buyer, "Active": true, "Users": users}}})
}

// Login reads a login of the default profile past the server.
func (a *OneServer) Login(name string) storage.Login {
	a.T.Helper()
	l, err := a.App.Store.Login(context.WithoutCancel(a.T.Context()), storage.DefaultProfileID, otp.NormalizeUsername(name))
	if err != nil {
		a.T.Fatal(err)
	}
	return l
}

func (a *OneServer) Failures(name string) int {
	a.T.Helper()
	return a.Login(name).Lockout.Failures
}

// QueryOne reads one value past the server.
func (a *OneServer) QueryOne(query string) (value string) {
	a.T.Helper()
	if err := a.DB.QueryRow(query).Scan(&value); err != nil {
		a.T.Fatalf("%s: %v", query, err)
	}
	return value
}

// StoreCode gives a login a code of our choice, as though it had been sent a
// minute ago.
func (a *OneServer) StoreCode(name, code string, change func(*storage.Code)) {
	a.T.Helper()
	err := storage.ErrStale
	for errors.Is(err, storage.ErrStale) {
		err = a.tryToStoreCode(name, code, change)
	}
	a.Must(err)
}

// tryToStoreCode settles a request that has expired, so that no worker will. But one
// may end it first: then the answer is storage.ErrStale.
func (a *OneServer) tryToStoreCode(name, code string, change func(*storage.Code)) error {
	a.T.Helper()
	ctx, now := context.WithoutCancel(a.T.Context()), a.Clock.Now().UTC()
	login := a.Login(name)
	id, err := storage.NewID(rand.Reader, "test_")
	a.Must(err)
	request := storage.CodeRequest{
		ID: id, ClientID: "shop", ProfileID: login.ProfileID, Username: name, Purpose: storage.PurposeSignIn,
		CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute),
	}
	a.Must(a.App.Store.AddCodeRequest(ctx, request))
	planted := storage.Code{
		ID: id, RequestID: id, Purpose: storage.PurposeSignIn, IssuedAt: now, ExpiresAt: now.Add(9 * time.Minute),
		Digest: otp.NewCodes(a.App.Peppers).Digest(login.ID, code),
	}
	if change != nil {
		change(&planted)
	}
	_, err = a.App.Store.IssueCodes(ctx, storage.Issuance{
		RequestID: id, Now: now, Codes: []storage.IssuedCode{{LoginID: login.ID, Code: planted}},
	})
	return err
}

func (a *OneServer) Must(err error) {
	a.T.Helper()
	if err != nil {
		a.T.Fatal(err)
	}
}

// RequestCode asks for a code through a client and waits for it. A second copy
// of an earlier message is passed over: a server whose clock is ahead takes a
// message over before its time.
func (a *OneServer) RequestCode(n *Server, clientID, name string) string {
	a.T.Helper()
	if got := n.RequestCodeThrough(clientID, name, ""); got.Status != http.StatusNoContent {
		a.T.Fatalf("asked for a code: %d %s", got.Status, got.Body)
	}
	m := a.Inbox.Next(a.T)
	for a.seen[m.Header.Get("Idempotency-Key")] {
		m = a.Inbox.Next(a.T)
	}
	a.seen[m.Header.Get("Idempotency-Key")] = true
	if m.EventBody.Username != name || m.EventBody.ClientID != clientID {
		a.T.Fatalf("a message for %q of client %q came, want %q of %q", m.EventBody.Username, m.EventBody.ClientID, name, clientID)
	}
	return m.EventBody.OneTimePassword
}

// AwaitMessages waits until every request for codes and every message has ended, and
// returns the messages that came.
func (a *OneServer) AwaitMessages() []Message {
	a.T.Helper()
	Eventually(a.T, "all messages have ended", func() bool {
		return a.QueryOne(`SELECT (SELECT count(*) FROM code_requests WHERE ended_at = 0)
			+ (SELECT count(*) FROM messages WHERE state = 'queued')`) == "0"
	})
	var mails []Message
	for {
		select {
		case m := <-a.Inbox.Messages:
			mails = append(mails, m)
		default:
			return mails
		}
	}
}

// Run runs a command of the program on the database, and returns what it printed.
func (a *OneServer) Run(args ...string) string {
	a.T.Helper()
	return a.Command(a.T, args...)
}

// WrongGuesses counts the wrong secrets for a name that were compared while the
// name was not locked, by what the servers say in their logs.
func (w *Fixture) WrongGuesses(name string) int { return w.CountSignIns(name, "wrong_credentials") }

// CountSignIns counts sign-ins of a name that ended so.
func (w *Fixture) CountSignIns(name, outcome string) (n int) {
	for line := range strings.Lines(w.Log.String()) {
		var event struct{ Audit, Outcome, Username string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == "sign_in" &&
			event.Username == name && event.Outcome == outcome {
			n++
		}
	}
	return n
}

// ClientFields authenticate a client of the documents.
func ClientFields(id string) []string {
	fields := []string{"client_id", id}
	if id != "codes-only" && id != "vendor" {
		fields = append(fields, "client_secret", ClientSecret)
	}
	return fields
}

// SignInThrough is signIn through any client.
func (n *Server) SignInThrough(clientID, username, secret string, more ...string) Response {
	fields := append(ClientFields(clientID), "grant_type", "password", "username", username, "password", secret)
	return n.Form("/oauth/token", append(fields, more...)...)
}

// RefreshThrough is refresh through any client.
func (n *Server) RefreshThrough(clientID, token string, more ...string) Response {
	fields := append(ClientFields(clientID), "grant_type", "refresh_token", "refresh_token", token)
	return n.Form("/oauth/token", append(fields, more...)...)
}

// IntrospectThrough is introspect by any client.
func (n *Server) IntrospectThrough(clientID, token string) Response {
	return n.Form("/oauth/introspect", append(ClientFields(clientID), "token", token)...)
}

// MustIssue fails the test unless the answer is a token, and returns it.
func MustIssue(t testing.TB, what string, a Response) Response {
	t.Helper()
	if a.Status != http.StatusOK || a.Field("access_token") == "" {
		t.Fatalf("%s: got %d %s, want a token", what, a.Status, a.Body)
	}
	return a
}

// MustRefuse fails the test unless the answer is this literal refusal.
func MustRefuse(t testing.TB, what string, a Response, body string) {
	t.Helper()
	if a.Status != http.StatusBadRequest || a.Body != body {
		t.Errorf("%s: got %d %s, want 400 %s", what, a.Status, a.Body, body)
	}
}

// MustBeActive fails the test unless introspection tells of a live token;
// isInactive unless it tells nothing.
func MustBeActive(t testing.TB, what string, a Response) {
	t.Helper()
	if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, `{"active":true,`) {
		t.Errorf("%s: got %d %s, want an active token", what, a.Status, a.Body)
	}
}

func MustBeInactive(t testing.TB, what string, a Response) {
	t.Helper()
	if a.Status != http.StatusOK || a.Body != InactiveBody {
		t.Errorf("%s: got %d %s, want %s", what, a.Status, a.Body, InactiveBody)
	}
}

// Eventually waits until ok returns true. It fails the test after 40 seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// Concurrently lets n callers go together and returns what each got.
func Concurrently[T any](n int, call func(i int) T) []T {
	results := make([]T, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			results[i] = call(i)
		})
	}
	close(start)
	all.Wait()
	return results
}

// CountStatuses counts answers by status.
func CountStatuses(answers []Response) map[int]int {
	tally := map[int]int{}
	for _, a := range answers {
		tally[a.Status]++
	}
	return tally
}

// ClaimsOf reads a token's claims without looking at its signature.
func ClaimsOf(t testing.TB, token string) (claims struct {
	AMR      []string
	AuthTime int64 `json:"auth_time"`
	Iat      int64
	Sub      string
	Scope    string
},
) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// WrongCode is well-formed and nobody's.
const WrongCode = "ZZZZZZZZ"

// LockOut makes wrong guesses until the login is locked.
func (a *OneServer) LockOut(n *Server, name string) {
	a.T.Helper()
	for range 10 {
		MustRefuse(a.T, "wrong guess", n.SignInThrough("kiosk", name, WrongCode), WrongCredentialsBody)
	}
	if l := a.Login(name); !l.Lockout.Locked(a.Clock.Now()) {
		a.T.Fatalf("ten failures did not lock: %+v", l.Lockout)
	}
}

// subtests run one after the other in one arena.
type OneServerTest struct {
	Name string
	Run  func(t *testing.T, a *OneServer)
}

func (a *OneServer) Each(t *testing.T, tests []OneServerTest) {
	for _, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			before := a.T
			a.T, a.Server.T = t, t
			defer func() { a.T, a.Server.T = before, before }()
			test.Run(t, a)
		})
	}
}
