package main

import (
	"context"
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

	"latchkey/storage/gormstore"
	"latchkey/storage/storetest/pgtest"
)

// lobby is a market whose people have forgotten their passwords.
type lobby struct{ *market }

// TestForgottenPasswords is what somebody who is not signed in can ask, find
// out and do.
func TestForgottenPasswords(t *testing.T) {
	eachMarket(t, []string{unhurried}, func(t *testing.T, m *market) {
		m.observe(t)
		l := lobby{m}
		l.furnish(t)
		t.Run("requests tell nothing", l.requestsAlike)
		t.Run("renewals tell nothing", l.renewalsAlike)
		t.Run("limits tell nothing", l.limitsAlike)
		t.Run("no code for another purpose", l.purposes)
		t.Run("whose code", l.whoseCode)
		t.Run("wrong codes count", l.wrongCodes)
		t.Run("one renewal", l.oneRenewal)
		t.Run("life", l.life)
	})
}

// furnish makes people with and without something that keeps them out.
func (l lobby) furnish(t *testing.T) {
	t.Helper()
	l.do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme"}`)
	l.do(t, 201, "POST", "/v1/buyers", `{"ID":"closed","Name":"Closed","Active":false}`)
	for _, id := range []string{"shop", "other"} {
		l.do(t, 201, "POST", "/v1/apiclients", `{"ID":"`+id+`","AppName":"Shop","AllowAnyBuyer":true,"AccessTokenDuration":10}`)
	}
	l.do(t, 201, "POST", "/v1/messagesenders", map[string]any{
		"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OneTimePassword", "ForgottenPassword", "ForgottenUsername"}, "AllowAllBuyers": true,
		"URL": l.box.url, "SharedKey": marketKey,
	})
	l.enrol(t, "known", "locked", "disabled", "closed")
	// With a code on its way, guesses lock codes and all messages as well.
	l.sendCode(t, "locked")
	for range 10 {
		refused(t, "guess", l.signIn(l.first, "shop", "locked", wrongCode), refusedSignIn)
	}
	l.do(t, 200, "PATCH", "/v1/buyers/acme/users/disabled", `{"Active":false}`)
	l.agreed(t, "/v1/messagesenders/sink")
}

// sendCode makes a one-time password live, so that guesses could hit it.
func (l lobby) sendCode(t *testing.T, name string) {
	t.Helper()
	if got := l.send(l.first, "", "POST", "/v1/password/onetimepassword", `{"ClientID":"shop","Username":"`+name+`"}`); got.status != http.StatusNoContent {
		t.Fatalf("asked for a code: %d %s", got.status, got.body)
	}
	l.box.next(t, "OneTimePassword", marketKey)
}

// enrol makes users without passwords; the one called closed is of an inactive
// company.
func (l lobby) enrol(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		company := "acme"
		if name == "closed" {
			company = name
		}
		l.do(t, 201, "POST", "/v1/buyers/"+company+"/users", fmt.Sprintf(`{"ID":%q,"Username":%q,"Email":"%s@example.com"}`, name, name, name))
	}
}

// everybody are those whom no answer may tell apart, the one who is served
// first.
func everybody() []string {
	return []string{"known", "unknown", "locked", "disabled", "closed"}
}

func (l lobby) requestsAlike(t *testing.T) {
	requests := map[string]func(n *node, name string) answer{
		"by name": func(n *node, name string) answer { return l.reset(n, "shop", name) },
		"by address": func(n *node, name string) answer {
			return l.send(n, "", "POST", "/v1/password/reset", `{"ClientID":"SHOP","Email":"`+name+`@example.com","URL":"https://shop.example/"}`)
		},
		"by both": func(n *node, name string) answer {
			return l.send(n, "", "POST", "/v1/password/reset", `{"ClientID":"shop","Username":"`+name+`","Email":"`+name+`@example.com"}`)
		},
		"username": func(n *node, name string) answer {
			return l.send(n, "", "POST", "/v1/username/retrieve?"+url.Values{"clientID": {"shop"}, "email": {name + "@example.com"}}.Encode(), nil)
		},
	}
	for what, ask := range requests {
		t.Run(what, func(t *testing.T) {
			first := ask(l.first, "known")
			if first.status != http.StatusNoContent || first.body != "" || first.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %s %v", first.status, first.body, first.header)
			}
			kind := "ForgottenPassword"
			if what == "username" {
				kind = "ForgottenUsername"
			}
			if got := l.box.next(t, kind, marketKey); got.Recipient.Username != "known" {
				t.Errorf("message %s", got.body)
			}
			for _, name := range everybody()[1:] {
				for _, n := range []*node{l.first, l.second} {
					got := ask(n, name)
					got.mustEqual(t, first)
					mustBeNobody(t, name, l.fate(t, "TraceID", got.header.Get("X-Request-Id")))
				}
			}
		})
	}
	l.box.silent(t, "those who are not served")
}

// reset asks for a code to renew a password.
func (l lobby) reset(n *node, clientID, username string) answer {
	return l.send(n, "", "POST", "/v1/password/reset", map[string]string{"ClientID": clientID, "Username": username})
}

// code asks for one and waits for it.
func (l lobby) code(t *testing.T, username string) string {
	t.Helper()
	if got := l.reset(l.first, "shop", username); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	return l.box.next(t, "ForgottenPassword", marketKey).EventBody.PasswordRenewalVerificationCode
}

// put renews a password.
func (l lobby) put(n *node, clientID, code, username, password string) answer {
	return l.send(n, "", "PUT", "/v1/password/reset/"+code, map[string]string{"ClientID": clientID, "Username": username, "Password": password})
}

// renewalsAlike: without the right code nobody learns anything, not even
// whether a password would do; a right code is worth nothing to whom the gate
// keeps out.
func (l lobby) renewalsAlike(t *testing.T) {
	l.enrol(t, "barred", "shut")
	barred, shut := l.code(t, "barred"), l.code(t, "shut")
	first := l.put(l.first, "shop", "wrong-code", "known", tedPassword)
	first.mustBeErrors(t, 400, wireVerification)
	weak := l.put(l.first, "shop", barred, "barred", "x") // for the rules of the profile, before anybody looks at the code
	for _, name := range everybody() {
		l.put(l.second, "shop", "wrong-code", name, tedPassword).mustEqual(t, first)
		l.put(l.second, "shop", "wrong-code", name, "x").mustEqual(t, weak)
	}
	l.do(t, 200, "PATCH", "/v1/buyers/acme/users/barred", `{"Active":false}`)
	l.sendCode(t, "shut")
	for range 10 {
		l.put(l.first, "shop", "wrong-code", "shut", tedPassword).mustEqual(t, first)
		refused(t, "guess", l.signIn(l.first, "shop", "shut", wrongCode), refusedSignIn)
	}
	l.put(l.second, "shop", barred, "barred", tedPassword).mustEqual(t, first)
	l.put(l.second, "shop", shut, "shut", tedPassword).mustEqual(t, first)
	l.do(t, 204, "POST", "/v1/buyers/acme/users/shut/unlock", nil)
	if got := l.put(l.second, "shop", shut, "shut", tedPassword); got.status != http.StatusNoContent {
		t.Errorf("after the unlock: %d %s", got.status, got.body)
	}
	for body, want := range map[string]string{
		`{"ClientID":"shop","Password":"x"}`:                     vendorError("PasswordReset.MissingUsername", "Username is required.", "null"),
		`{"ClientID":"shop","Username":"known"}`:                 invalid("Password", "is required"),
		`{"Username":"known","Password":"x"}`:                    vendorError("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"),
		`{"ClientID":"shop","Username":"a\r\nb","Password":"x"}`: vendorError("ValidationFailure", "Username or Email has unsupported characters or is too long.", "null"),
		`{"ClientID":"shop","UserName":"a","Password":"x"}`:      invalid("UserName", "unknown member; did you mean Username?"),
	} {
		l.send(l.first, "", "PUT", "/v1/password/reset/wrong-code", body).mustBeErrors(t, 400, want)
	}
}

// limitsAlike: who asks too often is told so after as many requests, whether
// for somebody or for nobody.
func (l lobby) limitsAlike(t *testing.T) {
	n := l.serve(wireIssuer, "LATCHKEY_OTP_LIMIT_RECIPIENT=3/1h")
	defer n.stop()
	defer client.CloseIdleConnections()
	l.enrol(t, "eager")
	for _, name := range []string{"eager", "nobody-eager"} {
		for i := range 5 {
			got := l.reset(n, "shop", name)
			if want := i >= 3; got.status != map[bool]int{false: 204, true: 429}[want] || (got.header.Get("Retry-After") != "") != want {
				t.Errorf("request %d for %s: %d %s", i, name, got.status, got.body)
			}
			if got.status == 429 {
				got.mustBeErrors(t, 429, vendorError("TooManyRequests", "Too many requests. Try again later.", "null"))
			}
		}
	}
	for range 3 {
		l.box.next(t, "ForgottenPassword", marketKey)
	}
}

// purposes: a code for one thing is none for another, and not used up by that.
func (l lobby) purposes(t *testing.T) {
	l.enrol(t, "prudence")
	renewal := l.code(t, "prudence")
	mustBeDelivered(t, "prudence", l.asked(t, "/v1/password/onetimepassword", `{"ClientID":"shop","Username":"prudence"}`))
	once := l.box.next(t, "OneTimePassword", marketKey).EventBody.OneTimePassword
	refused(t, "a renewal code at sign-in", l.signIn(l.first, "shop", "prudence", renewal), refusedSignIn)
	l.put(l.second, "shop", once, "prudence", tedPassword).mustBeErrors(t, 400, wireVerification)
	l.failures(t, "prudence", 1)
	l.signIn(l.second, "shop", "prudence", once).mustIssue(t)
	if got := l.put(l.first, "shop", renewal, "prudence", tedPassword); got.status != http.StatusNoContent {
		t.Errorf("renewal: %d %s", got.status, got.body)
	}
}

// failures holds a user of acme to a number of failed attempts.
func (l lobby) failures(t *testing.T, name string, want int) {
	t.Helper()
	if got := l.do(t, 200, "GET", "/v1/buyers/acme/users/"+name, nil).object(t)["FailedLoginAttempts"]; got != float64(want) {
		t.Errorf("%s: %v failed attempts, want %d", name, got, want)
	}
}

// whoseCode: a code is one user's and one client's, and a newer one replaces it.
func (l lobby) whoseCode(t *testing.T) {
	l.enrol(t, "wanda", "wilma")
	older, theirs := l.code(t, "wanda"), l.code(t, "wilma")
	newer := l.code(t, "wanda")
	for what, got := range map[string]answer{
		"an older code":    l.put(l.first, "shop", older, "wanda", tedPassword),
		"another user's":   l.put(l.first, "shop", theirs, "wanda", tedPassword),
		"another client's": l.put(l.first, "other", newer, "wanda", tedPassword),
		"in other letters": l.put(l.first, "shop", strings.ToUpper(newer)+"x", "wanda", tedPassword),
	} {
		if got.status != 400 || got.body != wireVerification {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	l.failures(t, "wanda", 0)
	l.failures(t, "wilma", 0)
	if got := l.put(l.second, "shop", newer, "wanda", tedPassword); got.status != http.StatusNoContent {
		t.Errorf("the newer code: %d %s", got.status, got.body)
	}
}

// wrongCodes: wrong one-time passwords count, over all servers, and lock; wrong
// codes to renew a password do not. The right one is as good as before when the
// lock is undone.
func (l lobby) wrongCodes(t *testing.T) {
	l.enrol(t, "carol")
	code := l.code(t, "carol")
	l.sendCode(t, "carol")
	for i := range 10 {
		n := []*node{l.first, l.second}[i%2]
		l.put(n, "shop", "wrong-code", "carol", tedPassword).mustBeErrors(t, 400, wireVerification)
		refused(t, "guess", l.signIn(n, "shop", "carol", wrongCode), refusedSignIn)
	}
	l.failures(t, "carol", 10)
	for _, n := range []*node{l.first, l.second} {
		l.put(n, "shop", code, "carol", tedPassword).mustBeErrors(t, 400, wireVerification)
	}
	l.failures(t, "carol", 10)
	l.do(t, 204, "POST", "/v1/buyers/acme/users/carol/unlock", nil)
	if got := l.put(l.second, "shop", code, "carol", tedPassword); got.status != http.StatusNoContent {
		t.Errorf("after the unlock: %d %s", got.status, got.body)
	}
	l.signIn(l.first, "shop", "carol", tedPassword).mustIssue(t)
}

// oneRenewal: of a hundred who renew with one code, over two servers, one does,
// and it is that one's password that counts.
func (l lobby) oneRenewal(t *testing.T) {
	l.enrol(t, "rachel")
	code := l.code(t, "rachel")
	const tries = 100
	answers := atOnce(tries, func(i int) answer {
		return l.put([]*node{l.first, l.second}[i%2], "shop", code, "rachel", fmt.Sprintf("renewed-Horse-%03d", i))
	})
	tally, winner := map[string]int{}, -1
	for i, got := range answers {
		if got.status == http.StatusNoContent {
			winner = i
		}
		tally[fmt.Sprint(got.status, " ", got.body)]++
	}
	if diff := cmp.Diff(map[string]int{"204 ": 1, "400 " + wireVerification: tries - 1}, tally); diff != "" {
		t.Fatal(diff)
	}
	l.do(t, 204, "POST", "/v1/buyers/acme/users/rachel/unlock", nil)
	for _, n := range []*node{l.first, l.second} {
		l.signIn(n, "shop", "rachel", fmt.Sprintf("renewed-Horse-%03d", winner)).mustIssue(t)
		refused(t, "another's password", l.signIn(n, "shop", "rachel", fmt.Sprintf("renewed-Horse-%03d", (winner+1)%tries)), refusedSignIn)
	}
	l.put(l.first, "shop", code, "rachel", tedPassword).mustBeErrors(t, 400, wireVerification)
}

// life: a code lives for two hours.
func (l lobby) life(t *testing.T) {
	l.enrol(t, "early", "late")
	early, late := l.code(t, "early"), l.code(t, "late")
	l.clock.advance(2*time.Hour - 30*time.Second)
	if got := l.put(l.second, "shop", early, "early", tedPassword); got.status != http.StatusNoContent {
		t.Errorf("half a minute before the end: %d %s", got.status, got.body)
	}
	l.clock.advance(31 * time.Second)
	l.put(l.second, "shop", late, "late", tedPassword).mustBeErrors(t, 400, wireVerification)
}

// TestRenewalOutage has a database that cannot be written to, or is not there
// at all: nothing is decided, and the code is as good as before.
func TestRenewalOutage(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "latchkey.db")
		l := lobby{newMarket(t, "sqlite:"+path, "LATCHKEY_REQUEST_TIMEOUT=2s")}
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
		server, err := pgtest.Start(pgtest.Config{Migrate: func(url string) error {
			store, err := gormstore.Open(context.Background(), gormstore.Config{URL: url})
			if err != nil {
				return err
			}
			return errors.Join(store.Migrate(context.Background()), store.Close())
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		l := lobby{newMarket(t, server.Database(t), "LATCHKEY_REQUEST_TIMEOUT=2s")}
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

func (l lobby) outage(t *testing.T, begin func() (end func())) {
	l.furnish(t)
	code := l.code(t, "known")
	requests := map[string]func() answer{
		"right code":            func() answer { return l.put(l.first, "shop", code, "known", tedPassword) },
		"wrong code":            func() answer { return l.put(l.second, "shop", "wrong-code", "known", tedPassword) },
		"nobody's code":         func() answer { return l.put(l.second, "shop", "wrong-code", "nobody", tedPassword) },
		"ask for a code":        func() answer { return l.reset(l.first, "shop", "known") },
		"ask for nobody's code": func() answer { return l.reset(l.second, "shop", "nobody") },
		"ask for a username": func() answer {
			return l.send(l.first, "", "POST", "/v1/username/retrieve?clientID=shop&email=known@example.com", nil)
		},
		"an administrator's change": func() answer { return l.send(l.first, l.root, "PATCH", "/v1/buyers/acme", `{"Name":"x"}`) },
	}
	end := begin()
	var all []string
	for what := range requests {
		all = append(all, what)
	}
	for i, got := range atOnce(len(all), func(i int) answer { return requests[all[i]]() }) {
		unavailable(t, all[i], got)
	}
	end()
	for _, n := range []*node{l.first, l.second} {
		n.awaitReady(nil)
	}
	l.failures(t, "known", 0)
	if got := l.do(t, 200, "GET", "/v1/buyers/acme", nil); got.field("Name") != "Acme" {
		t.Errorf("what was refused took effect: %s", got.body)
	}
	if got := l.put(l.first, "shop", code, "known", tedPassword); got.status != http.StatusNoContent {
		t.Errorf("the code afterwards: %d %s", got.status, got.body)
	}
	l.put(l.second, "shop", code, "known", tedPassword).mustBeErrors(t, 400, wireVerification)
	l.signIn(l.second, "shop", "known", tedPassword).mustIssue(t)
	l.box.silent(t, "requests that were refused")
}
