package privacy

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestNoSecretAtRest tests that the files of SQLite, the columns of PostgreSQL and the log
// contain no secret, both while messages wait and after everything was used.
func TestNoSecretAtRest(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(strings.ReplaceAll(kit.EveryTypeDocument, "SINK", w.Inbox.URL))
		a := kit.NewOneServer(w, "LATCHKEY_LOG_LEVEL=trace")
		a.Inbox.Status.Store(http.StatusServiceUnavailable)
		for _, got := range []kit.Response{a.Server.RequestCode("jane", ""), a.Server.RequestRenewal("john")} {
			if got.Status != http.StatusNoContent {
				t.Fatalf("got %d %s, want 204", got.Status, got.Body)
			}
		}
		kit.Eventually(t, "delivery was tried", func() bool {
			return a.QueryOne("SELECT count(*) FROM messages WHERE state = 'queued' AND last_error <> ''") == "2"
		})
		waiting := a.StoredBytes()
		a.Inbox.Status.Store(http.StatusOK)
		a.Clock.Advance(time.Minute)
		m, renewal := a.Inbox.Next(t), a.Inbox.Next(t)
		if m.MessageType != "OneTimePassword" {
			m, renewal = renewal, m
		}
		code, verification := m.EventBody.OneTimePassword, renewal.EventBody.PasswordRenewalVerificationCode
		if got := a.Server.RenewPassword(verification, "john", kit.NextPassword); got.Status != http.StatusNoContent {
			t.Fatalf("renewal: got %d %s, want 204", got.Status, got.Body)
		}
		kit.MustIssue(t, "new password", a.Server.SignIn("john", kit.NextPassword))
		first := kit.MustIssue(t, "code", a.Server.SignIn("jane", code))
		second := kit.MustIssue(t, "refresh", a.Server.Refresh(first.Field("refresh_token")))
		kit.MustIssue(t, "password", a.Server.SignIn("jane", kit.Password))
		kit.MustRefuse(t, "mistyped", a.Server.SignIn("jane", kit.Password+"-mistyped"), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "password as name", a.Server.SignIn("secret-in-the-wrong-field", "x"), kit.WrongCredentialsBody)
		a.AwaitMessages()

		secrets := map[string]string{
			"code": code, "password": kit.Password, "client secret": kit.ClientSecret, "shared key": kit.SharedKey,
			"master key": kit.MasterKey, "user token": m.UserToken,
			"access token": first.Field("access_token"), "second access token": second.Field("access_token"),
		}
		secrets["verification code"], secrets["renewal token"] = verification, renewal.EventBody.PasswordRenewalAccessToken
		secrets["new password"] = kit.NextPassword
		for i, token := range []string{first.Field("refresh_token"), second.Field("refresh_token")} {
			secrets[fmt.Sprint("refresh token ", i)] = token
			parts := strings.Split(token, ".")
			secrets[fmt.Sprint("seed ", i)], secrets[fmt.Sprint("MAC ", i)] = parts[len(parts)-2], parts[len(parts)-1]
		}
		places := map[string][]byte{"log": []byte(a.Log.String())}
		maps.Copy(places, waiting)
		for name, content := range a.StoredBytes() {
			places[name+" at the end"] = content
		}
		if !strings.Contains(string(places["log"]), `"audit":"sign_in"`) {
			t.Error("got an empty log")
		}
		for place, content := range places {
			for what, secret := range secrets {
				kit.SearchFor(t, place, content, what, secret)
			}
		}
	})
}
