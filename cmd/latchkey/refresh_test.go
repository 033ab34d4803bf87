package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

// TestRefresh is the life of refresh tokens, by the test's clock.
func TestRefresh(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		enterArena(w).each(t, []arenaTest{
			{"rotation", rotation},
			{"a repeat within the grace", graceRepeat},
			{"reuse after the grace", reuseKills},
			{"reuse of a token long gone", oldReuseKills},
			{"a delayed request", delayedRefresh},
			{"scope", refreshScope},
			{"scope below the client's minimum", minimumKept},
			{"absolute limit", absoluteLimit},
			{"idle limit", idleLimit},
			{"another client", foreignRefresh},
			{"forged", forgedRefresh},
			{"password change", passwordChange},
			{"revoked", revokedRefresh},
			{"without rotation", vendorRefresh},
			{"lost rights", lostRoles},
			{"many", manyTokens},
		})
	})
}

// pair is what a token answer carries.
type pair struct{ access, refresh string }

func pairOf(t testing.TB, what string, got answer) pair {
	t.Helper()
	granted(t, what, got)
	p := pair{got.field("access_token"), got.field("refresh_token")}
	if p.refresh == "" {
		t.Fatalf("%s: no refresh token: %s", what, got.body)
	}
	return p
}

// session signs a new user in through a client.
func (a *arena) session(clientID, name string) pair {
	a.t.Helper()
	a.enrol(name)
	return pairOf(a.t, "sign-in", a.n.signInTo(clientID, name, janesPassword))
}

// pastGrace is longer than a replaced token still works.
const pastGrace = 61 * time.Second

func rotation(t *testing.T, a *arena) {
	first := a.session("shop", "e1")
	seen := []string{first.refresh}
	for p := first; len(seen) < 5; {
		p = pairOf(t, "refresh", a.n.refresh(p.refresh))
		if slices.Contains(seen, p.refresh) {
			t.Fatal("a refresh token came back")
		}
		seen = append(seen, p.refresh)
		isActive(t, "new refresh token", a.n.introspect(p.refresh))
		isInactive(t, "old refresh token", a.n.introspect(seen[len(seen)-2]))
		isActive(t, "first access token", a.n.introspect(first.access))
		a.clock.advance(pastGrace)
	}
}

// graceRepeat: whoever lost the answer asks again and gets the same one, on any
// replica; after the grace reuse is detected all the same.
func graceRepeat(t *testing.T, a *arena) {
	m := a.another("LATCHKEY_REFRESH_GRACE=60s")
	n := a.another("LATCHKEY_REFRESH_GRACE=60s")
	first := a.session("shop", "e9")
	second := pairOf(t, "refresh", m.refresh(first.refresh))
	for i := range 6 {
		again := pairOf(t, "repeat", []*node{m, n}[i%2].refresh(first.refresh))
		if again.refresh != second.refresh {
			t.Fatalf("repeat %d got another refresh token", i)
		}
		isActive(t, "access token of the repeat", n.introspect(again.access))
	}
	third := pairOf(t, "the successor works", n.refresh(second.refresh))
	if again := pairOf(t, "its repeat", m.refresh(second.refresh)); again.refresh != third.refresh {
		t.Error("the repeat of the successor got another refresh token")
	}
	a.clock.advance(61 * time.Second)
	refused(t, "reuse after the grace", m.refresh(second.refresh), refusedRefresh)
	refused(t, "the family is dead", n.refresh(third.refresh), refusedRefresh)
}

func reuseKills(t *testing.T, a *arena) {
	first := a.session("shop", "e2")
	second := pairOf(t, "refresh", a.n.refresh(first.refresh))
	third := pairOf(t, "refresh", a.n.refresh(second.refresh))
	beside := pairOf(t, "another session of the same user", a.n.signIn("e2", janesPassword))
	a.clock.advance(pastGrace)
	m := a.another()
	refused(t, "reuse", a.n.refresh(second.refresh), refusedRefresh)
	refused(t, "the newest token", m.refresh(third.refresh), refusedRefresh)
	for _, p := range []pair{first, second, third} {
		isInactive(t, "access token of the family", m.introspect(p.access))
		isInactive(t, "refresh token of the family", m.introspect(p.refresh))
		refused(t, "refresh token of the family", a.n.refresh(p.refresh), refusedRefresh)
	}
	isActive(t, "another session", m.introspect(beside.access))
	pairOf(t, "another session", m.refresh(beside.refresh))
}

// oldReuseKills: each token has a grace of its own, which ends although the family
// was refreshed since.
func oldReuseKills(t *testing.T, a *arena) {
	first := a.session("shop", "e2b")
	second := pairOf(t, "refresh", a.n.refresh(first.refresh))
	a.clock.advance(pastGrace / 2)
	third := pairOf(t, "refresh", a.n.refresh(second.refresh))
	a.clock.advance(pastGrace / 2)
	if again := pairOf(t, "the previous token", a.n.refresh(second.refresh)); again.refresh != third.refresh {
		t.Error("the previous token got another successor")
	}
	refused(t, "the token before the previous one", a.n.refresh(first.refresh), refusedRefresh)
	refused(t, "the newest", a.n.refresh(third.refresh), refusedRefresh)
	isInactive(t, "access token", a.n.introspect(third.access))
}

// delayedRefresh: a request that a proxy holds, its retry, and refreshes elsewhere
// meanwhile all get the current token, however many refreshes there were.
func delayedRefresh(t *testing.T, a *arena) {
	m := a.another()
	held := a.session("shop", "e2c")
	newest := pairOf(t, "the retry", m.refresh(held.refresh))
	for range 12 {
		newest = pairOf(t, "refresh", a.n.refresh(newest.refresh))
		a.clock.advance(time.Second)
	}
	if late := pairOf(t, "the held request", m.refresh(held.refresh)); late.refresh != newest.refresh {
		t.Error("the held request got another token than the current one")
	}
	pairOf(t, "the newest", a.n.refresh(newest.refresh))
	a.clock.advance(pastGrace)
	refused(t, "the held request after the grace", m.refresh(held.refresh), refusedRefresh)
	refused(t, "the newest", a.n.refresh(newest.refresh), refusedRefresh)
}

func refreshScope(t *testing.T, a *arena) {
	a.enrol("e5")
	full := granted(t, "all", a.n.signIn("e5", janesPassword))
	token := full.field("refresh_token")
	for _, wider := range []string{"FullAccess", "Shopper BuyerAdmin", "MeAdmin Shopper ProductAdmin"} {
		refused(t, "scope "+wider, a.n.refresh(token, "scope", wider), refusedScope)
	}
	narrow := granted(t, "narrower", a.n.refresh(token, "scope", "Shopper"))
	if got := claimsOf(t, narrow.field("access_token")).Scope; got != "Shopper" {
		t.Errorf("narrower token has scope %q", got)
	}
	next := granted(t, "the next", a.n.refresh(narrow.field("refresh_token")))
	if got := claimsOf(t, next.field("access_token")).Scope; got != "MeAdmin Shopper" {
		t.Errorf("the next token has scope %q, want all", got)
	}
	// What the sign-in did not ask for is not there to be had.
	part := granted(t, "part", a.n.signIn("e5", janesPassword, "scope", "Shopper"))
	refused(t, "more than signed in for", a.n.refresh(part.field("refresh_token"), "scope", "MeAdmin"), refusedScope)
	same := granted(t, "all of that part", a.n.refresh(part.field("refresh_token")))
	if got := claimsOf(t, same.field("access_token")).Scope; got != "Shopper" {
		t.Errorf("refreshed part has scope %q", got)
	}
}

// minimumKept: the client's minimum is about the user's roles, not about what
// the sign-in asked for.
func minimumKept(t *testing.T, a *arena) {
	a.enrol("e5b")
	part := pairOf(t, "part", a.n.signInTo("strict", "e5b", janesPassword, "scope", "Shopper"))
	got := granted(t, "refresh", a.n.refreshAt("strict", part.refresh))
	if scope := claimsOf(t, got.field("access_token")).Scope; scope != "Shopper" {
		t.Errorf("scope %q", scope)
	}
}

// absoluteLimit: refreshing does not move the end, which is 24 hours after the
// sign-in.
func absoluteLimit(t *testing.T, a *arena) {
	begun := a.clock.now()
	p := a.session("shop", "e6")
	for range 7 {
		a.clock.advance(3 * time.Hour)
		p = pairOf(t, "refresh", a.n.refresh(p.refresh))
	}
	a.clock.advance(begun.Add(24*time.Hour - 5*time.Minute).Sub(a.clock.now()))
	p = pairOf(t, "shortly before the end", a.n.refresh(p.refresh))
	a.clock.advance(6 * time.Minute)
	refused(t, "after the end", a.n.refresh(p.refresh), refusedRefresh)
	isInactive(t, "refresh token after the end", a.n.introspect(p.refresh))
}

func idleLimit(t *testing.T, a *arena) {
	p := a.session("lazy", "e6b") // idle for 60 minutes, 3 hours at most
	for range 3 {
		a.clock.advance(55 * time.Minute)
		p = pairOf(t, "used in time", a.n.refreshAt("lazy", p.refresh))
	}
	a.clock.advance(16 * time.Minute)
	refused(t, "after the absolute end", a.n.refreshAt("lazy", p.refresh), refusedRefresh)
	p = pairOf(t, "sign-in", a.n.signInTo("lazy", "e6b", janesPassword))
	a.clock.advance(61 * time.Minute)
	isInactive(t, "idle refresh token", a.n.introspectAs("lazy", p.refresh))
	refused(t, "idle too long", a.n.refreshAt("lazy", p.refresh), refusedRefresh)
	refused(t, "for good", a.n.refreshAt("lazy", p.refresh), refusedRefresh)
}

// foreignRefresh: somebody else's token is refused, used or stale, and its
// family does not suffer.
func foreignRefresh(t *testing.T, a *arena) {
	first := a.session("shop", "e4")
	second := pairOf(t, "refresh", a.n.refresh(first.refresh))
	a.clock.advance(pastGrace)
	for _, client := range []string{"other", "kiosk", "vendor", "lazy"} {
		for _, token := range []string{first.refresh, second.refresh} {
			refused(t, client, a.n.refreshAt(client, token), refusedRefresh)
			isInactive(t, "seen by "+client, a.n.introspectAs("other", token))
		}
	}
	isActive(t, "access token", a.n.introspect(second.access))
	pairOf(t, "its own client", a.n.refresh(second.refresh))
}

func forgedRefresh(t *testing.T, a *arena) {
	first := a.session("shop", "e8")
	second := pairOf(t, "refresh", a.n.refresh(first.refresh))
	a.clock.advance(pastGrace)
	// prefix_FAMILY.GENERATION.PEPPER.SEED.MAC
	old, live := strings.Split(first.refresh, "."), strings.Split(second.refresh, ".")
	if len(live) != 5 || live[1] != "2" {
		t.Fatalf("refresh token %q", second.refresh)
	}
	stranger := strings.Split(a.session("shop", "e8-stranger").refresh, ".")
	with := func(base []string, part int, value string) string {
		parts := slices.Clone(base)
		parts[part] = value
		return strings.Join(parts, ".")
	}
	for what, token := range map[string]string{
		"the old generation under the live MAC": with(live, 1, "1"),
		"the next generation":                   with(live, 1, "3"),
		"generation 0":                          with(live, 1, "0"),
		"a negative generation":                 with(live, 1, "-1"),
		"the generation spelled otherwise":      with(live, 1, "02"),
		"the live generation under an old MAC":  with(old, 1, "2"),
		"another family":                        with(live, 0, stranger[0]),
		"another seed":                          with(live, 3, stranger[3]),
		"another MAC":                           with(live, 4, stranger[4]),
		"another pepper":                        with(live, 2, "nothing"),
		"an empty MAC":                          with(live, 4, ""),
		"the old token with its MAC cut":        first.refresh[:len(first.refresh)-1],
		"padding":                               second.refresh + "=",
		"a line break":                          second.refresh + "\n",
		"another last bit":                      flipLast(second.refresh),
		"the prefix alone":                      "lkr_",
		"nothing much":                          "x",
		"NUL":                                   second.refresh + "\x00",
	} {
		refused(t, what, a.n.refresh(token), refusedRefresh)
		isInactive(t, what, a.n.introspect(token))
		if got := a.n.form("/oauth/revoke", append(clientFields("shop"), "token", token)...); got.status != http.StatusOK {
			t.Errorf("revocation of %s: %d %s", what, got.status, got.body)
		}
		isActive(t, what+": the family's token", a.n.introspect(second.refresh))
	}
	refused(t, "an access token", a.n.refresh(second.access), refusedRefresh)
	pairOf(t, "the real one", a.n.refresh(second.refresh))
}

// flipLast changes the lowest bit of the last base64 character, which 32 bytes
// leave unused: a lax decoder would not see it.
func flipLast(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last^1:last^1+1]
}

// passwordChange with the end of all sessions ends them all: refresh tokens,
// access tokens, and the outstanding code.
func passwordChange(t *testing.T, a *arena) {
	ctx := context.WithoutCancel(t.Context())
	p := a.session("shop", "e7")
	kept := a.session("shop", "e7-kept")
	code := a.codeThrough(a.n, "shop", "e7")
	a.clock.advance(2 * time.Second) // tokens say when by the second
	login := a.login("e7")
	a.must(a.app.store.SetPassword(ctx, login.ID, login.PasswordHash, a.clock.now().UTC(), true))
	login = a.login("e7-kept")
	a.must(a.app.store.SetPassword(ctx, login.ID, login.PasswordHash, a.clock.now().UTC(), false))
	refused(t, "refresh", a.n.refresh(p.refresh), refusedRefresh)
	isInactive(t, "refresh token", a.n.introspect(p.refresh))
	isInactive(t, "access token", a.n.introspect(p.access))
	refused(t, "code sent before", a.n.signIn("e7", code), refusedSignIn)
	pairOf(t, "sessions were kept", a.n.refresh(kept.refresh))
	isActive(t, "sessions were kept", a.n.introspect(kept.access))
	fresh := pairOf(t, "sign-in afterwards", a.n.signIn("e7", janesPassword))
	isActive(t, "new access token", a.n.introspect(fresh.access))
	pairOf(t, "new refresh token", a.n.refresh(fresh.refresh))
	refused(t, "the old one still", a.n.refresh(p.refresh), refusedRefresh)
	isActive(t, "new access token still", a.n.introspect(fresh.access))
}

func revokedRefresh(t *testing.T, a *arena) {
	first := a.session("shop", "g8")
	second := pairOf(t, "refresh", a.n.refresh(first.refresh))
	if got := a.n.form("/oauth/revoke", append(clientFields("shop"), "token", second.refresh)...); got.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", got.status, got.body)
	}
	m := a.another()
	for _, p := range []pair{first, second} {
		refused(t, "refresh", m.refresh(p.refresh), refusedRefresh)
		isInactive(t, "access token", m.introspect(p.access))
		isInactive(t, "refresh token", m.introspect(p.refresh))
	}
}

// vendorRefresh: a client registered in OrderCloud's words sends the same token
// for ever, and it lives as long as it may.
func vendorRefresh(t *testing.T, a *arena) {
	first := a.session("vendor", "e-vendor")
	m := a.another()
	for i := range 7 {
		again := pairOf(t, "refresh", []*node{a.n, m}[i%2].refreshAt("vendor", first.refresh))
		if again.refresh != first.refresh {
			t.Fatalf("refresh %d gave another token", i)
		}
		a.clock.advance(3 * time.Hour)
	}
	tokens := atOnce(10, func(i int) answer { return []*node{a.n, m}[i%2].refreshAt("vendor", first.refresh) })
	for _, got := range tokens {
		if pairOf(t, "parallel", got).refresh != first.refresh {
			t.Error("a parallel refresh gave another token")
		}
	}
	a.clock.advance(4 * time.Hour)
	refused(t, "after the absolute end", a.n.refreshAt("vendor", first.refresh), refusedRefresh)
}

// lostRoles: a refreshed token has no role that the user lost meanwhile.
func lostRoles(t *testing.T, a *arena) {
	a.enrolIn("e7-guild", func(user jsonObject) {
		hash, err := hashOfJane()
		a.must(err)
		user["PasswordHash"] = hash
	}, "e7-member")
	ctx := context.WithoutCancel(t.Context())
	account, err := a.app.store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "e7-guild")
	a.must(err)
	uid := a.login("e7-member").UserUID
	_, err = a.app.store.PutMembership(ctx, storage.Membership{AccountUID: account.UID, UserUID: uid, Roles: []string{"Approver", "Shopper"}})
	a.must(err)
	token := granted(t, "sign-in", a.n.signIn("e7-member", janesPassword))
	if got := claimsOf(t, token.field("access_token")).Scope; got != "Approver Shopper" {
		t.Fatalf("scope %q", got)
	}
	a.must(a.app.store.DeleteMembership(ctx, account.UID, uid))
	got := a.n.refresh(token.field("refresh_token"))
	if got.status == http.StatusOK && claimsOf(t, got.field("access_token")).Scope != "" {
		t.Errorf("scope %q after the membership was removed", claimsOf(t, got.field("access_token")).Scope)
	}
	wanted := a.n.refresh(token.field("refresh_token"), "scope", "Approver")
	if wanted.status != http.StatusBadRequest {
		t.Errorf("the lost role: %d %s", wanted.status, wanted.body)
	}
}

// manyTokens: seeds have 128 bits and none comes twice.
func manyTokens(t *testing.T, a *arena) {
	a.enrolWithout("e8-many")
	seeds := map[string]bool{}
	for range 20 {
		a.plant("e8-many", "01234567", nil)
		p := pairOf(t, "code", a.n.signInTo("kiosk", "e8-many", "01234567"))
		parts := strings.Split(p.refresh, ".")
		if seed := parts[3]; len(seed) != 22 || seeds[seed] {
			t.Fatalf("seed %q of %s", seed, p.refresh)
		}
		seeds[parts[3]] = true
	}
}
