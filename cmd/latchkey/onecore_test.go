package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// coreTests: both dialects sign in the same users, by the same logins, codes
// and counters.
func coreTests() []mallTest {
	return []mallTest{
		{"one counter", oneCounter},
		{"one code", oneCode},
		{"one password", onePassword},
		{"locked meanwhile", lockedMeanwhile},
		{"disabled meanwhile", disabledMeanwhile},
		{"parallel redemptions", oneWins},
	}
}

// way is a path to a token by a code or password, in either dialect.
type way struct {
	name  string
	send  func(secret string) answer
	wrong func(t testing.TB, what string, a answer)
}

// codeWays are all paths by a one-time password. None of them hashes.
func (m *mall) codeWays(n *node, p shopper) []way {
	front := m.frontAt(n)
	oauth := func(t testing.TB, what string, a answer) {
		t.Helper()
		refused(t, what, a, refusedSignIn)
	}
	return []way{
		{"password grant", func(code string) answer { return n.signInTo("otponly", p.name, code) }, oauth},
		{"/v2 tokens", func(code string) answer { return front.tokens(byCode("default", p.name, code)) }, failedV2},
		{"member grant", func(code string) answer {
			return n.memberGrant("otponly", "username", p.name, "one_time_password", code)
		}, oauth},
	}
}

// won reports whether the answer is a token.
func won(a answer) bool {
	return a.status == http.StatusOK && a.field("access_token") != "" || a.status == http.StatusCreated && strings.Contains(a.body, `"token":"ey`)
}

// oneCounter: failures in either dialect lead to one lock, which is there for
// both, and a success in one clears the count for the other.
func oneCounter(t *testing.T, m *mall) {
	p := m.shopper("counted", m.company("Counted"))
	other := m.another()
	ways := append(m.codeWays(m.n, p), m.codeWays(other, p)...)
	code := m.planted(p)
	for i := range 9 {
		way := ways[i%len(ways)]
		way.wrong(t, way.name, way.send(wrongCode))
		if got := m.failures(p.name); got != i+1 {
			t.Fatalf("%d failures after %d wrong codes, the last by %s", got, i+1, way.name)
		}
	}
	if got := ways[1].send(code); !won(got) {
		t.Fatalf("before the limit: %d %s", got.status, got.body)
	}
	if got := m.failures(p.name); got != 0 {
		t.Errorf("%d failures after a success", got)
	}
	code = m.planted(p)
	for i := range 10 {
		ways[(i+1)%len(ways)].send(wrongCode)
	}
	if l := m.login(p.name).Lockout; l.Failures != 10 || !l.Locked(m.clock.now()) {
		t.Fatalf("after ten failures: %+v", l)
	}
	for _, way := range ways {
		way.wrong(t, way.name+" with the right code", way.send(code))
	}
	m.run("user", "unlock", p.name)
	if got := ways[2].send(code); !won(got) {
		t.Errorf("after the unlock: %d %s", got.status, got.body)
	}
}

// oneCode: wherever a code was asked for, it works once, anywhere where the
// client that it was asked for may use it; and a newer one replaces it.
func oneCode(t *testing.T, m *mall) {
	p := m.shopper("coded", m.company("Coded"))
	ways := m.codeWays(m.n, p)
	for _, used := range ways {
		code := m.codeOf(p, "passwordless_authentication")
		if got := used.send(code); !won(got) {
			t.Errorf("%s: %d %s", used.name, got.status, got.body)
		}
		for _, again := range ways {
			again.wrong(t, again.name+" after "+used.name, again.send(code))
		}
	}
	m.run("user", "unlock", p.name)
	// Asked for below /v1 the code is the client's.
	ask := func(client string) string {
		if got := m.n.askForCodeThrough(client, p.name, ""); got.status != http.StatusNoContent {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return m.receiver.next(t).Payload.Code
	}
	older := m.codeOf(p, "reset_password")
	code := ask("front")
	failedV2(t, "replaced by a code of the other dialect", m.front().tokens(byCode("default", p.name, older)))
	refused(t, "another client's code", m.n.memberGrant("till", "username", p.name, "one_time_password", code), refusedSignIn)
	m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, code))
	code = ask("till")
	failedV2(t, "another client's code", m.front().tokens(byCode("default", p.name, code)))
	granted(t, "its own client", m.n.memberGrant("till", "username", p.name, "one_time_password", code))
}

// onePassword: an account token changes the password of both dialects, which
// ends everything older of that login except the token's own session: refresh
// families, access tokens, account tokens, and codes on their way.
func onePassword(t *testing.T, m *mall) {
	m.set(jsonObject{"account_member_self_management": "update_only"})
	hash, err := hashOfJane()
	m.must(err)
	acme := m.company("Passwords")
	p := m.shopperWith(hash, "changer", acme)
	session := pairOf(t, "password", m.n.signInTo("front", p.name, janesPassword))
	scoped := pairOf(t, "member", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p)))
	exchanged := granted(t, "exchanged", m.n.exchange("front", session.access, "account_id", acme.ID)).field("access_token")
	older := m.accountTokens(p).text("data", 0, "token")
	token := m.resetTokens(p).text("data", 0, "token")
	other := m.shopper("bystander", acme)
	beside := pairOf(t, "bystander", m.n.memberGrant("front", "username", other.name, "one_time_password", m.planted(other)))
	code := m.codeOf(p, "reset_password")

	m.front().as(token).send(t, 200, http.MethodPut, p.infoPath(), jsonObject{"password": "changed-Horse-9"})

	replicas := []*node{m.n, m.another()}
	for _, n := range replicas {
		for _, refresh := range []string{session.refresh, scoped.refresh} {
			refused(t, "refresh", n.refreshAt("front", refresh), refusedRefresh)
			isInactive(t, "refresh token", n.introspectAs("front", refresh))
		}
		for _, access := range []string{session.access, scoped.access, exchanged} {
			isInactive(t, "access token", n.introspectAs("front", access))
			refused(t, "exchange", n.exchange("front", access), refusedSubject)
		}
		for _, way := range m.codeWays(n, p) {
			way.wrong(t, "outstanding code, "+way.name, way.send(code))
		}
		refusedV2(t, "older account token", m.frontAt(n).as(older).try(http.MethodGet, p.userPath(), nil), http.StatusUnauthorized, "")
		failedV2(t, "older account token, renewed", m.frontAt(n).as(older).tokens(byHeld()))
		refused(t, "older account token, held", n.memberGrant("front", "member_token", older), refusedHeld)
		m.frontAt(n).as(token).send(t, 200, http.MethodGet, p.userPath(), nil)
		m.frontAt(n).as(token).send(t, 201, http.MethodPost, tokensV2, byHeld())
		granted(t, "used account token, held", n.memberGrant("front", "member_token", token))
	}
	isActive(t, "another user", m.n.introspectAs("front", beside.access))
	m.run("user", "unlock", p.name)
	refused(t, "old password", m.n.signInTo("front", p.name, janesPassword), refusedSignIn)
	failedV2(t, "old password", m.front().tokens(byPassword(p.name, janesPassword)))
	fresh := pairOf(t, "new password", m.n.signInTo("front", p.name, "changed-Horse-9"))
	pairOf(t, "new session", m.n.refreshAt("front", fresh.refresh))
	again := m.front().send(t, 201, http.MethodPost, tokensV2, byPassword(p.name, "changed-Horse-9")).text("data", 0, "token")
	m.front().as(again).send(t, 200, http.MethodGet, p.userPath(), nil)
}

// doors are all paths to a token, or past one, of somebody who holds everything
// that one can hold.
func (m *mall) doors(t *testing.T, p shopper, two storage.Account) map[string]func() (answer, bool) {
	t.Helper()
	plain := pairOf(t, "plain", m.n.signInTo("front", p.name, m.planted(p)))
	scoped := pairOf(t, "scoped", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p), "account_id", two.ID))
	choice := m.mustSelect("selection", m.n.memberGrant("front", "username", p.name, "one_time_password", m.planted(p)))
	vendor := m.accountTokens(p).text("data", 0, "token")
	code := m.codeOf(p, "passwordless_authentication")
	n, front := m.n, m.front()
	is := func(status int, body string, send func() answer) func() (answer, bool) {
		return func() (answer, bool) {
			got := send()
			return got, got.status == status && got.body == body
		}
	}
	const failed = `{"errors":[{"title":"Bad Request","status":"400","detail":"authentication failed"}]}`
	const unauthorized = `{"errors":[{"title":"Unauthorized","status":"401"}]}`
	doors := map[string]func() (answer, bool){
		"password grant, password": is(400, refusedSignIn, func() answer { return n.signInTo("front", p.name, janesPassword) }),
		"member grant, password":   is(400, refusedSignIn, func() answer { return n.memberGrant("front", "username", p.name, "password", janesPassword) }),
		"member grant, account": is(400, refusedSignIn, func() answer {
			return n.memberGrant("front", "username", p.name, "one_time_password", code, "account_id", two.ID)
		}),
		"/v2 tokens, password":   is(400, failed, func() answer { return front.tokens(byPassword(p.name, janesPassword)) }),
		"/v2 tokens, held":       is(400, failed, func() answer { return front.as(vendor).tokens(byHeld()) }),
		"account token":          is(401, unauthorized, func() answer { return front.as(vendor).try(http.MethodGet, "/v2/accounts", nil) }),
		"member token, vendor's": is(400, refusedHeld, func() answer { return n.memberGrant("front", "member_token", vendor) }),
		"member token, scoped":   is(400, refusedHeld, func() answer { return n.memberGrant("front", "member_token", scoped.access) }),
		"selection":              is(400, refusedHeld, func() answer { return n.memberGrant("front", "selection_token", choice.Token, "account_id", two.ID) }),
		"exchange":               is(400, refusedSubject, func() answer { return n.exchange("front", plain.access, "account_id", two.ID) }),
		"exchange, scoped":       is(400, refusedSubject, func() answer { return n.exchange("front", scoped.access) }),
		"refresh":                is(400, refusedRefresh, func() answer { return n.refreshAt("front", plain.refresh) }),
		"refresh, scoped":        is(400, refusedRefresh, func() answer { return n.refreshAt("front", scoped.refresh) }),
		"introspection":          is(200, inactive, func() answer { return n.introspectAs("front", plain.access) }),
		"introspection, scoped":  is(200, inactive, func() answer { return n.introspectAs("front", scoped.access) }),
		"introspection, refresh": is(200, inactive, func() answer { return n.introspectAs("front", scoped.refresh) }),
	}
	for _, way := range m.codeWays(n, p) {
		doors[way.name+", code"] = func() (answer, bool) {
			got := way.send(code)
			return got, got.status == http.StatusBadRequest && !won(got) && (got.body == refusedSignIn || got.body == failed)
		}
	}
	return doors
}

// isShut tries every door.
func isShut(t *testing.T, doors map[string]func() (answer, bool)) {
	t.Helper()
	for what, try := range doors {
		if got, ok := try(); !ok {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
}

// lockedMeanwhile: a lock between the request for a code and its use shuts every
// door, of both dialects, and changes nothing else: afterwards all are open.
func lockedMeanwhile(t *testing.T, m *mall) {
	hash, err := hashOfJane()
	m.must(err)
	two := m.company("Door two")
	p := m.shopperWith(hash, "locked-out", m.company("Door one"), two)
	doors := m.doors(t, p, two)
	m.lock(p)
	isShut(t, doors)
	if l := m.login(p.name); l.Lockout.Failures != 10 || !l.Code.UsedAt.IsZero() {
		t.Errorf("%d failures, code used at %v; want 10 and an unused one", l.Lockout.Failures, l.Code.UsedAt)
	}
	m.run("user", "unlock", p.name)
	for _, what := range []string{"account token", "exchange", "introspection", "introspection, scoped", "refresh, scoped", "selection", "/v2 tokens, code"} {
		if got, _ := doors[what](); got.status >= 300 || got.body == inactive {
			t.Errorf("%s after the unlock: %d %s", what, got.status, got.body)
		}
	}
}

// disabledMeanwhile is the same for a user who is disabled.
func disabledMeanwhile(t *testing.T, m *mall) {
	hash, err := hashOfJane()
	m.must(err)
	two := m.company("Ward two")
	p := m.shopperWith(hash, "put-out", m.company("Ward one"), two)
	doors := m.doors(t, p, two)
	m.disable(p)
	isShut(t, doors)
}

// oneWins: of 100 parallel redemptions of one code, by all paths of both
// dialects and over two servers, one succeeds.
func oneWins(t *testing.T, m *mall) {
	other := m.another(unhurried)
	acme := m.company("Race")
	rounds := 6
	if strings.HasPrefix(m.databaseURL, "sqlite:") {
		rounds = 2
	}
	for round := range rounds {
		p := m.shopper(fmt.Sprint("racer-", round), acme)
		code := m.planted(p)
		if round%2 == 1 {
			code = m.codeOf(p, "passwordless_authentication")
		}
		ways := slices.Concat(m.codeWays(m.n, p), m.codeWays(other, p))
		tally := map[string]int{}
		for i, got := range atOnce(100, func(i int) answer { return ways[i%len(ways)].send(code) }) {
			if won(got) {
				tally["won"]++
				continue
			}
			tally["refused"]++
			ways[i%len(ways)].wrong(t, ways[i%len(ways)].name, got)
		}
		if diff := cmp.Diff(map[string]int{"won": 1, "refused": 99}, tally); diff != "" {
			t.Errorf("round %d: %s", round, diff)
		}
		if l := m.login(p.name); l.Code.UsedAt.IsZero() {
			t.Errorf("round %d: the code is not used", round)
		}
	}
}

// TestOneCoreOutage: while the database cannot be written to, nothing of either
// dialect is decided: 503 with Retry-After, no failure counted, no code burnt.
func TestOneCoreOutage(t *testing.T) {
	t.Parallel()
	t.Run("sqlite locked", func(t *testing.T) {
		t.Parallel()
		m := openMall(t, "sqlite:"+t.TempDir()+"/latchkey.db", "LATCHKEY_REQUEST_TIMEOUT=2s")
		m.outage(t, func(b *besieged, during func()) {
			conn, err := b.db.Conn(context.WithoutCancel(t.Context()))
			b.must(err)
			defer conn.Close() //nolint:errcheck // the test is over or goes on without it
			_, err = conn.ExecContext(context.WithoutCancel(t.Context()), "BEGIN IMMEDIATE")
			b.must(err)
			during()
			_, err = conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
			b.must(err)
		})
	})
	t.Run("postgres standby", func(t *testing.T) {
		t.Parallel()
		m := openMall(t, postgres(t).Database(t))
		m.outage(t, func(b *besieged, during func()) {
			name := b.one("SELECT current_database()")
			b.turnReadOnly(t, name, "on")
			during()
			b.turnReadOnly(t, name, "off")
		})
	})
}

func (m *mall) outage(t *testing.T, while func(b *besieged, during func())) {
	acme := m.company("Siege")
	p, q := m.shopper("siege", acme), m.shopper("siege-held", acme)
	session := pairOf(t, "session", m.n.memberGrant("front", "username", q.name, "one_time_password", m.planted(q)))
	held := m.accountTokens(q).text("data", 0, "token")
	for range 9 {
		failedV2(t, "wrong", m.front().tokens(byCode("default", p.name, wrongCode)))
	}
	code := m.codeOf(p, "passwordless_authentication")
	front := m.front()
	var requests []func() answer
	for _, way := range m.codeWays(m.n, p) {
		requests = append(requests, func() answer { return way.send(code) }, func() answer { return way.send(wrongCode) })
	}
	requests = append(requests,
		func() answer { return front.askFor("default", p.name, "reset_password") },
		func() answer { return front.askFor("default", "nobody", "reset_password") },
		func() answer { return front.tokens(byCode("default", "nobody", wrongCode)) },
		func() answer { return m.n.refreshAt("front", session.refresh) },
	)
	while(&besieged{arena: m.arena}, func() {
		for _, got := range atOnce(len(requests), func(i int) answer { return requests[i]() }) {
			unavailableV2(t, got)
		}
	})
	awaitThat(t, "the database can be written to again", func() bool {
		return front.askFor("default", "nobody", "reset_password").status == http.StatusAccepted && m.app.store.Ping(t.Context()) == nil
	})
	if l := m.login(p.name); l.Lockout.Failures != 9 || !l.Code.UsedAt.IsZero() {
		t.Errorf("%d failures, code used at %v; want 9 and an unused one", l.Lockout.Failures, l.Code.UsedAt)
	}
	m.settled()
	if n := len(m.receiver.events); n != 0 {
		t.Errorf("%d events of requests that were refused", n)
	}
	front.send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, code))
	front.as(held).send(t, 201, http.MethodPost, tokensV2, byHeld())
	pairOf(t, "refresh", m.n.refreshAt("front", session.refresh))
	m.clock.advance(time.Second)
}

// unavailableV2 is a 503 of either dialect that says when to come back.
func unavailableV2(t *testing.T, a answer) {
	t.Helper()
	const v2 = `{"errors":[{"title":"Service Unavailable","status":"503","detail":"The server cannot answer now. Try again."}]}`
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.body != v2 && !strings.HasPrefix(a.body, `{"error":"temporarily_unavailable",`) {
		t.Errorf("%d, Retry-After %q: %s", a.status, a.header.Get("Retry-After"), a.body)
	}
}
