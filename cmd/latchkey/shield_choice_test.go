package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/storage"
)

// TestHeldTokensAreBounded: what a token that stands for a sign-in is good for
// is no more than that sign-in was.
func TestHeldTokensAreBounded(t *testing.T) {
	eachMall(t, func(t *testing.T, m *mall) {
		m.each(t, []mallTest{
			{"one choice", oneChoice},
			{"a choice that fails uses nothing up", failedChoice},
			{"one choice of fifty", raceForOneChoice},
			{"revocation reaches what was renewed", revokedLineage},
			{"a page without tokens", pageBeyondEnd},
		})
	})
}

// chooser signs in as a member of two accounts and returns the selection token
// with the ids of the accounts.
func (m *mall) chooser(name string) (p shopper, token string, one, two storage.Account) {
	m.t.Helper()
	one, two = m.company(name+" one"), m.company(name+" two")
	p = m.shopper(name, one, two)
	got := m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p))
	return p, m.mustSelect("sign-in", got).Token, one, two
}

func (n *node) choose(token string, a storage.Account) answer {
	return n.memberGrant("front", "selection_token", token, "account_id", a.ID)
}

func oneChoice(t *testing.T, m *mall) {
	p, token, one, two := m.chooser("once")
	granted(t, "the choice", m.n.choose(token, one))
	refused(t, "the same again", m.n.choose(token, one), refusedHeld)
	refused(t, "the other account", m.n.choose(token, two), refusedHeld)
	refused(t, "on another server", m.another(unhurried).choose(token, two), refusedHeld)
	if n := m.one("SELECT count(*) FROM families WHERE login_id = '" + p.info + "'"); n != "1" {
		t.Errorf("%s refresh families began, want 1", n)
	}
}

// failedChoice: neither a mistake nor an outage costs the user a new code.
func failedChoice(t *testing.T, m *mall) {
	_, token, one, _ := m.chooser("clumsy")
	refused(t, "an account of nobody", m.n.choose(token, storage.Account{ID: "nowhere"}), refusedHeld)
	m.familiesRefused(true)
	if got := m.n.choose(token, one); got.status < http.StatusInternalServerError {
		t.Errorf("without a refresh family: %d %s", got.status, got.body)
	}
	m.familiesRefused(false)
	granted(t, "the choice", m.n.choose(token, one))
}

// familiesRefused makes the database refuse every new refresh family, which is
// the last that a choice writes.
func (m *mall) familiesRefused(on bool) {
	m.t.Helper()
	sqlite := strings.HasPrefix(m.databaseURL, "sqlite:")
	statement := map[[2]bool]string{
		{true, true}:   "CREATE TRIGGER full BEFORE INSERT ON families BEGIN SELECT RAISE(ABORT, 'full'); END",
		{true, false}:  "DROP TRIGGER full",
		{false, true}:  "ALTER TABLE families ADD CONSTRAINT none CHECK (false) NOT VALID",
		{false, false}: "ALTER TABLE families DROP CONSTRAINT none",
	}[[2]bool{sqlite, on}]
	_, err := m.db.ExecContext(m.t.Context(), statement)
	m.must(err)
}

func raceForOneChoice(t *testing.T, m *mall) {
	nodes := []*node{m.n, m.another(unhurried)}
	for round := range 3 {
		p, token, one, two := m.chooser(fmt.Sprint("racer", round))
		var mu sync.Mutex
		var group sync.WaitGroup
		counts := map[int]int{}
		for i := range 50 {
			group.Go(func() {
				got := nodes[i%2].choose(token, []storage.Account{one, two}[i/2%2])
				mu.Lock()
				defer mu.Unlock()
				counts[got.status]++
				if got.status != http.StatusOK && got.body != refusedHeld {
					t.Errorf("%d %s", got.status, got.body)
				}
			})
		}
		group.Wait()
		if counts[http.StatusOK] != 1 || counts[http.StatusBadRequest] != 49 {
			t.Errorf("answers %v, want one choice", counts)
		}
		if n := m.one("SELECT count(*) FROM families WHERE login_id = '" + p.info + "'"); n != "1" {
			t.Errorf("%s refresh families began, want 1", n)
		}
	}
}

// revokedLineage renews an account token and revokes a token of the line: all
// that were renewed from the same one end, on every server, and stay so for as
// long as any of them could live. Those of another sign-in go on.
func revokedLineage(t *testing.T, m *mall) {
	p := m.shopper("lineage", m.company("Lineage"))
	works := func(token string) bool {
		return m.front().as(token).try(http.MethodGet, "/v2/accounts", nil).status == http.StatusOK
	}
	renewed := func(token string) string {
		return paperOf(t, "renewal", http.StatusCreated, m.front().as(token).tokens(byHeld())).text("data", 0, "token")
	}
	for name, revoke := range map[string]func(first, second, third string) string{
		"the first":  func(first, _, _ string) string { return first },
		"the second": func(_, second, _ string) string { return second },
		"the third":  func(_, _, third string) string { return third },
	} {
		first := m.accountTokens(p).text("data", 0, "token")
		other := m.accountTokens(p).text("data", 0, "token")
		second := renewed(first)
		third := renewed(second)
		if !works(first) || !works(second) || !works(third) {
			t.Fatal("not all three work")
		}
		if got := m.n.revokeFor("front", revoke(first, second, third)); got.status != http.StatusOK {
			t.Fatalf("revocation: %d %s", got.status, got.body)
		}
		for i, token := range []string{first, second, third} {
			if works(token) {
				t.Errorf("%s was revoked: number %d works", name, i+1)
			}
			failedV2(t, "renewal", m.front().as(token).tokens(byHeld()))
		}
		if !works(other) {
			t.Errorf("%s was revoked: the token of another sign-in ended", name)
		}
	}
	first := m.accountTokens(p).text("data", 0, "token")
	m.clock.advance(23 * time.Hour)
	second := renewed(first)
	if got := m.n.revokeFor("front", first); got.status != http.StatusOK {
		t.Fatalf("revocation: %d %s", got.status, got.body)
	}
	m.clock.advance(2 * time.Hour) // the first has expired
	if _, err := m.app.store.Sweep(t.Context(), m.clock.now(), 10_000); err != nil {
		t.Fatal(err)
	}
	if works(second) {
		t.Error("the revocation is forgotten before the token ends")
	}
}

// pageBeyondEnd asks for a page of tokens that has none. It uses the code up:
// otherwise such pages would tell right codes from wrong ones, as often as one
// likes.
func pageBeyondEnd(t *testing.T, m *mall) {
	p := m.shopper("pager", m.company("Pager"))
	code := m.planted(p)
	query := "?" + url.Values{"page[offset]": {"5"}}.Encode()
	empty := m.front().send(t, http.StatusCreated, http.MethodPost, tokensV2+query, byCode("default", p.name, code))
	if list, _ := empty.at("data").([]any); len(list) != 0 {
		t.Errorf("tokens %v", list)
	}
	if l := m.login(p.name); l.Code.UsedAt.IsZero() {
		t.Error("the code is not used up")
	}
	failedV2(t, "the code again", m.front().tokens(byCode("default", p.name, code)))
}
