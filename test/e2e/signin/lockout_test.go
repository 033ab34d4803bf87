package signin

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants/signin"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestLockout tests that failures lock a login, for longer each time, and that success, time or
// an administrator unlocks it.
func TestLockout(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		kit.NewOneServer(w).Each(t, []kit.OneServerTest{
			{Name: "the limit", Run: limitReached},
			{Name: "back-off", Run: backOff},
			{Name: "unlock", Run: unlocked},
			{Name: "names that nobody has", Run: phantomsAlike},
			{Name: "one counter for all spellings", Run: spellings},
			{Name: "restart and second replica", Run: countsPersist},
			{Name: "a busy hasher hides no guess", Run: busyHasher},
		})
	})
}

// limitReached tests that after ten wrong secrets of any type the right ones are refused like
// wrong ones.
func limitReached(t *testing.T, a *kit.OneServer) {
	a.AddUsers("d1")
	code := a.RequestCode(a.Server, "shop", "d1")
	for i := range 10 {
		kit.MustRefuse(t, "wrong", a.Server.SignInThrough([]string{"shop", "kiosk"}[i%2], "d1", kit.WrongCode), kit.WrongCredentialsBody)
		if locked := a.Login("d1").Lockout.Locked(a.Clock.Now()); locked != (i == 9) {
			t.Errorf("after failure %d: got locked %v", i+1, locked)
		}
	}
	kit.MustRefuse(t, "right code", a.Server.SignIn("d1", code), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "right password", a.Server.SignIn("d1", kit.Password), kit.WrongCredentialsBody)
	if l := a.Login("d1"); l.Lockout.Failures != 10 || !l.Code.UsedAt.IsZero() {
		t.Errorf("got %d failures, code used at %v; want 10 and a code as it was", l.Lockout.Failures, l.Code.UsedAt)
	}
	if got := a.WrongGuesses("d1"); got != 10 {
		t.Errorf("got %d compared guesses, want 10", got)
	}
}

// backOff tests that each failure after the tenth locks for twice as long, that attempts under
// the lock change nothing, and that every lock ends by itself.
func backOff(t *testing.T, a *kit.OneServer) {
	a.AddUsers("d4")
	a.LockOut(a.Server, "d4")
	for lock := 2 * time.Minute; ; lock *= 2 {
		state := a.Login("d4").Lockout
		if got := state.LockedUntil.Sub(state.LastFailureAt); got != lock {
			t.Errorf("got a lock of %s, want %s", got, lock)
		}
		for range 3 { // at a quarter, half and three quarters of the lock
			a.Clock.Advance(lock / 4)
			kit.MustRefuse(t, "wrong while locked", a.Server.SignInThrough("kiosk", "d4", kit.WrongCode), kit.WrongCredentialsBody)
			kit.MustRefuse(t, "right while locked", a.Server.SignIn("d4", kit.Password), kit.WrongCredentialsBody)
		}
		if now := a.Login("d4").Lockout; !now.LockedUntil.Equal(state.LockedUntil) || now.Failures != state.Failures {
			t.Errorf("after attempts under the lock: got %+v, want %+v", now, state)
		}
		a.Clock.Advance(state.LockedUntil.Sub(a.Clock.Now()))
		if lock == 16*time.Minute {
			break
		}
		kit.MustRefuse(t, "one guess when it opens", a.Server.SignInThrough("kiosk", "d4", kit.WrongCode), kit.WrongCredentialsBody)
	}
	kit.MustIssue(t, "when it has opened", a.Server.SignIn("d4", kit.Password))
	for range 9 {
		kit.MustRefuse(t, "wrong", a.Server.SignInThrough("kiosk", "d4", kit.WrongCode), kit.WrongCredentialsBody)
	}
	kit.MustIssue(t, "a success began a new count", a.Server.SignIn("d4", kit.Password))

	// A day without failures starts the count again too.
	a.LockOut(a.Server, "d4")
	a.Clock.Advance(2*time.Minute + 24*time.Hour)
	for range 9 {
		kit.MustRefuse(t, "wrong a day later", a.Server.SignInThrough("kiosk", "d4", kit.WrongCode), kit.WrongCredentialsBody)
	}
	kit.MustIssue(t, "not locked a day later", a.Server.SignIn("d4", kit.Password))
}

func unlocked(t *testing.T, a *kit.OneServer) {
	a.AddUsers("d5")
	m := a.StartServer()
	for range 3 {
		a.LockOut(a.Server, "d5")
		kit.MustRefuse(t, "locked here", a.Server.SignIn("d5", kit.Password), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "locked there", m.SignIn("d5", kit.Password), kit.WrongCredentialsBody)
		if out := a.Run("user", "unlock", " D5"); out != "login \"d5\" is unlocked\n" {
			t.Errorf("unlock: got %q", out)
		}
		if got := a.Failures("d5"); got != 0 {
			t.Errorf("got %d failures after the unlock, want 0", got)
		}
	}
	kit.MustIssue(t, "unlocked here", a.Server.SignIn("d5", kit.Password))
	kit.MustIssue(t, "unlocked there", m.SignIn("d5", kit.Password))
}

// phantomsAlike tests that an unknown name is counted and locked as others are, and that its
// answers are exactly the same.
func phantomsAlike(t *testing.T, a *kit.OneServer) {
	a.AddUsers("d8")
	ctx := context.WithoutCancel(t.Context())
	state := func(name string) storage.Principal {
		p, err := a.App.Store.Principal(ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: name})
		a.Must(err)
		return p
	}
	for i := range 14 {
		client := []string{"kiosk", "shop"}[i%7/6]
		known := kit.VisibleBody(a.Server.SignInThrough(client, "d8", kit.WrongCode))
		unknown := kit.VisibleBody(a.Server.SignInThrough(client, "d8-nobody", kit.WrongCode))
		if diff := cmp.Diff(known, unknown); diff != "" {
			t.Errorf("attempt %d (-known +unknown):\n%s", i+1, diff)
		}
		k, u := state("d8"), state("d8-nobody")
		if !k.Known || u.Known {
			t.Fatalf("got known %v and %v, want true and false", k.Known, u.Known)
		}
		if k.Lockout.Failures != u.Lockout.Failures || k.Lockout.Version != u.Lockout.Version ||
			k.Lockout.Locked(a.Clock.Now()) != u.Lockout.Locked(a.Clock.Now()) {
			t.Errorf("attempt %d: got %+v for a known name and %+v for an unknown one", i+1, k.Lockout, u.Lockout)
		}
	}
	if u := state("d8-nobody").Lockout; u.Failures != 10 || !u.Locked(a.Clock.Now()) {
		t.Errorf("the unknown name: got %+v, want locked after ten", u)
	}
}

func spellings(t *testing.T, a *kit.OneServer) {
	a.AddUsersTo("acme", func(user kit.Object) {
		hash, err := kit.PasswordHash()
		a.Must(err)
		user["ID"], user["PasswordHash"] = "d9", hash
	}, "Bob")
	names := []string{"Bob", "bob", " bob ", "BOB", "\uff22\uff4f\uff42", "bOb\u3000", "\u212cob"}
	for i := range 9 {
		kit.MustRefuse(t, names[i%len(names)], a.Server.SignInThrough("kiosk", names[i%len(names)], kit.WrongCode), kit.WrongCredentialsBody)
	}
	if got := a.Failures("bob"); got != 9 {
		t.Errorf("got %d failures, want 9 on one counter", got)
	}
	kit.MustIssue(t, "under another spelling", a.Server.SignIn("\uff42ob ", kit.Password))
	for i := range 10 {
		kit.MustRefuse(t, names[i%len(names)], a.Server.SignInThrough("kiosk", names[i%len(names)], kit.WrongCode), kit.WrongCredentialsBody)
	}
	for _, name := range names {
		kit.MustRefuse(t, name, a.Server.SignIn(name, kit.Password), kit.WrongCredentialsBody)
	}
}

func countsPersist(t *testing.T, a *kit.OneServer) {
	a.AddUsers("d11")
	first, second := a.StartServer(), a.StartServer()
	for i := range 9 {
		n := []*kit.Server{first, second}[i%2]
		kit.MustRefuse(t, "wrong", n.SignInThrough("kiosk", "d11", kit.WrongCode), kit.WrongCredentialsBody)
	}
	first.Stop()
	third := a.StartServer()
	kit.MustRefuse(t, "the tenth, after a restart", third.SignInThrough("kiosk", "d11", kit.WrongCode), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "locked on the new server", third.SignIn("d11", kit.Password), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "locked on the second", second.SignIn("d11", kit.Password), kit.WrongCredentialsBody)
	second.Stop()
	third.Stop()
	kit.MustRefuse(t, "locked after a restart", a.StartServer().SignIn("d11", kit.Password), kit.WrongCredentialsBody)
}

// failingHasher is a hasher that fails with an error.
type failingHasher struct{ err error }

func (h failingHasher) Verify(context.Context, string, string) (ok, upgrade bool, err error) {
	return false, false, h.err
}

func (h failingHasher) DecoyVerify(context.Context, string) error { return h.err }

func (h failingHasher) Hash(context.Context, string) (string, error) { return "", h.err }

// eitherFactor is an attempt with a secret that may be a code or a password.
func eitherFactor(username, secret string) signin.Attempt {
	return signin.Attempt{
		ProfileID: storage.DefaultProfileID, Username: username, Secret: secret,
		OTP: true, Password: true, Purposes: []storage.Purpose{storage.PurposeSignIn},
	}
}

// busyHasher tests that a wrong code counts even if the hasher then has no free slot, or the
// caller disconnects while it waits. A wrong code is known to be wrong before the password is
// hashed. If the guess did not count, a caller that keeps the hasher busy could guess codes
// without limit.
func busyHasher(t *testing.T, a *kit.OneServer) {
	ctx := context.WithoutCancel(t.Context())
	shop, err := a.App.Store.Client(ctx, "shop")
	a.Must(err)
	for name, failure := range map[string]error{
		"busy": signin.ErrBusy, "canceled": context.Canceled, "late": context.DeadlineExceeded, "refused": errors.New("hash refused"),
	} {
		a.AddUsers("busy-" + name)
		code := a.RequestCode(a.Server, "shop", "busy-"+name)
		auth, err := signin.NewAuthenticator(signin.AuthenticatorConfig{
			Store: a.App.Store, Codes: otp.NewCodes(a.App.Peppers), Passwords: failingHasher{failure}, Now: a.Clock.Now,
		})
		a.Must(err)
		hungUp, hangUp := context.WithCancel(ctx)
		for i := range 12 {
			if i == 5 && name == "canceled" {
				hangUp()
			}
			if _, err := auth.Verify(hungUp, &shop, eitherFactor("busy-"+name, kit.WrongCode)); err == nil {
				t.Fatalf("%s: a wrong code was accepted", name)
			}
			if hungUp.Err() != nil {
				hungUp, hangUp = context.WithCancel(ctx)
			}
		}
		hangUp()
		kit.MustRefuse(t, name+": the right code after twelve wrong ones", a.Server.SignIn("busy-"+name, code), kit.WrongCredentialsBody)

		// Without a live code the guess reveals nothing, so it does not count.
		a.AddUsers("idle-" + name)
		for range 12 {
			if _, err := auth.Verify(ctx, &shop, eitherFactor("idle-"+name, kit.Password)); !errors.Is(err, failure) {
				t.Errorf("%s: got %v, want %v", name, err, failure)
			}
		}
		kit.MustIssue(t, name+": right password, no code outstanding", a.Server.SignIn("idle-"+name, kit.Password))
	}
}

// TestLockedLoginsAreRefusedEverywhere tests that a locked or disabled login, user, client or
// account refuses every credential that was issued before.
func TestLockedLoginsAreRefusedEverywhere(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		m := a.StartServer()
		ctx := context.WithoutCancel(t.Context())
		store := a.App.Store
		set := func(err error) { a.Must(err) }
		gates := map[string]func(name string, shut bool){
			"locked": func(name string, shut bool) {
				if !shut {
					a.Run("user", "unlock", name)
					return
				}
				for range 10 {
					kit.MustRefuse(t, "wrong", a.Server.SignInThrough("codes-only", name, kit.WrongCode), kit.WrongCredentialsBody)
				}
			},
			"login": func(name string, shut bool) {
				l := a.Login(name)
				l.Active = !shut
				_, err := store.PutLogin(ctx, l)
				set(err)
			},
			"user": func(name string, shut bool) {
				u, err := store.UserByUID(ctx, a.Login(name).UserUID)
				a.Must(err)
				u.Active = !shut
				_, err = store.PutUser(ctx, u)
				set(err)
			},
			"account": func(name string, shut bool) {
				account, err := store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "of-"+name)
				a.Must(err)
				account.Active = !shut
				_, err = store.PutAccount(ctx, account)
				set(err)
			},
			"admission": func(name string, shut bool) {
				k, err := store.Client(ctx, "shop")
				a.Must(err)
				k.AllowAnyBuyer = !shut
				_, err = store.PutClient(ctx, k)
				set(err)
			},
		}
		for gate, turn := range gates {
			t.Run(gate, func(t *testing.T) { pathsAsk(a, t, m, "d7-"+gate, gate == "locked", turn) })
		}
		t.Run("client", func(t *testing.T) { clientGate(a, t, m) })
	})
}

// pathsAsk issues every credential, closes a gate, tries all of them on two replicas, and opens
// the gate again. After a lock the credentials work again. After a user, company or login was
// disabled, or a user was not admitted for some time, they have ended.
func pathsAsk(a *kit.OneServer, t *testing.T, m *kit.Server, name string, revives bool, turn func(name string, shut bool)) {
	a.AddUsersTo("of-"+name, func(user kit.Object) {
		hash, err := kit.PasswordHash()
		a.Must(err)
		user["PasswordHash"] = hash
	}, name)
	token := kit.MustIssue(t, "password", a.Server.SignIn(name, kit.Password))
	access, refresh := token.Field("access_token"), token.Field("refresh_token")
	code := a.RequestCode(a.Server, "shop", name)
	for _, n := range []*kit.Server{a.Server, m} {
		kit.MustBeActive(t, "access token", n.Introspect(access))
		kit.MustBeActive(t, "refresh token", n.Introspect(refresh))
	}
	turn(name, true)
	for _, n := range []*kit.Server{a.Server, m} {
		kit.Eventually(t, "the replica knows", func() bool { return n.Introspect(access).Body == kit.InactiveBody })
		kit.MustBeInactive(t, "refresh token", n.Introspect(refresh))
		kit.MustRefuse(t, "password", n.SignIn(name, kit.Password), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "code", n.SignIn(name, code), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "refresh", n.Refresh(refresh), kit.InvalidRefreshTokenBody)
		if got := n.RequestCode(name, ""); got.Status != http.StatusNoContent {
			t.Errorf("code request: got %d %s, want 204", got.Status, got.Body)
		}
	}
	if mails := a.AwaitMessages(); len(mails) != 0 {
		t.Errorf("got %d sent codes", len(mails))
	}
	turn(name, false)
	if revives {
		for _, n := range []*kit.Server{a.Server, m} {
			kit.Eventually(t, "the replica knows again", func() bool { return n.Introspect(access).Body != kit.InactiveBody })
			kit.MustBeActive(t, "access token", n.Introspect(access))
		}
		kit.MustIssue(t, "refresh again", m.Refresh(refresh))
		kit.MustIssue(t, "code again", a.Server.SignIn(name, code))
		return
	}
	for _, n := range []*kit.Server{a.Server, m} {
		kit.MustBeInactive(t, "access token", n.Introspect(access))
		kit.MustRefuse(t, "refresh", n.Refresh(refresh), kit.InvalidRefreshTokenBody)
		kit.MustRefuse(t, "code", n.SignIn(name, code), kit.WrongCredentialsBody)
		signedIn := n.SignIn(name, kit.Password)
		for tries := 0; tries < 3 && signedIn.Status != http.StatusOK; tries++ { // more tries would lock the login
			time.Sleep(time.Second) // until the replica has read the change
			signedIn = n.SignIn(name, kit.Password)
		}
		kit.MustBeActive(t, "new access token", n.Introspect(kit.MustIssue(t, "password", signedIn).Field("access_token")))
	}
}

// clientGate tests that a disabled client gets nothing, and that the tokens of its users are
// invalid.
func clientGate(a *kit.OneServer, t *testing.T, m *kit.Server) {
	a.AddUsers("d7-client")
	token := kit.MustIssue(t, "password", a.Server.SignInThrough("other", "d7-client", kit.Password))
	for _, n := range []*kit.Server{a.Server, m} {
		kit.MustBeActive(t, "access token", n.IntrospectThrough("other", token.Field("access_token")))
	}
	a.Run("client", "disable", "other")
	for _, n := range []*kit.Server{a.Server, m} {
		kit.Eventually(t, "the replica knows", func() bool {
			return n.SignInThrough("other", "d7-client", kit.Password).Field("error") == "invalid_client"
		})
		for what, got := range map[string]kit.Response{
			"refresh":       n.RefreshThrough("other", token.Field("refresh_token")),
			"introspection": n.IntrospectThrough("other", token.Field("access_token")),
			"sign-in":       n.SignInThrough("other", "d7-client", kit.Password),
		} {
			if got.Status >= 500 || got.Field("error") != "invalid_client" {
				t.Errorf("%s: got %d %s", what, got.Status, got.Body)
			}
		}
		asked := n.RequestCodeThrough("other", "d7-client", "")
		if asked.Status != http.StatusBadRequest {
			t.Errorf("code request: got %d %s, want 400", asked.Status, asked.Body)
		}
	}
	a.Run("client", "enable", "other")
	for _, n := range []*kit.Server{a.Server, m} {
		kit.Eventually(t, "the replica knows again", func() bool {
			return n.IntrospectThrough("other", token.Field("access_token")).Status == http.StatusOK
		})
	}
	kit.MustBeInactive(t, "access token", m.IntrospectThrough("other", token.Field("access_token")))
	kit.MustRefuse(t, "refresh", m.RefreshThrough("other", token.Field("refresh_token")), kit.InvalidRefreshTokenBody)
}
