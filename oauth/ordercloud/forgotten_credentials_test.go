package ordercloud

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/grants"
	"latchkey/otp"
	"latchkey/storage"
)

// requests returns the stored code requests, oldest first.
func (srv *testServer) requests() []storage.CodeRequest {
	srv.t.Helper()
	found, err := srv.store.ListRequests(srv.ctx, storage.Query{Limit: 100, Sort: []storage.Order{{Field: "CreatedAt"}}})
	srv.must(err)
	var all []storage.CodeRequest
	for _, r := range found.Items {
		all = append(all, r.Request)
	}
	return all
}

func TestRequestsForMessages(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.client("phone", func(c *storage.Client) { c.Credentials.Password = false })
	srv.client("desk", func(c *storage.Client) { c.Credentials.OTP = false })
	srv.client("old", func(c *storage.Client) { c.Active = false })
	srv.client("member", func(c *storage.Client) { c.GrantTypes = []string{grants.GrantAccountMember} })
	_, err := srv.store.PutPasswordProfile(srv.ctx, storage.PasswordProfile{
		ID: "passwords", RealmID: storage.DefaultRealmID, Name: "Passwords", UsernameFormat: "any", Code: otp.DefaultFormat(), CodeTTL: time.Minute,
		Lockout: storage.LockoutPolicy{Threshold: 3, Duration: time.Hour, MaxDuration: time.Hour, ForgetsAfter: 24 * time.Hour},
	})
	srv.must(err)
	srv.client("strict", func(c *storage.Client) { c.ProfileID = "passwords" })
	const otpPath, resetPath, namePath = "/v1/password/onetimepassword", "/v1/password/reset", "/v1/username/retrieve"
	for _, test := range []struct {
		path, body string
		life       time.Duration
		want       storage.CodeRequest
	}{
		{otpPath, `{"ClientID":"SHOP","Username":" ann "}`, 10 * time.Minute, storage.CodeRequest{Type: storage.MessageOneTimePassword, Username: "ann", Purpose: storage.PurposeSignIn}},
		{otpPath, `{"ClientID":"shop","Email":"no@example.com","Username":null}`, 10 * time.Minute, storage.CodeRequest{Type: storage.MessageOneTimePassword, Email: "no@example.com", Purpose: storage.PurposeSignIn}},
		{resetPath, `{"ClientID":"shop","Username":"ann","URL":"https://shop.example/renew?x=1"}`, 2 * time.Hour, storage.CodeRequest{Type: storage.MessageForgottenPassword, Username: "ann", URL: "https://shop.example/renew?x=1"}},
		{resetPath, `{"ClientID":"shop","Email":"nobody@example.com"}`, 2 * time.Hour, storage.CodeRequest{Type: storage.MessageForgottenPassword, Email: "nobody@example.com"}},
		{namePath + "?clientID=shop&email=ann@example.com", "", 0, storage.CodeRequest{Type: storage.MessageForgottenUsername, Email: "ann@example.com"}},
		{namePath + "?clientID=shop&email=nobody@example.com", "", 0, storage.CodeRequest{Type: storage.MessageForgottenUsername, Email: "nobody@example.com"}},
	} {
		for _, token := range []string{"", "nonsense", "root"} {
			srv.advance(time.Second)
			a := srv.expect(204, token, "POST", test.path, test.body)
			if a.body != "" || a.header.Get("Cache-Control") != "no-store" || len(a.header) != 1 {
				t.Errorf("%s: got %v %s", test.path, a.header, a.body)
			}
			want := test.want
			want.ClientID, want.ProfileID, want.TraceID = "shop", storage.DefaultProfileID, "trace-1"
			want.Source, want.CreatedAt = "192.0.2.7", srv.now()
			all := srv.requests()
			got := all[len(all)-1]
			if test.life == 0 {
				test.life = got.ExpiresAt.Sub(got.CreatedAt) // messages without codes have another lifetime
			}
			want.ID, want.ExpiresAt = got.ID, srv.now().Add(test.life)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", test.path, test.body, diff)
			}
		}
	}
	before := len(srv.requests())
	for _, test := range []struct{ code, path, body string }{
		{"PasswordReset.MissingOrInvalidClientID", otpPath, `{"Username":"ann"}`},
		{"PasswordReset.MissingOrInvalidClientID", otpPath, `{"ClientID":"none","Username":"ann"}`},
		{"PasswordReset.MissingOrInvalidClientID", otpPath, `{"ClientID":"old","Username":"ann"}`},
		{"PasswordReset.MissingOrInvalidClientID", otpPath, `{"ClientID":"a\u0000b","Username":"ann"}`},
		{"OneTimePasswordRequest.UsernameOrEmailRequired", otpPath, `{"ClientID":"shop"}`},
		{"OneTimePasswordRequest.UsernameOrEmailRequired", otpPath, `{"ClientID":"shop","Username":" ","Email":""}`},
		{"OneTimePasswordRequest.NotEnabled", otpPath, `{"ClientID":"desk","Username":"ann"}`},
		{"OneTimePasswordRequest.NotEnabled", otpPath, `{"ClientID":"member","Username":"ann"}`},
		{"OneTimePasswordRequest.NotEnabled", otpPath, `{"ClientID":"strict","Username":"ann"}`},
		{"OneTimePasswordRequest.NotEnabled", otpPath, `{"ClientID":"strict","Email":"nobody@example.com"}`},
		{"ValidationFailure", otpPath, `{"ClientID":"shop","Username":"a\nb"}`},
		{"ValidationFailure", otpPath, `{"ClientID":"shop","Username":"ann","Emial":"ann@example.com"}`},
		{"Request.InvalidRequestBody", otpPath, `"shop"`},
		{"PasswordReset.MissingOrInvalidClientID", resetPath, `{"Username":"ann"}`},
		{"PasswordReset.MissingUsernameOrEmail", resetPath, `{"ClientID":"shop"}`},
		{"PasswordReset.NotEnabled", resetPath, `{"ClientID":"phone","Username":"ann"}`},
		{"ValidationFailure", resetPath, `{"ClientID":"shop","Username":"ann","URL":"javascript:alert(1)"}`},
		{"ValidationFailure", resetPath, `{"ClientID":"shop","Username":"ann","URL":"https://shop.example@evil.example/"}`},
		{"ValidationFailure", resetPath, `{"ClientID":"shop","Username":"ann","URL":"/renew"}`},
		{"ValidationFailure", resetPath, `{"ClientID":"shop","Username":"ann","URL":"https://shop.example/\r\nBcc: x"}`},
		{"PasswordReset.MissingOrInvalidClientID", namePath + "?email=ann@example.com", ""},
		{"PasswordReset.MissingEmail", namePath + "?clientID=shop", ""},
		{"ValidationFailure", namePath + "?clientID=shop&email=a%0Ab", ""},
	} {
		srv.refuses(400, test.code, "", "POST", test.path, test.body)
	}
	srv.refuses(413, "Request.InvalidRequestBody", "", "POST", otpPath, `{"ClientID":"shop","Username":"`+strings.Repeat("x", maxRequestBytes)+`"}`)
	srv.refuses(415, "Request.InvalidContentType", "", "POST", otpPath, `ClientID=shop&Username=ann`, "Content-Type", "application/x-www-form-urlencoded")
	if got := len(srv.requests()); got != before {
		t.Errorf("got %d stored requests of refused calls, want none", got-before)
	}
}

func TestRenewalOrigins(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(c *Config) { c.RenewalOrigins = []string{"https://Shop.example", "http://127.0.0.1:3000"} })
	srv.addPeople()
	for url, status := range map[string]int{
		"": 204, "https://shop.example/renew": 204, "https://SHOP.example:443/x": 204, "http://127.0.0.1:3000/#/reset": 204,
		"http://shop.example/renew": 400, "https://shop.example.evil.example/": 400, "https://shop.example:8443/": 400,
		"https://evil.example/?https://shop.example": 400, "http://127.0.0.1:3001/": 400, `https://evil.example\\@shop.example/`: 400,
	} {
		srv.expect(status, "", "POST", "/v1/password/reset", `{"ClientID":"shop","Username":"ann","URL":"`+url+`"}`)
	}
	for _, origin := range []string{"shop.example", "https://shop.example/", "https://shop.example/path", "ftp://shop.example", "https://u@shop.example", ""} {
		cfg := srv.config
		cfg.RenewalOrigins = []string{origin}
		if _, err := New(cfg); err == nil {
			t.Errorf("origin %q was accepted, want an error", origin)
		}
	}
}

// verification issues a verification code for a login, as the worker does.
func (srv *testServer) verification(username, clientID, text string) {
	srv.t.Helper()
	l := srv.login(username)
	srv.must(srv.store.AddCodeRequest(srv.ctx, storage.CodeRequest{
		ID: "otr_" + text, Type: storage.MessageForgottenPassword, ClientID: clientID, ProfileID: l.ProfileID,
		Username: username, CreatedAt: srv.now(), ExpiresAt: srv.now().Add(2 * time.Hour),
	}))
	_, err := srv.store.IssueCodes(srv.ctx, storage.Issuance{RequestID: "otr_" + text, Now: srv.now(), Verifications: []storage.IssuedVerification{{
		Code: storage.VerificationCode{
			ID: "vfc_" + text, LoginID: l.ID, RequestID: "otr_" + text, ClientID: clientID,
			Digest: srv.codes.DigestVerification(l.ID, text), IssuedAt: srv.now(), ExpiresAt: srv.now().Add(2 * time.Hour),
		},
	}}})
	srv.must(err)
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.client("phone", func(c *storage.Client) { c.Credentials.Password = false })
	srv.client("other", nil)
	srv.verification("ann", "shop", "code-of-ann")
	srv.verification("gus", "shop", "code-of-gus")
	const path = "/v1/password/reset/code-of-ann"
	body := func(client, username, password string) string {
		return `{"ClientID":"` + client + `","Username":"` + username + `","Password":"` + password + `"}`
	}
	for _, test := range []struct{ code, path, body string }{
		{"PasswordReset.MissingOrInvalidClientID", path, body("none", "ann", "Another-Horse-8")},
		{"PasswordReset.NotEnabled", path, body("phone", "ann", "Another-Horse-8")},
		{"PasswordReset.MissingUsername", path, body("shop", " ", "Another-Horse-8")},
		{"ValidationFailure", path, body("shop", "ann", "")},
		{"ValidationFailure", path, `{"ClientID":"shop","Username":"ann","Password":"Another-Horse-8","Pasword":"x"}`},
		{"PasswordReset.InsecurePassword", path, body("shop", "ann", "short")},
		{"PasswordReset.InsecurePassword", path + "x", body("shop", "ann", "short")},
		{"PasswordReset.InsecurePassword", path, body("shop", "nobody", "short")},
	} {
		srv.refuses(400, test.code, "", "PUT", test.path, test.body)
	}
	// The answer is the same for every wrong code and every user.
	const wrong = `{"Errors":[{"ErrorCode":"PasswordReset.InvalidVerification","Message":"Incorrect verification code or username.","Data":null}]}`
	for _, test := range []struct{ path, body string }{
		{path + "x", body("shop", "ann", "Another-Horse-8")},
		{path, body("shop", "gus", "Another-Horse-8")},
		{path, body("shop", "nobody", "Another-Horse-8")},
		{path, body("other", "ann", "Another-Horse-8")},
		{"/v1/password/reset/" + strings.Repeat("x", 400), body("shop", "ann", "Another-Horse-8")},
		{"/v1/password/reset/%20%F0%9F%94%91", body("shop", "ann", "Another-Horse-8")},
	} {
		a := srv.expect(400, "", "PUT", test.path, test.body)
		if a.body != wrong || len(a.header) != 2 {
			t.Errorf("%s %s: got %v %s", test.path, test.body, a.header, a.body)
		}
	}
	srv.userToken("ann", "shop", "ann")
	srv.advance(time.Second)
	if a := srv.expect(204, "nonsense", "PUT", path, body("SHOP", "ANN", "Another-Horse-8")); a.body != "" {
		t.Errorf("got the body %s, want none", a.body)
	}
	if !srv.hasPassword("ann", "Another-Horse-8") || !srv.hasPassword("gus", testPassword) {
		t.Error("got other passwords")
	}
	srv.refuses(401, "Auth.TokenRevoked", "ann", "GET", "/v1/me", "")
	srv.refuses(400, "PasswordReset.InvalidVerification", "", "PUT", path, body("shop", "ann", "Yet-Another-9"))
	srv.advance(3 * time.Hour)
	srv.refuses(400, "PasswordReset.InvalidVerification", "", "PUT", "/v1/password/reset/code-of-gus", body("shop", "gus", "Another-Horse-8"))
}

type limitedCodes struct {
	Codes
	until time.Time
}

func (l limitedCodes) Request(context.Context, storage.Client, otp.Request) error {
	return &storage.LimitError{Budget: "recipient", Until: l.until}
}

// TestLimitedRequests tests that a caller that asks too often must wait, for known and unknown
// users.
func TestLimitedRequests(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(c *Config) { c.Codes = limitedCodes{c.Codes, c.Now().Add(90 * time.Second)} })
	srv.addPeople()
	for _, name := range []string{"ann", "nobody"} {
		a := srv.refuses(429, "TooManyRequests", "", "POST", "/v1/password/reset", `{"ClientID":"shop","Username":"`+name+`"}`)
		if a.header.Get("Retry-After") != "90" {
			t.Errorf("got the headers %v, want Retry-After: 90", a.header)
		}
	}
}
