package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// attemptsDocument adds a client with a ceiling, one whose resources the server
// does not have, and rules that only the users of one company must follow.
const attemptsDocument = dpopClients + `
  - {ID: capped, AppName: Ceiling, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, MaximumGrantedRoles: [Shopper],
     GrantTypes: [password, "urn:latchkey:params:oauth:grant-type:account-member"], AllowedCredentials: [otp, password]}
  - {ID: nowhere, AppName: No resource, Active: true, AccessTokenDuration: 60, AllowAnyBuyer: true, Resources: ["https://gone.example"],
     GrantTypes: [password, "urn:latchkey:params:oauth:grant-type:account-member"], AllowedCredentials: [otp, password]}
`

// audited counts the events of that action and outcome.
func (s *switchboard) audited(action, outcome string) (n int) {
	for line := range strings.Lines(s.log.String()) {
		var event struct{ Audit, Outcome string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Audit == action && event.Outcome == outcome {
			n++
		}
	}
	return n
}

// TestCredentialsAreNotTestedInSilence: a request that must fail whatever the
// credential is answers a right credential like a wrong one, or records that the
// right one was presented and uses it up.
func TestCredentialsAreNotTestedInSilence(t *testing.T) {
	eachDatabase(t, func(t *testing.T, w *world) {
		w.apply(attemptsDocument)
		s := newSwitchboardAt(t, w, wireIssuer)
		key := w.holder(t)
		used := key.forToken()
		granted(t, "a sign-in with a proof", s.n.token(used, bySPA("nell", janesPassword)...))
		memberGrant := []string{"grant_type", "urn:latchkey:params:oauth:grant-type:account-member", "username", "nell"}
		grant := func(client, secret string, more ...string) []string {
			return append([]string{"grant_type", "password", "client_id", client, "username", "nell", "password", secret}, more...)
		}
		for name, send := range map[string]func(secret string) answer{
			"used proof": func(secret string) answer { return s.n.token(used, bySPA("nell", secret)...) },
			"no proof":   func(secret string) answer { return s.n.token(nil, grant("bound", secret)...) },
			"scope above the ceiling": func(secret string) answer {
				return s.n.token(nil, grant("capped", secret, "scope", "FullAccess Other")...)
			},
			"scope above the ceiling, for an account": func(secret string) answer {
				return s.n.token(nil, append(memberGrant, "client_id", "capped", "password", secret, "scope", "FullAccess")...)
			},
			"unknown resource": func(secret string) answer {
				return s.n.token(nil, grant("capped", secret, "resource", "https://no.example")...)
			},
			"client without any": func(secret string) answer { return s.n.token(nil, grant("nowhere", secret)...) },
			"malformed resource": func(secret string) answer { return s.n.token(nil, grant("capped", secret, "resource", "x#y")...) },
			"repeated parameter": func(secret string) answer { return s.n.token(nil, grant("capped", secret, "username", "x")...) },
			"grant of another": func(secret string) answer {
				return s.n.token(nil, append(memberGrant, "client_id", "spa", "password", secret)...)
			},
			"unknown account": func(secret string) answer {
				return s.n.token(nil, append(memberGrant, "client_id", "capped", "password", secret, "account_id", "none")...)
			},
		} {
			right, wrong := send(janesPassword), send("wrong-Horse-7-battery")
			if right.status != wrong.status || right.body != wrong.body || right.status/100 != 4 {
				t.Errorf("%s: right %d %s, wrong %d %s", name, right.status, right.body, wrong.status, wrong.body)
			}
		}
		s.admin(t, "user", "unlock", "nell")
		s.pages(t)
		s.renewals(t)
	})
}

// pages: a page without tokens uses the code up and is recorded.
func (s *switchboard) pages(t *testing.T) {
	t.Helper()
	code, _ := s.codes(t, "nell")
	bearer := granted(t, "implicit token", s.n.form("/oauth/access_token", "grant_type", "implicit", "client_id", "every")).field("access_token")
	v, before := visitor{n: s.n, bearer: bearer}, s.outcomes("nell", "success")
	got := v.try(http.MethodPost, tokensV2+"?page[offset]=5000", byCode("default", "nell", code))
	if p := paperOf(t, "a page without tokens", http.StatusCreated, got); len(p.column("token")) != 0 {
		t.Errorf("tokens %s", got.body)
	}
	if after := s.outcomes("nell", "success"); after != before+1 {
		t.Errorf("%d sign-ins recorded, want 1", after-before)
	}
	failedV2(t, "the code a second time", v.tokens(byCode("default", "nell", code)))
	s.admin(t, "user", "unlock", "nell")
}

// renewals: codes of 144 bits are not guesses at live codes; passwords that break
// the profile's rules are refused before the code is looked at, and others are
// recorded.
func (s *switchboard) renewals(t *testing.T) {
	t.Helper()
	code, renewal := s.codes(t, "nell")
	put := func(renewal, username, password string) answer {
		body, err := json.Marshal(map[string]string{"ClientID": "every", "Username": username, "Password": password})
		if err != nil {
			t.Fatal(err)
		}
		return s.n.do("PUT", "/v1/password/reset/"+renewal, "application/json", string(body))
	}
	weak := put(renewal, "nell", "short")
	for _, other := range []answer{put("wrong", "nell", "short"), put(renewal, "nobody", "short")} {
		if weak.status != 400 || other.body != weak.body || other.status != weak.status {
			t.Errorf("right %d %s, wrong %d %s", weak.status, weak.body, other.status, other.body)
		}
	}
	for range 15 {
		if got := put("wrong-wrong-wrong-wrong0", "nell", janesPassword); got.status != 400 {
			t.Fatalf("wrong code: %d %s", got.status, got.body)
		}
	}
	if n := s.audited("password.renewed", "wrong_code"); n != 15 {
		t.Errorf("%d events of wrong codes, want 15", n)
	}
	signIn := func(secret string) answer {
		return s.n.form("/oauth/token", append(clientFields("every"), "grant_type", "password", "username", "nell", "password", secret)...)
	}
	granted(t, "the code after wrong verification codes", signIn(code))
	granted(t, "the password after them", signIn(janesPassword))

	// Only the users of the company must have digits and letters in upper case.
	s.must(t, "PUT", "/v1/securityprofiles/strict", `{"Name":"Strict","PasswordConfig":{"SpecialCharacterRequired":true,"LimitPasswordReuse":3}}`)
	s.must(t, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"strict","BuyerID":"acme"}`)
	if got := put(renewal, "nell", "longandplainpassword"); got.status != 400 || s.audited("password.renewed", "insecure_password") != 1 {
		t.Errorf("a password that breaks the company's rules: %d %s, %d events", got.status, got.body, s.audited("password.renewed", "insecure_password"))
	}
	if got := put(renewal, "nell", janesPassword); got.status != 400 || s.audited("password.renewed", "password_reused") != 1 {
		t.Errorf("the present password: %d %s, %d events", got.status, got.body, s.audited("password.renewed", "password_reused"))
	}
	if got := put(renewal, "nell", "third-Horse-9-battery"); got.status != 204 {
		t.Errorf("another one: %d %s", got.status, got.body)
	}
}
