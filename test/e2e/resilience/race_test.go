package resilience

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"latchkey/test/e2e/kit"
)

// oneWinner fails the test unless exactly one of the answers is a token and all others are the
// exact refusal, or that of a busy server.
func oneWinner(t *testing.T, what string, answers []kit.Response) {
	t.Helper()
	tally := map[string]int{}
	for _, got := range answers {
		switch {
		case got.Status == http.StatusOK && got.Field("access_token") != "":
			tally["token"]++
		case got.Status == http.StatusBadRequest && got.Body == kit.WrongCredentialsBody:
			tally["refused"]++
		case got.Status == http.StatusServiceUnavailable && got.Body == busy:
			tally["refused"]++ // a slow machine did not compare it in time
		default:
			tally[fmt.Sprintf("%d %s", got.Status, got.Body)]++
		}
	}
	if diff := cmp.Diff(map[string]int{"token": 1, "refused": len(answers) - 1}, tally); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestRedeemRace tests that one of 200 parallel redemptions of one code at two servers gets a
// token. On PostgreSQL the servers are processes.
func TestRedeemRace(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.LongRequestTimeout)
		rounds, servers := 10, []*kit.Server(nil)
		if strings.HasPrefix(w.DatabaseURL, "sqlite:") {
			rounds, servers = 5, []*kit.Server{a.Server, a.StartServer(kit.LongRequestTimeout)}
		} else {
			a.Server.Stop()
			servers = []*kit.Server{a.StartProcess(kit.LongRequestTimeout).Server, a.StartProcess(kit.LongRequestTimeout).Server}
		}
		names := make([]string, rounds)
		for i := range names {
			names[i] = fmt.Sprint("b3-", i)
		}
		a.AddUsersWithoutPassword(names...)
		for _, name := range names {
			code := a.RequestCode(servers[0], "kiosk", name)
			answers := kit.Concurrently(200, func(i int) kit.Response { return servers[i%2].SignInThrough("kiosk", name, code) })
			oneWinner(t, name, answers)
			kit.MustRefuse(t, name+", later", servers[1].SignInThrough("kiosk", name, code), kit.WrongCredentialsBody)
		}
		want := fmt.Sprint(rounds)
		if got := a.QueryOne("SELECT count(*) FROM families"); got != want {
			t.Errorf("got %s refresh families, want %s", got, want)
		}
		if got := a.QueryOne("SELECT count(DISTINCT login_id) FROM families"); got != want {
			t.Errorf("got refresh families of %s logins, want %s", got, want)
		}
	})
}

// TestGuessRace tests that parallel guesses do not exceed the budget at each server, although a
// right code is faster to check than a wrong one.
func TestGuessRace(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.LongRequestTimeout)
		servers := []*kit.Server{a.Server, a.StartServer(kit.LongRequestTimeout)}
		learnRoles(a, t, servers, "kiosk", "shop")
		for round := range 2 {
			t.Run(fmt.Sprint("last guess, round ", round), func(t *testing.T) {
				lastGuess(a, t, servers[:1+round%2], "kiosk", fmt.Sprint("d2-last-", round))
			})
			t.Run(fmt.Sprint("all guesses, round ", round), func(t *testing.T) {
				allGuesses(a, t, servers[:1+round%2], "kiosk", fmt.Sprint("d2-all-", round))
			})
		}
		// Here wrong guesses lead to a password hash and the right one does not.
		t.Run("all guesses, with hashes", func(t *testing.T) {
			allGuesses(a, t, servers[:1], "shop", "d2-all-hash")
		})
	})
}

// learnRoles signs users in by code at each server and through each client. Afterwards the
// servers redeem codes in one statement, where the database supports that.
func learnRoles(a *kit.OneServer, t *testing.T, servers []*kit.Server, clients ...string) {
	t.Helper()
	for _, client := range clients {
		for i, n := range servers {
			name := fmt.Sprint("learn-", client, i)
			a.AddUsersWithoutPassword(name)
			kit.MustIssue(t, name, n.SignInThrough(client, name, a.RequestCode(a.Server, client, name)))
		}
	}
}

const parallelGuesses = 300

// busy is the answer to a request that waited too long for a free slot.
const busy = `{"error":"temporarily_unavailable","error_description":"The server is busy. Try again.","Errors":[{"ErrorCode":"Auth.OauthError","Message":"The server is busy. Try again.","Data":null}]}`

// unlessBusy sends a request up to ten times, while a slow machine answers that it is busy.
func unlessBusy(send func() kit.Response) (got kit.Response) {
	for range 10 {
		if got = send(); got.Status != http.StatusServiceUnavailable || got.Body != busy {
			break
		}
	}
	return got
}

// guessAll sends 300 guesses at once. The one in the middle is right.
func guessAll(t *testing.T, servers []*kit.Server, client, name, code string) (won int) {
	t.Helper()
	answers := kit.Concurrently(parallelGuesses, func(i int) kit.Response {
		secret := kit.WrongCode
		if i == parallelGuesses/2 {
			secret = code
		}
		return servers[i%len(servers)].SignInThrough(client, name, secret)
	})
	unexpected := map[string]int{}
	for i, got := range answers {
		switch {
		case got.Status == http.StatusOK && i == parallelGuesses/2:
			won++
		case got.Status == http.StatusBadRequest && got.Body == kit.WrongCredentialsBody:
		case got.Status == http.StatusServiceUnavailable && got.Body == busy: // the request waited five seconds for hashes or a slow disk
		default:
			unexpected[fmt.Sprintf("%d %s", got.Status, got.Body)]++
		}
	}
	if len(unexpected) > 0 {
		t.Errorf("got unexpected answers: %v", unexpected)
	}
	return won
}

// lastGuess sends 300 guesses when one guess is left.
func lastGuess(a *kit.OneServer, t *testing.T, servers []*kit.Server, client, name string) {
	a.AddUsersWithoutPassword(name)
	code := a.RequestCode(a.Server, client, name)
	for range 9 {
		kit.MustRefuse(t, "wrong", a.Server.SignInThrough("codes-only", name, kit.WrongCode), kit.WrongCredentialsBody)
	}
	before := a.WrongGuesses(name)
	won := guessAll(t, servers, client, name, code)
	compared := a.WrongGuesses(name) - before
	// A server compares one guess. If it was the right one, ten more are allowed.
	if limit := len(servers) * (1 + 10*won); compared > limit {
		t.Errorf("got %d compared wrong guesses on %d servers, right one accepted: %d; want at most %d", compared, len(servers), won, limit)
	}
	mustBeLockedOut(a, t, servers, client, name, code)
}

// allGuesses sends 300 guesses before any failure.
func allGuesses(a *kit.OneServer, t *testing.T, servers []*kit.Server, client, name string) {
	a.AddUsersWithoutPassword(name)
	code := a.RequestCode(a.Server, client, name)
	won := guessAll(t, servers, client, name, code)
	compared := a.WrongGuesses(name)
	if limit := len(servers) * 10 * (1 + won); compared > limit {
		t.Errorf("got %d compared wrong guesses on %d servers, right one accepted: %d; want at most %d", compared, len(servers), won, limit)
	}
	mustBeLockedOut(a, t, servers, client, name, code)
}

// mustBeLockedOut fails the test unless the login is locked, ten guesses are counted, and the
// right code is refused.
func mustBeLockedOut(a *kit.OneServer, t *testing.T, servers []*kit.Server, client, name, code string) {
	t.Helper()
	if state := a.Login(name).Lockout; state.Failures != 10 || !state.Locked(a.Clock.Now()) {
		t.Errorf("%s: got %+v, want 10 failures and a lock", name, state)
	}
	for _, n := range servers {
		kit.MustRefuse(t, "too late", n.SignInThrough(client, name, code), kit.WrongCredentialsBody)
	}
}

// TestLateCode tests that the login is locked as soon as the tenth failure is answered,
// although hundreds of guesses are still running.
func TestLateCode(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.LongRequestTimeout)
		a.AddUsersWithoutPassword("d2-late")
		code := a.RequestCode(a.Server, "kiosk", "d2-late")
		for range 9 {
			kit.MustRefuse(t, "wrong", a.Server.SignInThrough("kiosk", "d2-late", kit.WrongCode), kit.WrongCredentialsBody)
		}
		answered := make(chan kit.Response, parallelGuesses)
		var all sync.WaitGroup
		for range parallelGuesses {
			all.Go(func() { answered <- a.Server.SignInThrough("kiosk", "d2-late", kit.WrongCode) })
		}
		kit.MustRefuse(t, "the first answer", <-answered, kit.WrongCredentialsBody)
		kit.MustRefuse(t, "the right code after it", a.Server.SignInThrough("kiosk", "d2-late", code), kit.WrongCredentialsBody)
		all.Wait()
		if l := a.Login("d2-late"); l.Lockout.Failures != 10 || !l.Code.UsedAt.IsZero() {
			t.Errorf("got %d failures, code used at %v", l.Lockout.Failures, l.Code.UsedAt)
		}
	})
}

// TestParallelLogins tests that 50 parallel sign-ins of one user all succeed, also while an
// imported hash is replaced.
func TestParallelLogins(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.LongRequestTimeout)
		servers := []*kit.Server{a.Server, a.StartServer(kit.LongRequestTimeout)}
		a.AddUsers("d3")
		imported, err := bcrypt.GenerateFromPassword([]byte(kit.Password), bcrypt.MinCost+1)
		a.Must(err)
		a.AddUsersTo("acme", func(user kit.Object) { user["PasswordHash"] = string(imported) }, "d3-imported")
		for _, name := range []string{"d3", "d3-imported"} {
			kit.MustRefuse(t, "one failure before", a.Server.SignInThrough("codes-only", name, kit.WrongCode), kit.WrongCredentialsBody)
			answers := kit.Concurrently(50, func(i int) kit.Response {
				return unlessBusy(func() kit.Response { return servers[i%2].SignIn(name, kit.Password) })
			})
			if tally := kit.CountStatuses(answers); tally[http.StatusOK] != 50 {
				t.Errorf("%s: got %v, want 50 times 200", name, tally)
			}
			kit.MustIssue(t, "afterwards", a.Server.SignIn(name, kit.Password))
			if got := a.Failures(name); got != 0 {
				t.Errorf("%s: got %d failures, want 0", name, got)
			}
		}
		if hash := a.Login("d3-imported").PasswordHash; !strings.HasPrefix(hash, "$argon2id$") {
			t.Errorf("got the hash %.7s…, want the imported one replaced", hash)
		}
	})
}

// TestRefreshRace tests that 20 parallel refreshes at two servers all get the same next token,
// thirty times in a row.
func TestRefreshRace(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, "LATCHKEY_REFRESH_GRACE=60s")
		servers := []*kit.Server{a.Server, a.StartServer("LATCHKEY_REFRESH_GRACE=60s")}
		current := a.SignIn("shop", "e3")
		for round := range 30 {
			var next string
			for i, got := range kit.Concurrently(20, func(i int) kit.Response { return servers[i%2].Refresh(current.Refresh) }) {
				p := kit.TokenPairOf(t, fmt.Sprintf("round %d, refresh %d", round, i), got)
				if next == "" {
					next = p.Refresh
				}
				if p.Refresh != next || p.Refresh == current.Refresh {
					t.Fatalf("round %d: got different refresh tokens, or the old one", round)
				}
				current.Access = p.Access
			}
			current.Refresh = next
		}
		kit.MustBeActive(t, "access token", servers[1].Introspect(current.Access))
		kit.TokenPairOf(t, "the last", servers[0].Refresh(current.Refresh))
		if got := a.QueryOne("SELECT count(*) FROM families WHERE revoked_at = 0"); got != "1" {
			t.Errorf("got %s live families, want 1", got)
		}
		if got := a.QueryOne("SELECT generation FROM families"); got != "32" {
			t.Errorf("got generation %s, want 32: each round rotates once", got)
		}
	})
}

// TestBusyWriters sends requests of all kinds to two servers at once. None may fail because
// another one holds the lock of the database.
func TestBusyWriters(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.LongRequestTimeout)
		servers := []*kit.Server{a.Server, a.StartServer(kit.LongRequestTimeout)}
		const each = 50
		names := make([]string, each)
		for i := range names {
			names[i] = fmt.Sprint("k4-", i)
		}
		a.AddUsers(names...)
		sessions := make([]kit.TokenPair, each)
		for i, name := range names {
			a.StoreCode(name, "01234567", nil)
			sessions[i] = kit.TokenPairOf(t, "sign-in", servers[i%2].SignInThrough("kiosk", name, "01234567"))
		}
		answers := kit.Concurrently(5*each, func(i int) kit.Response {
			n, name := servers[i%2], names[i/5]
			switch i % 5 {
			case 0:
				return unlessBusy(func() kit.Response { return n.SignIn(name, kit.Password) })
			case 1:
				return n.RequestCodeThrough("kiosk", name, "")
			case 2:
				return n.RefreshThrough("kiosk", sessions[i/5].Refresh)
			case 3:
				return unlessBusy(func() kit.Response { return n.SignInThrough("kiosk", name, kit.WrongCode) })
			}
			_, err := a.App.Store.Sweep(context.WithoutCancel(t.Context()), a.Clock.Now(), 100)
			if err != nil {
				return kit.Response{Status: http.StatusInternalServerError, Body: err.Error()}
			}
			return kit.Response{Status: http.StatusOK}
		})
		want := []int{http.StatusOK, http.StatusNoContent, http.StatusOK, http.StatusBadRequest, http.StatusOK}
		unexpected := map[string]int{}
		for i, got := range answers {
			if got.Status != want[i%5] {
				unexpected[fmt.Sprintf("kind %d: %d %s", i%5, got.Status, got.Body)]++
			}
		}
		if len(unexpected) > 0 {
			t.Errorf("got unexpected answers: %v", unexpected)
		}
		if mails := a.AwaitMessages(); len(mails) != each {
			t.Errorf("got %d messages, want %d", len(mails), each)
		}
	})
}
