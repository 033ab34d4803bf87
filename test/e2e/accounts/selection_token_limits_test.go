package accounts

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// TestSelectionTokenLimits tests that a selection token belongs to one sign-in, and allows no
// more than that sign-in.
func TestSelectionTokenLimits(t *testing.T) {
	kit.EachElasticPath(t, func(t *testing.T, m *kit.ElasticPath) {
		each(m, t, []storefrontTest{
			{"one choice", oneChoice},
			{"a choice that fails uses nothing up", failedChoice},
			{"one choice of fifty", raceForOneChoice},
			{"revocation reaches what was renewed", revokedLineage},
			{"a page without tokens", pageBeyondEnd},
		})
	})
}

// chooser signs in as a member of two accounts. It returns the selection token and the
// accounts.
func chooser(m *kit.ElasticPath, name string) (p kit.Shopper, token string, one, two storage.Account) {
	m.T.Helper()
	one, two = m.AddAccount(name+" one"), m.AddAccount(name+" two")
	p = m.AddShopper(name, one, two)
	got := m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p))
	return p, mustSelect(m, "sign-in", got).Token, one, two
}

func choose(n *kit.Server, token string, a storage.Account) kit.Response {
	return n.MemberGrant("front", "selection_token", token, "account_id", a.ID)
}

func oneChoice(t *testing.T, m *kit.ElasticPath) {
	p, token, one, two := chooser(m, "once")
	kit.MustIssue(t, "the choice", choose(m.Server, token, one))
	kit.MustRefuse(t, "the same again", choose(m.Server, token, one), refusedMemberToken)
	kit.MustRefuse(t, "the other account", choose(m.Server, token, two), refusedMemberToken)
	kit.MustRefuse(t, "on another server", choose(m.StartServer(kit.LongRequestTimeout), token, two), refusedMemberToken)
	if n := m.QueryOne("SELECT count(*) FROM families WHERE login_id = '" + p.LoginID + "'"); n != "1" {
		t.Errorf("got %s refresh families, want 1", n)
	}
}

// failedChoice tests that after an error or an outage the user does not need a new code.
func failedChoice(t *testing.T, m *kit.ElasticPath) {
	_, token, one, _ := chooser(m, "clumsy")
	kit.MustRefuse(t, "an account of nobody", choose(m.Server, token, storage.Account{ID: "nowhere"}), refusedMemberToken)
	familiesRefused(m, true)
	if got := choose(m.Server, token, one); got.Status < http.StatusInternalServerError {
		t.Errorf("without a refresh family: got %d %s", got.Status, got.Body)
	}
	familiesRefused(m, false)
	kit.MustIssue(t, "the choice", choose(m.Server, token, one))
}

// familiesRefused makes the database refuse new refresh families, which are the last write of a
// choice.
func familiesRefused(m *kit.ElasticPath, on bool) {
	m.T.Helper()
	sqlite := strings.HasPrefix(m.DatabaseURL, "sqlite:")
	statement := map[[2]bool]string{
		{true, true}:   "CREATE TRIGGER full BEFORE INSERT ON families BEGIN SELECT RAISE(ABORT, 'full'); END",
		{true, false}:  "DROP TRIGGER full",
		{false, true}:  "ALTER TABLE families ADD CONSTRAINT none CHECK (false) NOT VALID",
		{false, false}: "ALTER TABLE families DROP CONSTRAINT none",
	}[[2]bool{sqlite, on}]
	_, err := m.DB.ExecContext(m.T.Context(), statement)
	m.Must(err)
}

func raceForOneChoice(t *testing.T, m *kit.ElasticPath) {
	nodes := []*kit.Server{m.Server, m.StartServer(kit.LongRequestTimeout)}
	for round := range 3 {
		p, token, one, two := chooser(m, fmt.Sprint("racer", round))
		var mu sync.Mutex
		var group sync.WaitGroup
		counts := map[int]int{}
		for i := range 50 {
			group.Go(func() {
				got := choose(nodes[i%2], token, []storage.Account{one, two}[i/2%2])
				mu.Lock()
				defer mu.Unlock()
				counts[got.Status]++
				if got.Status != http.StatusOK && got.Body != refusedMemberToken {
					t.Errorf("got %d %s", got.Status, got.Body)
				}
			})
		}
		group.Wait()
		if counts[http.StatusOK] != 1 || counts[http.StatusBadRequest] != 49 {
			t.Errorf("got the answers %v, want one success and 49 refusals", counts)
		}
		if n := m.QueryOne("SELECT count(*) FROM families WHERE login_id = '" + p.LoginID + "'"); n != "1" {
			t.Errorf("got %s refresh families, want 1", n)
		}
	}
}

// revokedLineage renews an account token and revokes one of the resulting tokens. All tokens
// that were renewed from the same one end, on every server, for as long as any of them could
// live. Tokens of another sign-in stay valid.
func revokedLineage(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("lineage", m.AddAccount("Lineage"))
	works := func(token string) bool {
		return m.Storefront().WithAccountToken(token).Try(http.MethodGet, "/v2/accounts", nil).Status == http.StatusOK
	}
	renewed := func(token string) string {
		return kit.MustJSON(t, "renewal", http.StatusCreated, m.Storefront().WithAccountToken(token).AccountTokens(kit.ByAccountToken())).Text("data", 0, "token")
	}
	for name, revoke := range map[string]func(first, second, third string) string{
		"the first":  func(first, _, _ string) string { return first },
		"the second": func(_, second, _ string) string { return second },
		"the third":  func(_, _, third string) string { return third },
	} {
		first := accountTokens(m, p).Text("data", 0, "token")
		other := accountTokens(m, p).Text("data", 0, "token")
		second := renewed(first)
		third := renewed(second)
		if !works(first) || !works(second) || !works(third) {
			t.Fatal("want all three tokens to work")
		}
		if got := m.Server.RevokeThrough("front", revoke(first, second, third)); got.Status != http.StatusOK {
			t.Fatalf("revocation: got %d %s, want 200", got.Status, got.Body)
		}
		for i, token := range []string{first, second, third} {
			if works(token) {
				t.Errorf("%s was revoked: token %d works, want it refused", name, i+1)
			}
			kit.MustFailV2(t, "renewal", m.Storefront().WithAccountToken(token).AccountTokens(kit.ByAccountToken()))
		}
		if !works(other) {
			t.Errorf("%s was revoked: the token of another sign-in is refused, want it valid", name)
		}
	}
	first := accountTokens(m, p).Text("data", 0, "token")
	m.Clock.Advance(23 * time.Hour)
	second := renewed(first)
	if got := m.Server.RevokeThrough("front", first); got.Status != http.StatusOK {
		t.Fatalf("revocation: got %d %s, want 200", got.Status, got.Body)
	}
	m.Clock.Advance(2 * time.Hour) // the first token has expired
	if _, err := m.App.Store.Sweep(t.Context(), m.Clock.Now(), 10_000); err != nil {
		t.Fatal(err)
	}
	if works(second) {
		t.Error("the token works before its end although it was revoked")
	}
}

// pageBeyondEnd requests a page of tokens beyond the last one. The request uses the code.
// Otherwise such pages would distinguish right codes from wrong ones without limit.
func pageBeyondEnd(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("pager", m.AddAccount("Pager"))
	code := addKnownCode(m, p)
	query := "?" + url.Values{"page[offset]": {"5"}}.Encode()
	empty := m.Storefront().Send(t, http.StatusCreated, http.MethodPost, kit.AccountTokensPath+query, kit.ByCode("default", p.Username, code))
	if list, _ := empty.At("data").([]any); len(list) != 0 {
		t.Errorf("got the tokens %v", list)
	}
	if l := m.Login(p.Username); l.Code.UsedAt.IsZero() {
		t.Error("the code is not used, want it used")
	}
	kit.MustFailV2(t, "the code again", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, code)))
}
