package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

// TestOneTimePasswords is what a one-time password can be used for, and what
// not.
func TestOneTimePasswords(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		enterArena(w).each(t, []arenaTest{
			{"beside the permanent password", besidePassword},
			{"once", redeemedOnce},
			{"a newer code replaces the older", newerReplaces},
			{"another user's", othersCode},
			{"another client's", otherClientsCode},
			{"for another purpose", otherPurpose},
			{"another profile's", otherProfile},
			{"wrong ones count", wrongCodesCount},
			{"no way to set a password", noPasswordChange},
			{"by default", newClientDefaults},
			{"codes only", codesOnly},
			{"amr and auth_time stay", amrStays},
			{"as people type it", asTyped},
			{"shapes", codeShapes},
			{"life", codeLife},
		})
	})
}

func besidePassword(t *testing.T, a *arena) {
	a.enrol("b1")
	before := a.login("b1")
	granted(t, "code", a.n.signIn("b1", a.codeThrough(a.n, "shop", "b1")))
	granted(t, "password", a.n.signIn("b1", janesPassword))
	after := a.login("b1")
	if before.PasswordHash == "" || after.PasswordHash != before.PasswordHash || !after.PasswordSetAt.Equal(before.PasswordSetAt) {
		t.Error("the sign-in with a code touched the permanent password")
	}
}

func redeemedOnce(t *testing.T, a *arena) {
	a.enrol("b2")
	code := a.codeThrough(a.n, "shop", "b2")
	granted(t, "first", a.n.signIn("b2", code))
	refused(t, "second", a.n.signIn("b2", code), refusedSignIn)
	refused(t, "on another replica", a.another().signIn("b2", code), refusedSignIn)
}

func newerReplaces(t *testing.T, a *arena) {
	a.enrol("b8")
	first := a.codeThrough(a.n, "shop", "b8")
	second := a.codeThrough(a.n, "shop", "b8")
	if first == second {
		t.Fatalf("both codes are %s", first)
	}
	refused(t, "first code", a.n.signIn("b8", first), refusedSignIn)
	granted(t, "second code", a.n.signIn("b8", second))
}

func othersCode(t *testing.T, a *arena) {
	a.enrol("b9a", "b9b")
	codeA := a.codeThrough(a.n, "shop", "b9a")
	codeB := a.codeThrough(a.n, "shop", "b9b")
	refused(t, "a's code for b", a.n.signIn("b9b", codeA), refusedSignIn)
	refused(t, "b's code for a", a.n.signIn("b9a", codeB), refusedSignIn)
	refused(t, "b's code for nobody", a.n.signIn("b9nobody", codeB), refusedSignIn)
	if got := [2]int{a.failures("b9a"), a.failures("b9b")}; got != [2]int{1, 1} {
		t.Errorf("failures %v, want one each", got)
	}
	granted(t, "a's own", a.n.signIn("b9a", codeA))
	granted(t, "b's own", a.n.signIn("b9b", codeB))
}

func otherClientsCode(t *testing.T, a *arena) {
	a.enrol("b9c")
	code := a.codeThrough(a.n, "shop", "b9c")
	refused(t, "through another client", a.n.signInTo("other", "b9c", code), refusedSignIn)
	refused(t, "through a client that takes codes only", a.n.signInTo("kiosk", "b9c", code), refusedSignIn)
	if got := a.failures("b9c"); got != 2 {
		t.Errorf("%d failures, want 2", got)
	}
	granted(t, "through its own client, in capitals", a.n.form("/oauth/token", "grant_type", "password",
		"client_id", "SHOP", "client_secret", shopSecret, "username", "b9c", "password", code))
}

// otherPurpose has the server itself send a code for a password reset.
func otherPurpose(t *testing.T, a *arena) {
	a.enrol("b9d")
	now := a.clock.now().UTC()
	a.must(a.app.store.AddCodeRequest(context.WithoutCancel(t.Context()), storage.CodeRequest{
		ID: "reset_b9d", ClientID: "shop", ProfileID: storage.DefaultProfileID, Username: "b9d",
		Purpose: storage.PurposeResetPassword, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}))
	code := a.inbox.next(t).EventBody.OneTimePassword
	refused(t, "reset code at sign-in", a.n.signIn("b9d", code), refusedSignIn)
	if l := a.login("b9d"); l.Lockout.Failures != 1 || !l.Code.UsedAt.IsZero() {
		t.Errorf("%d failures, code used at %v; want one and the code untouched", l.Lockout.Failures, l.Code.UsedAt)
	}
}

// otherProfile has two people of one name in two profiles.
func otherProfile(t *testing.T, a *arena) {
	a.enrol("dual")
	a.enrolIn("acme", func(user jsonObject) { user["ID"], user["PasswordProfileID"] = "dual-of-branch", "digits" }, "dual")
	atShop, atBranch := a.codeThrough(a.n, "shop", "dual"), a.codeThrough(a.n, "branch", "dual")
	refused(t, "shop's code at branch", a.n.signInTo("branch", "dual", atShop), refusedSignIn)
	refused(t, "branch's code at shop", a.n.signIn("dual", atBranch), refusedSignIn)
	mine := granted(t, "shop's code at shop", a.n.signIn("dual", atShop))
	theirs := granted(t, "branch's code at branch", a.n.signInTo("branch", "dual", atBranch))
	if claimsOf(t, mine.field("access_token")).Sub == claimsOf(t, theirs.field("access_token")).Sub {
		t.Error("both tokens are of one subject")
	}
	// Even a code that is bound to no client stays in its profile.
	a.plant("dual", "01234567", func(c *storage.Code) { c.ClientID = "" })
	refused(t, "unbound code at branch", a.n.signInTo("branch", "dual", "01234567"), refusedSignIn)
	granted(t, "unbound code at shop", a.n.signIn("dual", "01234567"))
}

func wrongCodesCount(t *testing.T, a *arena) {
	a.enrol("b13", "b14")
	code := a.codeThrough(a.n, "shop", "b13")
	for i := range 10 {
		client := []string{"shop", "kiosk", "other"}[i%3]
		refused(t, "wrong code", a.n.signInTo(client, "b13", wrongCode), refusedSignIn)
	}
	refused(t, "right code after ten wrong ones", a.n.signIn("b13", code), refusedSignIn)
	refused(t, "password after ten wrong codes", a.n.signIn("b13", janesPassword), refusedSignIn)

	// One success in between and the count begins again.
	for range 9 {
		refused(t, "wrong code", a.n.signInTo("kiosk", "b14", wrongCode), refusedSignIn)
	}
	granted(t, "success before the limit", a.n.signIn("b14", a.codeThrough(a.n, "shop", "b14")))
	refused(t, "one more failure", a.n.signInTo("kiosk", "b14", wrongCode), refusedSignIn)
	if got := a.failures("b14"); got != 1 {
		t.Errorf("%d failures after a success, want 1", got)
	}
	granted(t, "not locked", a.n.signIn("b14", janesPassword))
}

// noPasswordChange: nothing that the dialect knows sets a password with what a
// code yields.
func noPasswordChange(t *testing.T, a *arena) {
	a.enrol("b12")
	token := granted(t, "code", a.n.signIn("b12", a.codeThrough(a.n, "shop", "b12"))).field("access_token")
	code := a.codeThrough(a.n, "shop", "b12")
	before := a.login("b12").PasswordHash
	for _, call := range [][3]string{
		{http.MethodPost, "/v1/me/password", `{"NewPassword":"other-Horse-7-battery"}`},
		{http.MethodPatch, "/v1/me", `{"Password":"other-Horse-7-battery"}`},
		{http.MethodPut, "/v1/me", `{"ID":"b12","Username":"b12","Password":"other-Horse-7-battery"}`},
		{http.MethodPut, "/v1/buyers/acme/users/b12", `{"Username":"b12","Password":"other-Horse-7-battery"}`},
		{http.MethodPut, "/v1/password/reset/" + code, `{"ClientID":"shop","Username":"b12","Password":"other-Horse-7-battery"}`},
	} {
		got := a.n.do(call[0], call[1], "application/json", call[2], "Authorization", "Bearer "+token)
		if got.status < 400 || got.status >= 500 {
			t.Errorf("%s %s: %d %s", call[0], call[1], got.status, got.body)
		}
	}
	if a.login("b12").PasswordHash != before {
		t.Error("the password was changed")
	}
	granted(t, "old password", a.n.signIn("b12", janesPassword))
}

// newClientDefaults: a new client may not use the password grant until it is
// told so.
func newClientDefaults(t *testing.T, a *arena) {
	a.enrol("b15")
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	a.must(json.Unmarshal([]byte(a.run("client", "create", "--name", "Fresh")), &made))
	got := a.n.form("/oauth/token", "grant_type", "password", "client_id", made.ID, "client_secret", made.Secret,
		"username", "b15", "password", janesPassword)
	if got.status != http.StatusBadRequest || got.field("error") != "unauthorized_client" {
		t.Errorf("password grant of a new client: %d %s", got.status, got.body)
	}
	if got := a.failures("b15"); got != 0 {
		t.Errorf("%d failures, want none", got)
	}
	asked := a.n.askForCodeThrough(made.ID, "b15", "")
	if asked.status != http.StatusBadRequest || !strings.Contains(asked.body, "OneTimePasswordRequest.NotEnabled") {
		t.Errorf("code through a new client: %d %s", asked.status, asked.body)
	}
}

func codesOnly(t *testing.T, a *arena) {
	a.enrol("b15b")
	refused(t, "permanent password", a.n.signInTo("codes-only", "b15b", janesPassword), refusedSignIn)
	if got := a.failures("b15b"); got != 1 {
		t.Errorf("%d failures, want 1", got)
	}
	granted(t, "code", a.n.signInTo("codes-only", "b15b", a.codeThrough(a.n, "codes-only", "b15b")))
}

func amrStays(t *testing.T, a *arena) {
	a.enrol("b16")
	for _, factor := range []struct{ amr, secret string }{
		{"otp", a.codeThrough(a.n, "shop", "b16")}, {"pwd", janesPassword},
	} {
		token := granted(t, factor.amr, a.n.signIn("b16", factor.secret))
		first := claimsOf(t, token.field("access_token"))
		if !slices.Equal(first.AMR, []string{factor.amr}) || first.AuthTime == 0 || first.AuthTime != first.Iat {
			t.Errorf("first token: %+v, want amr [%s] and auth_time = iat", first, factor.amr)
		}
		for range 3 {
			a.clock.advance(20 * time.Minute)
			token = granted(t, "refresh", a.n.refresh(token.field("refresh_token")))
			next := claimsOf(t, token.field("access_token"))
			if !slices.Equal(next.AMR, first.AMR) || next.AuthTime != first.AuthTime || next.Sub != first.Sub || next.Iat < first.Iat+20*60 {
				t.Errorf("refreshed token: %+v, first was %+v", next, first)
			}
		}
		if got := a.n.introspect(token.field("access_token")); !strings.Contains(got.body, fmt.Sprintf(`"auth_time":%d,"amr":["%s"]`, first.AuthTime, factor.amr)) {
			t.Errorf("introspection: %s", got.body)
		}
	}
}

func asTyped(t *testing.T, a *arena) {
	a.enrol("b17")
	for _, typed := range []string{
		"01AB23XY", "01ab23xy", "01AB-23XY", "01ab 23xy", " 01AB23XY\t", "oIab23xy", "OlAB23XY", "oLab23xY",
		"01AB\u201323XY", "0 1 a b - 2 3 x y", "01AB23X\u0059\u0301", "01AB\u200b23XY",
	} {
		a.plant("b17", "01AB23XY", nil)
		granted(t, fmt.Sprintf("%q", typed), a.n.signInTo("kiosk", "b17", typed))
	}
	a.plant("b17", "01AB23XY", nil)
	for _, typed := range []string{"01AB23XZ", "01AB23X", "01AB23XYY", "01AB23X\u0416", "0LAB23XU", "%"} {
		refused(t, fmt.Sprintf("%q", typed), a.n.signInTo("kiosk", "b17", typed), refusedSignIn)
	}
	granted(t, "still the code", a.n.signInTo("kiosk", "b17", "01AB23XY"))
}

func codeShapes(t *testing.T, a *arena) {
	a.enrol("shape")
	a.enrolIn("acme", func(user jsonObject) { user["PasswordProfileID"] = "digits" }, "shape6")
	for client, shape := range map[string]string{"shop": "^[0-9A-HJKMNP-TV-Z]{8}$", "branch": "^[0-9]{6}$"} {
		name := map[string]string{"shop": "shape", "branch": "shape6"}[client]
		seen := map[string]bool{}
		for range 12 {
			code := a.codeThrough(a.n, client, name)
			if !regexp.MustCompile(shape).MatchString(code) {
				t.Errorf("code %q, want %s", code, shape)
			}
			seen[code] = true
		}
		if len(seen) < 11 { // six digits repeat once in fifteen thousand such runs
			t.Errorf("%d different codes of 12", len(seen))
		}
	}
	code := a.codeThrough(a.n, "branch", "shape6")
	granted(t, "six digits", a.n.signInTo("branch", "shape6", code[:3]+"-"+code[3:]))
}

// codeLife: a code lives to the second, by the clock of whoever redeems it, and
// for ten minutes at most whatever the profile says.
func codeLife(t *testing.T, a *arena) {
	a.enrol("b4")
	late, early := &clock{}, &clock{}
	replicas := []struct {
		name  string
		n     *node
		clock *clock
		skew  time.Duration
	}{
		{"the replica that was asked", a.n, &a.clock, 0},
		{"a replica a minute ahead", a.replica(early), early, time.Minute},
		{"a replica a minute behind", a.replica(late), late, -time.Minute},
	}
	for _, r := range replicas {
		for _, test := range []struct {
			left time.Duration
			want int
		}{{9 * time.Minute, http.StatusOK}, {2 * time.Second, http.StatusOK}, {-2 * time.Second, http.StatusBadRequest}} {
			got := a.redeemWith(r.n, r.clock, r.skew, test.left)
			if got.status != test.want || test.want != http.StatusOK && got.body != refusedSignIn {
				t.Errorf("on %s, %s before the end: %d %s", r.name, test.left, got.status, got.body)
			}
		}
	}
	profile, err := a.app.store.PasswordProfile(t.Context(), storage.DefaultProfileID)
	a.must(err)
	profile.CodeTTL = 24 * time.Hour
	_, err = a.app.store.PutPasswordProfile(t.Context(), profile)
	a.must(err)
	asked := a.clock.now()
	a.codeThrough(a.n, "kiosk", "b4")
	if life := a.login("b4").Code.ExpiresAt.Sub(asked); life > 10*time.Minute+5*time.Second {
		t.Errorf("a code lives for %s", life)
	}
}

// redeemWith asks for a code on the first replica and redeems it on another
// one when its clock says that so much of the code's life is left. If that took
// so long that the code may have expired on the way, it begins again, with a
// planted code, since how often one may ask is limited.
func (a *arena) redeemWith(n *node, c *clock, skew, left time.Duration) answer {
	a.t.Helper()
	c.ahead.Store(a.clock.ahead.Load() + int64(skew))
	for code := a.codeThrough(a.n, "kiosk", "b4"); ; code = "01234567" {
		if code == "01234567" {
			a.plant("b4", code, nil)
		}
		a.settled()
		begin := time.Now()
		c.advance(a.login("b4").Code.ExpiresAt.Add(-left).Sub(c.now()))
		got := n.signInTo("kiosk", "b4", code)
		if c != &a.clock { // leave its workers the skew that they are meant to have
			c.ahead.Store(a.clock.ahead.Load() + int64(skew))
		}
		if left < 0 || time.Since(begin) < left {
			return got
		}
	}
}
