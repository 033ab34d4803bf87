package load

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/grants"
	"latchkey/storage"
	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// TestElasticPathBudget tests that account tokens for 25 accounts take at most five round
// trips, and one commit.
func TestElasticPathBudget(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "latchkey.db") },
		"postgres": func(t *testing.T) string { return gormtest.Postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testTokenBudget(t, url(t))
		})
	}
}

func testTokenBudget(t *testing.T, databaseURL string) {
	var seen statements
	s := newLoadFixture(t, databaseURL, 1, seen.add)
	s.shop = s.client("front", "--grant", grants.GrantImplicit) // whose codes the test stores
	for i := range 24 {                                         // and the one that everybody is in
		id := fmt.Sprint("account", i)
		_, err := s.app.Store.PutAccount(t.Context(), storage.Account{UID: "acc_" + id, RealmID: storage.DefaultRealmID, Kind: storage.Buyer, ID: id, Name: id, Active: true})
		s.must(err)
		_, err = s.app.Store.PutMembership(t.Context(), storage.Membership{AccountUID: "acc_" + id, UserUID: s.logins[0].UserUID})
		s.must(err)
	}
	server := httptest.NewServer(s.listen())
	defer server.Close()
	n := &kit.Server{T: t, URL: server.URL}
	implicit := kit.MustJSON(t, "implicit token", 200, n.Form("/oauth/access_token", "grant_type", "implicit", "client_id", s.shop.ID))
	// Configuration is kept in memory as soon as the listener is connected.
	kit.Eventually(t, "a client is remembered", func() bool {
		n.Form("/oauth/access_token", "grant_type", "implicit", "client_id", s.shop.ID)
		seen.take()
		n.Form("/oauth/access_token", "grant_type", "implicit", "client_id", s.shop.ID)
		return len(seen.take()) == 0
	})
	most := 5
	if strings.HasPrefix(databaseURL, "sqlite:") {
		most++ // that of the source's row, which is no trip there
	}
	v := kit.Caller{Server: n, AccessToken: implicit.Text("access_token")}
	signIn := func(status int, code string) (verbs []string, got kit.JSON) {
		s.storeKnownCode(s.logins)
		seen.take()
		got = v.Send(t, status, http.MethodPost, kit.AccountTokensPath, kit.ByCode(storage.DefaultProfileID, s.logins[0].Username, code))
		return seen.take(), got
	}
	verbs, got := signIn(201, knownCode) // what is kept in memory is read
	for range 3 {                        // a late notice of a change makes the server read that again
		if verbs, got = signIn(201, knownCode); trips(verbs) <= most {
			break
		}
	}
	if n := len(got.Column("token")); n != 25 {
		t.Fatalf("got %d tokens, want 25", n)
	}
	if trips(verbs) > most || commits(verbs) != 1 {
		t.Errorf("statements %v: got %d trips, want at most %d, and %d commits, want 1", verbs, trips(verbs), most, commits(verbs))
	}
	if verbs, _ := signIn(400, kit.WrongCode); trips(verbs) > most || commits(verbs) != 1 {
		t.Errorf("wrong code: got statements %v", verbs)
	}
	v.AccountToken = got.Text("data", 3, "token")
	seen.take()
	v.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
	if verbs := seen.take(); len(verbs) > 5 || commits(verbs) != 0 {
		t.Errorf("held token: got statements %v", verbs)
	}
}

// trips counts the statements, without those that only begin and end others.
func trips(verbs []string) (n int) {
	for _, verb := range verbs {
		if verb != "BEGIN" && verb != "COMMIT" {
			n++
		}
	}
	return n
}
