package privacy

import (
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage/gormstore/gormtest"
	"latchkey/storage/storetest/pgtest"
	"latchkey/test/e2e/kit"
)

// forgottenPasswords is a database whose users have forgotten their passwords.
type forgottenPasswords struct{ *kit.OrderCloud }

// TestForgottenPasswords tests that callers without a sign-in can renew a password with a code
// and can request usernames, and that they learn nothing about users.
func TestForgottenPasswords(t *testing.T) {
	kit.EachOrderCloud(t, []string{kit.LongRequestTimeout}, func(t *testing.T, m *kit.OrderCloud) {
		m.CheckDocument(t)
		l := forgottenPasswords{m}
		l.furnish(t)
		t.Run("requests reveal nothing", l.requestsAlike)
		t.Run("renewals reveal nothing", l.renewalsAlike)
		t.Run("limits reveal nothing", l.limitsAlike)
		t.Run("no code for another purpose", l.purposes)
		t.Run("whose code", l.whoseCode)
		t.Run("wrong codes count", l.wrongCodes)
		t.Run("one renewal", l.oneRenewal)
		t.Run("life", l.life)
	})
}

// furnish adds users who may sign in and users who may not, for each reason.
func (l forgottenPasswords) furnish(t *testing.T) {
	t.Helper()
	l.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	l.Do(t, 201, "POST", "/v1/buyers", `{"ID":"closed","Name":"Closed","Active":false}`)
	for _, id := range []string{"shop", "other"} {
		l.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"`+id+`","AppName":"Shop","AllowAnyBuyer":true,"AccessTokenDuration":10}`)
	}
	l.Do(t, 201, "POST", "/v1/messagesenders", map[string]any{
		"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OneTimePassword", "ForgottenPassword", "ForgottenUsername"}, "AllowAllBuyers": true,
		"URL": l.SenderInbox.URL, "SharedKey": kit.SenderKey,
	})
	l.enrol(t, "known", "locked", "disabled", "closed")
	// While a code is live, guesses lock codes and all messages too.
	l.sendCode(t, "locked")
	for range 10 {
		kit.MustRefuse(t, "guess", l.SignIn(l.First, "shop", "locked", kit.WrongCode), kit.WrongCredentialsBody)
	}
	l.Do(t, 200, "PATCH", "/v1/buyers/acme/users/disabled", `{"Active":false}`)
	l.AwaitAgreement(t, "/v1/messagesenders/sink")
}

// sendCode issues a one-time password, so that guesses could match it.
func (l forgottenPasswords) sendCode(t *testing.T, name string) {
	t.Helper()
	if got := l.Send(l.First, "", "POST", "/v1/password/onetimepassword", `{"ClientID":"shop","Username":"`+name+`"}`); got.Status != http.StatusNoContent {
		t.Fatalf("request for a code: got %d %s, want 204", got.Status, got.Body)
	}
	l.SenderInbox.Next(t, "OneTimePassword", kit.SenderKey)
}

// enrol adds users without passwords. The user "closed" belongs to an inactive company.
func (l forgottenPasswords) enrol(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		company := "acme"
		if name == "closed" {
			company = name
		}
		l.Do(t, 201, "POST", "/v1/buyers/"+company+"/users", fmt.Sprintf(`{"ID":%q,"Username":%q,"Email":"%s@example.com"}`, name, name, name))
	}
}

// everybody are the users that no answer may distinguish. The first one gets messages.
func everybody() []string {
	return []string{"known", "unknown", "locked", "disabled", "closed"}
}

func (l forgottenPasswords) requestsAlike(t *testing.T) {
	requests := map[string]func(n *kit.Server, name string) kit.Response{
		"by name": func(n *kit.Server, name string) kit.Response { return l.reset(n, "shop", name) },
		"by address": func(n *kit.Server, name string) kit.Response {
			return l.Send(n, "", "POST", "/v1/password/reset", `{"ClientID":"SHOP","Email":"`+name+`@example.com","URL":"https://shop.example/"}`)
		},
		"by both": func(n *kit.Server, name string) kit.Response {
			return l.Send(n, "", "POST", "/v1/password/reset", `{"ClientID":"shop","Username":"`+name+`","Email":"`+name+`@example.com"}`)
		},
		"username": func(n *kit.Server, name string) kit.Response {
			return l.Send(n, "", "POST", "/v1/username/retrieve?"+url.Values{"clientID": {"shop"}, "email": {name + "@example.com"}}.Encode(), nil)
		},
	}
	for what, ask := range requests {
		t.Run(what, func(t *testing.T) {
			first := ask(l.First, "known")
			if first.Status != http.StatusNoContent || first.Body != "" || first.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %s %v, want an empty 204", first.Status, first.Body, first.Header)
			}
			kind := "ForgottenPassword"
			if what == "username" {
				kind = "ForgottenUsername"
			}
			if got := l.SenderInbox.Next(t, kind, kit.SenderKey); got.Recipient.Username != "known" {
				t.Errorf("got the message %s", got.Body)
			}
			for _, name := range everybody()[1:] {
				for _, n := range []*kit.Server{l.First, l.Second} {
					got := ask(n, name)
					got.MustEqual(t, first)
					kit.MustReachNobody(t, name, l.AwaitSteps(t, "TraceID", got.Header.Get("X-Request-Id")))
				}
			}
		})
	}
	l.SenderInbox.MustBeEmpty(t, "those who are not served")
}

// reset requests a code to renew a password.
func (l forgottenPasswords) reset(n *kit.Server, clientID, username string) kit.Response {
	return l.Send(n, "", "POST", "/v1/password/reset", map[string]string{"ClientID": clientID, "Username": username})
}

// code requests a code and waits for it.
func (l forgottenPasswords) code(t *testing.T, username string) string {
	t.Helper()
	if got := l.reset(l.First, "shop", username); got.Status != http.StatusNoContent {
		t.Fatalf("got %d %s, want 204", got.Status, got.Body)
	}
	return l.SenderInbox.Next(t, "ForgottenPassword", kit.SenderKey).EventBody.PasswordRenewalVerificationCode
}

// put renews a password.
func (l forgottenPasswords) put(n *kit.Server, clientID, code, username, password string) kit.Response {
	return l.Send(n, "", "PUT", "/v1/password/reset/"+code, map[string]string{"ClientID": clientID, "Username": username, "Password": password})
}

// renewalsAlike tests that without the right code a caller learns nothing, not even whether a
// password would be accepted. A right code has no effect for a user who may not sign in.
func (l forgottenPasswords) renewalsAlike(t *testing.T) {
	l.enrol(t, "barred", "shut")
	barred, shut := l.code(t, "barred"), l.code(t, "shut")
	first := l.put(l.First, "shop", "wrong-code", "known", kit.TedPassword)
	first.MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	weak := l.put(l.First, "shop", barred, "barred", "x") // the rules of the profile apply before the code is checked
	for _, name := range everybody() {
		l.put(l.Second, "shop", "wrong-code", name, kit.TedPassword).MustEqual(t, first)
		l.put(l.Second, "shop", "wrong-code", name, "x").MustEqual(t, weak)
	}
	l.Do(t, 200, "PATCH", "/v1/buyers/acme/users/barred", `{"Active":false}`)
	l.sendCode(t, "shut")
	for range 10 {
		l.put(l.First, "shop", "wrong-code", "shut", kit.TedPassword).MustEqual(t, first)
		kit.MustRefuse(t, "guess", l.SignIn(l.First, "shop", "shut", kit.WrongCode), kit.WrongCredentialsBody)
	}
	l.put(l.Second, "shop", barred, "barred", kit.TedPassword).MustEqual(t, first)
	l.put(l.Second, "shop", shut, "shut", kit.TedPassword).MustEqual(t, first)
	l.Do(t, 204, "POST", "/v1/buyers/acme/users/shut/unlock", nil)
	if got := l.put(l.Second, "shop", shut, "shut", kit.TedPassword); got.Status != http.StatusNoContent {
		t.Errorf("after the unlock: got %d %s, want 204", got.Status, got.Body)
	}
	for body, want := range map[string]string{
		`{"ClientID":"shop","Password":"x"}`:                     kit.ErrorBody("PasswordReset.MissingUsername", "Username is required.", "null"),
		`{"ClientID":"shop","Username":"known"}`:                 kit.InvalidBody("Password", "is required"),
		`{"Username":"known","Password":"x"}`:                    kit.ErrorBody("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"),
		`{"ClientID":"shop","Username":"a\r\nb","Password":"x"}`: kit.ErrorBody("ValidationFailure", "Username or Email has unsupported characters or is too long.", "null"),
		`{"ClientID":"shop","UserName":"a","Password":"x"}`:      kit.InvalidBody("UserName", "unknown member; did you mean Username?"),
	} {
		l.Send(l.First, "", "PUT", "/v1/password/reset/wrong-code", body).MustRefuseV1(t, 400, want)
	}
}

// limitsAlike tests that a caller who asks too often is refused after the same number of
// requests, for known and unknown names.
func (l forgottenPasswords) limitsAlike(t *testing.T) {
	n := l.Serve(kit.SharedIssuer, "LATCHKEY_OTP_LIMIT_RECIPIENT=3/1h")
	defer n.Stop()
	defer kit.HTTPClient.CloseIdleConnections()
	l.enrol(t, "eager")
	for _, name := range []string{"eager", "nobody-eager"} {
		for i := range 5 {
			got := l.reset(n, "shop", name)
			if want := i >= 3; got.Status != map[bool]int{false: 204, true: 429}[want] || (got.Header.Get("Retry-After") != "") != want {
				t.Errorf("request %d for %s: got %d %s", i, name, got.Status, got.Body)
			}
			if got.Status == 429 {
				got.MustRefuseV1(t, 429, kit.ErrorBody("TooManyRequests", "Too many requests. Try again later.", "null"))
			} else {
				l.AwaitSteps(t, "TraceID", got.Header.Get("X-Request-Id"))
			}
		}
	}
	for range 3 {
		l.SenderInbox.Next(t, "ForgottenPassword", kit.SenderKey)
	}
}

// purposes tests that a code for one purpose is refused for another, and is not used by that.
func (l forgottenPasswords) purposes(t *testing.T) {
	l.enrol(t, "prudence")
	renewal := l.code(t, "prudence")
	kit.MustBeDelivered(t, "prudence", l.RequestMessage(t, "/v1/password/onetimepassword", `{"ClientID":"shop","Username":"prudence"}`))
	once := l.SenderInbox.Next(t, "OneTimePassword", kit.SenderKey).EventBody.OneTimePassword
	kit.MustRefuse(t, "a renewal code at sign-in", l.SignIn(l.First, "shop", "prudence", renewal), kit.WrongCredentialsBody)
	l.put(l.Second, "shop", once, "prudence", kit.TedPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	l.failures(t, "prudence", 1)
	l.SignIn(l.Second, "shop", "prudence", once).AccessToken(t)
	if got := l.put(l.First, "shop", renewal, "prudence", kit.TedPassword); got.Status != http.StatusNoContent {
		t.Errorf("renewal: got %d %s, want 204", got.Status, got.Body)
	}
}

// failures checks the number of failed attempts of a user of acme.
func (l forgottenPasswords) failures(t *testing.T, name string, want int) {
	t.Helper()
	if got := l.Do(t, 200, "GET", "/v1/buyers/acme/users/"+name, nil).Members(t)["FailedLoginAttempts"]; got != float64(want) {
		t.Errorf("%s: got %v failed attempts, want %d", name, got, want)
	}
}

// whoseCode tests that a code belongs to one user and one client, and that a newer one replaces
// it.
func (l forgottenPasswords) whoseCode(t *testing.T) {
	l.enrol(t, "wanda", "wilma")
	older, theirs := l.code(t, "wanda"), l.code(t, "wilma")
	newer := l.code(t, "wanda")
	upper := strings.ToUpper(newer) // case matters in these codes
	if upper == newer {
		t.Fatalf("got the code %q, want one with small letters", newer)
	}
	for what, got := range map[string]kit.Response{
		"an older code":      l.put(l.First, "shop", older, "wanda", kit.TedPassword),
		"another user's":     l.put(l.First, "shop", theirs, "wanda", kit.TedPassword),
		"another client's":   l.put(l.First, "other", newer, "wanda", kit.TedPassword),
		"in capital letters": l.put(l.First, "shop", upper, "wanda", kit.TedPassword),
	} {
		if got.Status != 400 || got.Body != kit.InvalidVerificationBody {
			t.Errorf("%s: got %d %s, want 400", what, got.Status, got.Body)
		}
	}
	l.failures(t, "wanda", 0)
	l.failures(t, "wilma", 0)
	if got := l.put(l.Second, "shop", newer, "wanda", kit.TedPassword); got.Status != http.StatusNoContent {
		t.Errorf("the newer code: got %d %s, want 204", got.Status, got.Body)
	}
}

// wrongCodes tests that wrong one-time passwords count over all servers and lock the login.
// Wrong codes to renew a password do not count. After an unlock the right code is accepted.
func (l forgottenPasswords) wrongCodes(t *testing.T) {
	l.enrol(t, "carol")
	code := l.code(t, "carol")
	l.sendCode(t, "carol")
	for i := range 10 {
		n := []*kit.Server{l.First, l.Second}[i%2]
		l.put(n, "shop", "wrong-code", "carol", kit.TedPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
		kit.MustRefuse(t, "guess", l.SignIn(n, "shop", "carol", kit.WrongCode), kit.WrongCredentialsBody)
	}
	l.failures(t, "carol", 10)
	for _, n := range []*kit.Server{l.First, l.Second} {
		l.put(n, "shop", code, "carol", kit.TedPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	}
	l.failures(t, "carol", 10)
	l.Do(t, 204, "POST", "/v1/buyers/acme/users/carol/unlock", nil)
	if got := l.put(l.Second, "shop", code, "carol", kit.TedPassword); got.Status != http.StatusNoContent {
		t.Errorf("after the unlock: got %d %s, want 204", got.Status, got.Body)
	}
	l.SignIn(l.First, "shop", "carol", kit.TedPassword).AccessToken(t)
}

// oneRenewal tests that one of a hundred parallel renewals with one code succeeds, over two
// servers, and that its password is set.
func (l forgottenPasswords) oneRenewal(t *testing.T) {
	l.enrol(t, "rachel")
	code := l.code(t, "rachel")
	const tries = 100
	answers := kit.Concurrently(tries, func(i int) kit.Response {
		return l.put([]*kit.Server{l.First, l.Second}[i%2], "shop", code, "rachel", fmt.Sprintf("renewed-Horse-%03d", i))
	})
	tally, winner := map[string]int{}, -1
	for i, got := range answers {
		if got.Status == http.StatusNoContent {
			winner = i
		}
		tally[fmt.Sprint(got.Status, " ", got.Body)]++
	}
	if diff := cmp.Diff(map[string]int{"204 ": 1, "400 " + kit.InvalidVerificationBody: tries - 1}, tally); diff != "" {
		t.Fatal(diff)
	}
	l.Do(t, 204, "POST", "/v1/buyers/acme/users/rachel/unlock", nil)
	for _, n := range []*kit.Server{l.First, l.Second} {
		l.SignIn(n, "shop", "rachel", fmt.Sprintf("renewed-Horse-%03d", winner)).AccessToken(t)
		kit.MustRefuse(t, "another's password", l.SignIn(n, "shop", "rachel", fmt.Sprintf("renewed-Horse-%03d", (winner+1)%tries)), kit.WrongCredentialsBody)
	}
	l.put(l.First, "shop", code, "rachel", kit.TedPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
}

// life tests that a code lives for two hours.
func (l forgottenPasswords) life(t *testing.T) {
	l.enrol(t, "early", "late")
	early, late := l.code(t, "early"), l.code(t, "late")
	l.Clock.Advance(2*time.Hour - 30*time.Second)
	if got := l.put(l.Second, "shop", early, "early", kit.TedPassword); got.Status != http.StatusNoContent {
		t.Errorf("half a minute before the end: got %d %s, want 204", got.Status, got.Body)
	}
	l.Clock.Advance(31 * time.Second)
	l.put(l.Second, "shop", late, "late", kit.TedPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
}

// TestRenewalOutage tests that a renewal decides nothing while the database refuses writes or
// is stopped, and that its code stays valid.
func TestRenewalOutage(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "latchkey.db")
		l := forgottenPasswords{kit.NewOrderCloud(t, "sqlite:"+path, "LATCHKEY_REQUEST_TIMEOUT=2s")}
		l.outage(t, func() (end func()) {
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)")
			if err != nil {
				t.Fatal(err)
			}
			conn, err := db.Conn(t.Context())
			if err == nil {
				_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
			}
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := errors.Join(conn.Close(), db.Close()); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server, err := pgtest.Start(pgtest.Config{Migrate: gormtest.Migrate})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		l := forgottenPasswords{kit.NewOrderCloud(t, server.Database(t), "LATCHKEY_REQUEST_TIMEOUT=2s")}
		l.outage(t, func() (end func()) {
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

func (l forgottenPasswords) outage(t *testing.T, begin func() (end func())) {
	l.furnish(t)
	code := l.code(t, "known")
	requests := map[string]func() kit.Response{
		"right code":            func() kit.Response { return l.put(l.First, "shop", code, "known", kit.TedPassword) },
		"wrong code":            func() kit.Response { return l.put(l.Second, "shop", "wrong-code", "known", kit.TedPassword) },
		"nobody's code":         func() kit.Response { return l.put(l.Second, "shop", "wrong-code", "nobody", kit.TedPassword) },
		"ask for a code":        func() kit.Response { return l.reset(l.First, "shop", "known") },
		"ask for nobody's code": func() kit.Response { return l.reset(l.Second, "shop", "nobody") },
		"ask for a username": func() kit.Response {
			return l.Send(l.First, "", "POST", "/v1/username/retrieve?clientID=shop&email=known@example.com", nil)
		},
		"an administrator's change": func() kit.Response { return l.Send(l.First, l.AdminToken, "PATCH", "/v1/buyers/acme", `{"Name":"x"}`) },
	}
	end := begin()
	var all []string
	for what := range requests {
		all = append(all, what)
	}
	for i, got := range kit.Concurrently(len(all), func(i int) kit.Response { return requests[all[i]]() }) {
		kit.MustBeUnavailable(t, all[i], got)
	}
	end()
	for _, n := range []*kit.Server{l.First, l.Second} {
		n.AwaitReady(nil)
	}
	l.failures(t, "known", 0)
	if got := l.Do(t, 200, "GET", "/v1/buyers/acme", nil); got.Field("Name") != "Acme" {
		t.Errorf("after the refused request: got %s", got.Body)
	}
	if got := l.put(l.First, "shop", code, "known", kit.TedPassword); got.Status != http.StatusNoContent {
		t.Errorf("the code afterwards: got %d %s, want 204", got.Status, got.Body)
	}
	l.put(l.Second, "shop", code, "known", kit.TedPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	l.SignIn(l.Second, "shop", "known", kit.TedPassword).AccessToken(t)
	l.SenderInbox.MustBeEmpty(t, "requests that were refused")
}
