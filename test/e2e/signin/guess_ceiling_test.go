package signin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// laxPolicies are lockout policies that allow more than a hundred guesses a day at a password.
// strictPolicies are at the limit of what is allowed.
var (
	laxPolicies = map[string]kit.Object{
		"a second each":      {"lockout_threshold": 100, "lockout_duration_seconds": 1, "lockout_max_duration_seconds": 1},
		"ten, a second each": {"lockout_duration_seconds": 1, "lockout_max_duration_seconds": 1},
		"a quarter an hour":  {"lockout_threshold": 5, "lockout_duration_seconds": 60, "lockout_max_duration_seconds": 900},
		"forgotten soon":     {"lockout_threshold": 10, "lockout_forgets_after_seconds": 60},
		"a hundred":          {"lockout_threshold": 100},
	}
	strictPolicies = map[string]kit.Object{
		"a hundred until unlocked": {"lockout_threshold": 100, "lockout_duration_seconds": 0},
		"ninety":                   {"lockout_threshold": 90},
		"an hour each":             {"lockout_threshold": 50, "lockout_duration_seconds": 3600, "lockout_max_duration_seconds": 3600},
	}
)

// TestLaxPoliciesAreRefused tests that no dialect stores a lockout policy above the ceiling for
// passwords, whether or not the profile has one-time passwords.
func TestLaxPoliciesAreRefused(t *testing.T) { kit.EachElasticPath(t, laxPoliciesAreRefused) }

func laxPoliciesAreRefused(t *testing.T, m *kit.ElasticPath) {
	admin, all := m.Admin(), kit.RealmPath+"/password-profiles"
	before := m.QueryOne("SELECT count(*) FROM password_profiles")
	with := func(policy kit.Object, codes bool) kit.Object {
		body := kit.Object{"type": "password_profile", "name": "Lockout", "enable_one_time_password_token": codes}
		for name, value := range policy {
			body[name] = value
		}
		return body
	}
	for name, policy := range laxPolicies {
		for _, codes := range []bool{true, false} {
			got := admin.Try(http.MethodPost, all, with(policy, codes))
			if got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "lockout_threshold") || !strings.Contains(got.Body, "ceiling of 100") {
				t.Errorf("%s: got %d %s, want 400", name, got.Status, got.Body)
			}
		}
		if got := admin.Try(http.MethodPut, all+"/wordy", policy); got.Status != http.StatusBadRequest {
			t.Errorf("%s, changed: got %d %s, want 400", name, got.Status, got.Body)
		}
	}
	if after := m.QueryOne("SELECT count(*) FROM password_profiles"); after != before {
		t.Errorf("got %[2]s profiles, want %[1]s as before", before, after)
	}
	for name, policy := range strictPolicies {
		if got := admin.Try(http.MethodPost, all, with(policy, false)); got.Status != http.StatusCreated {
			t.Errorf("%s: got %d %s, want 201", name, got.Status, got.Body)
		}
	}
	for config, status := range map[string]int{
		`{"AllowedFailedAttempts":100}`: 400, `{"AllowedFailedAttempts":100,"LockoutDuration":1}`: 400,
		`{"AllowedFailedAttempts":100,"LockoutDuration":0}`: 201, `{"AllowedFailedAttempts":9,"LockoutDuration":10}`: 201,
	} {
		got := m.Server.CallV1(admin.AccessToken, http.MethodPost, "/v1/securityprofiles", `{"Name":"Lockout","Roles":[],"PasswordConfig":`+config+`}`)
		if got.Status != status {
			t.Errorf("%s: got %d %s, want %d", config, got.Status, got.Body, status)
		}
	}
}

// TestLaxPolicyStopsTheStart tests that no server starts with a password profile above the
// ceiling, and that "policy explain" names the profile.
func TestLaxPolicyStopsTheStart(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		a := kit.NewOneServer(w)
		p, err := a.App.Store.PasswordProfile(t.Context(), storage.DefaultProfileID)
		a.Must(err)
		p.ID, p.Name, p.OneTimeCodes, p.Version = "lax", "Lax", false, 0
		p.Lockout = storage.LockoutPolicy{Threshold: 100, Duration: time.Second, MaxDuration: time.Second, ForgetsAfter: time.Hour}
		_, err = a.App.Store.PutPasswordProfile(t.Context(), p)
		a.Must(err)
		if got := a.Run("policy", "explain"); !strings.Contains(got, "which allows 86499: EXCEEDED, no server starts with this") {
			t.Errorf("policy explain: got %s", got)
		}
		commands := []string{"serve"}
		if strings.HasPrefix(a.DatabaseURL, "postgres") { // an SQLite file is checked only at the start
			commands = append(commands, "config check")
		}
		for _, command := range commands {
			settings := append(a.Environ(),
				"LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0", "LATCHKEY_GUESS_CEILING=1", "LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8")
			r := kit.TryCommand(t, settings, strings.Fields(command)...)
			if r.ExitCode == 0 || !strings.Contains(r.Stderr, "lockout: password profile lax: too many guesses at permanent passwords") {
				t.Errorf("%s: got exit code %d: %s%s", command, r.ExitCode, r.Stdout, r.Stderr)
			}
		}
	})
}
