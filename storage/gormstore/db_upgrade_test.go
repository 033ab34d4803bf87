package gormstore_test

import (
	"context"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"latchkey/storage"
	"latchkey/storage/gormstore"
	"latchkey/storage/gormstore/gormtest"
)

// old are rows as servers before migration 5 wrote them.
var old = []string{
	`INSERT INTO realms (id, name, version, created_at, updated_at) VALUES ('default', 'Mine', 3, 1, 1)`,
	`INSERT INTO accounts (uid, realm_id, kind, id, name, active, xp, version, created_at, updated_at)
		VALUES ('acc', 'default', 'buyer', 'acme', 'Acme', TRUE, '', 1, 1, 1)`,
	`INSERT INTO users (uid, realm_id, kind, account_uid, id, first_name, last_name, email, email_key, phone, active,
		locale, xp, tokens_valid_from, version, created_at, updated_at) VALUES
		('member', 'default', 'buyer', 'acc', 'member', '', '', '', '', '', TRUE, '', '', 0, 1, 7, 7),
		('plain', 'default', 'buyer', 'acc', 'plain', '', '', '', '', '', TRUE, '', '', 0, 1, 8, 8),
		('lost', 'default', 'buyer', 'gone', 'lost', '', '', '', '', '', TRUE, '', '', 0, 1, 8, 8),
		('admin', 'default', 'admin', '', 'admin', '', '', '', '', '', TRUE, '', '', 0, 1, 8, 8)`,
	`INSERT INTO memberships (account_uid, user_uid, roles, created_at) VALUES ('acc', 'member', 'Buyer', 9)`,
	`INSERT INTO senders (id, realm_id, name, description, kind, types, url, shared_key_key_id, shared_key, elevated_roles,
		allow_all_buyers, allow_seller, account_uids, xp, version, created_at, updated_at)
		VALUES ('hook', 'default', '', '', 'webhook', 'OneTimePassword', '', '', '', '', TRUE, FALSE, '', '', 1, 1, 1)`,
	`INSERT INTO code_requests (id, client_id, profile_id, username, email, purpose, trace_id, created_at, expires_at, lease_until, ended_at)
		VALUES ('r', '', 'default', 'bob', '', 'sign_in', '', 1, 2, 0, 0)`,
}

// TestUpgradeToMembers migrates a database that was in use. Afterwards every user of an account
// is a member of it, and senders and requests behave as before.
func TestUpgradeToMembers(t *testing.T) {
	t.Parallel()
	upgrade(t, 3, old, func(ctx context.Context, t *testing.T, s *gormstore.Store) {
		t.Helper()
		upgradedMembers(ctx, t, s)
		upgradedConfiguration(ctx, t, s)
	})
}

// upgrade fills a database that has an older schema, migrates it and runs check. It does so on
// both databases.
func upgrade(t *testing.T, version int64, statements []string, check func(ctx context.Context, t *testing.T, s *gormstore.Store)) {
	t.Helper()
	for dialect, empty := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "old.db") },
		"postgres": func(t *testing.T) string { return gormtest.Postgres(t).Empty(t) },
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			ctx, s := t.Context(), open(t, gormstore.Config{URL: empty(t)})
			if err := s.MigrateTo(ctx, version); err != nil {
				t.Fatal(err)
			}
			for _, sql := range statements {
				if err := s.Exec(ctx, sql); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			check(ctx, t, s)
		})
	}
}

func upgradedMembers(ctx context.Context, t *testing.T, s *gormstore.Store) {
	t.Helper()
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := make(map[string]bool)
	for user, roles := range map[string][]string{"member": {"Buyer"}, "plain": nil} {
		page, err := s.Members(ctx, user, 0, 5)
		if err != nil || page.Total != 1 {
			t.Fatalf("%s: %d members, error %v", user, page.Total, err)
		}
		got := page.Items[0].Membership
		want := storage.Membership{AccountUID: "acc", UserUID: user, Roles: roles, Version: 1}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(want, "ID", "CreatedAt", "UpdatedAt")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", user, diff)
		}
		if !uuid.MatchString(got.ID) || seen[got.ID] || got.CreatedAt.IsZero() || !got.UpdatedAt.Equal(got.CreatedAt) {
			t.Errorf("%s: got membership %+v", user, got)
		}
		seen[got.ID] = true
	}
	for _, user := range []string{"lost", "admin"} {
		if page, err := s.Members(ctx, user, 0, 5); err != nil || page.Total != 0 {
			t.Errorf("%s: got %+v, error %v", user, page, err)
		}
	}
}

func upgradedConfiguration(ctx context.Context, t *testing.T, s *gormstore.Store) {
	t.Helper()
	realm, err := s.Realm(ctx, "default")
	if err != nil || realm.Name != "Mine" || realm.SelfManagement != storage.SelfManagementDisabled || realm.DuplicateEmailPolicy != "allowed" {
		t.Errorf("got realm %+v, error %v", realm, err)
	}
	sender, err := s.Sender(ctx, "hook")
	if err != nil || !sender.Serves(storage.MessageOneTimePassword, storage.User{Kind: storage.Buyer}) {
		t.Errorf("got sender %+v, error %v", sender, err)
	}
	request, err := s.Timeline(ctx, "r")
	if err != nil || request.Request.Type != storage.MessageOneTimePassword {
		t.Errorf("got request %+v, error %v", request.Request, err)
	}
}
