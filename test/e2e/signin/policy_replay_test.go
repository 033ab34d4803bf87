package signin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

// replayed is the result of "policy replay".
type replayed struct {
	Logins, Locked, Guesses, Stopped, Passed, Refused, Unknown int

	Fates []struct {
		Login   string
		Refused []time.Time
		Locks   []struct{ At, Until time.Time }
	} `json:"changed"`
}

// TestPolicyReplay replays recorded sign-ins with a stricter and a more lenient policy.
func TestPolicyReplay(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		a.AddUsers("victim", "careful", "clumsy")
		kit.MustIssue(t, "careful", a.Server.SignIn("careful", kit.Password))
		for range 4 {
			kit.MustRefuse(t, "clumsy", a.Server.SignIn("clumsy", "wrong"), kit.WrongCredentialsBody)
		}
		kit.MustIssue(t, "clumsy", a.Server.SignIn("clumsy", kit.Password))
		for range 12 {
			kit.MustRefuse(t, "victim", a.Server.SignIn("victim", "wrong"), kit.WrongCredentialsBody)
		}
		kit.MustRefuse(t, "nobody", a.Server.SignIn("nobody-at-all", "wrong"), kit.WrongCredentialsBody)
		a.Server.Stop()

		file := filepath.Join(t.TempDir(), "policy.yaml")
		replay := func(policy string, args ...string) (v replayed) {
			t.Helper()
			a.Must(os.WriteFile(file, []byte(policy), 0o600))
			text := a.Run(append([]string{"policy", "replay", "--policy", file, "--output", "json"}, args...)...)
			a.Must(json.Unmarshal([]byte(text), &v))
			return v
		}
		totals := func(v replayed) [7]int {
			return [7]int{v.Logins, v.Locked, v.Guesses, v.Stopped, v.Passed, v.Refused, v.Unknown}
		}
		strict := replay("threshold: 3\nduration: 5m\n")
		// Ten guesses at the victim were compared, and three with the new policy. Four at the
		// other user were compared, and three with the new policy, and then the right password
		// comes too early.
		if got, want := totals(strict), [7]int{3, 2, 16, 8, 0, 1, 1}; got != want {
			t.Errorf("strict: got %v, want %v", got, want)
		}
		if len(strict.Fates) != 2 || strict.Fates[0].Login != "default/clumsy" || len(strict.Fates[0].Refused) != 1 ||
			len(strict.Fates[1].Locks) != 1 || strict.Fates[1].Locks[0].Until.Sub(strict.Fates[1].Locks[0].At) != 5*time.Minute {
			t.Errorf("strict: got %+v", strict.Fates)
		}
		if got, want := totals(replay("threshold: 100\nduration: 5m\nprofile: default\n")), [7]int{3, 0, 16, 0, 2, 0, 1}; got != want {
			t.Errorf("lax: got %v, want %v", got, want)
		}
		if got := totals(replay("threshold: 3\nduration: 5m\nprofile: digits\n")); got[0] != 0 {
			t.Errorf("of another profile: got %v", got)
		}
		if got := totals(replay("threshold: 3\nduration: 5m\n", "--since", "2999-01-01T00:00:00Z")); got != [7]int{} {
			t.Errorf("of later events: got %v, want none", got)
		}
		a.Must(os.WriteFile(file, []byte("threshold: 3\nduration: 5m\n"), 0o600))
		text := a.Run("policy", "replay", "--policy", file)
		if !strings.Contains(text, "2 of 3 logins would have been locked.\n") || !strings.Contains(text, "default/victim  1 ") {
			t.Errorf("got %s", text)
		}
	})
}
