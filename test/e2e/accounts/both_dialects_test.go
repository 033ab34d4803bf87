package accounts

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
	"latchkey/storage/gormstore/gormtest"
	"latchkey/test/e2e/kit"
)

// coreTests are tests that both dialects sign in the same users, with the same logins, codes
// and counters.
func coreTests() []storefrontTest {
	return []storefrontTest{
		{"one counter", oneCounter},
		{"one code", oneCode},
		{"one password", onePassword},
		{"locked meanwhile", lockedMeanwhile},
		{"disabled meanwhile", disabledMeanwhile},
		{"parallel redemptions", oneWins},
	}
}

// signInWay is a request that returns a token for a code or a password, in either dialect.
type signInWay struct {
	name  string
	send  func(secret string) kit.Response
	wrong func(t testing.TB, what string, a kit.Response)
}

// signInWaysByCode are all requests that sign in with a one-time password. They compute no
// hash.
func signInWaysByCode(m *kit.ElasticPath, n *kit.Server, p kit.Shopper) []signInWay {
	front := m.StorefrontAt(n)
	oauth := func(t testing.TB, what string, a kit.Response) {
		t.Helper()
		kit.MustRefuse(t, what, a, kit.WrongCredentialsBody)
	}
	return []signInWay{
		{"password grant", func(code string) kit.Response { return n.SignInThrough("otponly", p.Username, code) }, oauth},
		{"/v2 tokens", func(code string) kit.Response { return front.AccountTokens(kit.ByCode("default", p.Username, code)) }, kit.MustFailV2},
		{"member grant", func(code string) kit.Response {
			return n.MemberGrant("otponly", "username", p.Username, "one_time_password", code)
		}, oauth},
	}
}

// gotToken reports whether the answer is a token.
func gotToken(a kit.Response) bool {
	return a.Status == http.StatusOK && a.Field("access_token") != "" || a.Status == http.StatusCreated && strings.Contains(a.Body, `"token":"ey`)
}

// oneCounter tests that failures in both dialects lead to one lock for both, and that a success
// in one dialect clears the count for the other.
func oneCounter(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("counted", m.AddAccount("Counted"))
	other := m.StartServer()
	ways := append(signInWaysByCode(m, m.Server, p), signInWaysByCode(m, other, p)...)
	code := addKnownCode(m, p)
	for i := range 9 {
		way := ways[i%len(ways)]
		way.wrong(t, way.name, way.send(kit.WrongCode))
		if got := m.Failures(p.Username); got != i+1 {
			t.Fatalf("got %d failures after %d wrong codes, the last by %s, want the same", got, i+1, way.name)
		}
	}
	if got := ways[1].send(code); !gotToken(got) {
		t.Fatalf("before the limit: got %d %s", got.Status, got.Body)
	}
	if got := m.Failures(p.Username); got != 0 {
		t.Errorf("got %d failures after a success, want 0", got)
	}
	code = addKnownCode(m, p)
	for i := range 10 {
		ways[(i+1)%len(ways)].send(kit.WrongCode)
	}
	if l := m.Login(p.Username).Lockout; l.Failures != 10 || !l.Locked(m.Clock.Now()) {
		t.Fatalf("after ten failures: got %+v, want a lock", l)
	}
	for _, way := range ways {
		way.wrong(t, way.name+" with the right code", way.send(code))
	}
	m.Run("user", "unlock", p.Username)
	if got := ways[2].send(code); !gotToken(got) {
		t.Errorf("after the unlock: got %d %s", got.Status, got.Body)
	}
}

// oneCode tests that a code works once, in either dialect, for the client for which it was
// requested, and that a newer code replaces it.
func oneCode(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("coded", m.AddAccount("Coded"))
	ways := signInWaysByCode(m, m.Server, p)
	for _, used := range ways {
		code := m.DeliveredCode(p, "passwordless_authentication")
		if got := used.send(code); !gotToken(got) {
			t.Errorf("%s: got %d %s", used.name, got.Status, got.Body)
		}
		for _, again := range ways {
			again.wrong(t, again.name+" after "+used.name, again.send(code))
		}
	}
	m.Run("user", "unlock", p.Username)
	// A code that is requested below /v1 belongs to the client.
	ask := func(client string) string {
		if got := m.Server.RequestCodeThrough(client, p.Username, ""); got.Status != http.StatusNoContent {
			t.Fatalf("got %d %s, want 204", got.Status, got.Body)
		}
		return m.Receiver.Next(t).Payload.Code
	}
	older := m.DeliveredCode(p, "reset_password")
	code := ask("front")
	kit.MustFailV2(t, "replaced by a code of the other dialect", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, older)))
	kit.MustRefuse(t, "another client's code", m.Server.MemberGrant("till", "username", p.Username, "one_time_password", code), kit.WrongCredentialsBody)
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, code))
	code = ask("till")
	kit.MustFailV2(t, "another client's code", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, code)))
	kit.MustIssue(t, "its own client", m.Server.MemberGrant("till", "username", p.Username, "one_time_password", code))
}

// onePassword tests that an account token changes the password of both dialects. The change
// ends everything older of the login except the token's own session: refresh families, access
// tokens, account tokens and codes.
func onePassword(t *testing.T, m *kit.ElasticPath) {
	m.ChangeSettings(kit.Object{"account_member_self_management": "update_only"})
	hash, err := kit.PasswordHash()
	m.Must(err)
	acme := m.AddAccount("Passwords")
	p := m.AddShopperWithHash(hash, "changer", acme)
	session := kit.TokenPairOf(t, "password", m.Server.SignInThrough("front", p.Username, kit.Password))
	scoped := kit.TokenPairOf(t, "member", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p)))
	exchanged := kit.MustIssue(t, "exchanged", m.Server.ExchangeToken("front", session.Access, "account_id", acme.ID)).Field("access_token")
	older := accountTokens(m, p).Text("data", 0, "token")
	token := m.ResetPasswordTokens(p).Text("data", 0, "token")
	other := m.AddShopper("bystander", acme)
	beside := kit.TokenPairOf(t, "bystander", m.Server.MemberGrant("front", "username", other.Username, "one_time_password", addKnownCode(m, other)))
	code := m.DeliveredCode(p, "reset_password")

	m.Storefront().WithAccountToken(token).Send(t, 200, http.MethodPut, loginPath(p), kit.Object{"password": "changed-Horse-9"})

	replicas := []*kit.Server{m.Server, m.StartServer()}
	for _, n := range replicas {
		for _, refresh := range []string{session.Refresh, scoped.Refresh} {
			kit.MustRefuse(t, "refresh", n.RefreshThrough("front", refresh), kit.InvalidRefreshTokenBody)
			kit.MustBeInactive(t, "refresh token", n.IntrospectThrough("front", refresh))
		}
		for _, access := range []string{session.Access, scoped.Access, exchanged} {
			kit.MustBeInactive(t, "access token", n.IntrospectThrough("front", access))
			kit.MustRefuse(t, "exchange", n.ExchangeToken("front", access), refusedSubject)
		}
		for _, way := range signInWaysByCode(m, n, p) {
			way.wrong(t, "outstanding code, "+way.name, way.send(code))
		}
		kit.MustRefuseV2(t, "older account token", m.StorefrontAt(n).WithAccountToken(older).Try(http.MethodGet, userPath(p), nil), http.StatusUnauthorized, "")
		kit.MustFailV2(t, "older account token, renewed", m.StorefrontAt(n).WithAccountToken(older).AccountTokens(kit.ByAccountToken()))
		kit.MustRefuse(t, "older account token, held", n.MemberGrant("front", "member_token", older), refusedMemberToken)
		m.StorefrontAt(n).WithAccountToken(token).Send(t, 200, http.MethodGet, userPath(p), nil)
		m.StorefrontAt(n).WithAccountToken(token).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
		kit.MustIssue(t, "used account token, held", n.MemberGrant("front", "member_token", token))
	}
	kit.MustBeActive(t, "another user", m.Server.IntrospectThrough("front", beside.Access))
	m.Run("user", "unlock", p.Username)
	kit.MustRefuse(t, "old password", m.Server.SignInThrough("front", p.Username, kit.Password), kit.WrongCredentialsBody)
	kit.MustFailV2(t, "old password", m.Storefront().AccountTokens(kit.ByPassword(p.Username, kit.Password)))
	fresh := kit.TokenPairOf(t, "new password", m.Server.SignInThrough("front", p.Username, "changed-Horse-9"))
	kit.TokenPairOf(t, "new session", m.Server.RefreshThrough("front", fresh.Refresh))
	again := m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByPassword(p.Username, "changed-Horse-9")).Text("data", 0, "token")
	m.Storefront().WithAccountToken(again).Send(t, 200, http.MethodGet, userPath(p), nil)
}

// allAccess are all requests that get a token or use one, for a user who has every kind of
// credential. Each function reports whether the request was refused.
func allAccess(m *kit.ElasticPath, t *testing.T, p kit.Shopper, two storage.Account) map[string]func() (kit.Response, bool) {
	t.Helper()
	plain := kit.TokenPairOf(t, "plain", m.Server.SignInThrough("front", p.Username, addKnownCode(m, p)))
	scoped := kit.TokenPairOf(t, "scoped", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p), "account_id", two.ID))
	choice := mustSelect(m, "selection", m.Server.MemberGrant("front", "username", p.Username, "one_time_password", addKnownCode(m, p)))
	vendor := accountTokens(m, p).Text("data", 0, "token")
	code := m.DeliveredCode(p, "passwordless_authentication")
	n, front := m.Server, m.Storefront()
	is := func(status int, body string, send func() kit.Response) func() (kit.Response, bool) {
		return func() (kit.Response, bool) {
			got := send()
			return got, got.Status == status && got.Body == body
		}
	}
	const failed = `{"errors":[{"title":"Bad Request","status":"400","detail":"authentication failed"}]}`
	const unauthorized = `{"errors":[{"title":"Unauthorized","status":"401"}]}`
	allAccess := map[string]func() (kit.Response, bool){
		"password grant, password": is(400, kit.WrongCredentialsBody, func() kit.Response { return n.SignInThrough("front", p.Username, kit.Password) }),
		"member grant, password":   is(400, kit.WrongCredentialsBody, func() kit.Response { return n.MemberGrant("front", "username", p.Username, "password", kit.Password) }),
		"member grant, account": is(400, kit.WrongCredentialsBody, func() kit.Response {
			return n.MemberGrant("front", "username", p.Username, "one_time_password", code, "account_id", two.ID)
		}),
		"/v2 tokens, password":   is(400, failed, func() kit.Response { return front.AccountTokens(kit.ByPassword(p.Username, kit.Password)) }),
		"/v2 tokens, held":       is(400, failed, func() kit.Response { return front.WithAccountToken(vendor).AccountTokens(kit.ByAccountToken()) }),
		"account token":          is(401, unauthorized, func() kit.Response { return front.WithAccountToken(vendor).Try(http.MethodGet, "/v2/accounts", nil) }),
		"member token, vendor's": is(400, refusedMemberToken, func() kit.Response { return n.MemberGrant("front", "member_token", vendor) }),
		"member token, scoped":   is(400, refusedMemberToken, func() kit.Response { return n.MemberGrant("front", "member_token", scoped.Access) }),
		"selection": is(400, refusedMemberToken, func() kit.Response {
			return n.MemberGrant("front", "selection_token", choice.Token, "account_id", two.ID)
		}),
		"exchange":               is(400, refusedSubject, func() kit.Response { return n.ExchangeToken("front", plain.Access, "account_id", two.ID) }),
		"exchange, scoped":       is(400, refusedSubject, func() kit.Response { return n.ExchangeToken("front", scoped.Access) }),
		"refresh":                is(400, kit.InvalidRefreshTokenBody, func() kit.Response { return n.RefreshThrough("front", plain.Refresh) }),
		"refresh, scoped":        is(400, kit.InvalidRefreshTokenBody, func() kit.Response { return n.RefreshThrough("front", scoped.Refresh) }),
		"introspection":          is(200, kit.InactiveBody, func() kit.Response { return n.IntrospectThrough("front", plain.Access) }),
		"introspection, scoped":  is(200, kit.InactiveBody, func() kit.Response { return n.IntrospectThrough("front", scoped.Access) }),
		"introspection, refresh": is(200, kit.InactiveBody, func() kit.Response { return n.IntrospectThrough("front", scoped.Refresh) }),
	}
	for _, way := range signInWaysByCode(m, n, p) {
		allAccess[way.name+", code"] = func() (kit.Response, bool) {
			got := way.send(code)
			return got, got.Status == http.StatusBadRequest && !gotToken(got) && (got.Body == kit.WrongCredentialsBody || got.Body == failed)
		}
	}
	return allAccess
}

// mustRefuseAll expects every request to be refused.
func mustRefuseAll(t *testing.T, allAccess map[string]func() (kit.Response, bool)) {
	t.Helper()
	for what, try := range allAccess {
		if got, ok := try(); !ok {
			t.Errorf("%s: got %d %s, want a refusal", what, got.Status, got.Body)
		}
	}
}

// lockedMeanwhile tests that a lock between the request for a code and its use makes both
// dialects refuse every request. After the unlock all of them succeed.
func lockedMeanwhile(t *testing.T, m *kit.ElasticPath) {
	hash, err := kit.PasswordHash()
	m.Must(err)
	two := m.AddAccount("Door two")
	p := m.AddShopperWithHash(hash, "locked-out", m.AddAccount("Door one"), two)
	allAccess := allAccess(m, t, p, two)
	lock(m, p)
	mustRefuseAll(t, allAccess)
	if l := m.Login(p.Username); l.Lockout.Failures != 10 || !l.Code.UsedAt.IsZero() {
		t.Errorf("got %d failures, code used at %v; want 10 and an unused one", l.Lockout.Failures, l.Code.UsedAt)
	}
	m.Run("user", "unlock", p.Username)
	for _, what := range []string{"account token", "exchange", "introspection", "introspection, scoped", "refresh, scoped", "selection", "/v2 tokens, code"} {
		if got, _ := allAccess[what](); got.Status >= 300 || got.Body == kit.InactiveBody {
			t.Errorf("%s after the unlock: got %d %s", what, got.Status, got.Body)
		}
	}
}

// disabledMeanwhile tests the same for a disabled user.
func disabledMeanwhile(t *testing.T, m *kit.ElasticPath) {
	hash, err := kit.PasswordHash()
	m.Must(err)
	two := m.AddAccount("Ward two")
	p := m.AddShopperWithHash(hash, "put-out", m.AddAccount("Ward one"), two)
	allAccess := allAccess(m, t, p, two)
	disable(m, p)
	mustRefuseAll(t, allAccess)
}

// oneWins tests that of 100 parallel redemptions of one code one succeeds, over both dialects
// and two servers.
func oneWins(t *testing.T, m *kit.ElasticPath) {
	other := m.StartServer(kit.LongRequestTimeout)
	acme := m.AddAccount("Race")
	rounds := 6
	if strings.HasPrefix(m.DatabaseURL, "sqlite:") {
		rounds = 2
	}
	for round := range rounds {
		p := m.AddShopper(fmt.Sprint("racer-", round), acme)
		code := addKnownCode(m, p)
		if round%2 == 1 {
			code = m.DeliveredCode(p, "passwordless_authentication")
		}
		ways := slices.Concat(signInWaysByCode(m, m.Server, p), signInWaysByCode(m, other, p))
		tally := map[string]int{}
		for i, got := range kit.Concurrently(100, func(i int) kit.Response { return ways[i%len(ways)].send(code) }) {
			if gotToken(got) {
				tally["won"]++
				continue
			}
			tally["refused"]++
			ways[i%len(ways)].wrong(t, ways[i%len(ways)].name, got)
		}
		if diff := cmp.Diff(map[string]int{"won": 1, "refused": 99}, tally); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
		if l := m.Login(p.Username); l.Code.UsedAt.IsZero() {
			t.Errorf("round %d: the code is not used, want it used", round)
		}
	}
}

// TestElasticPathOutage tests that both dialects answer 503 with Retry-After while the database
// refuses writes. No failure is counted, and no code is used.
func TestElasticPathOutage(t *testing.T) {
	t.Parallel()
	t.Run("sqlite locked", func(t *testing.T) {
		t.Parallel()
		m := kit.NewElasticPath(t, "sqlite:"+t.TempDir()+"/latchkey.db", "LATCHKEY_REQUEST_TIMEOUT=2s")
		outage(m, t, func(b *kit.Outage, during func()) {
			conn, err := b.DB.Conn(context.WithoutCancel(t.Context()))
			b.Must(err)
			defer conn.Close() //nolint:errcheck // the test is over or goes on without it
			_, err = conn.ExecContext(context.WithoutCancel(t.Context()), "BEGIN IMMEDIATE")
			b.Must(err)
			during()
			_, err = conn.ExecContext(context.WithoutCancel(t.Context()), "ROLLBACK")
			b.Must(err)
		})
	})
	t.Run("postgres standby", func(t *testing.T) {
		t.Parallel()
		m := kit.NewElasticPath(t, gormtest.Postgres(t).Database(t))
		outage(m, t, func(b *kit.Outage, during func()) {
			name := b.QueryOne("SELECT current_database()")
			b.TurnReadOnly(t, name, "on")
			during()
			b.TurnReadOnly(t, name, "off")
		})
	})
}

func outage(m *kit.ElasticPath, t *testing.T, while func(b *kit.Outage, during func())) {
	acme := m.AddAccount("Siege")
	p, q := m.AddShopper("outage", acme), m.AddShopper("outage-held", acme)
	session := kit.TokenPairOf(t, "session", m.Server.MemberGrant("front", "username", q.Username, "one_time_password", addKnownCode(m, q)))
	held := accountTokens(m, q).Text("data", 0, "token")
	for range 9 {
		kit.MustFailV2(t, "wrong", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, kit.WrongCode)))
	}
	code := m.DeliveredCode(p, "passwordless_authentication")
	front := m.Storefront()
	var requests []func() kit.Response
	for _, way := range signInWaysByCode(m, m.Server, p) {
		requests = append(requests, func() kit.Response { return way.send(code) }, func() kit.Response { return way.send(kit.WrongCode) })
	}
	requests = append(requests,
		func() kit.Response { return front.RequestCode("default", p.Username, "reset_password") },
		func() kit.Response { return front.RequestCode("default", "nobody", "reset_password") },
		func() kit.Response { return front.AccountTokens(kit.ByCode("default", "nobody", kit.WrongCode)) },
		func() kit.Response { return m.Server.RefreshThrough("front", session.Refresh) },
	)
	while(&kit.Outage{OneServer: m.OneServer}, func() {
		for _, got := range kit.Concurrently(len(requests), func(i int) kit.Response { return requests[i]() }) {
			unavailableV2(t, got)
		}
	})
	kit.Eventually(t, "the database can be written to again", func() bool {
		return front.RequestCode("default", "nobody", "reset_password").Status == http.StatusAccepted && m.App.Store.Ping(t.Context()) == nil
	})
	if l := m.Login(p.Username); l.Lockout.Failures != 9 || !l.Code.UsedAt.IsZero() {
		t.Errorf("got %d failures, code used at %v; want 9 and an unused one", l.Lockout.Failures, l.Code.UsedAt)
	}
	m.AwaitMessages()
	if n := len(m.Receiver.Events); n != 0 {
		t.Errorf("got %d events of refused requests, want none", n)
	}
	front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, code))
	front.WithAccountToken(held).Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByAccountToken())
	kit.TokenPairOf(t, "refresh", m.Server.RefreshThrough("front", session.Refresh))
	m.Clock.Advance(time.Second)
}

// unavailableV2 expects a 503 with Retry-After in either dialect.
func unavailableV2(t *testing.T, a kit.Response) {
	t.Helper()
	const v2 = `{"errors":[{"title":"Service Unavailable","status":"503","detail":"The server cannot answer now. Try again."}]}`
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || a.Body != v2 && !strings.HasPrefix(a.Body, `{"error":"temporarily_unavailable",`) {
		t.Errorf("got %d, Retry-After %q: %s", a.Status, a.Header.Get("Retry-After"), a.Body)
	}
}
