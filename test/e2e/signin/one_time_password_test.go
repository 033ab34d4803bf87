package signin

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
	"latchkey/test/e2e/kit"
)

// TestOneTimePasswords tests that a one-time password works once, for its login and client,
// until it expires or a newer one replaces it.
func TestOneTimePasswords(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		kit.NewOneServer(w).Each(t, []kit.OneServerTest{
			{Name: "beside the permanent password", Run: besidePassword},
			{Name: "once", Run: redeemedOnce},
			{Name: "a newer code replaces the older", Run: newerReplaces},
			{Name: "another user's", Run: othersCode},
			{Name: "another client's", Run: otherClientsCode},
			{Name: "for another purpose", Run: otherPurpose},
			{Name: "another profile's", Run: otherProfile},
			{Name: "wrong ones count", Run: wrongCodesCount},
			{Name: "no way to set a password", Run: noPasswordChange},
			{Name: "by default", Run: newClientDefaults},
			{Name: "codes only", Run: codesOnly},
			{Name: "amr and auth_time stay", Run: amrStays},
			{Name: "as people type it", Run: asTyped},
			{Name: "shapes", Run: codeShapes},
			{Name: "life", Run: codeLife},
		})
	})
}

func besidePassword(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b1")
	before := a.Login("b1")
	kit.MustIssue(t, "code", a.Server.SignIn("b1", a.RequestCode(a.Server, "shop", "b1")))
	kit.MustIssue(t, "password", a.Server.SignIn("b1", kit.Password))
	after := a.Login("b1")
	if before.PasswordHash == "" || after.PasswordHash != before.PasswordHash || !after.PasswordSetAt.Equal(before.PasswordSetAt) {
		t.Error("the sign-in with a code changed the permanent password")
	}
}

func redeemedOnce(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b2")
	code := a.RequestCode(a.Server, "shop", "b2")
	kit.MustIssue(t, "first", a.Server.SignIn("b2", code))
	kit.MustRefuse(t, "second", a.Server.SignIn("b2", code), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "on another replica", a.StartServer().SignIn("b2", code), kit.WrongCredentialsBody)
}

func newerReplaces(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b8")
	first := a.RequestCode(a.Server, "shop", "b8")
	second := a.RequestCode(a.Server, "shop", "b8")
	if first == second {
		t.Fatalf("got the same code %s twice", first)
	}
	kit.MustRefuse(t, "first code", a.Server.SignIn("b8", first), kit.WrongCredentialsBody)
	kit.MustIssue(t, "second code", a.Server.SignIn("b8", second))
}

func othersCode(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b9a", "b9b")
	codeA := a.RequestCode(a.Server, "shop", "b9a")
	codeB := a.RequestCode(a.Server, "shop", "b9b")
	kit.MustRefuse(t, "a's code for b", a.Server.SignIn("b9b", codeA), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "b's code for a", a.Server.SignIn("b9a", codeB), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "b's code for nobody", a.Server.SignIn("b9nobody", codeB), kit.WrongCredentialsBody)
	if got := [2]int{a.Failures("b9a"), a.Failures("b9b")}; got != [2]int{1, 1} {
		t.Errorf("got failures %v, want one each", got)
	}
	kit.MustIssue(t, "a's own", a.Server.SignIn("b9a", codeA))
	kit.MustIssue(t, "b's own", a.Server.SignIn("b9b", codeB))
}

func otherClientsCode(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b9c")
	code := a.RequestCode(a.Server, "shop", "b9c")
	kit.MustRefuse(t, "through another client", a.Server.SignInThrough("other", "b9c", code), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "through a client that takes codes only", a.Server.SignInThrough("kiosk", "b9c", code), kit.WrongCredentialsBody)
	if got := a.Failures("b9c"); got != 2 {
		t.Errorf("got %d failures, want 2", got)
	}
	kit.MustIssue(t, "through its own client, in capitals", a.Server.Form("/oauth/token", "grant_type", "password",
		"client_id", "SHOP", "client_secret", kit.ClientSecret, "username", "b9c", "password", code))
}

// otherPurpose lets the server send a code for a password reset.
func otherPurpose(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b9d")
	now := a.Clock.Now().UTC()
	a.Must(a.App.Store.AddCodeRequest(context.WithoutCancel(t.Context()), storage.CodeRequest{
		ID: "reset_b9d", ClientID: "shop", ProfileID: storage.DefaultProfileID, Username: "b9d",
		Purpose: storage.PurposeResetPassword, CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute),
	}))
	code := a.Inbox.Next(t).EventBody.OneTimePassword
	kit.MustRefuse(t, "reset code at sign-in", a.Server.SignIn("b9d", code), kit.WrongCredentialsBody)
	if l := a.Login("b9d"); l.Lockout.Failures != 1 || !l.Code.UsedAt.IsZero() {
		t.Errorf("got %d failures, code used at %v; want one and the code untouched", l.Lockout.Failures, l.Code.UsedAt)
	}
}

// otherProfile tests two users with one name in two profiles.
func otherProfile(t *testing.T, a *kit.OneServer) {
	a.AddUsers("dual")
	a.AddUsersTo("acme", func(user kit.Object) { user["ID"], user["PasswordProfileID"] = "dual-of-branch", "digits" }, "dual")
	atShop, atBranch := a.RequestCode(a.Server, "shop", "dual"), a.RequestCode(a.Server, "branch", "dual")
	kit.MustRefuse(t, "shop's code at branch", a.Server.SignInThrough("branch", "dual", atShop), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "branch's code at shop", a.Server.SignIn("dual", atBranch), kit.WrongCredentialsBody)
	mine := kit.MustIssue(t, "shop's code at shop", a.Server.SignIn("dual", atShop))
	theirs := kit.MustIssue(t, "branch's code at branch", a.Server.SignInThrough("branch", "dual", atBranch))
	if kit.ClaimsOf(t, mine.Field("access_token")).Sub == kit.ClaimsOf(t, theirs.Field("access_token")).Sub {
		t.Error("got the same subject in both tokens")
	}
	// A code that is not bound to a client is still bound to its profile.
	a.StoreCode("dual", "01234567", func(c *storage.Code) { c.ClientID = "" })
	kit.MustRefuse(t, "unbound code at branch", a.Server.SignInThrough("branch", "dual", "01234567"), kit.WrongCredentialsBody)
	kit.MustIssue(t, "unbound code at shop", a.Server.SignIn("dual", "01234567"))
}

func wrongCodesCount(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b13", "b14")
	code := a.RequestCode(a.Server, "shop", "b13")
	for i := range 10 {
		client := []string{"shop", "kiosk", "other"}[i%3]
		kit.MustRefuse(t, "wrong code", a.Server.SignInThrough(client, "b13", kit.WrongCode), kit.WrongCredentialsBody)
	}
	kit.MustRefuse(t, "right code after ten wrong ones", a.Server.SignIn("b13", code), kit.WrongCredentialsBody)
	kit.MustRefuse(t, "password after ten wrong codes", a.Server.SignIn("b13", kit.Password), kit.WrongCredentialsBody)

	// A success in between starts the count again.
	for range 9 {
		kit.MustRefuse(t, "wrong code", a.Server.SignInThrough("kiosk", "b14", kit.WrongCode), kit.WrongCredentialsBody)
	}
	kit.MustIssue(t, "success before the limit", a.Server.SignIn("b14", a.RequestCode(a.Server, "shop", "b14")))
	kit.MustRefuse(t, "one more failure", a.Server.SignInThrough("kiosk", "b14", kit.WrongCode), kit.WrongCredentialsBody)
	if got := a.Failures("b14"); got != 1 {
		t.Errorf("got %d failures after a success, want 1", got)
	}
	kit.MustIssue(t, "not locked", a.Server.SignIn("b14", kit.Password))
}

// noPasswordChange tests that no operation of the dialect sets a password with a token from a
// code.
func noPasswordChange(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b12")
	token := kit.MustIssue(t, "code", a.Server.SignIn("b12", a.RequestCode(a.Server, "shop", "b12"))).Field("access_token")
	code := a.RequestCode(a.Server, "shop", "b12")
	before := a.Login("b12").PasswordHash
	for _, call := range [][3]string{
		{http.MethodPost, "/v1/me/password", `{"NewPassword":"other-Horse-7-battery"}`},
		{http.MethodPatch, "/v1/me", `{"Password":"other-Horse-7-battery"}`},
		{http.MethodPut, "/v1/me", `{"ID":"b12","Username":"b12","Password":"other-Horse-7-battery"}`},
		{http.MethodPut, "/v1/buyers/acme/users/b12", `{"Username":"b12","Password":"other-Horse-7-battery"}`},
		{http.MethodPut, "/v1/password/reset/" + code, `{"ClientID":"shop","Username":"b12","Password":"other-Horse-7-battery"}`},
	} {
		got := a.Server.Do(call[0], call[1], "application/json", call[2], "Authorization", "Bearer "+token)
		if got.Status < 400 || got.Status >= 500 {
			t.Errorf("%s %s: got %d %s", call[0], call[1], got.Status, got.Body)
		}
	}
	if a.Login("b12").PasswordHash != before {
		t.Error("the password was changed, want no change")
	}
	kit.MustIssue(t, "old password", a.Server.SignIn("b12", kit.Password))
}

// newClientDefaults tests that a new client may not use the password grant until this is
// enabled.
func newClientDefaults(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b15")
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	a.Must(json.Unmarshal([]byte(a.Run("client", "create", "--name", "Fresh")), &made))
	got := a.Server.Form("/oauth/token", "grant_type", "password", "client_id", made.ID, "client_secret", made.Secret,
		"username", "b15", "password", kit.Password)
	if got.Status != http.StatusBadRequest || got.Field("error") != "unauthorized_client" {
		t.Errorf("password grant of a new client: got %d %s, want 400", got.Status, got.Body)
	}
	if got := a.Failures("b15"); got != 0 {
		t.Errorf("got %d failures, want none", got)
	}
	asked := a.Server.RequestCodeThrough(made.ID, "b15", "")
	if asked.Status != http.StatusBadRequest || !strings.Contains(asked.Body, "OneTimePasswordRequest.NotEnabled") {
		t.Errorf("code through a new client: got %d %s, want 400", asked.Status, asked.Body)
	}
}

func codesOnly(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b15b")
	kit.MustRefuse(t, "permanent password", a.Server.SignInThrough("codes-only", "b15b", kit.Password), kit.WrongCredentialsBody)
	if got := a.Failures("b15b"); got != 1 {
		t.Errorf("got %d failures, want 1", got)
	}
	kit.MustIssue(t, "code", a.Server.SignInThrough("codes-only", "b15b", a.RequestCode(a.Server, "codes-only", "b15b")))
}

func amrStays(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b16")
	for _, factor := range []struct{ amr, secret string }{
		{"otp", a.RequestCode(a.Server, "shop", "b16")}, {"pwd", kit.Password},
	} {
		token := kit.MustIssue(t, factor.amr, a.Server.SignIn("b16", factor.secret))
		first := kit.ClaimsOf(t, token.Field("access_token"))
		if !slices.Equal(first.AMR, []string{factor.amr}) || first.AuthTime == 0 || first.AuthTime != first.Iat {
			t.Errorf("first token: got %+v, want amr [%s] and auth_time = iat", first, factor.amr)
		}
		for range 3 {
			a.Clock.Advance(20 * time.Minute)
			token = kit.MustIssue(t, "refresh", a.Server.Refresh(token.Field("refresh_token")))
			next := kit.ClaimsOf(t, token.Field("access_token"))
			if !slices.Equal(next.AMR, first.AMR) || next.AuthTime != first.AuthTime || next.Sub != first.Sub || next.Iat < first.Iat+20*60 {
				t.Errorf("refreshed token: got %+v after %+v", next, first)
			}
		}
		if got := a.Server.Introspect(token.Field("access_token")); !strings.Contains(got.Body, fmt.Sprintf(`"auth_time":%d,"amr":["%s"]`, first.AuthTime, factor.amr)) {
			t.Errorf("introspection: got %s", got.Body)
		}
	}
}

func asTyped(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b17")
	for _, typed := range []string{
		"01AB23XY", "01ab23xy", "01AB-23XY", "01ab 23xy", " 01AB23XY\t", "oIab23xy", "OlAB23XY", "oLab23xY",
		"01AB\u201323XY", "0 1 a b - 2 3 x y", "01AB23X\u0059\u0301", "01AB\u200b23XY",
	} {
		a.StoreCode("b17", "01AB23XY", nil)
		kit.MustIssue(t, fmt.Sprintf("%q", typed), a.Server.SignInThrough("kiosk", "b17", typed))
	}
	a.StoreCode("b17", "01AB23XY", nil)
	for _, typed := range []string{"01AB23XZ", "01AB23X", "01AB23XYY", "01AB23X\u0416", "0LAB23XU", "%"} {
		kit.MustRefuse(t, fmt.Sprintf("%q", typed), a.Server.SignInThrough("kiosk", "b17", typed), kit.WrongCredentialsBody)
	}
	kit.MustIssue(t, "still the code", a.Server.SignInThrough("kiosk", "b17", "01AB23XY"))
}

func codeShapes(t *testing.T, a *kit.OneServer) {
	a.AddUsers("shape")
	a.AddUsersTo("acme", func(user kit.Object) { user["PasswordProfileID"] = "digits" }, "shape6")
	for client, shape := range map[string]string{"shop": "^[0-9A-HJKMNP-TV-Z]{8}$", "branch": "^[0-9]{6}$"} {
		name := map[string]string{"shop": "shape", "branch": "shape6"}[client]
		seen := map[string]bool{}
		for range 12 {
			code := a.RequestCode(a.Server, client, name)
			if !regexp.MustCompile(shape).MatchString(code) {
				t.Errorf("got the code %q, want %s", code, shape)
			}
			seen[code] = true
		}
		if len(seen) < 11 { // in fifteen thousand runs, six digits repeat more often about once
			t.Errorf("got %d different codes of 12", len(seen))
		}
	}
	code := a.RequestCode(a.Server, "branch", "shape6")
	kit.MustIssue(t, "six digits", a.Server.SignInThrough("branch", "shape6", code[:3]+"-"+code[3:]))
}

// codeLife tests that a code expires to the second, by the clock of the server that redeems it,
// and after at most ten minutes, whatever the profile says.
func codeLife(t *testing.T, a *kit.OneServer) {
	a.AddUsers("b4")
	late, early := &kit.Clock{}, &kit.Clock{}
	replicas := []struct {
		name  string
		n     *kit.Server
		clock *kit.Clock
		skew  time.Duration
	}{
		{"the replica that was asked", a.Server, &a.Clock, 0},
		{"a replica a minute ahead", a.StartServerAt(early), early, time.Minute},
		{"a replica a minute behind", a.StartServerAt(late), late, -time.Minute},
	}
	for _, r := range replicas {
		for _, test := range []struct {
			left time.Duration
			want int
		}{{9 * time.Minute, http.StatusOK}, {2 * time.Second, http.StatusOK}, {-2 * time.Second, http.StatusBadRequest}} {
			got := redeemWith(a, r.n, r.clock, r.skew, test.left)
			if got.Status != test.want || test.want != http.StatusOK && got.Body != kit.WrongCredentialsBody {
				t.Errorf("on %s, %s before the end: got %d %s, want %d", r.name, test.left, got.Status, got.Body, test.want)
			}
		}
	}
	profile, err := a.App.Store.PasswordProfile(t.Context(), storage.DefaultProfileID)
	a.Must(err)
	profile.CodeTTL = 24 * time.Hour
	_, err = a.App.Store.PutPasswordProfile(t.Context(), profile)
	a.Must(err)
	asked := a.Clock.Now()
	a.RequestCode(a.Server, "kiosk", "b4")
	if life := a.Login("b4").Code.ExpiresAt.Sub(asked); life > 10*time.Minute+5*time.Second {
		t.Errorf("got a code that lives for %s, want at most 10m", life)
	}
}

// redeemWith requests a code at the first replica and redeems it at another one, when the other
// replica's clock shows that much of the code's lifetime left. If that took so long that the
// code may have expired, it begins again with a stored code, because the number of requests is
// limited.
func redeemWith(a *kit.OneServer, n *kit.Server, c *kit.Clock, skew, left time.Duration) kit.Response {
	a.T.Helper()
	c.Ahead.Store(a.Clock.Ahead.Load() + int64(skew))
	for code := a.RequestCode(a.Server, "kiosk", "b4"); ; code = "01234567" {
		if code == "01234567" {
			a.StoreCode("b4", code, nil)
		}
		a.AwaitMessages()
		begin := time.Now()
		c.Advance(a.Login("b4").Code.ExpiresAt.Add(-left).Sub(c.Now()))
		got := n.SignInThrough("kiosk", "b4", code)
		if c != &a.Clock { // keep the skew of its workers
			c.Ahead.Store(a.Clock.Ahead.Load() + int64(skew))
		}
		if left < 0 || time.Since(begin) < left {
			return got
		}
	}
}
