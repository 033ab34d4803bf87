package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/otp"
	"latchkey/storage"
)

// TestLockout is what guessing is worth, and what a lock is.
func TestLockout(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		enterArena(w).each(t, []arenaTest{
			{"the limit", limitReached},
			{"back-off", backOff},
			{"unlock", unlocked},
			{"names that nobody has", phantomsAlike},
			{"one counter for all spellings", spellings},
			{"restart and second replica", countsPersist},
			{"a busy hasher hides no guess", busyHasher},
			{"a day of guessing", dayOfGuessing},
		})
	})
}

// limitReached: after ten wrong secrets of any kind the right ones are refused
// like wrong ones.
func limitReached(t *testing.T, a *arena) {
	a.enrol("d1")
	code := a.codeThrough(a.n, "shop", "d1")
	for i := range 10 {
		refused(t, "wrong", a.n.signInTo([]string{"shop", "kiosk"}[i%2], "d1", wrongCode), refusedSignIn)
		if locked := a.login("d1").Lockout.Locked(a.clock.now()); locked != (i == 9) {
			t.Errorf("locked after failure %d: %v", i+1, locked)
		}
	}
	refused(t, "right code", a.n.signIn("d1", code), refusedSignIn)
	refused(t, "right password", a.n.signIn("d1", janesPassword), refusedSignIn)
	if l := a.login("d1"); l.Lockout.Failures != 10 || !l.Code.UsedAt.IsZero() {
		t.Errorf("%d failures, code used at %v; want 10 and a code as it was", l.Lockout.Failures, l.Code.UsedAt)
	}
	if got := a.guesses("d1"); got != 10 {
		t.Errorf("%d guesses were compared, want 10", got)
	}
}

// backOff: each failure after the tenth locks for twice as long, attempts
// meanwhile change nothing, and every lock ends by itself.
func backOff(t *testing.T, a *arena) {
	a.enrol("d4")
	a.lockOut(a.n, "d4")
	for lock := 2 * time.Minute; ; lock *= 2 {
		state := a.login("d4").Lockout
		if got := state.LockedUntil.Sub(state.LastFailureAt); got != lock {
			t.Errorf("locked for %s, want %s", got, lock)
		}
		for range 3 { // at a quarter, half and three quarters of it
			a.clock.advance(lock / 4)
			refused(t, "wrong while locked", a.n.signInTo("kiosk", "d4", wrongCode), refusedSignIn)
			refused(t, "right while locked", a.n.signIn("d4", janesPassword), refusedSignIn)
		}
		if now := a.login("d4").Lockout; !now.LockedUntil.Equal(state.LockedUntil) || now.Failures != state.Failures {
			t.Errorf("attempts while locked made %+v of %+v", now, state)
		}
		a.clock.advance(state.LockedUntil.Sub(a.clock.now()))
		if lock == 16*time.Minute {
			break
		}
		refused(t, "one guess when it opens", a.n.signInTo("kiosk", "d4", wrongCode), refusedSignIn)
	}
	granted(t, "when it has opened", a.n.signIn("d4", janesPassword))
	for range 9 {
		refused(t, "wrong", a.n.signInTo("kiosk", "d4", wrongCode), refusedSignIn)
	}
	granted(t, "a success began a new count", a.n.signIn("d4", janesPassword))

	// A quiet day begins one too.
	a.lockOut(a.n, "d4")
	a.clock.advance(2*time.Minute + 24*time.Hour)
	for range 9 {
		refused(t, "wrong a day later", a.n.signInTo("kiosk", "d4", wrongCode), refusedSignIn)
	}
	granted(t, "not locked a day later", a.n.signIn("d4", janesPassword))
}

func unlocked(t *testing.T, a *arena) {
	a.enrol("d5")
	m := a.another()
	for range 3 {
		a.lockOut(a.n, "d5")
		refused(t, "locked here", a.n.signIn("d5", janesPassword), refusedSignIn)
		refused(t, "locked there", m.signIn("d5", janesPassword), refusedSignIn)
		if out := a.run("user", "unlock", " D5"); out != "login \"d5\" is unlocked\n" {
			t.Errorf("unlock said %q", out)
		}
		if got := a.failures("d5"); got != 0 {
			t.Errorf("%d failures after the unlock", got)
		}
	}
	granted(t, "unlocked here", a.n.signIn("d5", janesPassword))
	granted(t, "unlocked there", m.signIn("d5", janesPassword))
}

// phantomsAlike: a name that nobody has is counted and locked like any other,
// and its answers are the same to the letter.
func phantomsAlike(t *testing.T, a *arena) {
	a.enrol("d8")
	ctx := context.WithoutCancel(t.Context())
	state := func(name string) storage.Principal {
		p, err := a.app.store.Principal(ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: name})
		a.must(err)
		return p
	}
	for i := range 14 {
		client := []string{"kiosk", "shop"}[i%7/6]
		known := visible(a.n.signInTo(client, "d8", wrongCode))
		unknown := visible(a.n.signInTo(client, "d8-nobody", wrongCode))
		if diff := cmp.Diff(known, unknown); diff != "" {
			t.Errorf("attempt %d: %s", i+1, diff)
		}
		k, u := state("d8"), state("d8-nobody")
		if !k.Known || u.Known {
			t.Fatalf("known: %v and %v", k.Known, u.Known)
		}
		if k.Lockout.Failures != u.Lockout.Failures || k.Lockout.Version != u.Lockout.Version ||
			k.Lockout.Locked(a.clock.now()) != u.Lockout.Locked(a.clock.now()) {
			t.Errorf("attempt %d: known %+v, unknown %+v", i+1, k.Lockout, u.Lockout)
		}
	}
	if u := state("d8-nobody").Lockout; u.Failures != 10 || !u.Locked(a.clock.now()) {
		t.Errorf("the name that nobody has: %+v, want locked after ten", u)
	}
}

func spellings(t *testing.T, a *arena) {
	a.enrolIn("acme", func(user jsonObject) {
		hash, err := hashOfJane()
		a.must(err)
		user["ID"], user["PasswordHash"] = "d9", hash
	}, "Bob")
	names := []string{"Bob", "bob", " bob ", "BOB", "\uff22\uff4f\uff42", "bOb\u3000", "\u212cob"}
	for i := range 9 {
		refused(t, names[i%len(names)], a.n.signInTo("kiosk", names[i%len(names)], wrongCode), refusedSignIn)
	}
	if got := a.failures("bob"); got != 9 {
		t.Errorf("%d failures, want 9 on one counter", got)
	}
	granted(t, "under another spelling", a.n.signIn("\uff42ob ", janesPassword))
	for i := range 10 {
		refused(t, names[i%len(names)], a.n.signInTo("kiosk", names[i%len(names)], wrongCode), refusedSignIn)
	}
	for _, name := range names {
		refused(t, name, a.n.signIn(name, janesPassword), refusedSignIn)
	}
}

func countsPersist(t *testing.T, a *arena) {
	a.enrol("d11")
	first, second := a.another(), a.another()
	for i := range 9 {
		n := []*node{first, second}[i%2]
		refused(t, "wrong", n.signInTo("kiosk", "d11", wrongCode), refusedSignIn)
	}
	first.stop()
	third := a.another()
	refused(t, "the tenth, after a restart", third.signInTo("kiosk", "d11", wrongCode), refusedSignIn)
	refused(t, "locked on the new server", third.signIn("d11", janesPassword), refusedSignIn)
	refused(t, "locked on the second", second.signIn("d11", janesPassword), refusedSignIn)
	second.stop()
	third.stop()
	refused(t, "locked after a restart", a.another().signIn("d11", janesPassword), refusedSignIn)
}

// outOfBreath is a hasher with too much to do.
type outOfBreath struct{ err error }

func (h outOfBreath) Verify(context.Context, string, string) (ok, upgrade bool, err error) {
	return false, false, h.err
}

func (h outOfBreath) DecoyVerify(context.Context, string) error { return h.err }

func (h outOfBreath) Hash(context.Context, string) (string, error) { return "", h.err }

// eitherFactor is an attempt with what may be a code or a password.
func eitherFactor(username, secret string) signin.Attempt {
	return signin.Attempt{
		ProfileID: storage.DefaultProfileID, Username: username, Secret: secret,
		OTP: true, Password: true, Purposes: []storage.Purpose{storage.PurposeSignIn},
	}
}

// busyHasher: a wrong code is known to be wrong before the password is hashed.
// If that guess did not count when the hasher has no turn to give, or the caller
// hangs up while waiting for one, codes could be guessed without end by whoever
// keeps the hasher busy.
func busyHasher(t *testing.T, a *arena) {
	ctx := context.WithoutCancel(t.Context())
	shop, err := a.app.store.Client(ctx, "shop")
	a.must(err)
	for name, failure := range map[string]error{
		"busy": signin.ErrBusy, "canceled": context.Canceled, "late": context.DeadlineExceeded, "refused": errors.New("hash refused"),
	} {
		a.enrol("busy-" + name)
		code := a.codeThrough(a.n, "shop", "busy-"+name)
		auth, err := signin.NewAuthenticator(signin.AuthenticatorConfig{
			Store: a.app.store, Codes: otp.NewCodes(a.app.peppers), Passwords: outOfBreath{failure}, Now: a.clock.now,
		})
		a.must(err)
		hungUp, hangUp := context.WithCancel(ctx)
		for i := range 12 {
			if i == 5 && name == "canceled" {
				hangUp()
			}
			if _, err := auth.Verify(hungUp, &shop, eitherFactor("busy-"+name, wrongCode)); err == nil {
				t.Fatalf("%s: a wrong code was taken", name)
			}
			if hungUp.Err() != nil {
				hungUp, hangUp = context.WithCancel(ctx)
			}
		}
		hangUp()
		refused(t, name+": the right code after twelve wrong ones", a.n.signIn("busy-"+name, code), refusedSignIn)

		// Without a code to guess nothing was learned, so nothing counts.
		a.enrol("idle-" + name)
		for range 12 {
			if _, err := auth.Verify(ctx, &shop, eitherFactor("idle-"+name, janesPassword)); !errors.Is(err, failure) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		granted(t, name+": right password, no code outstanding", a.n.signIn("idle-"+name, janesPassword))
	}
}

// dayOfGuessing: the most patient attacker, who asks for a new code as often as
// it helps and comes from fifty addresses, gets 25 guesses in a day at most.
func dayOfGuessing(t *testing.T, a *arena) {
	a.enrol("d6")
	for begun, tries := a.clock.now(), 0; a.clock.now().Before(begun.Add(24 * time.Hour)); tries++ {
		if tries > 300 {
			t.Fatal("the login does not lock")
		}
		if got := a.n.askForCodeThrough("kiosk", "d6", ""); got.status != http.StatusNoContent {
			t.Fatalf("code request: %d %s", got.status, got.body)
		}
		a.plant("d6", "0123ABCD", nil) // or the guess could be at no code at all
		address := fmt.Sprintf("198.51.100.%d", tries%50)
		got := a.n.do(http.MethodPost, "/oauth/token", formMedia, encode(append(clientFields("kiosk"),
			"grant_type", "password", "username", "d6", "password", wrongCode)...), "X-Forwarded-For", address)
		refused(t, "guess", got, refusedSignIn)
		// Once locked, wait for the end of the lock, and try in between too.
		if state, now := a.login("d6").Lockout, a.clock.now(); state.Locked(now) {
			a.clock.advance(min(state.LockedUntil.Sub(now), 47*time.Minute))
		}
	}
	a.settled()
	counted, compared := a.failures("d6"), a.guesses("d6")
	if counted != compared || compared > 25 || compared < 15 {
		t.Errorf("%d guesses were compared and %d counted in a day, want the same, 15 to 25", compared, counted)
	}
	t.Logf("%d guesses in a day", compared)

	// A new code does not reset the count, nor does the right one help now.
	a.plant("d6", "01234567", nil)
	refused(t, "right code in the end", a.n.signInTo("kiosk", "d6", "01234567"), refusedSignIn)
}

// TestEveryPathAsksTheGate: whatever keeps a user out keeps out every
// credential that was issued before.
func TestEveryPathAsksTheGate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		m := a.another()
		ctx := context.WithoutCancel(t.Context())
		store := a.app.store
		set := func(err error) { a.must(err) }
		gates := map[string]func(name string, shut bool){
			"locked": func(name string, shut bool) {
				if !shut {
					a.run("user", "unlock", name)
					return
				}
				for range 10 {
					refused(t, "wrong", a.n.signInTo("codes-only", name, wrongCode), refusedSignIn)
				}
			},
			"login": func(name string, shut bool) {
				l := a.login(name)
				l.Active = !shut
				_, err := store.PutLogin(ctx, l)
				set(err)
			},
			"user": func(name string, shut bool) {
				u, err := store.UserByUID(ctx, a.login(name).UserUID)
				a.must(err)
				u.Active = !shut
				_, err = store.PutUser(ctx, u)
				set(err)
			},
			"account": func(name string, shut bool) {
				account, err := store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "of-"+name)
				a.must(err)
				account.Active = !shut
				_, err = store.PutAccount(ctx, account)
				set(err)
			},
			"admission": func(name string, shut bool) {
				k, err := store.Client(ctx, "shop")
				a.must(err)
				k.AllowAnyBuyer = !shut
				_, err = store.PutClient(ctx, k)
				set(err)
			},
		}
		for gate, turn := range gates {
			t.Run(gate, func(t *testing.T) { a.pathsAsk(t, m, "d7-"+gate, gate == "locked", turn) })
		}
		t.Run("client", func(t *testing.T) { a.clientGate(t, m) })
	})
}

// pathsAsk shuts a gate after everything was issued and tries it all, on two
// replicas, and opens it again. Then what was issued works again, or has ended
// for good: a user, company or login that was switched off, and a user who was not
// admitted for a while, has nothing left.
func (a *arena) pathsAsk(t *testing.T, m *node, name string, revives bool, turn func(name string, shut bool)) {
	a.enrolIn("of-"+name, func(user jsonObject) {
		hash, err := hashOfJane()
		a.must(err)
		user["PasswordHash"] = hash
	}, name)
	token := granted(t, "password", a.n.signIn(name, janesPassword))
	access, refresh := token.field("access_token"), token.field("refresh_token")
	code := a.codeThrough(a.n, "shop", name)
	for _, n := range []*node{a.n, m} {
		isActive(t, "access token", n.introspect(access))
		isActive(t, "refresh token", n.introspect(refresh))
	}
	turn(name, true)
	for _, n := range []*node{a.n, m} {
		awaitThat(t, "the replica knows", func() bool { return n.introspect(access).body == inactive })
		isInactive(t, "refresh token", n.introspect(refresh))
		refused(t, "password", n.signIn(name, janesPassword), refusedSignIn)
		refused(t, "code", n.signIn(name, code), refusedSignIn)
		refused(t, "refresh", n.refresh(refresh), refusedRefresh)
		if got := n.askForCode(name, ""); got.status != http.StatusNoContent {
			t.Errorf("code request: %d %s", got.status, got.body)
		}
	}
	if mails := a.settled(); len(mails) != 0 {
		t.Errorf("%d codes were sent", len(mails))
	}
	turn(name, false)
	if revives {
		for _, n := range []*node{a.n, m} {
			awaitThat(t, "the replica knows again", func() bool { return n.introspect(access).body != inactive })
			isActive(t, "access token", n.introspect(access))
		}
		granted(t, "refresh again", m.refresh(refresh))
		granted(t, "code again", a.n.signIn(name, code))
		return
	}
	for _, n := range []*node{a.n, m} {
		isInactive(t, "access token", n.introspect(access))
		refused(t, "refresh", n.refresh(refresh), refusedRefresh)
		refused(t, "code", n.signIn(name, code), refusedSignIn)
		signedIn := n.signIn(name, janesPassword)
		for tries := 0; tries < 3 && signedIn.status != http.StatusOK; tries++ { // few, or the login is locked
			time.Sleep(time.Second) // until the replica knows again
			signedIn = n.signIn(name, janesPassword)
		}
		isActive(t, "new access token", n.introspect(granted(t, "password", signedIn).field("access_token")))
	}
}

// clientGate: a disabled client gets nothing, and its users' tokens are dead.
func (a *arena) clientGate(t *testing.T, m *node) {
	a.enrol("d7-client")
	token := granted(t, "password", a.n.signInTo("other", "d7-client", janesPassword))
	for _, n := range []*node{a.n, m} {
		isActive(t, "access token", n.introspectAs("other", token.field("access_token")))
	}
	a.run("client", "disable", "other")
	for _, n := range []*node{a.n, m} {
		awaitThat(t, "the replica knows", func() bool {
			return n.signInTo("other", "d7-client", janesPassword).field("error") == "invalid_client"
		})
		for what, got := range map[string]answer{
			"refresh":       n.refreshAt("other", token.field("refresh_token")),
			"introspection": n.introspectAs("other", token.field("access_token")),
			"sign-in":       n.signInTo("other", "d7-client", janesPassword),
		} {
			if got.status >= 500 || got.field("error") != "invalid_client" {
				t.Errorf("%s: %d %s", what, got.status, got.body)
			}
		}
		asked := n.askForCodeThrough("other", "d7-client", "")
		if asked.status != http.StatusBadRequest {
			t.Errorf("code request: %d %s", asked.status, asked.body)
		}
	}
	a.run("client", "enable", "other")
	for _, n := range []*node{a.n, m} {
		awaitThat(t, "the replica knows again", func() bool {
			return n.introspectAs("other", token.field("access_token")).status == http.StatusOK
		})
	}
	isInactive(t, "access token", m.introspectAs("other", token.field("access_token")))
	refused(t, "refresh", m.refreshAt("other", token.field("refresh_token")), refusedRefresh)
}
