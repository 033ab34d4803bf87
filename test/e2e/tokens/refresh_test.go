package tokens

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestRefresh tests that refresh tokens rotate, have a grace period and end. The test sets the
// clock.
func TestRefresh(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		kit.NewOneServer(w).Each(t, []kit.OneServerTest{
			{Name: "rotation", Run: rotation},
			{Name: "a repeat within the grace", Run: graceRepeat},
			{Name: "reuse after the grace", Run: reuseKills},
			{Name: "reuse of a token long gone", Run: oldReuseKills},
			{Name: "a delayed request", Run: delayedRefresh},
			{Name: "scope", Run: refreshScope},
			{Name: "scope below the client's minimum", Run: minimumKept},
			{Name: "absolute limit", Run: absoluteLimit},
			{Name: "idle limit", Run: idleLimit},
			{Name: "another client", Run: foreignRefresh},
			{Name: "forged", Run: forgedRefresh},
			{Name: "password change", Run: passwordChange},
			{Name: "revoked", Run: revokedRefresh},
			{Name: "without rotation", Run: vendorRefresh},
			{Name: "lost rights", Run: lostRoles},
			{Name: "many", Run: manyTokens},
		})
	})
}

func rotation(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("shop", "e1")
	seen := []string{first.Refresh}
	for p := first; len(seen) < 5; {
		p = kit.TokenPairOf(t, "refresh", a.Server.Refresh(p.Refresh))
		if slices.Contains(seen, p.Refresh) {
			t.Fatal("got the same refresh token twice")
		}
		seen = append(seen, p.Refresh)
		kit.MustBeActive(t, "new refresh token", a.Server.Introspect(p.Refresh))
		kit.MustBeInactive(t, "old refresh token", a.Server.Introspect(seen[len(seen)-2]))
		kit.MustBeActive(t, "first access token", a.Server.Introspect(first.Access))
		a.Clock.Advance(kit.AfterRefreshGrace)
	}
}

// graceRepeat tests that a client that lost the answer and asks again gets the same answer, on
// any replica. After the grace period, reuse is detected.
func graceRepeat(t *testing.T, a *kit.OneServer) {
	m := a.StartServer("LATCHKEY_REFRESH_GRACE=60s")
	n := a.StartServer("LATCHKEY_REFRESH_GRACE=60s")
	first := a.SignIn("shop", "e9")
	second := kit.TokenPairOf(t, "refresh", m.Refresh(first.Refresh))
	for i := range 6 {
		again := kit.TokenPairOf(t, "repeat", []*kit.Server{m, n}[i%2].Refresh(first.Refresh))
		if again.Refresh != second.Refresh {
			t.Fatalf("repeat %d: got another refresh token, want the same", i)
		}
		kit.MustBeActive(t, "access token of the repeat", n.Introspect(again.Access))
	}
	third := kit.TokenPairOf(t, "the successor works", n.Refresh(second.Refresh))
	if again := kit.TokenPairOf(t, "its repeat", m.Refresh(second.Refresh)); again.Refresh != third.Refresh {
		t.Error("repeat of the successor: got another refresh token, want the same")
	}
	a.Clock.Advance(61 * time.Second)
	kit.MustRefuse(t, "reuse after the grace", m.Refresh(second.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustRefuse(t, "the family is dead", n.Refresh(third.Refresh), kit.InvalidRefreshTokenBody)
}

func reuseKills(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("shop", "e2")
	second := kit.TokenPairOf(t, "refresh", a.Server.Refresh(first.Refresh))
	third := kit.TokenPairOf(t, "refresh", a.Server.Refresh(second.Refresh))
	beside := kit.TokenPairOf(t, "another session of the same user", a.Server.SignIn("e2", kit.Password))
	a.Clock.Advance(kit.AfterRefreshGrace)
	m := a.StartServer()
	kit.MustRefuse(t, "reuse", a.Server.Refresh(second.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustRefuse(t, "the newest token", m.Refresh(third.Refresh), kit.InvalidRefreshTokenBody)
	for _, p := range []kit.TokenPair{first, second, third} {
		kit.MustBeInactive(t, "access token of the family", m.Introspect(p.Access))
		kit.MustBeInactive(t, "refresh token of the family", m.Introspect(p.Refresh))
		kit.MustRefuse(t, "refresh token of the family", a.Server.Refresh(p.Refresh), kit.InvalidRefreshTokenBody)
	}
	kit.MustBeActive(t, "another session", m.Introspect(beside.Access))
	kit.TokenPairOf(t, "another session", m.Refresh(beside.Refresh))
}

// oldReuseKills tests that each token has its own grace period, which ends even if the family
// was refreshed in between.
func oldReuseKills(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("shop", "e2b")
	second := kit.TokenPairOf(t, "refresh", a.Server.Refresh(first.Refresh))
	a.Clock.Advance(kit.AfterRefreshGrace / 2)
	third := kit.TokenPairOf(t, "refresh", a.Server.Refresh(second.Refresh))
	a.Clock.Advance(kit.AfterRefreshGrace / 2)
	if again := kit.TokenPairOf(t, "the previous token", a.Server.Refresh(second.Refresh)); again.Refresh != third.Refresh {
		t.Error("the previous token: got another successor, want the same")
	}
	kit.MustRefuse(t, "the token before the previous one", a.Server.Refresh(first.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustRefuse(t, "the newest", a.Server.Refresh(third.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustBeInactive(t, "access token", a.Server.Introspect(third.Access))
}

// delayedRefresh tests that a request that a proxy delayed, its retry, and refreshes elsewhere
// in that time all get the current token, however many refreshes there were.
func delayedRefresh(t *testing.T, a *kit.OneServer) {
	m := a.StartServer()
	held := a.SignIn("shop", "e2c")
	newest := kit.TokenPairOf(t, "the retry", m.Refresh(held.Refresh))
	for range 12 {
		newest = kit.TokenPairOf(t, "refresh", a.Server.Refresh(newest.Refresh))
		a.Clock.Advance(time.Second)
	}
	if late := kit.TokenPairOf(t, "the held request", m.Refresh(held.Refresh)); late.Refresh != newest.Refresh {
		t.Error("the delayed request: got another token, want the current one")
	}
	kit.TokenPairOf(t, "the newest", a.Server.Refresh(newest.Refresh))
	a.Clock.Advance(kit.AfterRefreshGrace)
	kit.MustRefuse(t, "the held request after the grace", m.Refresh(held.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustRefuse(t, "the newest", a.Server.Refresh(newest.Refresh), kit.InvalidRefreshTokenBody)
}

func refreshScope(t *testing.T, a *kit.OneServer) {
	a.AddUsers("e5")
	full := kit.MustIssue(t, "all", a.Server.SignIn("e5", kit.Password))
	token := full.Field("refresh_token")
	for _, wider := range []string{"FullAccess", "Shopper BuyerAdmin", "MeAdmin Shopper ProductAdmin"} {
		kit.MustRefuse(t, "scope "+wider, a.Server.Refresh(token, "scope", wider), kit.InvalidScopeBody)
	}
	narrow := kit.MustIssue(t, "narrower", a.Server.Refresh(token, "scope", "Shopper"))
	if got := kit.ClaimsOf(t, narrow.Field("access_token")).Scope; got != "Shopper" {
		t.Errorf("narrower token: got the scope %q, want \"Shopper\"", got)
	}
	next := kit.MustIssue(t, "the next", a.Server.Refresh(narrow.Field("refresh_token")))
	if got := kit.ClaimsOf(t, next.Field("access_token")).Scope; got != "MeAdmin Shopper" {
		t.Errorf("the next token: got the scope %q, want all", got)
	}
	// A refresh cannot add what the sign-in did not request.
	part := kit.MustIssue(t, "part", a.Server.SignIn("e5", kit.Password, "scope", "Shopper"))
	kit.MustRefuse(t, "more than signed in for", a.Server.Refresh(part.Field("refresh_token"), "scope", "MeAdmin"), kit.InvalidScopeBody)
	same := kit.MustIssue(t, "all of that part", a.Server.Refresh(part.Field("refresh_token")))
	if got := kit.ClaimsOf(t, same.Field("access_token")).Scope; got != "Shopper" {
		t.Errorf("refreshed part: got the scope %q, want \"Shopper\"", got)
	}
}

// minimumKept tests that the client's minimum applies to the roles of the user, not to the
// scope of the request.
func minimumKept(t *testing.T, a *kit.OneServer) {
	a.AddUsers("e5b")
	part := kit.TokenPairOf(t, "part", a.Server.SignInThrough("strict", "e5b", kit.Password, "scope", "Shopper"))
	got := kit.MustIssue(t, "refresh", a.Server.RefreshThrough("strict", part.Refresh))
	if scope := kit.ClaimsOf(t, got.Field("access_token")).Scope; scope != "Shopper" {
		t.Errorf("got the scope %q", scope)
	}
}

// absoluteLimit tests that refreshing does not change the end, which is 24 hours after the
// sign-in.
func absoluteLimit(t *testing.T, a *kit.OneServer) {
	begun := a.Clock.Now()
	p := a.SignIn("shop", "e6")
	for range 7 {
		a.Clock.Advance(3 * time.Hour)
		p = kit.TokenPairOf(t, "refresh", a.Server.Refresh(p.Refresh))
	}
	a.Clock.Advance(begun.Add(24*time.Hour - 5*time.Minute).Sub(a.Clock.Now()))
	p = kit.TokenPairOf(t, "shortly before the end", a.Server.Refresh(p.Refresh))
	a.Clock.Advance(6 * time.Minute)
	kit.MustRefuse(t, "after the end", a.Server.Refresh(p.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustBeInactive(t, "refresh token after the end", a.Server.Introspect(p.Refresh))
}

func idleLimit(t *testing.T, a *kit.OneServer) {
	p := a.SignIn("lazy", "e6b") // at most 60 minutes idle, and at most 3 hours in total
	for range 3 {
		a.Clock.Advance(55 * time.Minute)
		p = kit.TokenPairOf(t, "used in time", a.Server.RefreshThrough("lazy", p.Refresh))
	}
	a.Clock.Advance(16 * time.Minute)
	kit.MustRefuse(t, "after the absolute end", a.Server.RefreshThrough("lazy", p.Refresh), kit.InvalidRefreshTokenBody)
	p = kit.TokenPairOf(t, "sign-in", a.Server.SignInThrough("lazy", "e6b", kit.Password))
	a.Clock.Advance(61 * time.Minute)
	kit.MustBeInactive(t, "idle refresh token", a.Server.IntrospectThrough("lazy", p.Refresh))
	kit.MustRefuse(t, "idle too long", a.Server.RefreshThrough("lazy", p.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustRefuse(t, "for good", a.Server.RefreshThrough("lazy", p.Refresh), kit.InvalidRefreshTokenBody)
}

// foreignRefresh tests that another client's token is refused, whether it is used or stale, and
// that its family stays valid.
func foreignRefresh(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("shop", "e4")
	second := kit.TokenPairOf(t, "refresh", a.Server.Refresh(first.Refresh))
	a.Clock.Advance(kit.AfterRefreshGrace)
	for _, client := range []string{"other", "kiosk", "vendor", "lazy"} {
		for _, token := range []string{first.Refresh, second.Refresh} {
			kit.MustRefuse(t, client, a.Server.RefreshThrough(client, token), kit.InvalidRefreshTokenBody)
			kit.MustBeInactive(t, "seen by "+client, a.Server.IntrospectThrough("other", token))
		}
	}
	kit.MustBeActive(t, "access token", a.Server.Introspect(second.Access))
	kit.TokenPairOf(t, "its own client", a.Server.Refresh(second.Refresh))
}

func forgedRefresh(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("shop", "e8")
	second := kit.TokenPairOf(t, "refresh", a.Server.Refresh(first.Refresh))
	a.Clock.Advance(kit.AfterRefreshGrace)
	// A refresh token has the form prefix_FAMILY.GENERATION.PEPPER.SEED.MAC.
	old, live := strings.Split(first.Refresh, "."), strings.Split(second.Refresh, ".")
	if len(live) != 5 || live[1] != "2" {
		t.Fatalf("got the refresh token %q", second.Refresh)
	}
	stranger := strings.Split(a.SignIn("shop", "e8-stranger").Refresh, ".")
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
		"the old token with its MAC cut":        first.Refresh[:len(first.Refresh)-1],
		"padding":                               second.Refresh + "=",
		"a line break":                          second.Refresh + "\n",
		"another last bit":                      flipLast(second.Refresh),
		"the prefix alone":                      "lkr_",
		"nothing much":                          "x",
		"NUL":                                   second.Refresh + "\x00",
	} {
		kit.MustRefuse(t, what, a.Server.Refresh(token), kit.InvalidRefreshTokenBody)
		kit.MustBeInactive(t, what, a.Server.Introspect(token))
		if got := a.Server.Form("/oauth/revoke", append(kit.ClientFields("shop"), "token", token)...); got.Status != http.StatusOK {
			t.Errorf("revocation of %s: got %d %s, want 200", what, got.Status, got.Body)
		}
		kit.MustBeActive(t, what+": the family's token", a.Server.Introspect(second.Refresh))
	}
	kit.MustRefuse(t, "an access token", a.Server.Refresh(second.Access), kit.InvalidRefreshTokenBody)
	kit.TokenPairOf(t, "the real one", a.Server.Refresh(second.Refresh))
}

// flipLast changes the lowest bit of the last base64 character. 32 bytes do not use this bit,
// so a tolerant decoder would ignore the change.
func flipLast(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last^1:last^1+1]
}

// passwordChange tests that a password change with the end of all sessions ends refresh tokens,
// access tokens and the issued code.
func passwordChange(t *testing.T, a *kit.OneServer) {
	ctx := context.WithoutCancel(t.Context())
	p := a.SignIn("shop", "e7")
	kept := a.SignIn("shop", "e7-kept")
	code := a.RequestCode(a.Server, "shop", "e7")
	a.Clock.Advance(2 * time.Second) // the times in tokens are in seconds
	login := a.Login("e7")
	a.Must(a.App.Store.SetPassword(ctx, login.ID, login.PasswordHash, a.Clock.Now().UTC(), true))
	login = a.Login("e7-kept")
	a.Must(a.App.Store.SetPassword(ctx, login.ID, login.PasswordHash, a.Clock.Now().UTC(), false))
	kit.MustRefuse(t, "refresh", a.Server.Refresh(p.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustBeInactive(t, "refresh token", a.Server.Introspect(p.Refresh))
	kit.MustBeInactive(t, "access token", a.Server.Introspect(p.Access))
	kit.MustRefuse(t, "code sent before", a.Server.SignIn("e7", code), kit.WrongCredentialsBody)
	kit.TokenPairOf(t, "sessions were kept", a.Server.Refresh(kept.Refresh))
	kit.MustBeActive(t, "sessions were kept", a.Server.Introspect(kept.Access))
	fresh := kit.TokenPairOf(t, "sign-in afterwards", a.Server.SignIn("e7", kit.Password))
	kit.MustBeActive(t, "new access token", a.Server.Introspect(fresh.Access))
	kit.TokenPairOf(t, "new refresh token", a.Server.Refresh(fresh.Refresh))
	kit.MustRefuse(t, "the old one still", a.Server.Refresh(p.Refresh), kit.InvalidRefreshTokenBody)
	kit.MustBeActive(t, "new access token still", a.Server.Introspect(fresh.Access))
}

func revokedRefresh(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("shop", "g8")
	second := kit.TokenPairOf(t, "refresh", a.Server.Refresh(first.Refresh))
	if got := a.Server.Form("/oauth/revoke", append(kit.ClientFields("shop"), "token", second.Refresh)...); got.Status != http.StatusOK {
		t.Fatalf("revocation: got %d %s, want 200", got.Status, got.Body)
	}
	m := a.StartServer()
	for _, p := range []kit.TokenPair{first, second} {
		kit.MustRefuse(t, "refresh", m.Refresh(p.Refresh), kit.InvalidRefreshTokenBody)
		kit.MustBeInactive(t, "access token", m.Introspect(p.Access))
		kit.MustBeInactive(t, "refresh token", m.Introspect(p.Refresh))
	}
}

// vendorRefresh tests that a client that was created through OrderCloud's API always sends the
// same refresh token, until the token expires.
func vendorRefresh(t *testing.T, a *kit.OneServer) {
	first := a.SignIn("vendor", "e-vendor")
	m := a.StartServer()
	for i := range 7 {
		again := kit.TokenPairOf(t, "refresh", []*kit.Server{a.Server, m}[i%2].RefreshThrough("vendor", first.Refresh))
		if again.Refresh != first.Refresh {
			t.Fatalf("refresh %d: got another token, want the same", i)
		}
		a.Clock.Advance(3 * time.Hour)
	}
	tokens := kit.Concurrently(10, func(i int) kit.Response {
		return []*kit.Server{a.Server, m}[i%2].RefreshThrough("vendor", first.Refresh)
	})
	for _, got := range tokens {
		if kit.TokenPairOf(t, "parallel", got).Refresh != first.Refresh {
			t.Error("a parallel refresh: got another token, want the same")
		}
	}
	a.Clock.Advance(4 * time.Hour)
	kit.MustRefuse(t, "after the absolute end", a.Server.RefreshThrough("vendor", first.Refresh), kit.InvalidRefreshTokenBody)
}

// lostRoles tests that a refreshed token does not have roles that the user has lost.
func lostRoles(t *testing.T, a *kit.OneServer) {
	a.AddUsersTo("e7-guild", func(user kit.Object) {
		hash, err := kit.PasswordHash()
		a.Must(err)
		user["PasswordHash"] = hash
	}, "e7-member")
	ctx := context.WithoutCancel(t.Context())
	account, err := a.App.Store.Account(ctx, storage.DefaultRealmID, storage.Buyer, "e7-guild")
	a.Must(err)
	uid := a.Login("e7-member").UserUID
	member, err := a.App.Store.PutMembership(ctx, storage.Membership{AccountUID: account.UID, UserUID: uid, Roles: []string{"Approver", "Shopper"}})
	a.Must(err)
	token := kit.MustIssue(t, "sign-in", a.Server.SignIn("e7-member", kit.Password))
	if got := kit.ClaimsOf(t, token.Field("access_token")).Scope; got != "Approver Shopper" {
		t.Fatalf("got scope %q, want \"Approver Shopper\"", got)
	}
	a.Must(a.App.Store.DeleteMembership(ctx, member.ID, member.Version))
	got := a.Server.Refresh(token.Field("refresh_token"))
	if got.Status == http.StatusOK && kit.ClaimsOf(t, got.Field("access_token")).Scope != "" {
		t.Errorf("after the membership was removed: got the scope %q, want none", kit.ClaimsOf(t, got.Field("access_token")).Scope)
	}
	wanted := a.Server.Refresh(token.Field("refresh_token"), "scope", "Approver")
	if wanted.Status != http.StatusBadRequest {
		t.Errorf("the lost role: got %d %s, want 400", wanted.Status, wanted.Body)
	}
}

// manyTokens tests that seeds have 128 bits and do not repeat.
func manyTokens(t *testing.T, a *kit.OneServer) {
	a.AddUsersWithoutPassword("e8-many")
	seeds := map[string]bool{}
	for range 20 {
		a.StoreCode("e8-many", "01234567", nil)
		p := kit.TokenPairOf(t, "code", a.Server.SignInThrough("kiosk", "e8-many", "01234567"))
		parts := strings.Split(p.Refresh, ".")
		if seed := parts[3]; len(seed) != 22 || seeds[seed] {
			t.Fatalf("got the seed %q of %s, want a new one of 128 bits", seed, p.Refresh)
		}
		seeds[parts[3]] = true
	}
}
