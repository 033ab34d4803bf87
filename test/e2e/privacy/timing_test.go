package privacy

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/grants/signin"
	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// timingDocument has the clients through which callers ask. They are public, except "safe",
// which has a secret.
const timingDocument = `
Buyers:
  - {ID: acme, Name: Acme Ltd, Active: true, Users: [PEOPLE]}
ApiClients:
  - &any {ID: both, AppName: Codes and passwords, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440, AllowAnyBuyer: true,
     AllowedCredentials: [otp, password],
     GrantTypes: [implicit, password, "urn:latchkey:params:oauth:grant-type:account-member"]}
  - {<<: *any, ID: codes, AppName: Codes alone, AllowedCredentials: [otp]}
  - {<<: *any, ID: words, AppName: Passwords alone, AllowedCredentials: [password]}
  - {<<: *any, ID: safe, AppName: With a secret, ClientSecret: shop-secret-shop-secret-shop-secret, GrantTypes: [client_credentials, password]}
  - {ID: page, AppName: At the pages, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, AllowedCredentials: [otp, password],
     GrantTypes: [authorization_code], RedirectUris: ["https://app.example/callback"]}
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword, ForgottenPassword], URL: "SINK/{messagetype}", SharedKey: key-of-the-message-sender, AllowAllBuyers: true}
`

// The kinds of users that no answer may distinguish. Their names begin with the kind.
const (
	hasPassword  = "password"    // has a password and no code
	hasCode      = "code"        // has a password and a code
	isLocked     = "locked"      // has a password and a code, and both are locked
	isDisabled   = "disabled"    // has a password and is not active
	noPassword   = "no-password" // has neither a password nor a code
	noEmail      = "no-email"    // has a password and no e-mail address
	unknownOnce  = "new-name"    // does not exist, and is named once
	unknownAgain = "unknown"     // does not exist, and is named again and again
)

const (
	usersOfAKind = 4 // number of users of each kind
	cheapTries   = 60
	dearTries    = 18
)

// timingTest is a database with users of every kind that no answer may distinguish.
type timingTest struct {
	*kit.Fixture
	server *kit.Server
	bearer string // access token of a storefront
}

// TestUsersCannotBeToldApart sends each request that accepts a username or a client ID for
// users and clients that must be indistinguishable. The responses must be equal byte for byte,
// and their times must not separate. The test does not run in parallel with other tests of this
// package, which would make it slower and hide differences.
func TestUsersCannotBeToldApart(t *testing.T) { //nolint:paralleltest // see above
	for name, database := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db") },
		"postgres": func() string { return gormtest.Postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newTimingTest(t, database())
			for _, group := range []struct {
				name string
				run  func(t *testing.T)
			}{
				{"requests", c.requests},
				{"renewal", c.renewal},
				{"codes", c.codes},
				{"passwords", c.passwords},
				{"empty password", c.emptyPasswords},
				{"clients", c.clients},
				{"pages", c.pages},
			} {
				t.Run(group.name, group.run)
			}
		})
	}
}

// newTimingTest adds the users and starts a server. Their profile allows as many guesses as a
// test makes. Locked users are locked from the start.
func newTimingTest(t *testing.T, databaseURL string) *timingTest {
	t.Helper()
	hasher, err := signin.NewHasher(signin.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := hasher.Hash(t.Context(), kit.Password)
	if err != nil {
		t.Fatal(err)
	}
	var people []string
	for _, of := range []string{hasPassword, hasCode, isLocked, isDisabled, noPassword, noEmail} {
		for i := range usersOfAKind {
			user := fmt.Sprintf(`{ID: %[1]s, Username: %[1]s, FirstName: A, LastName: B, Active: %[2]v`, member(of, i), of != isDisabled)
			if of != noPassword {
				user += fmt.Sprintf(", PasswordHash: %q", hash)
			}
			if of != noEmail {
				user += ", Email: " + member(of, i) + "@example.com"
			}
			people = append(people, user+"}")
		}
	}
	c := &timingTest{Fixture: &kit.Fixture{T: t, DatabaseURL: databaseURL}}
	sink, arrived := newSink(t)
	c.Apply(strings.NewReplacer("SINK", sink, "PEOPLE", strings.Join(people, ", ")).Replace(timingDocument))
	c.server = c.Serve("LATCHKEY_SHIELD=0", "LATCHKEY_GUESS_CEILING=1", "LATCHKEY_CLIENT_SECRET_LIMIT=10000/1s", "LATCHKEY_OTP_LIMIT_RECIPIENT=0")
	c.WithApp(c.loosen) // no server would start with such a policy
	for i := range usersOfAKind {
		for _, of := range []string{hasCode, isLocked} {
			if got := c.server.RequestCodeThrough("both", member(of, i), ""); got.Status != http.StatusNoContent {
				t.Fatalf("request for a code: got %d %s, want 204", got.Status, got.Body)
			}
			<-arrived
		}
	}
	c.WithApp(c.lock)
	got := c.server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "both")
	c.bearer = kit.MustJSON(t, "implicit token", http.StatusOK, got).Text("access_token")
	return c
}

// newSink starts a receiver of messages. arrived gets an element after messages arrive.
func newSink(t *testing.T) (address string, arrived <-chan struct{}) {
	came := make(chan struct{}, 2*usersOfAKind)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case came <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, came
}

// member returns the name of one user of a kind.
func member(of string, i int) string { return nameWithNumber(of, i%usersOfAKind) }

// nameWithNumber returns a name that begins with the text. All these names have the same length,
// because the length of a name may change the time of an answer.
func nameWithNumber(text string, i int) string { return fmt.Sprintf("%s%0*d", text, 18-len(text), i) }

// loosen allows any number of guesses in the default profile.
func (c *timingTest) loosen(ctx context.Context, a *server.App) error {
	p, err := a.Store.PasswordProfile(ctx, storage.DefaultProfileID)
	if err == nil {
		p.Lockout.Threshold = 1_000_000
		_, err = a.Store.PutPasswordProfile(ctx, p)
	}
	return err
}

// lock locks the users of the locked kinds, for passwords and for codes.
func (c *timingTest) lock(ctx context.Context, a *server.App) error {
	for i := range usersOfAKind {
		key := storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: otp.NormalizeUsername(member(isLocked, i))}
		p, err := a.Store.Principal(ctx, key)
		if err != nil {
			return err
		}
		now := c.Clock.Now()
		next := p.Lockout
		next.Version++
		next.LastFailureAt, next.LockedUntil = now, now.Add(24*time.Hour)
		next.Codes = storage.Counter{Failures: 1, LastFailureAt: now, LockedUntil: now.Add(24 * time.Hour)}
		if err := a.Store.RecordFailure(ctx, p, next, nil); err != nil {
			return err
		}
	}
	return nil
}

// of returns the kinds of users, for a question about one user.
func (c *timingTest) of(ask func(name string) kit.Response, kinds ...string) []kind {
	var all []kind
	for _, of := range kinds {
		name := func(i int) string { return member(of, i) }
		if of == unknownOnce {
			name = func(i int) string { return nameWithNumber(of, int(c.Clock.Now().UnixNano()/1000%10_000_000)) }
		}
		all = append(all, kind{of, func(i int) kit.Response { return ask(name(i)) }})
	}
	return all
}

func (c *timingTest) post(path, body string, header ...string) kit.Response {
	return c.server.Do(http.MethodPost, path, "application/json", body, header...)
}

// requests requests codes.
func (c *timingTest) requests(t *testing.T) {
	kinds := []string{hasPassword, unknownOnce, unknownAgain, isLocked, isDisabled, noPassword, noEmail}
	for _, path := range []string{"/v1/password/onetimepassword", "/v1/password/reset"} {
		t.Run(path, func(t *testing.T) {
			ask := func(name string) kit.Response { return c.post(path, `{"ClientID":"both","Username":"`+name+`"}`) }
			alike(t, http.StatusNoContent, cheapTries, append(c.of(ask, kinds...), kind{"mismatch", func(i int) kit.Response {
				return c.post(path, fmt.Sprintf(`{"ClientID":"both","Username":%q,"Email":"%s@example.com"}`, member(hasPassword, i), member(hasPassword, i+1)))
			}})...)
		})
	}
	t.Run("/v2", func(t *testing.T) {
		ask := func(name string) kit.Response {
			return c.post(kit.RealmPath+"/password-profiles/default/one-time-password-token-request",
				`{"data":{"type":"one_time_password_token_request","username":"`+name+`","purpose":"passwordless_authentication"}}`, "Authorization", "Bearer "+c.bearer)
		}
		alike(t, http.StatusAccepted, cheapTries, c.of(ask, kinds...)...)
	})
}

// renewal sets a password with a wrong code.
func (c *timingTest) renewal(t *testing.T) {
	ask := func(name string) kit.Response {
		return c.server.Do(http.MethodPut, "/v1/password/reset/wrong-code", "application/json", `{"ClientID":"both","Username":"`+name+`","Password":"`+kit.TedPassword+`"}`)
	}
	alike(t, http.StatusBadRequest, cheapTries, c.of(ask, hasPassword, unknownOnce, unknownAgain, isLocked, isDisabled, noPassword)...)
}

// indistinguishableUsers are the kinds that a wrong secret must not distinguish.
func indistinguishableUsers() []string {
	return []string{hasPassword, unknownOnce, unknownAgain, isLocked, isDisabled, noPassword, hasCode}
}

// byToken requests account tokens of /v2.
func (c *timingTest) byToken(mechanism, field, username, secret string) kit.Response {
	return c.post(kit.AccountTokensPath, fmt.Sprintf(`{"data":{"type":"account_management_authentication_token","authentication_mechanism":%q,"password_profile_id":"default","username":%q,%q:%q}}`,
		mechanism, username, field, secret), "Authorization", "Bearer "+c.bearer)
}

func (c *timingTest) grant(clientID, username, secret string) kit.Response {
	return c.server.Form("/oauth/token", "grant_type", "password", "client_id", clientID, "username", username, "password", secret)
}

// codes guesses where passwords are not accepted.
func (c *timingTest) codes(t *testing.T) {
	t.Run("grant", func(t *testing.T) {
		alike(t, http.StatusBadRequest, cheapTries, c.of(func(name string) kit.Response { return c.grant("codes", name, kit.WrongCode) }, indistinguishableUsers()...)...)
	})
	t.Run("/v2", func(t *testing.T) {
		ask := func(name string) kit.Response {
			return c.byToken("passwordless", "one_time_password_token", name, kit.WrongCode)
		}
		alike(t, http.StatusBadRequest, cheapTries, c.of(ask, indistinguishableUsers()...)...)
	})
}

// passwords guesses where passwords are accepted.
func (c *timingTest) passwords(t *testing.T) {
	for what, ask := range map[string]func(name string) kit.Response{
		"either":   func(name string) kit.Response { return c.grant("both", name, kit.WrongCode) },
		"password": func(name string) kit.Response { return c.grant("words", name, kit.WrongCode) },
		"member": func(name string) kit.Response {
			return c.server.Form("/oauth/token", "grant_type", "urn:latchkey:params:oauth:grant-type:account-member", "client_id", "both", "username", name, "password", kit.WrongCode)
		},
		"/v2": func(name string) kit.Response { return c.byToken("password", "password", name, kit.WrongCode) },
	} {
		t.Run(what, func(t *testing.T) {
			alike(t, http.StatusBadRequest, dearTries, c.of(ask, indistinguishableUsers()...)...)
		})
	}
}

// emptyPasswords sends empty passwords. The answer and its time must not depend on the user.
func (c *timingTest) emptyPasswords(t *testing.T) {
	kinds := []string{hasPassword, unknownOnce, isLocked, isDisabled, noPassword}
	for what, ask := range map[string]func(name string) kit.Response{
		"either": func(name string) kit.Response { return c.grant("both", name, "") },
		"codes":  func(name string) kit.Response { return c.grant("codes", name, "") },
		"/v2":    func(name string) kit.Response { return c.byToken("password", "password", name, "") },
	} {
		t.Run(what, func(t *testing.T) { alike(t, http.StatusBadRequest, cheapTries, c.of(ask, kinds...)...) })
	}
}

// clients presents wrong secrets of clients.
func (c *timingTest) clients(t *testing.T) {
	const wrong = "shop-secret-shop-secret-shop-secreT"
	for what, ask := range map[string]func(id string) kit.Response{
		"in the form": func(id string) kit.Response {
			return c.server.Form("/oauth/token", "grant_type", "client_credentials", "client_id", id, "client_secret", wrong)
		},
		"in the header": func(id string) kit.Response {
			return c.server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm("grant_type", "client_credentials"), kit.BasicAuth(id, wrong)...)
		},
		"for a user": func(id string) kit.Response {
			return c.server.Form("/oauth/token", "grant_type", "password", "client_id", id, "client_secret", wrong, "username", member(hasPassword, 0), "password", kit.WrongCode)
		},
	} {
		status := http.StatusBadRequest
		if what == "in the header" {
			status = http.StatusUnauthorized
		}
		t.Run(what, func(t *testing.T) {
			alike(t, status, cheapTries,
				kind{"wrong secret", func(int) kit.Response { return ask("safe") }},
				kind{"no such client", func(i int) kit.Response { return ask(fmt.Sprintf("no%02d", i%100)) }},
				kind{"the same again", func(int) kit.Response { return ask("none") }},
				kind{"without secrets", func(int) kit.Response { return ask("both") }},
			)
		})
	}
}
