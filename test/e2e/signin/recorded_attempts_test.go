package signin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// attemptsDocument adds a client with a limit of roles, a client with resources that the server
// does not have, and password rules for the users of one company only.
const attemptsDocument = kit.DPoPDocument + `
  - {ID: capped, AppName: Ceiling, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, MaximumGrantedRoles: [Shopper],
     GrantTypes: [password, "urn:latchkey:params:oauth:grant-type:account-member"], AllowedCredentials: [otp, password]}
  - {ID: nowhere, AppName: No resource, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, Resources: ["https://gone.example"],
     GrantTypes: [password, "urn:latchkey:params:oauth:grant-type:account-member"], AllowedCredentials: [otp, password]}
`

// audited counts the events with that action and outcome.
func (s *adminSetup) audited(action, outcome string) (n int) {
	for line := range strings.Lines(s.Log.String()) {
		var event struct{ Audit, Outcome string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == action && event.Outcome == outcome {
			n++
		}
	}
	return n
}

// TestEveryAttemptIsRecorded tests requests that must fail with any credential. The answer to a
// right credential must be that to a wrong one, or the server must record that the right one
// was presented and use it.
func TestEveryAttemptIsRecorded(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		w.Apply(attemptsDocument)
		s := newAdminSetupAt(t, w, kit.SharedIssuer)
		key := w.NewDPoPKey(t)
		used := key.TokenHeader()
		kit.MustIssue(t, "a sign-in with a proof", s.server.Token(used, kit.PublicClientSignIn("nell", kit.Password)...))
		memberGrant := []string{"grant_type", "urn:latchkey:params:oauth:grant-type:account-member", "username", "nell"}
		grant := func(client, secret string, more ...string) []string {
			return append([]string{"grant_type", "password", "client_id", client, "username", "nell", "password", secret}, more...)
		}
		for name, send := range map[string]func(secret string) kit.Response{
			"used proof": func(secret string) kit.Response {
				return s.server.Token(used, kit.PublicClientSignIn("nell", secret)...)
			},
			"no proof": func(secret string) kit.Response { return s.server.Token(nil, grant("bound", secret)...) },
			"scope above the ceiling": func(secret string) kit.Response {
				return s.server.Token(nil, grant("capped", secret, "scope", "FullAccess Other")...)
			},
			"scope above the ceiling, for an account": func(secret string) kit.Response {
				return s.server.Token(nil, append(memberGrant, "client_id", "capped", "password", secret, "scope", "FullAccess")...)
			},
			"unknown resource": func(secret string) kit.Response {
				return s.server.Token(nil, grant("capped", secret, "resource", "https://no.example")...)
			},
			"client without any": func(secret string) kit.Response { return s.server.Token(nil, grant("nowhere", secret)...) },
			"malformed resource": func(secret string) kit.Response {
				return s.server.Token(nil, grant("capped", secret, "resource", "x#y")...)
			},
			"repeated parameter": func(secret string) kit.Response {
				return s.server.Token(nil, grant("capped", secret, "username", "x")...)
			},
			"grant of another": func(secret string) kit.Response {
				return s.server.Token(nil, append(memberGrant, "client_id", "spa", "password", secret)...)
			},
			"unknown account": func(secret string) kit.Response {
				return s.server.Token(nil, append(memberGrant, "client_id", "capped", "password", secret, "account_id", "none")...)
			},
		} {
			right, wrong := send(kit.Password), send("wrong-Horse-7-battery")
			if right.Status != wrong.Status || right.Body != wrong.Body || right.Status/100 != 4 {
				t.Errorf("%s: got %d %s for a right credential and %d %s for a wrong one, want the same", name, right.Status, right.Body, wrong.Status, wrong.Body)
			}
		}
		s.Command(t, "user", "unlock", "nell")
		s.pages(t)
		s.renewals(t)
	})
}

// pages tests that a request for a page without tokens uses the code and is recorded.
func (s *adminSetup) pages(t *testing.T) {
	t.Helper()
	code, _ := s.codes(t, "nell")
	bearer := kit.MustIssue(t, "implicit token", s.server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "every")).Field("access_token")
	v, before := kit.Caller{Server: s.server, AccessToken: bearer}, s.CountSignIns("nell", "success")
	got := v.Try(http.MethodPost, kit.AccountTokensPath+"?page[offset]=5000", kit.ByCode("default", "nell", code))
	if p := kit.MustJSON(t, "a page without tokens", http.StatusCreated, got); len(p.Column("token")) != 0 {
		t.Errorf("got the tokens %s", got.Body)
	}
	if after := s.CountSignIns("nell", "success"); after != before+1 {
		t.Errorf("got %d recorded sign-ins, want 1", after-before)
	}
	kit.MustFailV2(t, "the code a second time", v.AccountTokens(kit.ByCode("default", "nell", code)))
	s.Command(t, "user", "unlock", "nell")
}

// renewals tests what renewals record. Codes of 144 bits are not guesses at live codes.
// Passwords that break the rules of the profile are refused before the code is checked, and
// others are recorded.
func (s *adminSetup) renewals(t *testing.T) {
	t.Helper()
	code, renewal := s.codes(t, "nell")
	put := func(renewal, username, password string) kit.Response {
		body, err := json.Marshal(map[string]string{"ClientID": "every", "Username": username, "Password": password})
		if err != nil {
			t.Fatal(err)
		}
		return s.server.Do("PUT", "/v1/password/reset/"+renewal, "application/json", string(body))
	}
	weak := put(renewal, "nell", "short")
	for _, other := range []kit.Response{put("wrong", "nell", "short"), put(renewal, "nobody", "short")} {
		if weak.Status != 400 || other.Body != weak.Body || other.Status != weak.Status {
			t.Errorf("got %d %s for the right code and %d %s for a wrong one, want the same", weak.Status, weak.Body, other.Status, other.Body)
		}
	}
	for range 15 {
		if got := put("wrong-wrong-wrong-wrong0", "nell", kit.Password); got.Status != 400 {
			t.Fatalf("wrong code: got %d %s, want 400", got.Status, got.Body)
		}
	}
	if n := s.audited("password.renewed", "wrong_code"); n != 15 {
		t.Errorf("got %d events of wrong codes, want 15", n)
	}
	signIn := func(secret string) kit.Response {
		return s.server.Form("/oauth/token", append(kit.ClientFields("every"), "grant_type", "password", "username", "nell", "password", secret)...)
	}
	kit.MustIssue(t, "the code after wrong verification codes", signIn(code))
	kit.MustIssue(t, "the password after them", signIn(kit.Password))

	// Only the users of the company must use digits and uppercase letters.
	s.must(t, "PUT", "/v1/securityprofiles/strict", `{"Name":"Strict","PasswordConfig":{"SpecialCharacterRequired":true,"LimitPasswordReuse":3}}`)
	s.must(t, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"strict","BuyerID":"acme"}`)
	if got := put(renewal, "nell", "longandplainpassword"); got.Status != 400 || s.audited("password.renewed", "insecure_password") != 1 {
		t.Errorf("a password that breaks the company's rules: got %d %s, %d events; want 400 and 1", got.Status, got.Body, s.audited("password.renewed", "insecure_password"))
	}
	if got := put(renewal, "nell", kit.Password); got.Status != 400 || s.audited("password.renewed", "password_reused") != 1 {
		t.Errorf("the present password: got %d %s, %d events; want 400 and 1", got.Status, got.Body, s.audited("password.renewed", "password_reused"))
	}
	if got := put(renewal, "nell", "third-Horse-9-battery"); got.Status != 204 {
		t.Errorf("another request: got %d %s, want 204", got.Status, got.Body)
	}
}
