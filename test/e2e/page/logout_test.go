package page

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"latchkey/test/e2e/kit"
)

// logoutReceiver takes logout tokens as relying parties do, at a path for each client.
type logoutReceiver struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int // of the next answers; after them 200
	calls    []logoutCall
}

type logoutCall struct{ client, token, contentType string }

func newLogoutReceiver(t *testing.T) *logoutReceiver {
	r := &logoutReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		form, _ := url.ParseQuery(string(body))
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, logoutCall{strings.TrimPrefix(q.URL.Path, "/"), form.Get("logout_token"), q.Header.Get("Content-Type")})
		if len(r.statuses) > 0 {
			w.WriteHeader(r.statuses[0])
			r.statuses = r.statuses[1:]
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *logoutReceiver) fail(statuses ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses = statuses
}

// received returns the calls so far, sorted by client.
func (r *logoutReceiver) received() []logoutCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedStableFunc(slices.Values(r.calls), func(a, b logoutCall) int { return strings.Compare(a.client, b.client) })
}

// wait returns the calls when there are n.
func (r *logoutReceiver) wait(t *testing.T, n int) []logoutCall {
	t.Helper()
	kit.Eventually(t, "logout tokens", func() bool { return len(r.received()) >= n })
	return r.received()
}

// logoutSite is a site whose clients spa and web are notified of logouts.
func logoutSite(t *testing.T, w *kit.Fixture) (*site, *logoutReceiver) {
	s, r := newSite(t, w), newLogoutReceiver(t)
	s.notify(r.URL)
	return s, r
}

func (s *site) notify(receiver string) {
	for client, uri := range map[string]string{"spa": "https://app.example/bye", "web": "https://web.example/bye?a=1"} {
		s.patchClient(client, kit.Object{"PostLogoutRedirectUris": []string{uri}, "BackchannelLogoutUri": receiver + "/" + client})
	}
}

func (s *site) patchClient(id string, change kit.Object) {
	s.t.Helper()
	body, err := json.Marshal(change)
	s.Must(err)
	got := s.NewAdmin(s.Server).Do(http.MethodPatch, "/v1/apiclients/"+id, string(body))
	if got.Status != http.StatusOK {
		s.t.Fatalf("change of client %s: got %d %s, want 200", id, got.Status, got.Body)
	}
}

// tokens are what a client got in a browser's session.
type tokens struct {
	*oauth2.Token
	idToken string
	sid     string
}

// signedIn signs a user in, and returns the tokens of spa. With the session of the browser
// it signs in silently.
func (b *browser) signedIn(name string) tokens {
	b.t.Helper()
	return b.signedInFor(name, "openid", "profile", "email")
}

func (b *browser) signedInFor(name string, scopes ...string) tokens {
	b.t.Helper()
	a := b.spa(scopes...)
	page := b.get(a.path())
	var code string
	if page.status == http.StatusSeeOther {
		code = page.response(b.t, callback).Get("code")
	} else {
		code = b.signIn(a, name).Get("code")
	}
	token, err := a.exchange(code)
	b.Must(err)
	idToken, _ := token.Extra("id_token").(string)
	sid, _ := claimsOf(b.t, idToken)["sid"].(string)
	return tokens{token, idToken, sid}
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	_, claims := kit.DecodeJWT(t, token)
	return claims
}

// rename renames a table. Statements that use it fail until it has its name again.
func (s *site) rename(table, to string) {
	s.t.Helper()
	_, err := s.DB.Exec("ALTER TABLE " + table + " RENAME TO " + to)
	s.Must(err)
}

// isSignedIn reports whether the browser has a session.
func (b *browser) isSignedIn() bool {
	b.t.Helper()
	return b.get(b.spa().path("prompt", "none")).response(b.t, callback).Get("code") != ""
}

func logoutPath(fields ...string) string { return "/oauth/end_session?" + kit.EncodeForm(fields...) }

// answer posts the form of the logout page.
func (b *browser) answer(p page, fields ...string) page {
	b.t.Helper()
	return b.post("/oauth/signin/logout", append([]string{"state", p.state(b.t)}, fields...)...)
}

func (b *browser) post(path string, fields ...string) page {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader(kit.EncodeForm(fields...)))
	b.Must(err)
	r.Header = b.header.Clone()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(r)
}

// mustAsk fails the test unless the page asks whether to sign out.
func (p page) mustAsk(t *testing.T, what string) page {
	t.Helper()
	if p.status != 200 || !strings.Contains(p.body, "Do you want to sign out?") {
		t.Fatalf("%s: no question: %d %v %s", what, p.status, p.header, p.body)
	}
	return p
}

// mustGoTo fails the test unless the browser is sent to the URL.
func (p page) mustGoTo(t *testing.T, what, target string) {
	t.Helper()
	if p.status != http.StatusSeeOther || p.header.Get("Location") != target {
		t.Fatalf("%s: got %d to %q, want %q: %s", what, p.status, p.header.Get("Location"), target, p.body)
	}
}

// refreshes reports whether the refresh token of spa is valid.
func (s *site) refreshes(of tokens) bool {
	return s.Server.Form("/oauth/token", "grant_type", "refresh_token", "client_id", "spa", "refresh_token", of.RefreshToken).Status == http.StatusOK
}

// TestLogout tests that the ID token of a client ends a session, also long after the token has
// expired. The other session of the user stays.
func TestLogout(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		desk, phone := s.newBrowser(), s.newBrowser()
		first, other := desk.signedIn("jane"), phone.signedIn("jane")
		desk.signedIn("jane") // a second sign-in in the session adds no client to it
		web := s.authorizationRequest("web", kit.ClientSecret, "https://web.example/callback", "openid")
		webToken, err := web.exchange(desk.get(web.path()).response(t, "https://web.example/callback").Get("code"))
		s.Must(err)
		s.Clock.Advance(2 * time.Hour)
		bye := desk.get(logoutPath("id_token_hint", first.idToken, "post_logout_redirect_uri", "https://app.example/bye", "state", "a b&c"))
		bye.mustGoTo(t, "logout", "https://app.example/bye?state=a+b%26c")
		if cookie := bye.header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "latchkey=;") || !strings.Contains(cookie, "Max-Age=0") {
			t.Errorf("got cookie %q", cookie)
		}
		if desk.isSignedIn() || !phone.isSignedIn() {
			t.Error("the session has not ended, or the other one has ended")
		}
		if s.refreshes(first) || !s.refreshes(other) {
			t.Error("the refresh token of the session is valid, or that of the other session is not")
		}
		if got := s.Server.Introspect(webToken.AccessToken); !strings.Contains(got.Body, `"active":false`) {
			t.Errorf("an access token of the session: got %s", got.Body)
		}
		s.checkLogoutTokens(t, receiver.wait(t, 2), first)
		kit.Eventually(t, "the deliveries are in the timeline", func() bool {
			return s.QueryOne("SELECT count(*) FROM message_attempts WHERE state = 'delivered'") == "4" // with two codes
		})
		if got := desk.get(logoutPath("id_token_hint", first.idToken)); got.status != 200 || !strings.Contains(got.body, "You have signed out.") {
			t.Errorf("a second logout: %d %s", got.status, got.body)
		}
		if calls := receiver.received(); len(calls) != 2 {
			t.Errorf("got %d logout tokens, want 2", len(calls))
		}
	})
}

// checkLogoutTokens verifies one logout token for each of spa and web (OpenID Connect
// Back-Channel Logout 1.0 §2.4, §2.6).
func (s *site) checkLogoutTokens(t *testing.T, calls []logoutCall, of tokens) {
	t.Helper()
	set, ids := s.Server.FetchKeys(t, "/oauth/jwks"), map[any]bool{}
	for i, client := range []string{"spa", "web"} {
		if calls[i].client != client || calls[i].contentType != "application/x-www-form-urlencoded" {
			t.Fatalf("got call %d: %+v", i, calls[i])
		}
		header, claims := kit.VerifyToken(t, calls[i].token, jose.RS256, set)
		if header.ExtraHeaders["typ"] != "logout+jwt" {
			t.Errorf("got the header %+v", header)
		}
		issued, expires := int64(claims["iat"].(float64)), int64(claims["exp"].(float64))
		now := s.Clock.Now().Unix()
		if issued < now-60 || issued > now || expires != issued+120 {
			t.Errorf("got issued %d, expires %d, now %d", issued, expires, now)
		}
		ids[claims["jti"]] = true
		for _, name := range []string{"iat", "exp", "jti"} {
			delete(claims, name)
		}
		want := map[string]any{
			"iss": "http://latchkey.test", "aud": client, "sub": claimsOf(t, of.idToken)["sub"], "sid": of.sid,
		}
		events, _ := claims["events"].(map[string]any)
		if body, ok := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any); !ok || len(body) != 0 || len(events) != 1 {
			t.Errorf("got the events %v", claims["events"])
		}
		delete(claims, "events")
		if !maps.Equal(claims, want) {
			t.Errorf("got the claims %v, want %v", claims, want)
		}
	}
	if len(ids) != 2 || ids[""] || ids[nil] {
		t.Errorf("got jti %v", ids)
	}
}

// TestLogoutQuestion tests which logouts are confirmed by the user, and that the session stays
// until the browser that was asked posts the form.
func TestLogoutQuestion(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, _ := logoutSite(t, w)
		former, b, stranger := s.newBrowser(), s.newBrowser(), s.newBrowser()
		earlier, mine, foreign := former.signedIn("jane"), b.signedIn("jane"), stranger.signedIn("john")
		forged := mine.idToken[:len(mine.idToken)-5] + "AAAAA"
		const bye = "https://app.example/bye"
		for what, fields := range map[string][]string{
			"no parameters":                          nil,
			"client_id":                              {"client_id", "spa", "post_logout_redirect_uri", bye},
			"ID token of another user":               {"id_token_hint", foreign.idToken, "post_logout_redirect_uri", bye},
			"ID token of another session":            {"id_token_hint", earlier.idToken},
			"ID token with another signature":        {"id_token_hint", forged, "client_id", "spa", "post_logout_redirect_uri", bye},
			"access token":                           {"id_token_hint", mine.AccessToken},
			"redirect URI without a client":          {"post_logout_redirect_uri", bye, "state", "x"},
			"redirect URI of a stranger, no client":  {"post_logout_redirect_uri", "https://evil.example/"},
			"a parameter that the server knows not":  {"logout_hint", "jane"},
			"ID token of another user and client_id": {"id_token_hint", foreign.idToken, "client_id", "spa"},
		} {
			page := b.get(logoutPath(fields...)).mustAsk(t, what)
			if !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || page.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: got the header %v", what, page.header)
			}
			b.post("/oauth/end_session", fields...).mustAsk(t, what+", posted")
			if !b.isSignedIn() {
				t.Fatalf("%s ended the session", what)
			}
		}

		page := b.get(logoutPath("client_id", "spa", "post_logout_redirect_uri", bye, "state", "x"))
		if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://app.example;") {
			t.Errorf("got policy %q", policy)
		}
		stranger.answer(page).mustAsk(t, "the form in another browser")
		b.header.Set("Sec-Fetch-Site", "cross-site")
		b.answer(page).mustAsk(t, "the form from another site")
		b.header.Set("Sec-Fetch-Site", "same-origin")
		if got := b.answer(page, "do", "stay"); got.status != 200 || !strings.Contains(got.body, "Still signed in") {
			t.Errorf("stay: %d %s", got.status, got.body)
		}
		if got := b.post("/oauth/signin/logout", "state", "x"); got.status != 400 || !strings.Contains(got.body, "Request id") {
			t.Errorf("a foreign state: %d %s", got.status, got.body)
		}
		if !b.isSignedIn() || !stranger.isSignedIn() {
			t.Fatal("a session has ended")
		}
		b.answer(page).mustGoTo(t, "the button", bye+"?state=x")
		if b.isSignedIn() || !stranger.isSignedIn() || !former.isSignedIn() {
			t.Error("the session has not ended, or another one has ended")
		}
		b.answer(page).mustGoTo(t, "the button again", bye+"?state=x")

		// The form of an earlier session does not end a later one.
		b.signedIn("jane")
		b.answer(page).mustAsk(t, "the form of an earlier session")
		forgedPage := b.get(logoutPath("id_token_hint", forged, "client_id", "spa", "post_logout_redirect_uri", bye))
		if got := b.answer(forgedPage); got.status != 200 || !strings.Contains(got.body, "You have signed out.") {
			t.Errorf("after an ID token with another signature: %d %v %s", got.status, got.header, got.body)
		}
	})
}

// TestLogoutRefusals tests that the browser is sent to registered addresses only.
func TestLogoutRefusals(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		b := s.newBrowser()
		hint := b.signedIn("jane").idToken
		for what, query := range map[string]string{
			"not registered":        kit.EncodeForm("id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/"),
			"a longer path":         kit.EncodeForm("id_token_hint", hint, "post_logout_redirect_uri", "https://app.example/bye/"),
			"a query added":         kit.EncodeForm("id_token_hint", hint, "post_logout_redirect_uri", "https://app.example/bye?x=1"),
			"that of another":       kit.EncodeForm("id_token_hint", hint, "post_logout_redirect_uri", "https://web.example/bye?a=1"),
			"a redirect URI":        kit.EncodeForm("id_token_hint", hint, "post_logout_redirect_uri", callback),
			"another client":        kit.EncodeForm("id_token_hint", hint, "client_id", "web"),
			"unknown client":        kit.EncodeForm("client_id", "nobody"),
			"a parameter twice":     kit.EncodeForm("id_token_hint", hint) + "&" + kit.EncodeForm("id_token_hint", hint),
			"a state that is long":  kit.EncodeForm("id_token_hint", hint, "post_logout_redirect_uri", "https://app.example/bye", "state", strings.Repeat("x", 2001)),
			"a long language":       kit.EncodeForm("id_token_hint", hint, "ui_locales", strings.Repeat("x", 2001)),
			"a malformed query":     "id_token_hint=%zz",
			"no redirect, mismatch": kit.EncodeForm("client_id", "web", "post_logout_redirect_uri", "https://app.example/bye"),
		} {
			got := b.get("/oauth/end_session?" + query)
			if got.status != 400 || !strings.Contains(got.body, "Request id") || strings.Contains(got.body, "evil") || !b.isSignedIn() {
				t.Errorf("%s: %d %v %s", what, got.status, got.header, got.body)
			}
		}

		visitor := s.newBrowser()
		visitor.get(logoutPath("client_id", "web", "post_logout_redirect_uri", "https://web.example/bye?a=1", "state", "s")).
			mustGoTo(t, "without a session", "https://web.example/bye?a=1&state=s")
		// A post from another site carries no cookie: the browser is asked to come by GET.
		visitor.post("/oauth/end_session", "id_token_hint", "x", "state", "s").mustGoTo(t, "a post without a cookie", "/oauth/end_session?id_token_hint=x&state=s")
		if got := visitor.get(logoutPath("post_logout_redirect_uri", "https://web.example/bye?a=1")); got.status != 200 || !strings.Contains(got.body, "You have signed out.") {
			t.Errorf("without a session and a client: %d %v %s", got.status, got.header, got.body)
		}
		if calls := receiver.received(); len(calls) != 0 {
			t.Errorf("got %d logout tokens", len(calls))
		}
	})
}

// TestLogoutDelivery tests that a client that answers 500 is notified again, that one without a
// URI or disabled is not, and that kill -9 loses no notification.
func TestLogoutDelivery(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		b := s.newBrowser()
		receiver.fail(http.StatusInternalServerError)
		of := b.signedIn("jane")
		b.get(logoutPath("id_token_hint", of.idToken))
		calls := receiver.wait(t, 2)
		if calls[0].client != "spa" || calls[1].client != "spa" || calls[0].token == calls[1].token ||
			claimsOf(t, calls[0].token)["jti"] != claimsOf(t, calls[1].token)["jti"] || claimsOf(t, calls[1].token)["sid"] != of.sid {
			t.Errorf("got calls %+v", calls)
		}

		s.patchClient("spa", kit.Object{"BackchannelLogoutUri": ""})
		of = b.signedIn("jane")
		b.get(logoutPath("id_token_hint", of.idToken))
		kit.Eventually(t, "the request has ended", func() bool {
			return s.QueryOne("SELECT count(*) FROM code_requests WHERE type = 'Logout' AND ended_at = 0") == "0"
		})
		if got := s.QueryOne("SELECT count(*) FROM messages WHERE type = 'Logout'"); got != "1" {
			t.Errorf("got %s messages, want 1", got)
		}

		// The URI of a client is read when the session ends, and whether it is active again
		// for each attempt.
		s.notify(receiver.URL)
		receiver.fail(500, 500, 500, 500)
		of = b.signedIn("jane")
		b.get(logoutPath("id_token_hint", of.idToken))
		receiver.wait(t, 3)
		s.patchClient("spa", kit.Object{"Active": false})
		kit.Eventually(t, "the message ends", func() bool {
			return s.QueryOne("SELECT count(*) FROM messages WHERE type = 'Logout' AND state = 'dead'") == "1"
		})
		s.patchClient("spa", kit.Object{"Active": true})
	})
}

// TestKilledLogout tests that a server that is killed right after a logout leaves the
// notification to the next one.
func TestKilledLogout(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		b := s.newBrowser()
		var all []tokens
		for range 3 {
			all = append(all, s.newBrowser().signedIn("jane"))
		}
		of := b.signedIn("jane")
		receiver.fail(slices.Repeat([]int{503}, 1000)...)
		s.Server.Stop()
		p := s.StartProcess()
		b.server = p.Server
		b.get(logoutPath("id_token_hint", of.idToken))
		p.Kill()
		receiver.fail()
		before := len(receiver.received())
		s.Clock.Advance(time.Minute) // the leases of the killed server are over
		s.Server = s.StartServer()
		calls := receiver.wait(t, before+1)
		last := calls[len(calls)-1]
		if claims := claimsOf(t, last.token); claims["sid"] != of.sid || claims["exp"].(float64) < float64(s.Clock.Now().Unix()) {
			t.Errorf("got the claims %v", claims)
		}
		kit.Eventually(t, "the message is delivered", func() bool {
			return s.QueryOne("SELECT count(*) FROM messages WHERE type = 'Logout' AND state = 'delivered' AND length(payload) = 0") == "1"
		})
		for _, other := range all {
			if !s.refreshes(other) {
				t.Error("another session has ended")
			}
		}
	})
}

// TestLogoutOutage tests that a logout that cannot be stored is refused, and then ends nothing:
// the session stays.
func TestLogoutOutage(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		b := s.newBrowser()
		of := b.signedIn("jane")
		question := b.get(logoutPath()).mustAsk(t, "before")
		s.rename("code_requests", "code_requests_away")
		for what, got := range map[string]page{"by the ID token": b.get(logoutPath("id_token_hint", of.idToken)), "by the button": b.answer(question)} {
			if got.status < 500 || got.header.Get("Location") != "" || got.header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d %v %s", what, got.status, got.header, got.body)
			}
		}
		s.rename("code_requests_away", "code_requests")
		if !b.isSignedIn() || !s.refreshes(of) || len(receiver.received()) != 0 {
			t.Error("the session has ended in part")
		}
		b.answer(question)
		receiver.wait(t, 1)
	})
}

// TestLogoutRace tests that clients are notified once if two servers end a session at once.
func TestLogoutRace(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s, receiver := logoutSite(t, w)
		b := s.newBrowser()
		second := s.StartServer()
		for round := range 5 {
			of := b.signedIn("jane")
			jar := b.client.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(s.Server.URL, "http://"), Path: "/"})
			answers := kit.Concurrently(20, func(i int) kit.Response {
				server := s.Server
				if i%2 == 1 {
					server = second
				}
				var cookies []string
				for _, c := range jar {
					cookies = append(cookies, c.Name+"="+c.Value)
				}
				return server.Do(http.MethodGet, logoutPath("id_token_hint", of.idToken), "", "", "Cookie", strings.Join(cookies, "; "))
			})
			if got := kit.CountStatuses(answers); !maps.Equal(got, map[int]int{200: 20}) {
				t.Errorf("round %d: %v", round, got)
			}
			receiver.wait(t, round+1)
			if got := s.QueryOne("SELECT count(*) FROM messages WHERE type = 'Logout'"); got != string(rune('1'+round)) {
				t.Errorf("round %d: %s messages", round, got)
			}
			if s.refreshes(of) || b.isSignedIn() {
				t.Errorf("round %d: the session has not ended", round)
			}
		}
	})
}
