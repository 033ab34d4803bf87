package main

import (
	"strings"
	"testing"
)

// TermsAccepted is kept for every user. LastActive is the last sign-in, or, for a
// user who comes from elsewhere, what is said when it is created.
func TestTermsAndLastActive(t *testing.T) {
	eachMarket(t, []string{unhurried}, func(t *testing.T, m *market) {
		const terms = `"TermsAccepted":"2026-01-02T03:04:05Z"`
		m.makeAssignments(t)
		m.do(t, 201, "POST", "/v1/securityprofiles", `{"ID":"me","Name":"Me","Roles":["MeAdmin"]}`)
		m.do(t, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"me","BuyerID":"acme"}`)
		for _, path := range []string{"/v1/buyers/acme/users", "/v1/suppliers/smith/users", "/v1/adminusers"} {
			created := m.do(t, 201, "POST", path, `{"ID":"new","Username":"`+path+`","TermsAccepted":"2026-01-02T04:04:05+01:00","LastActive":"2025-05-05T05:05:05Z"}`)
			for _, got := range []answer{created, m.do(t, 200, "GET", path+"/new", nil), m.do(t, 200, "GET", path+"?ID=new", nil), m.do(t, 200, "GET", path+"?TermsAccepted=%3E2026-01-01", nil)} {
				if !strings.Contains(got.body, terms) || !strings.Contains(got.body, `"LastActive":"2025-05-05T05:05:05Z"`) {
					t.Errorf("%s: %s", path, got.body)
				}
			}
			if got := m.do(t, 200, "PATCH", path+"/new", `{"FirstName":"F","LastActive":"2020-01-01T00:00:00Z"}`); !strings.Contains(got.body, terms) || !strings.Contains(got.body, `"LastActive":"2025-05-05T05:05:05Z"`) {
				t.Errorf("%s, patched: %s", path, got.body)
			}
			if got := m.do(t, 200, "PATCH", path+"/new", `{"TermsAccepted":null}`); !strings.Contains(got.body, `"TermsAccepted":null`) {
				t.Errorf("%s, withdrawn: %s", path, got.body)
			}
			m.do(t, 400, "PATCH", path+"/new", `{"TermsAccepted":"yes"}`)
		}
		m.do(t, 200, "PATCH", "/v1/buyers/acme/users/jane", `{"Password":"Correct-Horse-7"}`)
		token := m.signIn(m.first, "web", "jane", "Correct-Horse-7").mustIssue(t)
		m.as(t, token, 200, "PATCH", "/v1/me", `{"TermsAccepted":"2026-01-02T03:04:05Z"}`)
		for _, got := range []answer{m.as(t, token, 200, "GET", "/v1/me", nil), m.do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil)} {
			if !strings.Contains(got.body, terms) || strings.Contains(got.body, `"LastActive":null`) {
				t.Error(got.body)
			}
		}
		before := m.do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil)
		m.signIn(m.first, "web", "jane", "wrong")
		if got := m.do(t, 200, "GET", "/v1/buyers/acme/users/jane", nil); got.object(t)["LastActive"] != before.object(t)["LastActive"] {
			t.Errorf("a failure changes LastActive: %s", got.body)
		}
		m.apply(`AdminUsers: [{ID: imported, Username: imported, TermsAccepted: 2026-01-02T03:04:05Z, LastActive: "2025-05-05T05:05:05Z"}]`)
		if got := m.do(t, 200, "GET", "/v1/adminusers/imported", nil); !strings.Contains(got.body, terms) || !strings.Contains(got.body, `"LastActive":"2025-05-05T05:05:05Z"`) {
			t.Errorf("applied: %s", got.body)
		}
	})
}
