package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"latchkey/storage"
)

// Where the users of these tests are, and where somebody else is.
const (
	atHome = "192.0.2.10"
	onTour = "198.51.100.20"
	inLair = "203.0.113.66"
)

// behindProxy makes a server believe X-Forwarded-For, so that a test can come
// from anywhere.
const behindProxy = "LATCHKEY_TRUSTED_PROXIES=127.0.0.0/8"

// formFrom sends a form from an address.
func (n *node) formFrom(address, path string, fields ...string) answer {
	return n.do(http.MethodPost, path, formMedia, encode(fields...), "X-Forwarded-For", address)
}

// signInFrom is signIn from an address.
func (n *node) signInFrom(address, username, secret string) answer {
	return n.formFrom(address, "/oauth/token", append(clientFields("shop"),
		"grant_type", "password", "username", username, "password", secret)...)
}

// lockFrom fails from an address until the login is locked for it.
func (a *arena) lockFrom(n *node, address, name string) {
	a.t.Helper()
	for range 10 {
		refused(a.t, "wrong from "+address, n.signInFrom(address, name, wrongCode), refusedSignIn)
	}
	if l := a.login(name); !l.Lockout.Locked(a.clock.now()) {
		a.t.Fatalf("ten failures did not lock: %+v", l.Lockout)
	}
}

// TestLockoutBySource: what somebody does to a login elsewhere.
func TestLockoutBySource(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		enterArena(w, behindProxy).each(t, []arenaTest{
			{"who is locked out", whoIsLockedOut},
			{"sessions of elsewhere go on", sessionsElsewhere},
			{"sessions of the locked source end", sessionsAtTheLock},
			{"guesses at codes", codesOfManyAddresses},
			{"restart and second replica", sourcesPersist},
			{"unlock", unlockEverywhere},
			{"renewal", renewalUnderLock},
			{"selection of an account", selectionUnderLock},
		})
	})
}

// whoIsLockedOut: an attacker locks passwords; the user signs in where it did
// before, and with a mailed code anywhere; the attacker stays out, whatever he
// has.
func whoIsLockedOut(t *testing.T, a *arena) {
	a.enrol("w1")
	granted(t, "at home", a.n.signInFrom(atHome, "w1", janesPassword))
	a.lockFrom(a.n, inLair, "w1")
	refused(t, "right password, lair", a.n.signInFrom(inLair, "w1", janesPassword), refusedSignIn)
	refused(t, "right password, on tour", a.n.signInFrom(onTour, "w1", janesPassword), refusedSignIn)
	granted(t, "password at home", a.n.signInFrom(atHome, "w1", janesPassword))
	code := a.codeThrough(a.n, "shop", "w1")
	granted(t, "code on tour", a.n.signInFrom(onTour, "w1", code))
	granted(t, "password on tour, where the code made it known", a.n.signInFrom(onTour, "w1", janesPassword))
	refused(t, "right password, lair, after all that", a.n.signInFrom(inLair, "w1", janesPassword), refusedSignIn)

	// The other way round: what goes wrong at home locks home.
	for range 10 {
		refused(t, "wrong at home", a.n.signInFrom(atHome, "w1", wrongCode), refusedSignIn)
	}
	refused(t, "right password at home", a.n.signInFrom(atHome, "w1", janesPassword), refusedSignIn)
	granted(t, "right password on tour", a.n.signInFrom(onTour, "w1", janesPassword))
	a.plant("w1", "0123ABCD", nil)
	refused(t, "right code at home", a.n.signInFrom(atHome, "w1", "0123ABCD"), refusedSignIn)
	granted(t, "right code on tour", a.n.signInFrom(onTour, "w1", "0123ABCD"))
}

// standsEverywhere fails the test unless the tokens are as they should be on
// both servers.
func (a *arena) standsEverywhere(t *testing.T, what string, m *node, stands bool, access, refresh string) {
	t.Helper()
	check := isInactive
	if stands {
		check = isActive
	}
	for _, n := range []*node{a.n, m} {
		check(t, what+": access token", n.introspect(access))
		check(t, what+": refresh token", n.introspect(refresh))
	}
}

func sessionsElsewhere(t *testing.T, a *arena) {
	a.enrol("w2")
	m := a.another(behindProxy)
	token := granted(t, "at home", a.n.signInFrom(atHome, "w2", janesPassword))
	access, refresh := token.field("access_token"), token.field("refresh_token")
	a.lockFrom(a.n, inLair, "w2")
	a.standsEverywhere(t, "locked elsewhere", m, true, access, refresh)
	granted(t, "refresh", m.refresh(refresh))
	if got := m.do(http.MethodGet, "/v1/me", "", "", "Authorization", "Bearer "+access); got.status != http.StatusOK {
		t.Errorf("me: %d %s", got.status, got.body)
	}

	// A session that began by a code, under the lock, stands as well.
	a.plant("w2", "0123ABCD", nil)
	token = granted(t, "code on tour", m.signInFrom(onTour, "w2", "0123ABCD"))
	a.standsEverywhere(t, "begun under the lock", m, true, token.field("access_token"), token.field("refresh_token"))
	granted(t, "refresh", a.n.refresh(token.field("refresh_token")))
}

func sessionsAtTheLock(t *testing.T, a *arena) {
	a.enrol("w3")
	m := a.another(behindProxy)
	home := granted(t, "at home", a.n.signInFrom(atHome, "w3", janesPassword))
	tour := granted(t, "on tour", a.n.signInFrom(onTour, "w3", janesPassword))
	a.lockFrom(m, atHome, "w3")
	a.standsEverywhere(t, "locked at home", m, false, home.field("access_token"), home.field("refresh_token"))
	refused(t, "refresh", m.refresh(home.field("refresh_token")), refusedRefresh)
	a.standsEverywhere(t, "on tour", m, true, tour.field("access_token"), tour.field("refresh_token"))
	a.clock.advance(2*time.Minute + time.Second)
	a.standsEverywhere(t, "the lock is over", m, true, home.field("access_token"), home.field("refresh_token"))
}

// codesOfManyAddresses: guesses at a code are counted wherever they come from,
// and keep nobody out who is known.
func codesOfManyAddresses(t *testing.T, a *arena) {
	a.enrol("w4")
	granted(t, "at home", a.n.signInFrom(atHome, "w4", janesPassword))
	for i := range 10 {
		a.plant("w4", "0123ABCD", nil)
		refused(t, "wrong", a.n.signInFrom(fmt.Sprint("203.0.113.", i), "w4", wrongCode), refusedSignIn)
	}
	a.plant("w4", "0123ABCD", nil)
	refused(t, "right code, on tour", a.n.signInFrom(onTour, "w4", "0123ABCD"), refusedSignIn)
	granted(t, "right code, at home", a.n.signInFrom(atHome, "w4", "0123ABCD"))
	refused(t, "right password, on tour", a.n.signInFrom(onTour, "w4", janesPassword), refusedSignIn)
	// Whoever is known gets messages still.
	if code := a.codeThrough(a.n, "shop", "w4"); code == "" {
		t.Error("no code came")
	}
}

func sourcesPersist(t *testing.T, a *arena) {
	a.enrol("w5")
	granted(t, "at home", a.n.signInFrom(atHome, "w5", janesPassword))
	first, second := a.another(behindProxy), a.another(behindProxy)
	for i := range 9 {
		refused(t, "wrong at home", []*node{first, second}[i%2].signInFrom(atHome, "w5", wrongCode), refusedSignIn)
	}
	first.stop()
	second.stop()
	third := a.another(behindProxy)
	refused(t, "the tenth, after a restart", third.signInFrom(atHome, "w5", wrongCode), refusedSignIn)
	refused(t, "locked", third.signInFrom(atHome, "w5", janesPassword), refusedSignIn)
	refused(t, "locked everywhere", a.n.signInFrom(atHome, "w5", janesPassword), refusedSignIn)
}

// unlockEverywhere: an administrator opens all locks at once, for all replicas.
func unlockEverywhere(t *testing.T, a *arena) {
	a.enrol("w6")
	m := a.another(behindProxy)
	granted(t, "at home", a.n.signInFrom(atHome, "w6", janesPassword))
	a.plant("w6", "0123ABCD", nil)
	a.lockFrom(a.n, atHome, "w6")
	refused(t, "locked at home", m.signInFrom(atHome, "w6", janesPassword), refusedSignIn)
	refused(t, "locked on tour", m.signInFrom(onTour, "w6", "0123ABCD"), refusedSignIn)
	a.run("user", "unlock", "w6")
	granted(t, "at home", m.signInFrom(atHome, "w6", janesPassword))
	a.plant("w6", "0123ABCD", nil)
	granted(t, "on tour", m.signInFrom(onTour, "w6", "0123ABCD"))
}

// renewalUnderLock: a code to renew the password comes from the mailbox, so
// guesses at passwords do not keep it out; a new password opens everything.
func renewalUnderLock(t *testing.T, a *arena) {
	a.apply(`MessageSenders: [{ID: renewals, Name: Renewals, MessageTypes: [ForgottenPassword], URL: "` + a.inbox.url +
		`/{messagetype}", SharedKey: ` + sharedKey + `, AllowAllBuyers: true}]`)
	a.enrol("w7")
	a.lockFrom(a.n, inLair, "w7")
	asked := a.n.do(http.MethodPost, "/v1/password/reset", "application/json", `{"ClientID":"shop","Username":"w7"}`)
	if asked.status != http.StatusNoContent {
		t.Fatalf("asked for a renewal: %d %s", asked.status, asked.body)
	}
	m := a.inbox.next(t)
	for m.MessageType != string(storage.MessageForgottenPassword) {
		m = a.inbox.next(t)
	}
	const fresh = "brand-New-9-password"
	got := a.n.do(http.MethodPut, "/v1/password/reset/"+m.EventBody.PasswordRenewalVerificationCode, "application/json",
		`{"ClientID":"shop","Username":"w7","Password":"`+fresh+`"}`, "X-Forwarded-For", onTour)
	if got.status != http.StatusNoContent {
		t.Fatalf("renewal under a lock: %d %s", got.status, got.body)
	}
	granted(t, "new password, on tour", a.n.signInFrom(onTour, "w7", fresh))
}

// selectionUnderLock: a member of two companies chooses one after a code that
// was redeemed under a lock.
func selectionUnderLock(t *testing.T, a *arena) {
	a.apply(`ApiClients: [{ID: members, AppName: Members, ClientSecret: ` + shopSecret + `, Active: true, AccessTokenDuration: 60,
		RefreshTokenDuration: 1440, AllowAnyBuyer: true, AllowedCredentials: [otp, password],
		GrantTypes: [password, refresh_token, "urn:latchkey:params:oauth:grant-type:account-member"]}]`)
	a.enrol("w8")
	ctx := context.WithoutCancel(t.Context())
	closed, err := a.app.store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "acme")
	a.must(err)
	second, err := a.app.store.PutAccount(ctx, storage.Account{
		UID: "acc_second", RealmID: closed.RealmID, Kind: storage.Buyer, ID: "second", Name: "Second", Active: true,
	})
	a.must(err)
	_, err = a.app.store.PutMembership(ctx, storage.Membership{
		ID: "mbr_second", AccountUID: second.UID, UserUID: a.login("w8").UserUID,
	})
	a.must(err)
	a.lockFrom(a.n, inLair, "w8")
	a.plant("w8", "0123ABCD", nil)
	member := func(address string, fields ...string) answer {
		return a.n.formFrom(address, "/oauth/token", append(fields, "client_id", "members", "client_secret", shopSecret,
			"grant_type", "urn:latchkey:params:oauth:grant-type:account-member")...)
	}
	required := member(onTour, "username", "w8", "one_time_password", "0123ABCD")
	selection := required.field("selection_token")
	if selection == "" {
		t.Fatalf("no choice: %d %s", required.status, required.body)
	}
	token := granted(t, "the choice", member(onTour, "selection_token", selection, "account_id", "second"))
	isActive(t, "its token", a.n.introspectAs("members", token.field("access_token")))
	granted(t, "its refresh", a.n.refreshAt("members", token.field("refresh_token")))
}
