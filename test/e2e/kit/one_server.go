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

// These are the literal bodies of refusals that reveal nothing.
const (
	WrongCredentialsBody = `{"error":"invalid_grant","error_description":"Invalid username or password.",` +
		`"Errors":[{"ErrorCode":"Auth.InvalidUsernameOrPassword","Message":"Invalid username or password.","Data":null}]}`
	InvalidRefreshTokenBody = `{"error":"invalid_grant","error_description":"The refresh token is invalid, expired or revoked.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The refresh token is invalid, expired or revoked.","Data":null}]}`
	InvalidScopeBody = `{"error":"invalid_scope","error_description":"The requested scope exceeds the scope granted.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The requested scope exceeds the scope granted.","Data":null}]}`
	InactiveBody = `{"active":false}`
)

// oneServerDocument contains further clients: one that accepts only codes, one with an idle
// limit, one with minimum roles, and one with codes of six digits.
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

// OneServer is a fixture with a running server, with the clients of oneServerDocument,
// and with access to the database that bypasses the server.
type OneServer struct {
	*Fixture
	Server *Server
	App    *server.App
	DB     *sql.DB
	seen   map[string]bool // messages that RequestCode has returned, by Idempotency-Key
}

// NewOneServer starts a server; see Fixture.Serve for the settings.
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

// StartServerAt starts a further server with the issuer of the others, and with a clock.
func (a *OneServer) StartServerAt(c *Clock, settings ...string) *Server {
	a.T.Helper()
	n := a.ServeAt(c, append(settings, "LATCHKEY_ISSUER=http://latchkey.test")...)
	a.T.Cleanup(HTTPClient.CloseIdleConnections) // otherwise the server would wait a second for them
	return n
}

// StartServer starts a further server on the clock of the fixture.
func (a *OneServer) StartServer(settings ...string) *Server {
	a.T.Helper()
	return a.StartServerAt(&a.Clock, settings...)
}

// Object is a JSON object.
type Object map[string]any

// ApplyObject is Apply for an object.
func (a *OneServer) ApplyObject(document Object) {
	a.T.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		a.T.Fatal(err)
	}
	a.Apply(string(text))
}

// PasswordHash returns a hash of Password. It is computed once.
var PasswordHash = sync.OnceValues(func() (string, error) {
	h, err := signin.NewHasher(signin.HasherConfig{Rand: rand.Reader})
	if err != nil {
		return "", err
	}
	return h.Hash(context.Background(), Password)
})

// AddUsers creates users of buyer "acme" who sign in with Password or with codes. Their email
// addresses are NAME@people.example.
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

// AddUsersWithoutPassword is AddUsers without a permanent password.
func (a *OneServer) AddUsersWithoutPassword(names ...string) {
	a.T.Helper()
	a.AddUsersTo("acme", func(Object) {}, names...)
}

// AddUsersTo creates users of a buyer. change may change each user.
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

// Login reads a login of the default profile from the database.
func (a *OneServer) Login(name string) storage.Login {
	a.T.Helper()
	l, err := a.App.Store.Login(context.WithoutCancel(a.T.Context()), storage.DefaultProfileID, otp.NormalizeUsername(name))
	if err != nil {
		a.T.Fatal(err)
	}
	return l
}

// Failures returns the failure counter of a login.
func (a *OneServer) Failures(name string) int {
	a.T.Helper()
	return a.Login(name).Lockout.Failures
}

// QueryOne returns the one value that a query selects.
func (a *OneServer) QueryOne(query string) (value string) {
	a.T.Helper()
	if err := a.DB.QueryRow(query).Scan(&value); err != nil {
		a.T.Fatalf("%s: %v", query, err)
	}
	return value
}

// StoreCode stores a code for a login, as if it had been delivered. change may change it.
func (a *OneServer) StoreCode(name, code string, change func(*storage.Code)) {
	a.T.Helper()
	err := storage.ErrStale
	for errors.Is(err, storage.ErrStale) {
		err = a.tryToStoreCode(name, code, change)
	}
	a.Must(err)
}

// tryToStoreCode resolves a request that has already expired, so that no worker resolves it. A
// worker may end it first. Then the error is storage.ErrStale.
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
	stored := storage.Code{
		ID: id, RequestID: id, Purpose: storage.PurposeSignIn, IssuedAt: now, ExpiresAt: now.Add(9 * time.Minute),
		Digest: otp.NewCodes(a.App.Peppers).Digest(login.ID, code),
	}
	if change != nil {
		change(&stored)
	}
	_, err = a.App.Store.IssueCodes(ctx, storage.Issuance{
		RequestID: id, Now: now, Codes: []storage.IssuedCode{{LoginID: login.ID, Code: stored}},
	})
	return err
}

func (a *OneServer) Must(err error) {
	a.T.Helper()
	if err != nil {
		a.T.Fatal(err)
	}
}

// RequestCode requests a code through a client, waits until it is in the inbox, and returns it.
// It skips second copies of earlier messages. A server whose clock is ahead can take a message
// over too early and send such a copy.
func (a *OneServer) RequestCode(n *Server, clientID, name string) string {
	a.T.Helper()
	if got := n.RequestCodeThrough(clientID, name, ""); got.Status != http.StatusNoContent {
		a.T.Fatalf("request for a code: got %d %s, want 204", got.Status, got.Body)
	}
	m := a.Inbox.Next(a.T)
	for a.seen[m.Header.Get("Idempotency-Key")] {
		m = a.Inbox.Next(a.T)
	}
	a.seen[m.Header.Get("Idempotency-Key")] = true
	if m.EventBody.Username != name || m.EventBody.ClientID != clientID {
		a.T.Fatalf("got a message for %q of client %q, want %q of %q", m.EventBody.Username, m.EventBody.ClientID, name, clientID)
	}
	return m.EventBody.OneTimePassword
}

// AwaitMessages waits until all requests for codes and all messages have ended. It returns the
// messages that have arrived since the last call.
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

// Run runs a command of the program on the database, and returns its output.
func (a *OneServer) Run(args ...string) string {
	a.T.Helper()
	return a.Command(a.T, args...)
}

// WrongGuesses counts the wrong secrets for a username that were compared while the login
// was not locked, by the audit events in the log.
func (w *Fixture) WrongGuesses(name string) int { return w.CountSignIns(name, "wrong_credentials") }

// CountSignIns counts the sign-ins of a username with an outcome, by the audit events in
// the log.
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

// ClientFields returns the form fields that authenticate a client of the documents.
func ClientFields(id string) []string {
	fields := []string{"client_id", id}
	if id != "codes-only" && id != "vendor" {
		fields = append(fields, "client_secret", ClientSecret)
	}
	return fields
}

// SignInThrough is SignIn through another client.
func (n *Server) SignInThrough(clientID, username, secret string, more ...string) Response {
	fields := append(ClientFields(clientID), "grant_type", "password", "username", username, "password", secret)
	return n.Form("/oauth/token", append(fields, more...)...)
}

// RefreshThrough is Refresh through another client.
func (n *Server) RefreshThrough(clientID, token string, more ...string) Response {
	fields := append(ClientFields(clientID), "grant_type", "refresh_token", "refresh_token", token)
	return n.Form("/oauth/token", append(fields, more...)...)
}

// IntrospectThrough is Introspect as another client.
func (n *Server) IntrospectThrough(clientID, token string) Response {
	return n.Form("/oauth/introspect", append(ClientFields(clientID), "token", token)...)
}

// MustIssue fails the test unless the response contains an access token. It returns the
// response.
func MustIssue(t testing.TB, what string, a Response) Response {
	t.Helper()
	if a.Status != http.StatusOK || a.Field("access_token") == "" {
		t.Fatalf("%s: got %d %s, want a token", what, a.Status, a.Body)
	}
	return a
}

// MustRefuse fails the test unless the response is 400 with the literal body.
func MustRefuse(t testing.TB, what string, a Response, body string) {
	t.Helper()
	if a.Status != http.StatusBadRequest || a.Body != body {
		t.Errorf("%s: got %d %s, want 400 %s", what, a.Status, a.Body, body)
	}
}

// MustBeActive fails the test unless the response of introspection is an active token.
func MustBeActive(t testing.TB, what string, a Response) {
	t.Helper()
	if a.Status != http.StatusOK || !strings.HasPrefix(a.Body, `{"active":true,`) {
		t.Errorf("%s: got %d %s, want an active token", what, a.Status, a.Body)
	}
}

// MustBeInactive fails the test unless the response of introspection is an inactive token.
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
			t.Fatalf("got a timeout while waiting until %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Concurrently makes n calls at once, and returns their results.
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

// CountStatuses counts responses by status.
func CountStatuses(answers []Response) map[int]int {
	tally := map[int]int{}
	for _, a := range answers {
		tally[a.Status]++
	}
	return tally
}

// ClaimsOf returns some claims of a token. It does not verify the signature.
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
		t.Fatalf("got %q, want a JWT", token)
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

// WrongCode is a well-formed code that no login has.
const WrongCode = "ZZZZZZZZ"

// LockOut sends wrong codes until the login is locked.
func (a *OneServer) LockOut(n *Server, name string) {
	a.T.Helper()
	for range 10 {
		MustRefuse(a.T, "wrong guess", n.SignInThrough("kiosk", name, WrongCode), WrongCredentialsBody)
	}
	if l := a.Login(name); !l.Lockout.Locked(a.Clock.Now()) {
		a.T.Fatalf("after ten failures: got %+v, want a lock", l.Lockout)
	}
}

// OneServerTest is a subtest on a OneServer.
type OneServerTest struct {
	Name string
	Run  func(t *testing.T, a *OneServer)
}

// Each runs subtests one after the other.
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
