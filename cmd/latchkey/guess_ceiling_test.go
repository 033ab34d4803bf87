package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey/storage"
)

// laxPolicies are lockout policies that allow more than a hundred guesses a day at
// a password, and strictPolicies are as lax as is allowed.
var (
	laxPolicies = map[string]jsonObject{
		"a second each":      {"lockout_threshold": 100, "lockout_duration_seconds": 1, "lockout_max_duration_seconds": 1},
		"ten, a second each": {"lockout_duration_seconds": 1, "lockout_max_duration_seconds": 1},
		"a quarter an hour":  {"lockout_threshold": 5, "lockout_duration_seconds": 60, "lockout_max_duration_seconds": 900},
		"forgotten soon":     {"lockout_threshold": 10, "lockout_forgets_after_seconds": 60},
		"a hundred":          {"lockout_threshold": 100},
	}
	strictPolicies = map[string]jsonObject{
		"a hundred until unlocked": {"lockout_threshold": 100, "lockout_duration_seconds": 0},
		"ninety":                   {"lockout_threshold": 90},
		"an hour each":             {"lockout_threshold": 50, "lockout_duration_seconds": 3600, "lockout_max_duration_seconds": 3600},
	}
)

// laxPoliciesRefused: no dialect stores a lockout policy above the ceiling of
// passwords, whether or not the profile has one-time passwords.
func laxPoliciesRefused(t *testing.T, m *mall) {
	admin, all := m.admin(), realmV2+"/password-profiles"
	before := m.one("SELECT count(*) FROM password_profiles")
	with := func(policy jsonObject, codes bool) jsonObject {
		body := jsonObject{"type": "password_profile", "name": "Lockout", "enable_one_time_password_token": codes}
		for name, value := range policy {
			body[name] = value
		}
		return body
	}
	for name, policy := range laxPolicies {
		for _, codes := range []bool{true, false} {
			got := admin.try(http.MethodPost, all, with(policy, codes))
			if got.status != http.StatusBadRequest || !strings.Contains(got.body, "lockout_threshold") || !strings.Contains(got.body, "ceiling of 100") {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		if got := admin.try(http.MethodPut, all+"/wordy", policy); got.status != http.StatusBadRequest {
			t.Errorf("%s, changed: %d %s", name, got.status, got.body)
		}
	}
	if after := m.one("SELECT count(*) FROM password_profiles"); after != before {
		t.Errorf("%s profiles became %s", before, after)
	}
	for name, policy := range strictPolicies {
		if got := admin.try(http.MethodPost, all, with(policy, false)); got.status != http.StatusCreated {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for config, status := range map[string]int{
		`{"AllowedFailedAttempts":100}`: 400, `{"AllowedFailedAttempts":100,"LockoutDuration":1}`: 400,
		`{"AllowedFailedAttempts":100,"LockoutDuration":0}`: 201, `{"AllowedFailedAttempts":9,"LockoutDuration":10}`: 201,
	} {
		got := m.n.me(admin.bearer, http.MethodPost, "/v1/securityprofiles", `{"Name":"Lockout","Roles":[],"PasswordConfig":`+config+`}`)
		if got.status != status {
			t.Errorf("%s: %d %s", config, got.status, got.body)
		}
	}
}

// TestLaxPolicyStopsTheStart: no server starts with a password profile above the
// ceiling, whoever has stored it, and policy explain says which one it is.
func TestLaxPolicyStopsTheStart(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		a := enterArena(w)
		p, err := a.app.store.PasswordProfile(t.Context(), storage.DefaultProfileID)
		a.must(err)
		p.ID, p.Name, p.OneTimeCodes, p.Version = "lax", "Lax", false, 0
		p.Lockout = storage.LockoutPolicy{Threshold: 100, Duration: time.Second, MaxDuration: time.Second, ForgetsAfter: time.Hour}
		_, err = a.app.store.PutPasswordProfile(t.Context(), p)
		a.must(err)
		if got := a.run("policy", "explain"); !strings.Contains(got, "which allows 86499: EXCEEDED, no server starts with this") {
			t.Errorf("explained as %s", got)
		}
		commands := []string{"serve"}
		if strings.HasPrefix(a.databaseURL, "postgres") { // a file of SQLite is checked at the start only
			commands = append(commands, "config check")
		}
		for _, command := range commands {
			var out, errs bytes.Buffer
			c := a.cli(&a.clock)
			c.stdout, c.stderr = &out, &errs
			c.environ = []string{
				"LATCHKEY_DATABASE_URL=" + a.databaseURL, "LATCHKEY_MASTER_KEY=" + testMasterKey,
				"LATCHKEY_LISTEN=127.0.0.1:0", "LATCHKEY_OPS_LISTEN=127.0.0.1:0", "LATCHKEY_GUESS_CEILING=1",
				"LATCHKEY_OUTBOUND_ALLOW=127.0.0.0/8",
			}
			code := c.run(t.Context(), strings.Fields(command))
			if code == 0 || !strings.Contains(errs.String(), "lockout: password profile lax: too many guesses at permanent passwords") {
				t.Errorf("%s ended with %d: %s%s", command, code, out.String(), errs.String())
			}
		}
	})
}
