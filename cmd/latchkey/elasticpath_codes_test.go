package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/storage"
)

// codeTests is what codes and passwords are good for at the
// storefront, and what the storefront learns when they are not.
func codeTests() []mallTest {
	return []mallTest{
		{"whose code", whoseCode},
		{"either purpose", eitherPurpose},
		{"misspelt purpose", misspeltPurpose},
		{"a newer code replaces the older", newerEvent},
		{"life", eventCodeLife},
		{"re-sends", resends},
		{"nobody can tell at the request", requestsAlike},
		{"nobody can tell at the sign-in", signInsAlike},
		{"where there are no codes", noCodes},
		{"access tokens", accessTokens},
		{"integrations", integrations},
		{"a receiver that fails", failingReceiver},
		{"pages of other origins", otherOrigins},
	}
}

// whoseCode: a code is one login's, in one profile, and stays good while others
// try it.
func whoseCode(t *testing.T, m *mall) {
	acme := m.company("Acme")
	a, b := m.shopper("own-a", acme), m.shopper("own-b", acme)
	codeA, codeB := m.codeOf(a, "passwordless_authentication"), m.codeOf(b, "passwordless_authentication")
	front := m.front()
	twin := m.twin(a, "digits")
	for what, body := range map[string]jsonObject{
		"wrong":                    byCode("default", a.name, wrongCode),
		"another user's":           byCode("default", a.name, codeB),
		"to another user":          byCode("default", b.name, codeA),
		"nobody's":                 byCode("default", "nobody", codeA),
		"in another profile":       byCode("digits", a.name, codeA),
		"in a profile without":     byCode("wordy", a.name, codeA),
		"in no profile":            byCode("nonesuch", a.name, codeA),
		"as a password":            byPassword(a.name, codeA),
		"with something behind it": byCode("default", a.name, codeA+"0"),
	} {
		failedV2(t, what, front.tokens(body))
	}
	if got := m.failures(a.name); got != 4 {
		t.Errorf("%d failures, want 4", got)
	}
	// The same name in another profile has its own codes.
	if got := front.askFor("digits", a.name, "passwordless_authentication"); got.status != http.StatusAccepted {
		t.Fatalf("code in the other profile: %d %s", got.status, got.body)
	}
	other := m.receiver.next(t)
	failedV2(t, "the other profile's code here", front.tokens(byCode("default", a.name, other.Payload.Code)))
	theirs := front.send(t, 201, http.MethodPost, tokensV2, byCode("digits", a.name, other.Payload.Code))
	mine := front.send(t, 201, http.MethodPost, tokensV2, byCode("default", " OWN-A ", strings.ToLower(codeA[:4]+"-"+codeA[4:])))
	if got := [2]string{mine.text("meta", "account_member_id"), theirs.text("meta", "account_member_id")}; got != [2]string{a.uid, twin} {
		t.Errorf("signed in as %v", got)
	}
	failedV2(t, "replay", front.tokens(byCode("default", a.name, codeA)))
	front.send(t, 201, http.MethodPost, tokensV2, byCode("default", b.name, codeB))
}

// twin makes another user with the same name in another profile.
func (m *mall) twin(p shopper, profile string) (uid string) {
	m.t.Helper()
	admin := m.admin()
	users := realmV2 + "/user-authentication-info"
	made := admin.send(m.t, 201, http.MethodPost, users, jsonObject{"type": "user_authentication_info", "name": "Twin", "email": "twin@example.com"})
	uid = made.text("data", "id")
	admin.send(m.t, 201, http.MethodPost, users+"/"+uid+"/user-authentication-password-profile-info", jsonObject{
		"type": "user_authentication_password_profile_info", "password_profile_id": profile, "username": p.name, "password": "twin-Horse-1",
	})
	return uid
}

// eitherPurpose: the purpose is a word for the message; both kinds of code sign
// in here.
func eitherPurpose(t *testing.T, m *mall) {
	p := m.shopper("purpose")
	for _, purpose := range []string{"passwordless_authentication", "reset_password"} {
		code := m.codeOf(p, purpose)
		got := m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, code))
		if got.text("meta", "account_member_id") != p.uid || len(got.column("token")) != 0 || got.at("meta", "results", "total") != 0.0 {
			t.Errorf("member of no account: %v", got.value)
		}
	}
}

// misspeltPurpose: the vendor's guide spells the purpose wrong in one place. The
// event has the right spelling.
func misspeltPurpose(t *testing.T, m *mall) {
	p := m.shopper("misspelt")
	if got := m.front().askFor("default", p.name, "passwordless_authenication"); got.status != http.StatusAccepted || got.body != "" {
		t.Fatalf("asked for a code: %d %s", got.status, got.body)
	}
	e := m.receiver.next(t)
	if e.Payload.Login.Username != p.name || e.Payload.Purpose != "passwordless_authentication" {
		t.Errorf("event %s", e.body)
	}
	m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, e.Payload.Code))
}

func newerEvent(t *testing.T, m *mall) {
	p := m.shopper("newer")
	first, second := m.codeOf(p, "passwordless_authentication"), m.codeOf(p, "reset_password")
	failedV2(t, "older code", m.front().tokens(byCode("default", p.name, first)))
	m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, second))
}

func eventCodeLife(t *testing.T, m *mall) {
	p := m.shopper("lasting")
	code := m.codeOf(p, "passwordless_authentication")
	m.clock.advance(10*time.Minute - 5*time.Second)
	m.front().send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, code))
	code = m.codeOf(p, "passwordless_authentication")
	m.clock.advance(10*time.Minute + 2*time.Second)
	failedV2(t, "after ten minutes", m.front().tokens(byCode("default", p.name, code)))
}

// resends: wrong credentials are 400 before the lock, at it and after it, so
// that no library sends them again by itself; and if one does, the lock is none
// the longer.
func resends(t *testing.T, m *mall) {
	p := m.shopper("resent", m.company("Resent"))
	front := m.front()
	code := m.codeOf(p, "passwordless_authentication")
	for i := range 10 {
		failedV2(t, fmt.Sprint("wrong code ", i), front.tokens(byCode("default", p.name, wrongCode)))
	}
	locked := m.login(p.name).Lockout
	if !locked.Locked(m.clock.now()) || locked.Failures != 10 {
		t.Fatalf("after ten failures: %+v", locked)
	}
	for range 4 {
		m.clock.advance(20 * time.Second)
		failedV2(t, "re-sent", front.tokens(byCode("default", p.name, wrongCode)))
		failedV2(t, "right code while locked", front.tokens(byCode("default", p.name, code)))
	}
	if now := m.login(p.name).Lockout; !now.LockedUntil.Equal(locked.LockedUntil) || now.Failures != 10 {
		t.Errorf("re-sends made %+v of %+v", now, locked)
	}
	m.clock.advance(locked.LockedUntil.Sub(m.clock.now()))
	front.send(t, 201, http.MethodPost, tokensV2, byCode("default", p.name, code))
}

// sameAnswer compares what a caller can see but the time and the request's id.
func sameAnswer(t *testing.T, what string, want, got answer) {
	t.Helper()
	for _, a := range []*answer{&want, &got} {
		a.header = a.header.Clone()
		a.header.Del("Date")
		a.header.Del("X-Request-Id")
	}
	if want.status != got.status || want.body != got.body {
		t.Errorf("%s: %d %q, want %d %q", what, got.status, got.body, want.status, want.body)
	}
	if diff := cmp.Diff(want.header, got.header); diff != "" {
		t.Errorf("%s: header: %s", what, diff)
	}
}

// requestsAlike asks for codes for all sorts of people and for nobody.
func requestsAlike(t *testing.T, m *mall) {
	known, idle, locked := m.shopper("req-known"), m.shopper("req-idle"), m.shopper("req-locked")
	m.disable(idle)
	m.lock(locked)
	front := m.front()
	const purpose = "reset_password"
	want := front.askFor("default", known.name, purpose)
	if want.status != http.StatusAccepted || want.body != "" {
		t.Fatalf("known user: %d %s", want.status, want.body)
	}
	for _, name := range []string{idle.name, locked.name, "req-nobody", "REQ-KNOWN", "ünknown", strings.Repeat("x", 100)} {
		sameAnswer(t, name, want, front.askFor("default", name, purpose))
	}
	// Both forms of the body, and both spellings of its type.
	path := realmV2 + "/password-profiles/default/one-time-password-token-request"
	for _, body := range []string{
		`{"data":{"type":"one-time-password-token-request","username":"req-nobody","purpose":"reset_password"}}`,
		`{"type":"one_time_password_token_request","username":"req-nobody","purpose":"reset_password"}`,
		`{"type":"one-time-password-token-request","username":"req-nobody","purpose":"passwordless_authentication"}`,
	} {
		sameAnswer(t, body, want, front.ask(http.MethodPost, path, body))
	}
	m.settled()
	got := []string{m.receiver.next(t).Payload.Login.Username, m.receiver.next(t).Payload.Login.Username}
	if len(m.receiver.events) != 0 || !slices.Equal(got, []string{known.name, known.name}) {
		t.Errorf("events for %q and %d more", got, len(m.receiver.events))
	}
}

// disable makes a user inactive; lock locks its login for an hour, codes and the
// source of these tests included.
func (m *mall) disable(p shopper) {
	m.t.Helper()
	u, err := m.app.store.UserByUID(m.t.Context(), p.uid)
	m.must(err)
	u.Active = false
	_, err = m.app.store.ChangeUser(m.t.Context(), u, nil, nil)
	m.must(err)
}

func (m *mall) lock(p shopper) {
	m.t.Helper()
	who, err := m.app.store.Principal(m.t.Context(), storage.LoginKey{
		ProfileID: storage.DefaultProfileID, UsernameKey: p.name, Source: "127.0.0.1",
	})
	m.must(err)
	next := who.Lockout
	next.Failures, next.LastFailureAt = 10, m.clock.now().UTC()
	next.LockedUntil = next.LastFailureAt.Add(time.Hour)
	next.Codes = storage.Counter{Failures: 10, LastFailureAt: next.LastFailureAt, LockedUntil: next.LockedUntil}
	next.Source = next.Codes // if it is known, where all tests are
	m.must(m.app.store.RecordFailure(m.t.Context(), who, next, nil))
}

// signInsAlike: whatever is wrong with somebody who has a right code or password,
// the token endpoint says the same, and counts the same for a name that nobody
// has.
func signInsAlike(t *testing.T, m *mall) {
	hash, err := hashOfJane()
	m.must(err)
	company := m.company("Alike")
	known, idle, locked := m.shopperWith(hash, "in-known", company), m.shopperWith(hash, "in-idle", company), m.shopperWith(hash, "in-locked", company)
	m.disable(idle)
	m.lock(locked)
	for _, p := range []shopper{idle, locked} {
		m.planted(p)
	}
	front := m.front()
	want := front.tokens(byCode("default", known.name, wrongCode))
	failedV2(t, "known user, wrong code", want)
	for what, body := range map[string]jsonObject{
		"unknown user, code":      byCode("default", "in-nobody", easyCode),
		"unknown user, password":  byPassword("in-nobody", janesPassword),
		"known, wrong password":   byPassword(known.name, "wrong"),
		"inactive, code":          byCode("default", idle.name, easyCode),
		"inactive, password":      byPassword(idle.name, janesPassword),
		"locked, code":            byCode("default", locked.name, easyCode),
		"locked, password":        byPassword(locked.name, janesPassword),
		"no profile":              byCode("nonesuch", known.name, easyCode),
		"known user without code": byCode("default", known.name, easyCode),
	} {
		sameAnswer(t, what, want, front.tokens(body))
	}
	for name, failures := range map[string]int{known.name: 3, idle.name: 2, "in-nobody": 2} {
		p, err := m.app.store.Principal(t.Context(), storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: name})
		if m.must(err); p.Lockout.Failures != failures {
			t.Errorf("%s: %d failures, want %d", name, p.Lockout.Failures, failures)
		}
	}
	front.send(t, 201, http.MethodPost, tokensV2, byPassword(known.name, janesPassword))
}

// noCodes: where nobody can have a code, the storefront hears it, and it is
// nothing about a user.
func noCodes(t *testing.T, m *mall) {
	front := m.front()
	p := m.shopper("codeless")
	const purpose = "reset_password"
	off := front.askFor("wordy", "nobody", purpose)
	refusedV2(t, "profile without codes", off, http.StatusUnprocessableEntity, "one time password tokens are not enabled for the password profile")
	sameAnswer(t, "for somebody", off, front.askFor("wordy", p.name, purpose))
	_, err := m.app.store.PutClient(t.Context(), storage.Client{
		ID: "wordy-shop", Name: "Wordy shop", Active: true, Public: true, ProfileID: "wordy", AllowAnyBuyer: true,
		GrantTypes: []string{"password"}, Credentials: storage.Credentials{OTP: true, Password: true},
	})
	m.must(err)
	mustRefuseCode(t, m.n.askForCodeThrough("wordy-shop", "nobody", ""),
		"OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
	refusedV2(t, "unknown profile", front.askFor("nonesuch", p.name, purpose), http.StatusNotFound, "password profile not found")
	got := front.try(http.MethodPost, "/v2/authentication-realms/nonesuch/password-profiles/default/one-time-password-token-request",
		jsonObject{"type": "one_time_password_token_request", "username": p.name, "purpose": purpose})
	refusedV2(t, "unknown realm", got, http.StatusNotFound, "password profile not found")
	for _, purpose := range []string{"", "password_reset", "passwordless_authentcation", "PASSWORDLESS_AUTHENICATION", "RESET_PASSWORD"} {
		refusedV2(t, "purpose "+purpose, front.askFor("default", p.name, purpose), http.StatusBadRequest, "*")
	}
	refusedV2(t, "without a token", visitor{n: m.n, bearer: "x"}.askFor("default", p.name, purpose), http.StatusUnauthorized, "")
}

// accessTokens are those of /oauth/access_token, to the letter.
func accessTokens(t *testing.T, m *mall) {
	ask := func(media, form string) answer { return m.n.do(http.MethodPost, "/oauth/access_token", media, form) }
	implicit := encode("grant_type", "implicit", "client_id", "front")
	credentials := encode("grant_type", "client_credentials", "client_id", "admin", "client_secret", m.adminSecret)
	for grant, form := range map[string]string{"implicit": implicit, "client_credentials": credentials} {
		for _, media := range []string{formMedia, "application/json", ""} {
			got := ask(media, form)
			var token struct {
				Expires     int64
				ExpiresIn   int64  `json:"expires_in"`
				AccessToken string `json:"access_token"`
			}
			m.must(json.Unmarshal([]byte(got.body), &token))
			want := `{"expires":` + strconv.FormatInt(token.Expires, 10) + `,"identifier":"` + grant + `","expires_in":` +
				strconv.FormatInt(token.ExpiresIn, 10) + `,"access_token":"` + token.AccessToken + `","token_type":"Bearer"}`
			left := token.Expires - m.clock.now().Unix()
			if got.status != http.StatusOK || got.body != want || left > 3600 || left < 890 || token.ExpiresIn-left > 30 {
				t.Errorf("%s as %q: %d %s", grant, media, got.status, got.body)
			}
			if cache := got.header.Get("Cache-Control"); cache != "no-store" {
				t.Errorf("%s: Cache-Control %q", grant, cache)
			}
		}
	}
	for what, test := range map[string]struct {
		form   string
		status int
	}{
		"wrong secret":            {encode("grant_type", "client_credentials", "client_id", "admin", "client_secret", "wrong"), 401},
		"no secret":               {encode("grant_type", "client_credentials", "client_id", "admin"), 401},
		"unknown client":          {encode("grant_type", "client_credentials", "client_id", "nobody", "client_secret", "wrong"), 401},
		"unknown client alone":    {encode("grant_type", "implicit", "client_id", "nobody"), 401},
		"no client":               {encode("grant_type", "implicit"), 401},
		"may not be implicit":     {encode("grant_type", "implicit", "client_id", "admin"), 400},
		"has no credentials":      {encode("grant_type", "client_credentials", "client_id", "front", "client_secret", shopSecret), 400},
		"another grant":           {encode("grant_type", "password", "client_id", "front"), 400},
		"no grant":                {encode("client_id", "front"), 400},
		"a parameter twice":       {"grant_type=implicit&client_id=front&client_id=front", 400},
		"not a form":              {"%zz", 400},
		"a name with a NUL":       {encode("grant_type", "implicit", "client_id", "a\x00"), 400},
		"too much":                {"grant_type=implicit&client_id=front&x=" + strings.Repeat("x", 70_000), 413},
		"implicit with no grants": {encode("grant_type", "implicit", "client_id", "bare"), 400},
	} {
		got := ask(formMedia, test.form)
		refusedV2(t, what, got, test.status, "*")
		if challenge := got.header.Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", what, challenge)
		}
	}
}
