package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPolicyReplay runs what happened at a server through a stricter policy and
// a laxer one.
func TestPolicyReplay(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		a.enrol("victim", "careful", "clumsy")
		granted(t, "careful", a.n.signIn("careful", janesPassword))
		for range 4 {
			refused(t, "clumsy", a.n.signIn("clumsy", "wrong"), refusedSignIn)
		}
		granted(t, "clumsy", a.n.signIn("clumsy", janesPassword))
		for range 12 {
			refused(t, "victim", a.n.signIn("victim", "wrong"), refusedSignIn)
		}
		refused(t, "nobody", a.n.signIn("nobody-at-all", "wrong"), refusedSignIn)
		a.n.stop()

		file := filepath.Join(t.TempDir(), "policy.yaml")
		replay := func(policy string, args ...string) (v replayView) {
			t.Helper()
			a.must(os.WriteFile(file, []byte(policy), 0o600))
			text := a.run(append([]string{"policy", "replay", "--policy", file, "--output", "json"}, args...)...)
			a.must(json.Unmarshal([]byte(text), &v))
			return v
		}
		totals := func(v replayView) [7]int {
			return [7]int{v.Logins, v.Locked, v.Guesses, v.Stopped, v.Passed, v.Refused, v.Unknown}
		}
		strict := replay("threshold: 3\nduration: 5m\n")
		// Ten of the victim's were compared, of which three now; of the other's
		// four likewise three, and then the right password comes too early.
		if got, want := totals(strict), [7]int{3, 2, 16, 8, 0, 1, 1}; got != want {
			t.Errorf("strict: %v, want %v", got, want)
		}
		if len(strict.Fates) != 2 || strict.Fates[0].Login != "default/clumsy" || len(strict.Fates[0].Refused) != 1 ||
			len(strict.Fates[1].Locks) != 1 || strict.Fates[1].Locks[0].Until.Sub(strict.Fates[1].Locks[0].At) != 5*time.Minute {
			t.Errorf("strict: %+v", strict.Fates)
		}
		if got, want := totals(replay("threshold: 100\nduration: 5m\nprofile: default\n")), [7]int{3, 0, 16, 0, 2, 0, 1}; got != want {
			t.Errorf("lax: %v, want %v", got, want)
		}
		if got := totals(replay("threshold: 3\nduration: 5m\nprofile: digits\n")); got[0] != 0 {
			t.Errorf("of another profile: %v", got)
		}
		if got := totals(replay("threshold: 3\nduration: 5m\n", "--since", "2999-01-01T00:00:00Z")); got != [7]int{} {
			t.Errorf("of later: %v", got)
		}
		a.must(os.WriteFile(file, []byte("threshold: 3\nduration: 5m\n"), 0o600))
		text := a.run("policy", "replay", "--policy", file)
		if !strings.Contains(text, "2 of 3 logins would have been locked.\n") || !strings.Contains(text, "default/victim  1 ") {
			t.Errorf("%s", text)
		}
	})
}

// TestProposals: a policy that is not understood is refused, not guessed at.
func TestProposals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                       "it is empty",
		"threshold: 3\n":                         "duration is required",
		"duration: 5m\n":                         "threshold must be at least 1",
		"threshold: 0\nduration: 5m\n":           "threshold must be at least 1",
		"threshold: 3\nduration: 5\n":            `"5" is no duration`,
		"threshold: 3\nduration: -5m\n":          `"-5m" is no duration`,
		"threshold: 3\nduration: 5m\nlength: 5m": "field length not found",
		"threshold: 3\nduration: 5m\n---\na: 1":  "more than one document",
		"- 3":                                    "cannot unmarshal",
	} {
		if _, _, err := readProposal([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	p, policy, err := readProposal([]byte("profile: x\nthreshold: 3\nduration: 5m\nmax_duration: 1h\nforgets_after: 2h\n"))
	if err != nil || p.Profile != "x" || policy.MaxDuration != time.Hour || policy.ForgetsAfter != 2*time.Hour || policy.Duration != 5*time.Minute {
		t.Errorf("%+v, %+v, %v", p, policy, err)
	}
}
