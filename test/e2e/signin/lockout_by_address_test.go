package signin

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// These are the addresses of the users and of another caller.
const (
	atHome = "192.0.2.10"
	onTour = "198.51.100.20"
	inLair = "203.0.113.66"
)

// formFrom sends a form from an address.
func formFrom(n *kit.Server, address, path string, fields ...string) kit.Response {
	return n.Do(http.MethodPost, path, kit.FormMedia, kit.EncodeForm(fields...), "X-Forwarded-For", address)
}

// signInFrom is signIn from an address.
func signInFrom(n *kit.Server, address, username, secret string) kit.Response {
	return formFrom(n, address, "/oauth/token", append(kit.ClientFields("shop"),
		"grant_type", "password", "username", username, "password", secret)...)
}

// lockFrom fails from an address until the login is locked for it.
func lockFrom(a *kit.OneServer, n *kit.Server, address, name string) {
	a.T.Helper()
	for range 10 {
		kit.MustRefuse(a.T, "wrong from "+address, signInFrom(n, address, name, kit.WrongCode), kit.WrongCredentialsBody)
	}
	if l := a.Login(name); !l.Lockout.Locked(a.Clock.Now()) {
		a.T.Fatalf("after ten failures: got %+v, want a lock", l.Lockout)
	}
}

// TestLockoutBySource tests that failures at other addresses do not lock out a user at a known
// address.
func TestLockoutBySource(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		kit.NewOneServer(w, kit.BehindProxy).Each(t, []kit.OneServerTest{
			{Name: "who is locked out", Run: whoIsLockedOut},
			{Name: "sessions of elsewhere go on", Run: sessionsElsewhere},
			{Name: "sessions of the locked source end", Run: sessionsAtTheLock},
			{Name: "guesses at codes", Run: codesOfManyAddresses},
			{Name: "restart and second replica", Run: sourcesPersist},
			{Name: "unlock", Run: unlockEverywhere},
			{Name: "renewal", Run: renewalUnderLock},
			{Name: "selection of an account", Run: selectionUnderLock},
		})
	})
}

// whoIsLockedOut tests that after an attacker locks passwords, the user signs in from a known
// address, and with a mailed code from any address. The attacker stays locked out, whatever
// credentials it has.
func whoIsLockedOut(t *testing.T, a *kit.OneServer) {
	a.AddUsers("w1")
	kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "w1", kit.Password))
	lockFrom(a, a.Server, inLair, "w1")
	kit.MustRefuse(t, "right password, lair", signInFrom(a.Server, inLair, "w1", kit.Password), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "right password, on tour", signInFrom(a.Server, onTour, "w1", kit.Password), kit.WrongCredentialsBody)
	kit.MustIssue(t, "password at home", signInFrom(a.Server, atHome, "w1", kit.Password))
	code := a.RequestCode(a.Server, "shop", "w1")
	kit.MustIssue(t, "code on tour", signInFrom(a.Server, onTour, "w1", code))
	kit.MustIssue(t, "password on tour, where the code made it known", signInFrom(a.Server, onTour, "w1", kit.Password))
	kit.MustRefuse(t, "right password, lair, after all that", signInFrom(a.Server, inLair, "w1", kit.Password), kit.WrongCredentialsBody)

	// Failures at home lock only home.
	for range 10 {
		kit.MustRefuse(t, "wrong at home", signInFrom(a.Server, atHome, "w1", kit.WrongCode), kit.WrongCredentialsBody)
	}
	kit.MustRefuse(t, "right password at home", signInFrom(a.Server, atHome, "w1", kit.Password), kit.WrongCredentialsBody)
	kit.MustIssue(t, "right password on tour", signInFrom(a.Server, onTour, "w1", kit.Password))
	a.StoreCode("w1", "0123ABCD", nil)
	kit.MustRefuse(t, "right code at home", signInFrom(a.Server, atHome, "w1", "0123ABCD"), kit.WrongCredentialsBody)
	kit.MustIssue(t, "right code on tour", signInFrom(a.Server, onTour, "w1", "0123ABCD"))
}

// standsEverywhere expects on both servers that the tokens are valid or invalid.
func standsEverywhere(a *kit.OneServer, t *testing.T, what string, m *kit.Server, stands bool, access, refresh string) {
	t.Helper()
	check := kit.MustBeInactive
	if stands {
		check = kit.MustBeActive
	}
	for _, n := range []*kit.Server{a.Server, m} {
		check(t, what+": access token", n.Introspect(access))
		check(t, what+": refresh token", n.Introspect(refresh))
	}
}

func sessionsElsewhere(t *testing.T, a *kit.OneServer) {
	a.AddUsers("w2")
	m := a.StartServer(kit.BehindProxy)
	token := kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "w2", kit.Password))
	access, refresh := token.Field("access_token"), token.Field("refresh_token")
	lockFrom(a, a.Server, inLair, "w2")
	standsEverywhere(a, t, "locked elsewhere", m, true, access, refresh)
	kit.MustIssue(t, "refresh", m.Refresh(refresh))
	if got := m.Do(http.MethodGet, "/v1/me", "", "", "Authorization", "Bearer "+access); got.Status != http.StatusOK {
		t.Errorf("me: got %d %s, want 200", got.Status, got.Body)
	}

	// A session that began with a code under the lock stays valid too.
	a.StoreCode("w2", "0123ABCD", nil)
	token = kit.MustIssue(t, "code on tour", signInFrom(m, onTour, "w2", "0123ABCD"))
	standsEverywhere(a, t, "begun under the lock", m, true, token.Field("access_token"), token.Field("refresh_token"))
	kit.MustIssue(t, "refresh", a.Server.Refresh(token.Field("refresh_token")))
}

func sessionsAtTheLock(t *testing.T, a *kit.OneServer) {
	a.AddUsers("w3")
	m := a.StartServer(kit.BehindProxy)
	home := kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "w3", kit.Password))
	tour := kit.MustIssue(t, "on tour", signInFrom(a.Server, onTour, "w3", kit.Password))
	lockFrom(a, m, atHome, "w3")
	standsEverywhere(a, t, "locked at home", m, false, home.Field("access_token"), home.Field("refresh_token"))
	kit.MustRefuse(t, "refresh", m.Refresh(home.Field("refresh_token")), kit.InvalidRefreshTokenBody)
	standsEverywhere(a, t, "on tour", m, true, tour.Field("access_token"), tour.Field("refresh_token"))
	a.Clock.Advance(2*time.Minute + time.Second)
	standsEverywhere(a, t, "the lock is over", m, true, home.Field("access_token"), home.Field("refresh_token"))
}

// codesOfManyAddresses tests that guesses at a code are counted from all addresses, and do not
// exclude a user at a known address.
func codesOfManyAddresses(t *testing.T, a *kit.OneServer) {
	a.AddUsers("w4")
	kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "w4", kit.Password))
	for i := range 10 {
		a.StoreCode("w4", "0123ABCD", nil)
		kit.MustRefuse(t, "wrong", signInFrom(a.Server, fmt.Sprint("203.0.113.", i), "w4", kit.WrongCode), kit.WrongCredentialsBody)
	}
	a.StoreCode("w4", "0123ABCD", nil)
	kit.MustRefuse(t, "right code, on tour", signInFrom(a.Server, onTour, "w4", "0123ABCD"), kit.WrongCredentialsBody)
	kit.MustIssue(t, "right code, at home", signInFrom(a.Server, atHome, "w4", "0123ABCD"))
	kit.MustRefuse(t, "right password, on tour", signInFrom(a.Server, onTour, "w4", kit.Password), kit.WrongCredentialsBody)
	// A user at a known address still gets messages.
	if code := a.RequestCode(a.Server, "shop", "w4"); code == "" {
		t.Error("got no code")
	}
}

func sourcesPersist(t *testing.T, a *kit.OneServer) {
	a.AddUsers("w5")
	kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "w5", kit.Password))
	first, second := a.StartServer(kit.BehindProxy), a.StartServer(kit.BehindProxy)
	for i := range 9 {
		kit.MustRefuse(t, "wrong at home", signInFrom([]*kit.Server{first, second}[i%2], atHome, "w5", kit.WrongCode), kit.WrongCredentialsBody)
	}
	first.Stop()
	second.Stop()
	third := a.StartServer(kit.BehindProxy)
	kit.MustRefuse(t, "the tenth, after a restart", signInFrom(third, atHome, "w5", kit.WrongCode), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "locked", signInFrom(third, atHome, "w5", kit.Password), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "locked everywhere", signInFrom(a.Server, atHome, "w5", kit.Password), kit.WrongCredentialsBody)
}

// unlockEverywhere tests that an administrator ends all locks at once, for all replicas.
func unlockEverywhere(t *testing.T, a *kit.OneServer) {
	a.AddUsers("w6")
	m := a.StartServer(kit.BehindProxy)
	kit.MustIssue(t, "at home", signInFrom(a.Server, atHome, "w6", kit.Password))
	a.StoreCode("w6", "0123ABCD", nil)
	lockFrom(a, a.Server, atHome, "w6")
	kit.MustRefuse(t, "locked at home", signInFrom(m, atHome, "w6", kit.Password), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "locked on tour", signInFrom(m, onTour, "w6", "0123ABCD"), kit.WrongCredentialsBody)
	a.Run("user", "unlock", "w6")
	kit.MustIssue(t, "at home", signInFrom(m, atHome, "w6", kit.Password))
	a.StoreCode("w6", "0123ABCD", nil)
	kit.MustIssue(t, "on tour", signInFrom(m, onTour, "w6", "0123ABCD"))
}

// renewalUnderLock tests that guesses at passwords do not prevent a renewal, because its code
// is mailed. A new password ends all locks.
func renewalUnderLock(t *testing.T, a *kit.OneServer) {
	a.Apply(`MessageSenders: [{ID: renewals, Name: Renewals, MessageTypes: [ForgottenPassword], URL: "` + a.Inbox.URL +
		`/{messagetype}", SharedKey: ` + kit.SharedKey + `, AllowAllBuyers: true}]`)
	a.AddUsers("w7")
	lockFrom(a, a.Server, inLair, "w7")
	asked := a.Server.Do(http.MethodPost, "/v1/password/reset", "application/json", `{"ClientID":"shop","Username":"w7"}`)
	if asked.Status != http.StatusNoContent {
		t.Fatalf("request for a renewal: got %d %s, want 204", asked.Status, asked.Body)
	}
	m := a.Inbox.Next(t)
	for m.MessageType != string(storage.MessageForgottenPassword) {
		m = a.Inbox.Next(t)
	}
	const fresh = "brand-New-9-password"
	got := a.Server.Do(http.MethodPut, "/v1/password/reset/"+m.EventBody.PasswordRenewalVerificationCode, "application/json",
		`{"ClientID":"shop","Username":"w7","Password":"`+fresh+`"}`, "X-Forwarded-For", onTour)
	if got.Status != http.StatusNoContent {
		t.Fatalf("renewal under a lock: got %d %s, want 204", got.Status, got.Body)
	}
	kit.MustIssue(t, "new password, on tour", signInFrom(a.Server, onTour, "w7", fresh))
}

// selectionUnderLock tests that a member of two companies can choose one after a code was
// redeemed under a lock.
func selectionUnderLock(t *testing.T, a *kit.OneServer) {
	a.Apply(`ApiClients: [{ID: members, AppName: Members, ClientSecret: ` + kit.ClientSecret + `, Active: true, AccessTokenDuration: 60,
		RefreshTokenDuration: 1440, AllowAnyBuyer: true, AllowedCredentials: [otp, password],
		GrantTypes: [password, refresh_token, "urn:latchkey:params:oauth:grant-type:account-member"]}]`)
	a.AddUsers("w8")
	ctx := context.WithoutCancel(t.Context())
	closed, err := a.App.Store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
	a.Must(err)
	second, err := a.App.Store.PutAccount(ctx, storage.Account{
		UID: "acc_second", RealmID: closed.RealmID, Kind: storage.Buyer, ID: "second", Name: "Second", Active: true,
	})
	a.Must(err)
	_, err = a.App.Store.PutMembership(ctx, storage.Membership{
		ID: "mbr_second", AccountUID: second.UID, UserUID: a.Login("w8").UserUID,
	})
	a.Must(err)
	lockFrom(a, a.Server, inLair, "w8")
	a.StoreCode("w8", "0123ABCD", nil)
	member := func(address string, fields ...string) kit.Response {
		return formFrom(a.Server, address, "/oauth/token", append(fields, "client_id", "members", "client_secret", kit.ClientSecret,
			"grant_type", "urn:latchkey:params:oauth:grant-type:account-member")...)
	}
	required := member(onTour, "username", "w8", "one_time_password", "0123ABCD")
	selection := required.Field("selection_token")
	if selection == "" {
		t.Fatalf("no choice: got %d %s", required.Status, required.Body)
	}
	token := kit.MustIssue(t, "the choice", member(onTour, "selection_token", selection, "account_id", "second"))
	kit.MustBeActive(t, "its token", a.Server.IntrospectThrough("members", token.Field("access_token")))
	kit.MustIssue(t, "its refresh", a.Server.RefreshThrough("members", token.Field("refresh_token")))
}
