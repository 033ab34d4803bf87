package accounts

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
	"latchkey/test/e2e/kit"
)

// codeTests are tests of codes and passwords at the storefront, and of the answers if they are
// wrong.
func codeTests() []storefrontTest {
	return []storefrontTest{
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

// whoseCode tests that a code belongs to one login in one profile, and stays valid while others
// try it.
func whoseCode(t *testing.T, m *kit.ElasticPath) {
	acme := m.AddAccount("Acme")
	a, b := m.AddShopper("own-a", acme), m.AddShopper("own-b", acme)
	codeA, codeB := m.DeliveredCode(a, "passwordless_authentication"), m.DeliveredCode(b, "passwordless_authentication")
	front := m.Storefront()
	sameName := sameName(m, a, "digits")
	for what, body := range map[string]kit.Object{
		"wrong":                    kit.ByCode("default", a.Username, kit.WrongCode),
		"another user's":           kit.ByCode("default", a.Username, codeB),
		"to another user":          kit.ByCode("default", b.Username, codeA),
		"nobody's":                 kit.ByCode("default", "nobody", codeA),
		"in another profile":       kit.ByCode("digits", a.Username, codeA),
		"in a profile without":     kit.ByCode("wordy", a.Username, codeA),
		"in no profile":            kit.ByCode("nonesuch", a.Username, codeA),
		"as a password":            kit.ByPassword(a.Username, codeA),
		"with something behind it": kit.ByCode("default", a.Username, codeA+"0"),
	} {
		kit.MustFailV2(t, what, front.AccountTokens(body))
	}
	if got := m.Failures(a.Username); got != 4 {
		t.Errorf("got %d failures, want 4", got)
	}
	// The same name in another profile has its own codes.
	if got := front.RequestCode("digits", a.Username, "passwordless_authentication"); got.Status != http.StatusAccepted {
		t.Fatalf("code in the other profile: got %d %s, want 202", got.Status, got.Body)
	}
	other := m.Receiver.Next(t)
	kit.MustFailV2(t, "the other profile's code here", front.AccountTokens(kit.ByCode("default", a.Username, other.Payload.Code)))
	theirs := front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("digits", a.Username, other.Payload.Code))
	mine := front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", " OWN-A ", strings.ToLower(codeA[:4]+"-"+codeA[4:])))
	if got := [2]string{mine.Text("meta", "account_member_id"), theirs.Text("meta", "account_member_id")}; got != [2]string{a.UID, sameName} {
		t.Errorf("got a sign-in as %v", got)
	}
	kit.MustFailV2(t, "replay", front.AccountTokens(kit.ByCode("default", a.Username, codeA)))
	front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", b.Username, codeB))
}

// sameName creates another user with the same name in another profile.
func sameName(m *kit.ElasticPath, p kit.Shopper, profile string) (uid string) {
	m.T.Helper()
	admin := m.Admin()
	users := kit.RealmPath + "/user-authentication-info"
	made := admin.Send(m.T, 201, http.MethodPost, users, kit.Object{"type": "user_authentication_info", "name": "Twin", "email": "twin@example.com"})
	uid = made.Text("data", "id")
	admin.Send(m.T, 201, http.MethodPost, users+"/"+uid+"/user-authentication-password-profile-info", kit.Object{
		"type": "user_authentication_password_profile_info", "password_profile_id": profile, "username": p.Username, "password": "twin-Horse-1",
	})
	return uid
}

// eitherPurpose tests that codes of both purposes sign in here. The purpose only selects the
// message.
func eitherPurpose(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("purpose")
	for _, purpose := range []string{"passwordless_authentication", "reset_password"} {
		code := m.DeliveredCode(p, purpose)
		got := m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, code))
		if got.Text("meta", "account_member_id") != p.UID || len(got.Column("token")) != 0 || got.At("meta", "results", "total") != 0.0 {
			t.Errorf("member of no account: got %v", got.Value)
		}
	}
}

// misspeltPurpose tests the purpose as one page of the vendor's guide misspells it. The event
// has the correct spelling.
func misspeltPurpose(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("misspelt")
	if got := m.Storefront().RequestCode("default", p.Username, "passwordless_authenication"); got.Status != http.StatusAccepted || got.Body != "" {
		t.Fatalf("request for a code: got %d %s, want 202", got.Status, got.Body)
	}
	e := m.Receiver.Next(t)
	if e.Payload.Login.Username != p.Username || e.Payload.Purpose != "passwordless_authentication" {
		t.Errorf("got the event %s", e.Body)
	}
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, e.Payload.Code))
}

func newerEvent(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("newer")
	first, second := m.DeliveredCode(p, "passwordless_authentication"), m.DeliveredCode(p, "reset_password")
	kit.MustFailV2(t, "older code", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, first)))
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, second))
}

func eventCodeLife(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("lasting")
	code := m.DeliveredCode(p, "passwordless_authentication")
	m.Clock.Advance(10*time.Minute - 5*time.Second)
	m.Storefront().Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, code))
	code = m.DeliveredCode(p, "passwordless_authentication")
	m.Clock.Advance(10*time.Minute + 2*time.Second)
	kit.MustFailV2(t, "after ten minutes", m.Storefront().AccountTokens(kit.ByCode("default", p.Username, code)))
}

// resends tests that wrong credentials are answered with 400 before, during and after the lock,
// so that libraries do not repeat the request. If a library repeats it, the lock does not get
// longer.
func resends(t *testing.T, m *kit.ElasticPath) {
	p := m.AddShopper("resent", m.AddAccount("Resent"))
	front := m.Storefront()
	code := m.DeliveredCode(p, "passwordless_authentication")
	for i := range 10 {
		kit.MustFailV2(t, fmt.Sprint("wrong code ", i), front.AccountTokens(kit.ByCode("default", p.Username, kit.WrongCode)))
	}
	locked := m.Login(p.Username).Lockout
	if !locked.Locked(m.Clock.Now()) || locked.Failures != 10 {
		t.Fatalf("after ten failures: got %+v, want a lock", locked)
	}
	for range 4 {
		m.Clock.Advance(20 * time.Second)
		kit.MustFailV2(t, "re-sent", front.AccountTokens(kit.ByCode("default", p.Username, kit.WrongCode)))
		kit.MustFailV2(t, "right code while locked", front.AccountTokens(kit.ByCode("default", p.Username, code)))
	}
	if now := m.Login(p.Username).Lockout; !now.LockedUntil.Equal(locked.LockedUntil) || now.Failures != 10 {
		t.Errorf("after repeated requests: got %+v, want %+v", now, locked)
	}
	m.Clock.Advance(locked.LockedUntil.Sub(m.Clock.Now()))
	front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByCode("default", p.Username, code))
}

// sameAnswer compares the answers without the time and the request ID.
func sameAnswer(t *testing.T, what string, want, got kit.Response) {
	t.Helper()
	for _, a := range []*kit.Response{&want, &got} {
		a.Header = a.Header.Clone()
		a.Header.Del("Date")
		a.Header.Del("X-Request-Id")
	}
	if want.Status != got.Status || want.Body != got.Body {
		t.Errorf("%s: got %d %q, want %d %q", what, got.Status, got.Body, want.Status, want.Body)
	}
	if diff := cmp.Diff(want.Header, got.Header); diff != "" {
		t.Errorf("%s: header (-want +got):\n%s", what, diff)
	}
}

// requestsAlike requests codes for users in different states and for unknown names.
func requestsAlike(t *testing.T, m *kit.ElasticPath) {
	known, idle, locked := m.AddShopper("req-known"), m.AddShopper("req-idle"), m.AddShopper("req-locked")
	disable(m, idle)
	lock(m, locked)
	front := m.Storefront()
	const purpose = "reset_password"
	want := front.RequestCode("default", known.Username, purpose)
	if want.Status != http.StatusAccepted || want.Body != "" {
		t.Fatalf("known user: got %d %s, want 202", want.Status, want.Body)
	}
	for _, name := range []string{idle.Username, locked.Username, "req-nobody", "REQ-KNOWN", "ünknown", strings.Repeat("x", 100)} {
		sameAnswer(t, name, want, front.RequestCode("default", name, purpose))
	}
	// Both forms of the body and both spellings of its type are accepted.
	path := kit.RealmPath + "/password-profiles/default/one-time-password-token-request"
	for _, body := range []string{
		`{"data":{"type":"one-time-password-token-request","username":"req-nobody","purpose":"reset_password"}}`,
		`{"type":"one_time_password_token_request","username":"req-nobody","purpose":"reset_password"}`,
		`{"type":"one-time-password-token-request","username":"req-nobody","purpose":"passwordless_authentication"}`,
	} {
		sameAnswer(t, body, want, front.SendText(http.MethodPost, path, body))
	}
	m.AwaitMessages()
	got := []string{m.Receiver.Next(t).Payload.Login.Username, m.Receiver.Next(t).Payload.Login.Username}
	if len(m.Receiver.Events) != 0 || !slices.Equal(got, []string{known.Username, known.Username}) {
		t.Errorf("got events for %q and %d more", got, len(m.Receiver.Events))
	}
}

// disable makes a user inactive. lock locks its login for an hour, including codes and the
// source of these tests.
func disable(m *kit.ElasticPath, p kit.Shopper) {
	m.T.Helper()
	u, err := m.App.Store.UserByUID(m.T.Context(), p.UID)
	m.Must(err)
	u.Active = false
	_, err = m.App.Store.ChangeUser(m.T.Context(), u, nil, nil)
	m.Must(err)
}

func lock(m *kit.ElasticPath, p kit.Shopper) {
	m.T.Helper()
	who, err := m.App.Store.Principal(m.T.Context(), storage.LoginKey{
		ProfileID: storage.DefaultProfileID, UsernameKey: p.Username, Source: "127.0.0.1",
	})
	m.Must(err)
	next := who.Lockout
	next.Failures, next.LastFailureAt = 10, m.Clock.Now().UTC()
	next.LockedUntil = next.LastFailureAt.Add(time.Hour)
	next.Codes = storage.Counter{Failures: 10, LastFailureAt: next.LastFailureAt, LockedUntil: next.LockedUntil}
	next.Source = next.Codes // the source of all tests, if it is known
	m.Must(m.App.Store.RecordFailure(m.T.Context(), who, next, nil))
}

// signInsAlike tests that the token endpoint gives the same answer to a right code or password
// of a user who may not sign in, whatever the reason. Failures of unknown names count the same.
func signInsAlike(t *testing.T, m *kit.ElasticPath) {
	hash, err := kit.PasswordHash()
	m.Must(err)
	company := m.AddAccount("Alike")
	known, idle, locked := m.AddShopperWithHash(hash, "in-known", company), m.AddShopperWithHash(hash, "in-idle", company), m.AddShopperWithHash(hash, "in-locked", company)
	disable(m, idle)
	lock(m, locked)
	for _, p := range []kit.Shopper{idle, locked} {
		addKnownCode(m, p)
	}
	front := m.Storefront()
	want := front.AccountTokens(kit.ByCode("default", known.Username, kit.WrongCode))
	kit.MustFailV2(t, "known user, wrong code", want)
	for what, body := range map[string]kit.Object{
		"unknown user, code":      kit.ByCode("default", "in-nobody", kit.KnownCode),
		"unknown user, password":  kit.ByPassword("in-nobody", kit.Password),
		"known, wrong password":   kit.ByPassword(known.Username, "wrong"),
		"inactive, code":          kit.ByCode("default", idle.Username, kit.KnownCode),
		"inactive, password":      kit.ByPassword(idle.Username, kit.Password),
		"locked, code":            kit.ByCode("default", locked.Username, kit.KnownCode),
		"locked, password":        kit.ByPassword(locked.Username, kit.Password),
		"no profile":              kit.ByCode("nonesuch", known.Username, kit.KnownCode),
		"known user without code": kit.ByCode("default", known.Username, kit.KnownCode),
	} {
		sameAnswer(t, what, want, front.AccountTokens(body))
	}
	for name, failures := range map[string]int{known.Username: 3, idle.Username: 2, "in-nobody": 2} {
		p, err := m.App.Store.Principal(t.Context(), storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: name})
		if m.Must(err); p.Lockout.Failures != failures {
			t.Errorf("%s: got %d failures, want %d", name, p.Lockout.Failures, failures)
		}
	}
	front.Send(t, 201, http.MethodPost, kit.AccountTokensPath, kit.ByPassword(known.Username, kit.Password))
}

// noCodes tests that the storefront gets an error where no user can have a code. The error
// contains nothing about a user.
func noCodes(t *testing.T, m *kit.ElasticPath) {
	front := m.Storefront()
	p := m.AddShopper("codeless")
	const purpose = "reset_password"
	off := front.RequestCode("wordy", "nobody", purpose)
	kit.MustRefuseV2(t, "profile without codes", off, http.StatusUnprocessableEntity, "one time password tokens are not enabled for the password profile")
	sameAnswer(t, "for somebody", off, front.RequestCode("wordy", p.Username, purpose))
	_, err := m.App.Store.PutClient(t.Context(), storage.Client{
		ID: "wordy-shop", Name: "Wordy shop", Active: true, Public: true, ProfileID: "wordy", AllowAnyBuyer: true,
		GrantTypes: []string{"password"}, Credentials: storage.Credentials{OTP: true, Password: true},
	})
	m.Must(err)
	kit.MustRefuseCode(t, m.Server.RequestCodeThrough("wordy-shop", "nobody", ""),
		"OneTimePasswordRequest.NotEnabled", "One-time passwords are not enabled for this API client.")
	kit.MustRefuseV2(t, "unknown profile", front.RequestCode("nonesuch", p.Username, purpose), http.StatusNotFound, "password profile not found")
	got := front.Try(http.MethodPost, "/v2/authentication-realms/nonesuch/password-profiles/default/one-time-password-token-request",
		kit.Object{"type": "one_time_password_token_request", "username": p.Username, "purpose": purpose})
	kit.MustRefuseV2(t, "unknown realm", got, http.StatusNotFound, "password profile not found")
	for _, purpose := range []string{"", "password_reset", "passwordless_authentcation", "PASSWORDLESS_AUTHENICATION", "RESET_PASSWORD"} {
		kit.MustRefuseV2(t, "purpose "+purpose, front.RequestCode("default", p.Username, purpose), http.StatusBadRequest, "*")
	}
	kit.MustRefuseV2(t, "without a token", kit.Caller{Server: m.Server, AccessToken: "x"}.RequestCode("default", p.Username, purpose), http.StatusUnauthorized, "")
}

// accessTokens compares the exact answers of /oauth/access_token.
func accessTokens(t *testing.T, m *kit.ElasticPath) {
	ask := func(media, form string) kit.Response {
		return m.Server.Do(http.MethodPost, "/oauth/access_token", media, form)
	}
	implicit := kit.EncodeForm("grant_type", "implicit", "client_id", "front")
	credentials := kit.EncodeForm("grant_type", "client_credentials", "client_id", "admin", "client_secret", m.AdminSecret)
	for grant, form := range map[string]string{"implicit": implicit, "client_credentials": credentials} {
		for _, media := range []string{kit.FormMedia, "application/json", ""} {
			got := ask(media, form)
			var token struct {
				Expires     int64
				ExpiresIn   int64  `json:"expires_in"`
				AccessToken string `json:"access_token"`
			}
			m.Must(json.Unmarshal([]byte(got.Body), &token))
			want := `{"expires":` + strconv.FormatInt(token.Expires, 10) + `,"identifier":"` + grant + `","expires_in":` +
				strconv.FormatInt(token.ExpiresIn, 10) + `,"access_token":"` + token.AccessToken + `","token_type":"Bearer"}`
			left := token.Expires - m.Clock.Now().Unix()
			if got.Status != http.StatusOK || got.Body != want || left > 3600 || left < 890 || token.ExpiresIn-left > 30 {
				t.Errorf("%s as %q: got %d %s, want 200", grant, media, got.Status, got.Body)
			}
			if cache := got.Header.Get("Cache-Control"); cache != "no-store" {
				t.Errorf("%s: got Cache-Control %q, want no-store", grant, cache)
			}
		}
	}
	for what, test := range map[string]struct {
		form   string
		status int
	}{
		"wrong secret":            {kit.EncodeForm("grant_type", "client_credentials", "client_id", "admin", "client_secret", "wrong"), 401},
		"no secret":               {kit.EncodeForm("grant_type", "client_credentials", "client_id", "admin"), 401},
		"unknown client":          {kit.EncodeForm("grant_type", "client_credentials", "client_id", "nobody", "client_secret", "wrong"), 401},
		"unknown client alone":    {kit.EncodeForm("grant_type", "implicit", "client_id", "nobody"), 401},
		"no client":               {kit.EncodeForm("grant_type", "implicit"), 401},
		"may not be implicit":     {kit.EncodeForm("grant_type", "implicit", "client_id", "admin"), 400},
		"has no credentials":      {kit.EncodeForm("grant_type", "client_credentials", "client_id", "front", "client_secret", kit.ClientSecret), 400},
		"another grant":           {kit.EncodeForm("grant_type", "password", "client_id", "front"), 400},
		"no grant":                {kit.EncodeForm("client_id", "front"), 400},
		"a parameter twice":       {"grant_type=implicit&client_id=front&client_id=front", 400},
		"not a form":              {"%zz", 400},
		"a name with a NUL":       {kit.EncodeForm("grant_type", "implicit", "client_id", "a\x00"), 400},
		"too much":                {"grant_type=implicit&client_id=front&x=" + strings.Repeat("x", 70_000), 413},
		"implicit with no grants": {kit.EncodeForm("grant_type", "implicit", "client_id", "bare"), 400},
	} {
		got := ask(kit.FormMedia, test.form)
		kit.MustRefuseV2(t, what, got, test.status, "*")
		if challenge := got.Header.Get("WWW-Authenticate"); (challenge != "") != (test.status == 401) {
			t.Errorf("%s: got WWW-Authenticate %q", what, challenge)
		}
	}
}
