package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

// unhurried gives requests the time they need on a machine that has much else
// to do: what is tested here is who wins, not how fast.
const unhurried = "LATCHKEY_REQUEST_TIMEOUT=40s"

// oneWinner fails the test unless exactly one of the answers is a token and all
// others are the literal refusal.
func oneWinner(t *testing.T, what string, answers []answer) {
	t.Helper()
	tally := map[string]int{}
	for _, got := range answers {
		switch {
		case got.status == http.StatusOK && got.field("access_token") != "":
			tally["token"]++
		case got.status == http.StatusBadRequest && got.body == refusedSignIn:
			tally["refused"]++
		default:
			tally[fmt.Sprintf("%d %s", got.status, got.body)]++
		}
	}
	if diff := cmp.Diff(map[string]int{"token": 1, "refused": len(answers) - 1}, tally); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// TestRedeemRace: of 200 parallel redemptions of one code, over two servers,
// one gets a token. On PostgreSQL the servers are processes of their own.
func TestRedeemRace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, unhurried)
		rounds, servers := 50, []*node(nil)
		if strings.HasPrefix(w.databaseURL, "sqlite:") {
			rounds, servers = 5, []*node{a.n, a.another(unhurried)}
		} else {
			a.n.stop()
			servers = []*node{a.launch(unhurried).node, a.launch(unhurried).node}
		}
		names := make([]string, rounds)
		for i := range names {
			names[i] = fmt.Sprint("b3-", i)
		}
		a.enrolWithout(names...)
		for _, name := range names {
			code := a.codeThrough(servers[0], "kiosk", name)
			answers := atOnce(200, func(i int) answer { return servers[i%2].signInTo("kiosk", name, code) })
			oneWinner(t, name, answers)
			refused(t, name+", later", servers[1].signInTo("kiosk", name, code), refusedSignIn)
		}
		want := fmt.Sprint(rounds)
		if got := a.one("SELECT count(*) FROM families"); got != want {
			t.Errorf("%s refresh families, want %s", got, want)
		}
		if got := a.one("SELECT count(DISTINCT login_id) FROM families"); got != want {
			t.Errorf("refresh families of %s logins, want %s", got, want)
		}
	})
}

// TestGuessRace: parallel guesses are worth no more than the budget on each
// server, however cheap the right one is to check.
func TestGuessRace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, unhurried)
		servers := []*node{a.n, a.another(unhurried)}
		for round := range 2 {
			t.Run(fmt.Sprint("last guess, round ", round), func(t *testing.T) {
				a.lastGuess(t, servers[:1+round%2], "kiosk", fmt.Sprint("d2-last-", round))
			})
			t.Run(fmt.Sprint("all guesses, round ", round), func(t *testing.T) {
				a.allGuesses(t, servers[:1+round%2], "kiosk", fmt.Sprint("d2-all-", round))
			})
		}
		// Where wrong guesses go on to a password hash and the right one does not.
		t.Run("all guesses, with hashes", func(t *testing.T) {
			a.allGuesses(t, servers[:1], "shop", "d2-all-hash")
		})
	})
}

const parallelGuesses = 300

// busy is the answer to whoever waited for a turn in vain.
const busy = `{"error":"temporarily_unavailable","error_description":"The server is busy. Try again.","Errors":[{"ErrorCode":"Auth.OauthError","Message":"The server is busy. Try again.","Data":null}]}`

// guessAll sends 300 guesses at once, of which the one in the middle is right.
func guessAll(t *testing.T, servers []*node, client, name, code string) (won int) {
	t.Helper()
	answers := atOnce(parallelGuesses, func(i int) answer {
		secret := wrongCode
		if i == parallelGuesses/2 {
			secret = code
		}
		return servers[i%len(servers)].signInTo(client, name, secret)
	})
	unexpected := map[string]int{}
	for i, got := range answers {
		switch {
		case got.status == http.StatusOK && i == parallelGuesses/2:
			won++
		case got.status == http.StatusBadRequest && got.body == refusedSignIn:
		case got.status == http.StatusServiceUnavailable && got.body == busy: // waited for five seconds, behind hashes or a slow disk
		default:
			unexpected[fmt.Sprintf("%d %s", got.status, got.body)]++
		}
	}
	if len(unexpected) > 0 {
		t.Errorf("unexpected answers: %v", unexpected)
	}
	return won
}

// lastGuess: one guess is left when 300 come.
func (a *arena) lastGuess(t *testing.T, servers []*node, client, name string) {
	a.enrolWithout(name)
	code := a.codeThrough(a.n, client, name)
	for range 9 {
		refused(t, "wrong", a.n.signInTo("codes-only", name, wrongCode), refusedSignIn)
	}
	before := a.guesses(name)
	won := guessAll(t, servers, client, name, code)
	compared := a.guesses(name) - before
	// A server compares one guess. If that was the right one, there are ten more.
	if limit := len(servers) * (1 + 10*won); compared > limit {
		t.Errorf("%d wrong guesses were compared on %d servers, right one taken: %d; want at most %d", compared, len(servers), won, limit)
	}
	a.isLockedOut(t, servers, client, name, code)
}

// allGuesses: nobody has guessed yet when 300 come.
func (a *arena) allGuesses(t *testing.T, servers []*node, client, name string) {
	a.enrolWithout(name)
	code := a.codeThrough(a.n, client, name)
	won := guessAll(t, servers, client, name, code)
	compared := a.guesses(name)
	if limit := len(servers) * 10 * (1 + won); compared > limit {
		t.Errorf("%d wrong guesses were compared on %d servers, right one taken: %d; want at most %d", compared, len(servers), won, limit)
	}
	a.isLockedOut(t, servers, client, name, code)
}

// isLockedOut: after so many wrong guesses the login is locked, ten counted,
// and the right code is too late.
func (a *arena) isLockedOut(t *testing.T, servers []*node, client, name, code string) {
	t.Helper()
	if state := a.login(name).Lockout; state.Failures != 10 || !state.Locked(a.clock.now()) {
		t.Errorf("%s is not locked: %+v", name, state)
	}
	for _, n := range servers {
		refused(t, "too late", n.signInTo(client, name, code), refusedSignIn)
	}
}

// TestLateCode: the lock is there as soon as the tenth failure has been
// answered, although hundreds of guesses are still under way.
func TestLateCode(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, unhurried)
		a.enrolWithout("d2-late")
		code := a.codeThrough(a.n, "kiosk", "d2-late")
		for range 9 {
			refused(t, "wrong", a.n.signInTo("kiosk", "d2-late", wrongCode), refusedSignIn)
		}
		answered := make(chan answer, parallelGuesses)
		var all sync.WaitGroup
		for range parallelGuesses {
			all.Go(func() { answered <- a.n.signInTo("kiosk", "d2-late", wrongCode) })
		}
		refused(t, "the first answer", <-answered, refusedSignIn)
		refused(t, "the right code after it", a.n.signInTo("kiosk", "d2-late", code), refusedSignIn)
		all.Wait()
		if l := a.login("d2-late"); l.Lockout.Failures != 10 || !l.Code.UsedAt.IsZero() {
			t.Errorf("%d failures, code used at %v", l.Lockout.Failures, l.Code.UsedAt)
		}
	})
}

// TestParallelLogins: the protection does not keep out 50 parallel sign-ins of
// one user, not even while his imported hash is replaced by a better one.
func TestParallelLogins(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, unhurried)
		servers := []*node{a.n, a.another(unhurried)}
		a.enrol("d3")
		imported, err := bcrypt.GenerateFromPassword([]byte(janesPassword), bcrypt.MinCost+1)
		a.must(err)
		a.enrolIn("acme", func(user jsonObject) { user["PasswordHash"] = string(imported) }, "d3-imported")
		for _, name := range []string{"d3", "d3-imported"} {
			refused(t, "one failure before", a.n.signInTo("codes-only", name, wrongCode), refusedSignIn)
			answers := atOnce(50, func(i int) answer { return servers[i%2].signIn(name, janesPassword) })
			if tally := tallyOf(answers); tally[http.StatusOK] != 50 {
				t.Errorf("%s: %v, want 50 times 200", name, tally)
			}
			granted(t, "afterwards", a.n.signIn(name, janesPassword))
			if got := a.failures(name); got != 0 {
				t.Errorf("%s: %d failures", name, got)
			}
		}
		if hash := a.login("d3-imported").PasswordHash; !strings.HasPrefix(hash, "$argon2id$") {
			t.Errorf("the imported hash is still %.7s…", hash)
		}
	})
}

// TestRefreshRace: 20 parallel refreshes over two servers, a hundred times in a
// row, all get the one token that goes on.
func TestRefreshRace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, "LATCHKEY_REFRESH_GRACE=60s")
		servers := []*node{a.n, a.another("LATCHKEY_REFRESH_GRACE=60s")}
		current := a.session("shop", "e3")
		for round := range 100 {
			var next string
			for i, got := range atOnce(20, func(i int) answer { return servers[i%2].refresh(current.refresh) }) {
				p := pairOf(t, fmt.Sprintf("round %d, refresh %d", round, i), got)
				if next == "" {
					next = p.refresh
				}
				if p.refresh != next || p.refresh == current.refresh {
					t.Fatalf("round %d: refresh tokens differ, or the old one came back", round)
				}
				current.access = p.access
			}
			current.refresh = next
		}
		isActive(t, "access token", servers[1].introspect(current.access))
		pairOf(t, "the last", servers[0].refresh(current.refresh))
		if got := a.one("SELECT count(*) FROM families WHERE revoked_at = 0"); got != "1" {
			t.Errorf("%s live families, want 1", got)
		}
		if got := a.one("SELECT generation FROM families"); got != "102" {
			t.Errorf("generation %s, want 102: each round rotates once", got)
		}
	})
}

// TestBusyWriters: everything at once on two servers, on SQLite before all,
// and nothing fails for want of the database's lock.
func TestBusyWriters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w, unhurried)
		servers := []*node{a.n, a.another(unhurried)}
		const each = 50
		names := make([]string, each)
		for i := range names {
			names[i] = fmt.Sprint("k4-", i)
		}
		a.enrol(names...)
		sessions := make([]pair, each)
		for i, name := range names {
			a.plant(name, "01234567", nil)
			sessions[i] = pairOf(t, "sign-in", servers[i%2].signInTo("kiosk", name, "01234567"))
		}
		answers := atOnce(5*each, func(i int) answer {
			n, name := servers[i%2], names[i/5]
			switch i % 5 {
			case 0:
				return n.signIn(name, janesPassword)
			case 1:
				return n.askForCodeThrough("kiosk", name, "")
			case 2:
				return n.refreshAt("kiosk", sessions[i/5].refresh)
			case 3:
				return n.signInTo("kiosk", name, wrongCode)
			}
			_, err := a.app.store.Sweep(context.WithoutCancel(t.Context()), a.clock.now(), 100)
			if err != nil {
				return answer{status: http.StatusInternalServerError, body: err.Error()}
			}
			return answer{status: http.StatusOK}
		})
		want := []int{http.StatusOK, http.StatusNoContent, http.StatusOK, http.StatusBadRequest, http.StatusOK}
		unexpected := map[string]int{}
		for i, got := range answers {
			if got.status != want[i%5] {
				unexpected[fmt.Sprintf("kind %d: %d %s", i%5, got.status, got.body)]++
			}
		}
		if len(unexpected) > 0 {
			t.Errorf("unexpected answers: %v", unexpected)
		}
		if mails := a.settled(); len(mails) != each {
			t.Errorf("%d messages, want %d", len(mails), each)
		}
	})
}
