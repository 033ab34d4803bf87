package gormstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
	"latchkey/storage/gormstore"
)

// beforeSources are rows as servers before migration 7 wrote them: a login that is locked until
// the microsecond 3000, a login that never failed, and a session of the first login.
var beforeSources = []string{
	`INSERT INTO realms (id, name, version, created_at, updated_at) VALUES ('default', 'Mine', 3, 1, 1)`,
	`INSERT INTO password_profiles (id, realm_id, name, one_time_codes, username_format, code_alphabet, code_length, code_ttl,
		lock_threshold, lock_duration, lock_max_duration, lock_forgets_after, rule_min_length, rule_upper_case, rule_lower_case,
		rule_digit, rule_special, rule_max_repeated, version, created_at, updated_at)
		VALUES ('default', 'default', '', TRUE, 'any', 'digits', 6, 1, 10, 1, 1, 1, 8, FALSE, FALSE, FALSE, FALSE, 0, 1, 1, 1)`,
	`INSERT INTO users (uid, realm_id, kind, account_uid, id, first_name, last_name, email, email_key, phone, active,
		locale, xp, tokens_valid_from, version, created_at, updated_at) VALUES
		('usr', 'default', 'admin', '', 'root', '', '', '', '', '', TRUE, '', '', 0, 1, 7, 7)`,
	`INSERT INTO logins (id, profile_id, username, username_key, user_uid, active, password_hash, password_set_at,
		sessions_valid_from, failures, last_failure_at, locked_until, lockout_version, code_id, code_request_id,
		code_client_id, code_purpose, code_pepper_id, code_digest, code_expires_at, code_used_at, version, created_at, updated_at) VALUES
		('locked', 'default', '', 'locked', 'usr', TRUE, 'h', 1, 0, 12, 2000, 3000, 9, '', '', '', '', '', '', 0, 0, 1, 1, 1),
		('quiet', 'default', '', 'quiet', 'usr', TRUE, 'h', 1, 0, 0, 0, 0, 4, '', '', '', '', '', '', 0, 0, 1, 1, 1)`,
	`INSERT INTO families (id, client_id, user_uid, login_id, account_uid, scope, amr, auth_time, seed_digest, generation,
		rotated_at, expires_at, idle_until, revoked_at, created_at)
		VALUES ('fam', 'web', 'usr', 'locked', '', 'Reader', 'pwd', 1, '', 2, 1, 9, 0, 0, 1)`,
	`INSERT INTO clients (id, id_key, name, active, public, profile_id, grant_types, credential_otp, credential_password, roles,
		minimum_roles, maximum_roles, allow_any_buyer, allow_any_supplier, allow_seller, account_uids, default_context_user,
		requires_context_user, anonymous_buyer, access_token_ttl, refresh_token_ttl, refresh_idle_ttl, anonymous_token_ttl,
		reuse_refresh_tokens, signing_alg, xp, version, created_at, updated_at)
		VALUES ('web', 'web', '', TRUE, TRUE, 'default', 'password', TRUE, TRUE, '', '', '', FALSE, FALSE, TRUE, '', '', FALSE,
		FALSE, 1, 1, 0, 0, FALSE, '', '', 1, 1, 1)`,
}

// TestUpgradeToSources migrates a database that was in use. Locks remain for passwords and
// codes, and sessions continue.
func TestUpgradeToSources(t *testing.T) {
	t.Parallel()
	upgrade(t, 6, beforeSources, func(ctx context.Context, t *testing.T, s *gormstore.Store) {
		t.Helper()
		upgradedLockouts(ctx, t, s)
		upgradedSession(ctx, t, s)
	})
}

func upgradedLockouts(ctx context.Context, t *testing.T, s *gormstore.Store) {
	t.Helper()
	at := func(us int64) time.Time { return time.UnixMicro(us).UTC() }
	for name, want := range map[string]storage.Lockout{
		"locked": {
			Failures: 12, LastFailureAt: at(2000), LockedUntil: at(3000), Version: 9,
			Codes: storage.Counter{Failures: 12, LastFailureAt: at(2000), LockedUntil: at(3000)},
		},
		"quiet": {Version: 4},
	} {
		p, err := s.Principal(ctx, storage.LoginKey{ProfileID: "default", UsernameKey: name, Source: "203.0.113.7"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, p.Lockout); diff != "" || !p.Known || p.Source.ID != "" {
			t.Errorf("%s: known %v, source %+v, lockout (-want +got):\n%s", name, p.Known, p.Source, diff)
		}
	}
}

func upgradedSession(ctx context.Context, t *testing.T, s *gormstore.Store) {
	t.Helper()
	state, err := s.Family(ctx, "fam")
	if err != nil {
		t.Fatal(err)
	}
	f := state.Family
	if f.Generation != 2 || f.SourceID != "" || f.Resources != nil || f.JKT != "" || !state.Principal.Known {
		t.Errorf("got family %+v", f)
	}
	if err := s.AdvanceFamily(ctx, "fam", storage.FamilyAdvance{From: 2, Now: noon, IdleUntil: noon}); err != nil {
		t.Error(err)
	}
	c, err := s.Client(ctx, "web")
	if err != nil || c.AuthMethod != "" || c.JWKS != nil || c.Resources != nil || c.DPoPBound || c.TrustAddress || c.Registration.Sum != nil {
		t.Errorf("got client %+v, error %v", c, err)
	}
}
