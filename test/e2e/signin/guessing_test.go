package signin

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// TestCodesCannotBeGuessed tests that the most patient attacker has at most 25 guesses in a day,
// however many codes are requested. The attacker requests a new code as often as that helps, and
// uses fifty addresses.
func TestCodesCannotBeGuessed(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w, kit.BehindProxy)
		a.AddUsers("guessed")
		for begun, tries := a.Clock.Now(), 0; a.Clock.Now().Before(begun.Add(24 * time.Hour)); tries++ {
			if tries > 300 {
				t.Fatal("got no lock after 300 tries")
			}
			if got := a.Server.RequestCodeThrough("kiosk", "guessed", ""); got.Status != http.StatusNoContent {
				t.Fatalf("code request: got %d %s, want 204", got.Status, got.Body)
			}
			a.StoreCode("guessed", "0123ABCD", nil) // otherwise there may be no live code to guess
			address := fmt.Sprintf("198.51.100.%d", tries%50)
			got := a.Server.Do(http.MethodPost, "/oauth/token", kit.FormMedia, kit.EncodeForm(append(kit.ClientFields("kiosk"),
				"grant_type", "password", "username", "guessed", "password", kit.WrongCode)...), "X-Forwarded-For", address)
			kit.MustRefuse(t, "guess", got, kit.WrongCredentialsBody)
			// Once locked, wait for the end of the lock, and also try before it.
			if state, now := a.Login("guessed").Lockout, a.Clock.Now(); state.Locked(now) {
				a.Clock.Advance(min(state.LockedUntil.Sub(now), 47*time.Minute))
			}
		}
		a.AwaitMessages()
		counted, compared := a.Failures("guessed"), a.WrongGuesses("guessed")
		if counted != compared || compared > 25 || compared < 15 {
			t.Errorf("got %d compared and %d counted guesses in a day, want the same, 15 to 25", compared, counted)
		}
		t.Logf("%d guesses in a day", compared)

		// A new code does not reset the count, and the right code is refused now.
		a.StoreCode("guessed", "01234567", nil)
		kit.MustRefuse(t, "right code in the end", a.Server.SignInThrough("kiosk", "guessed", "01234567"), kit.WrongCredentialsBody)
	})
}
