package signin

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

const reusedKeyBody = `{"error":"invalid_request","error_description":"The Idempotency-Key was used for another request.",` +
	`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The Idempotency-Key was used for another request.","Data":null}]}`

// signInWithKey signs in with a code and an Idempotency-Key.
func signInWithKey(n *kit.Server, key, client, name, code string, more ...string) kit.Response {
	fields := append(kit.ClientFields(client), "grant_type", "password", "username", name, "password", code)
	return n.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(append(fields, more...)...), "Idempotency-Key", key)
}

func tokensOf(r kit.Response) [2]string {
	return [2]string{r.Field("access_token"), r.Field("refresh_token")}
}

// TestLostAnswer tests that a client that repeats the redemption of a code with the same
// Idempotency-Key gets the same tokens for two minutes, from any server. Any other repetition
// is refused, and no failure is counted.
func TestLostAnswer(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.AddUsersWithoutPassword("mary", "rita")
		second := a.StartServer()
		code := a.RequestCode(a.Server, "kiosk", "mary")
		first := kit.MustIssue(t, "first", signInWithKey(a.Server, "key-1", "kiosk", "mary", code))
		for _, n := range []*kit.Server{a.Server, second} {
			again := kit.MustIssue(t, "again", signInWithKey(n, "key-1", "kiosk", " MARY", code))
			if tokensOf(again) != tokensOf(first) || first.Field("refresh_token") == "" {
				t.Errorf("got other tokens: %s, %s", first.Body, again.Body)
			}
		}
		kit.MustRefuse(t, "no key", a.Server.SignInThrough("kiosk", "mary", code), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "other key", signInWithKey(a.Server, "key-2", "kiosk", "mary", code), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "other client", signInWithKey(a.Server, "key-1", "lazy", "mary", code), kit.WrongCredentialsBody)
		kit.MustRefuse(t, "other code", signInWithKey(a.Server, "key-1", "kiosk", "mary", kit.WrongCode), reusedKeyBody)
		kit.MustRefuse(t, "other user", signInWithKey(a.Server, "key-1", "kiosk", "rita", code), reusedKeyBody)
		kit.MustRefuse(t, "other scope", signInWithKey(a.Server, "key-1", "kiosk", "mary", code, "scope", "Shopper"), reusedKeyBody)
		newer := a.RequestCode(a.Server, "kiosk", "mary")
		kit.MustRefuse(t, "newer code", signInWithKey(a.Server, "key-1", "kiosk", "mary", newer), reusedKeyBody)
		kit.MustIssue(t, "newer code with a key of its own", signInWithKey(a.Server, "key-3", "kiosk", "mary", newer))
		for _, key := range []string{"", strings.Repeat("k", 256), "k\u00e9y"} {
			if r := signInWithKey(a.Server, key, "kiosk", "mary", code); r.Status != http.StatusBadRequest || r.Field("error") != "invalid_request" {
				t.Errorf("key %q: got %d %s, want 400", key, r.Status, r.Body)
			}
		}
		kit.MustIssue(t, "its refresh token", a.Server.RefreshThrough("kiosk", first.Field("refresh_token")))
		a.Clock.Advance(2*time.Minute + time.Second)
		kit.MustRefuse(t, "too late", signInWithKey(a.Server, "key-1", "kiosk", "mary", code), kit.WrongCredentialsBody)
	})
}

// TestLostAnswerCannotBeGuessed tests that a caller who knows the Idempotency-Key of another
// caller and guesses the code gets nothing after the first wrong guess.
func TestLostAnswerCannotBeGuessed(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.AddUsersWithoutPassword("mary")
		code := a.RequestCode(a.Server, "kiosk", "mary")
		kit.MustIssue(t, "first", signInWithKey(a.Server, "key-1", "kiosk", "mary", code))
		kit.MustIssue(t, "again", signInWithKey(a.Server, "key-1", "kiosk", "mary", code))
		kit.MustRefuse(t, "a wrong guess", signInWithKey(a.Server, "key-1", "kiosk", "mary", kit.WrongCode), reusedKeyBody)
		kit.MustRefuse(t, "a right guess", signInWithKey(a.StartServer(), "key-1", "kiosk", "mary", code), reusedKeyBody)
	})
}

// TestLostAnswerOfPassword tests that the key has no effect with a permanent password.
func TestLostAnswerOfPassword(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		n := w.Serve()
		first := kit.MustIssue(t, "first", signInWithKey(n, "key", "shop", "jane", kit.Password))
		again := kit.MustIssue(t, "again", signInWithKey(n, "key", "shop", "jane", kit.Password))
		if tokensOf(again) == tokensOf(first) {
			t.Error("got the tokens of the first sign-in, want new ones")
		}
	})
}

// TestLostAnswerAtOnce sends many equal requests at once to two servers. One takes effect, and
// all get its tokens. With different keys, one request gets tokens and the others none.
func TestLostAnswerAtOnce(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.LongRequestTimeout)
		a.AddUsersWithoutPassword("mary")
		servers := []*kit.Server{a.Server, a.StartServer(kit.LongRequestTimeout)}
		for range 3 {
			code := a.RequestCode(a.Server, "kiosk", "mary")
			answers := kit.Concurrently(8, func(i int) kit.Response { return signInWithKey(servers[i%2], "key-"+code, "kiosk", "mary", code) })
			for _, r := range answers {
				if r.Status != http.StatusOK || tokensOf(r) != tokensOf(answers[0]) {
					t.Errorf("got %d %s, want %s", r.Status, r.Body, answers[0].Body)
				}
			}
		}
		code := a.RequestCode(a.Server, "kiosk", "mary")
		answers := kit.Concurrently(8, func(i int) kit.Response {
			return signInWithKey(servers[i%2], "key-"+code+string(rune('a'+i)), "kiosk", "mary", code)
		})
		if tally := kit.CountStatuses(answers); tally[http.StatusOK] != 1 || tally[http.StatusBadRequest] != 7 {
			t.Errorf("got the answers %v", tally)
		}
	})
}

// TestLostAnswerAtRest tests that the database contains neither the tokens nor the key, and
// that the sealed answer is deleted after its end.
func TestLostAnswerAtRest(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.AddUsersWithoutPassword("mary")
		code := a.RequestCode(a.Server, "kiosk", "mary")
		first := kit.MustIssue(t, "first", signInWithKey(a.Server, "key-of-the-client", "kiosk", "mary", code))
		if n := a.QueryOne("SELECT count(*) FROM kept_answers"); n != "1" {
			t.Fatalf("got %s kept answers, want 1", n)
		}
		file := filepath.Join(t.TempDir(), "backup.db")
		a.Run("backup", file) // the backup contains every row
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{first.Field("access_token"), first.Field("refresh_token"), "key-of-the-client"} {
			if strings.Contains(string(data), secret) {
				t.Errorf("the database contains %s, want it sealed", secret)
			}
		}
		if _, err := a.App.Store.Sweep(t.Context(), a.Clock.Now().Add(3*time.Minute), 100); err != nil {
			t.Fatal(err)
		}
		if n := a.QueryOne("SELECT count(*) FROM kept_answers"); n != "0" {
			t.Errorf("got %s kept answers after the sweep, want 0", n)
		}
	})
}
