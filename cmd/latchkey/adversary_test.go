package main

import (
	"bytes"
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
	"latchkey/otp"
	"latchkey/storage"
)

// The literal refusals that tell nothing.
const (
	refusedSignIn = `{"error":"invalid_grant","error_description":"Invalid username or password.",` +
		`"Errors":[{"ErrorCode":"Auth.InvalidUsernameOrPassword","Message":"Invalid username or password.","Data":null}]}`
	refusedRefresh = `{"error":"invalid_grant","error_description":"The refresh token is invalid, expired or revoked.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The refresh token is invalid, expired or revoked.","Data":null}]}`
	refusedScope = `{"error":"invalid_scope","error_description":"The requested scope exceeds the scope granted.",` +
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The requested scope exceeds the scope granted.","Data":null}]}`
	inactive = `{"active":false}`
)

// arenaDocument adds to a world what its adversaries need.
const arenaDocument = `
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

// arena is a world with an adversary in it: more clients, a server, a look
// into the database past the server, and people for one test each.
type arena struct {
	*world
	n     *node
	app   *app
	db    *sql.DB
	taken map[string]bool // messages that codeThrough has returned, by id
}

// enterArena serves the world; see world.serve for the settings.
func enterArena(w *world, settings ...string) *arena {
	w.t.Helper()
	w.apply(arenaDocument)
	a := &arena{world: w, taken: map[string]bool{}}
	var err error
	if a.app, err = w.cli(&w.clock).openApp(w.t.Context(), w.config()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = a.app.Close() })
	driver, source := "pgx", w.databaseURL
	if path, ok := strings.CutPrefix(w.databaseURL, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	if a.db, err = sql.Open(driver, source); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = a.db.Close() })
	a.n = a.replica(&w.clock, settings...)
	return a
}

// replica starts a server that the others do not differ from, but perhaps in
// its clock.
func (a *arena) replica(c *clock, settings ...string) *node {
	a.t.Helper()
	n := a.serveAt(c, append(settings, "LATCHKEY_ISSUER=http://latchkey.test")...)
	a.t.Cleanup(client.CloseIdleConnections) // or the server would wait a second for them
	return n
}

// another starts one more server on the world's clock.
func (a *arena) another(settings ...string) *node {
	a.t.Helper()
	return a.replica(&a.clock, settings...)
}

// jsonObject is a part of a document.
type jsonObject map[string]any

func (a *arena) applyObject(document jsonObject) {
	a.t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		a.t.Fatal(err)
	}
	a.apply(string(text))
}

// hashOfJane is a hash of janesPassword, made once.
var hashOfJane = sync.OnceValues(func() (string, error) {
	h, err := signin.NewHasher(signin.HasherConfig{Rand: rand.Reader})
	if err != nil {
		return "", err
	}
	return h.Hash(context.Background(), janesPassword)
})

// enrol makes buyers of company acme who sign in with janesPassword or with
// codes; their mail address is NAME@people.example.
func (a *arena) enrol(names ...string) {
	a.t.Helper()
	a.enrolIn("acme", func(user jsonObject) {
		hash, err := hashOfJane()
		if err != nil {
			a.t.Fatal(err)
		}
		user["PasswordHash"] = hash
	}, names...)
}

// enrolWithout is enrol without a permanent password.
func (a *arena) enrolWithout(names ...string) {
	a.t.Helper()
	a.enrolIn("acme", func(jsonObject) {}, names...)
}

func (a *arena) enrolIn(buyer string, change func(user jsonObject), names ...string) {
	a.t.Helper()
	var users []jsonObject
	for _, name := range names {
		user := jsonObject{"ID": name, "Username": name, "Email": name + "@people.example", "Active": true}
		change(user)
		users = append(users, user)
	}
	a.applyObject(jsonObject{"Buyers": []jsonObject{{"ID": buyer, "Name": buyer, "Active": true, "Users": users}}})
}

// login reads a login of the default profile past the server.
func (a *arena) login(name string) storage.Login {
	a.t.Helper()
	l, err := a.app.store.Login(context.WithoutCancel(a.t.Context()), storage.DefaultProfileID, otp.NormalizeUsername(name))
	if err != nil {
		a.t.Fatal(err)
	}
	return l
}

func (a *arena) failures(name string) int {
	a.t.Helper()
	return a.login(name).Lockout.Failures
}

// one reads one value past the server.
func (a *arena) one(query string) (value string) {
	a.t.Helper()
	if err := a.db.QueryRow(query).Scan(&value); err != nil {
		a.t.Fatalf("%s: %v", query, err)
	}
	return value
}

// plant gives a login a code of our choice, as though it had been sent a
// minute ago.
func (a *arena) plant(name, code string, change func(*storage.Code)) {
	a.t.Helper()
	err := storage.ErrStale
	for errors.Is(err, storage.ErrStale) {
		err = a.tryToPlant(name, code, change)
	}
	a.must(err)
}

// tryToPlant settles a request that has expired, so that no worker will. But one
// may end it first: then the answer is storage.ErrStale.
func (a *arena) tryToPlant(name, code string, change func(*storage.Code)) error {
	a.t.Helper()
	ctx, now := context.WithoutCancel(a.t.Context()), a.clock.now().UTC()
	login := a.login(name)
	id, err := storage.NewID(rand.Reader, "test_")
	a.must(err)
	request := storage.CodeRequest{
		ID: id, ClientID: "shop", ProfileID: login.ProfileID, Username: name, Purpose: storage.PurposeSignIn,
		CreatedAt: now.Add(-time.Hour), ExpiresAt: now.Add(-time.Minute),
	}
	a.must(a.app.store.AddCodeRequest(ctx, request))
	planted := storage.Code{
		ID: id, RequestID: id, Purpose: storage.PurposeSignIn, IssuedAt: now, ExpiresAt: now.Add(9 * time.Minute),
		Digest: otp.NewCodes(a.app.peppers).Digest(login.ID, code),
	}
	if change != nil {
		change(&planted)
	}
	_, err = a.app.store.IssueCodes(ctx, storage.Issuance{
		RequestID: id, Now: now, Codes: []storage.IssuedCode{{LoginID: login.ID, Code: planted}},
	})
	return err
}

func (a *arena) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// codeThrough asks for a code through a client and waits for it. A second copy
// of an earlier message is passed over: a server whose clock is ahead takes a
// message over before its time.
func (a *arena) codeThrough(n *node, clientID, name string) string {
	a.t.Helper()
	if got := n.askForCodeThrough(clientID, name, ""); got.status != http.StatusNoContent {
		a.t.Fatalf("asked for a code: %d %s", got.status, got.body)
	}
	m := a.inbox.next(a.t)
	for a.taken[m.header.Get("Idempotency-Key")] {
		m = a.inbox.next(a.t)
	}
	a.taken[m.header.Get("Idempotency-Key")] = true
	if m.EventBody.Username != name || m.EventBody.ClientID != clientID {
		a.t.Fatalf("a message for %q of client %q came, want %q of %q", m.EventBody.Username, m.EventBody.ClientID, name, clientID)
	}
	return m.EventBody.OneTimePassword
}

// settled waits until every request for codes and every message has ended, and
// returns the messages that came.
func (a *arena) settled() []mail {
	a.t.Helper()
	awaitThat(a.t, "all messages have ended", func() bool {
		return a.one(`SELECT (SELECT count(*) FROM code_requests WHERE ended_at = 0)
			+ (SELECT count(*) FROM messages WHERE state = 'queued')`) == "0"
	})
	var mails []mail
	for {
		select {
		case m := <-a.inbox.mails:
			mails = append(mails, m)
		default:
			return mails
		}
	}
}

// run runs a command of the program on the world's database.
func (a *arena) run(args ...string) string {
	a.t.Helper()
	var out, errs bytes.Buffer
	c := a.cli(&a.clock)
	c.stdout, c.stderr = &out, &errs
	c.environ = []string{"LATCHKEY_DATABASE_URL=" + a.databaseURL, "LATCHKEY_MASTER_KEY=" + testMasterKey}
	if code := c.run(a.t.Context(), args); code != 0 {
		a.t.Fatalf("latchkey %q: exit code %d: %s", args, code, errs.String())
	}
	return out.String()
}

// guesses counts the wrong secrets for a name that were compared while the
// name was not locked, by what the servers say in their logs.
func (w *world) guesses(name string) int { return w.outcomes(name, "wrong_credentials") }

// outcomes counts sign-ins of a name that ended so.
func (w *world) outcomes(name, outcome string) (n int) {
	for line := range strings.Lines(w.log.String()) {
		var event struct{ Audit, Outcome, Username string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == "sign_in" &&
			event.Username == name && event.Outcome == outcome {
			n++
		}
	}
	return n
}

// clientFields authenticate a client of the documents.
func clientFields(id string) []string {
	fields := []string{"client_id", id}
	if id != "codes-only" && id != "vendor" {
		fields = append(fields, "client_secret", shopSecret)
	}
	return fields
}

// signInTo is signIn through any client.
func (n *node) signInTo(clientID, username, secret string, more ...string) answer {
	fields := append(clientFields(clientID), "grant_type", "password", "username", username, "password", secret)
	return n.form("/oauth/token", append(fields, more...)...)
}

// refreshAt is refresh through any client.
func (n *node) refreshAt(clientID, token string, more ...string) answer {
	fields := append(clientFields(clientID), "grant_type", "refresh_token", "refresh_token", token)
	return n.form("/oauth/token", append(fields, more...)...)
}

// introspectAs is introspect by any client.
func (n *node) introspectAs(clientID, token string) answer {
	return n.form("/oauth/introspect", append(clientFields(clientID), "token", token)...)
}

// granted fails the test unless the answer is a token, and returns it.
func granted(t testing.TB, what string, a answer) answer {
	t.Helper()
	if a.status != http.StatusOK || a.field("access_token") == "" {
		t.Fatalf("%s: got %d %s, want a token", what, a.status, a.body)
	}
	return a
}

// refused fails the test unless the answer is this literal refusal.
func refused(t testing.TB, what string, a answer, body string) {
	t.Helper()
	if a.status != http.StatusBadRequest || a.body != body {
		t.Errorf("%s: got %d %s, want 400 %s", what, a.status, a.body, body)
	}
}

// isActive fails the test unless introspection tells of a live token;
// isInactive unless it tells nothing.
func isActive(t testing.TB, what string, a answer) {
	t.Helper()
	if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"active":true,`) {
		t.Errorf("%s: got %d %s, want an active token", what, a.status, a.body)
	}
}

func isInactive(t testing.TB, what string, a answer) {
	t.Helper()
	if a.status != http.StatusOK || a.body != inactive {
		t.Errorf("%s: got %d %s, want %s", what, a.status, a.body, inactive)
	}
}

// awaitThat waits until something has come true.
func awaitThat(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// atOnce lets n callers go together and returns what each got.
func atOnce[T any](n int, call func(i int) T) []T {
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

// tallyOf counts answers by status.
func tallyOf(answers []answer) map[int]int {
	tally := map[int]int{}
	for _, a := range answers {
		tally[a.status]++
	}
	return tally
}

// claimsOf reads a token's claims without looking at its signature.
func claimsOf(t testing.TB, token string) (claims struct {
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

// wrongCode is well-formed and nobody's.
const wrongCode = "ZZZZZZZZ"

// lockOut makes wrong guesses until the login is locked.
func (a *arena) lockOut(n *node, name string) {
	a.t.Helper()
	for range 10 {
		refused(a.t, "wrong guess", n.signInTo("kiosk", name, wrongCode), refusedSignIn)
	}
	if l := a.login(name); !l.Lockout.Locked(a.clock.now()) {
		a.t.Fatalf("ten failures did not lock: %+v", l.Lockout)
	}
}

// subtests run one after the other in one arena.
type arenaTest struct {
	name string
	run  func(t *testing.T, a *arena)
}

func (a *arena) each(t *testing.T, tests []arenaTest) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := a.t
			a.t, a.n.t = t, t
			defer func() { a.t, a.n.t = before, before }()
			test.run(t, a)
		})
	}
}
