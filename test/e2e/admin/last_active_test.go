package admin

import (
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestLastActive tests that TermsAccepted is stored for every user. LastActive is the last
// sign-in, or the given time for a user who was created with one.
func TestLastActive(t *testing.T) {
	kit.EachOrderCloud(t, []string{kit.LongRequestTimeout}, func(t *testing.T, m *kit.OrderCloud) {
		const terms = `"TermsAccepted":"2026-01-02T03:04:05Z"`
		makeAssignments(m, t)
		m.Do(t, 201, "POST", "/v1/securityprofiles", `{"ID":"me","Name":"Me","Roles":["MeAdmin"]}`)
		m.Do(t, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"me","BuyerID":"acme"}`)
		for _, path := range []string{"/v1/buyers/acme/users", "/v1/suppliers/smith/users", "/v1/adminusers"} {
			created := m.Do(t, 201, "POST", path, `{"ID":"new","Username":"`+path+`","TermsAccepted":"2026-01-02T04:04:05+01:00","LastActive":"2025-05-05T05:05:05Z"}`)
			for _, got := range []kit.Response{created, m.Do(t, 200, "GET", path+"/new", nil), m.Do(t, 200, "GET", path+"?ID=new", nil), m.Do(t, 200, "GET", path+"?TermsAccepted=%3E2026-01-01", nil)} {
				if !strings.Contains(got.Body, terms) || !strings.Contains(got.Body, `"LastActive":"2025-05-05T05:05:05Z"`) {
					t.Errorf("%s: got %s", path, got.Body)
				}
			}
			if got := m.Do(t, 200, "PATCH", path+"/new", `{"FirstName":"F","LastActive":"2020-01-01T00:00:00Z"}`); !strings.Contains(got.Body, terms) || !strings.Contains(got.Body, `"LastActive":"2025-05-05T05:05:05Z"`) {
				t.Errorf("%s, patched: got %s", path, got.Body)
			}
			if got := m.Do(t, 200, "PATCH", path+"/new", `{"TermsAccepted":null}`); !strings.Contains(got.Body, `"TermsAccepted":null`) {
				t.Errorf("%s, withdrawn: got %s", path, got.Body)
			}
			m.Do(t, 400, "PATCH", path+"/new", `{"TermsAccepted":"yes"}`)
		}
		m.Do(t, 200, "PATCH", "/v1/buyers/acme/users/jane", `{"Password":"Correct-Horse-7"}`)
		token := m.SignIn(m.First, "web", "jane", "Correct-Horse-7").AccessToken(t)
		m.DoAs(t, token, 200, "PATCH", "/v1/me", `{"TermsAccepted":"2026-01-02T03:04:05Z"}`)
		for _, got := range []kit.Response{m.DoAs(t, token, 200, "GET", "/v1/me", nil), m.Do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil)} {
			if !strings.Contains(got.Body, terms) || strings.Contains(got.Body, `"LastActive":null`) {
				t.Error(got.Body)
			}
		}
		before := m.Do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil)
		m.SignIn(m.First, "web", "jane", "wrong")
		if got := m.Do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil); got.Members(t)["LastActive"] != before.Members(t)["LastActive"] {
			t.Errorf("after a failure: got another LastActive in %s", got.Body)
		}
		m.Apply(`AdminUsers: [{ID: imported, Username: imported, TermsAccepted: 2026-01-02T03:04:05Z, LastActive: "2025-05-05T05:05:05Z"}]`)
		if got := m.Do(t, 200, "GET", "/v1/adminusers/imported", nil); !strings.Contains(got.Body, terms) || !strings.Contains(got.Body, `"LastActive":"2025-05-05T05:05:05Z"`) {
			t.Errorf("applied: got %s", got.Body)
		}
	})
}
