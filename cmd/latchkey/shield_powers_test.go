package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
)

// TestPowersEnd: whoever has less can take nothing from whoever has more, and
// what was taken from somebody is gone at once.
func TestPowersEnd(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		m.observe(t)
		t.Run("security profiles above the caller", m.profilesAbove)
		t.Run("withdrawn roles", m.withdrawnRoles)
		t.Run("withdrawn roles of a client", m.withdrawnFromClient)
	})
}

// worker makes a client that acts for itself and returns a token of it.
func (m *market) worker(t *testing.T, id string, roles ...string) (token string) {
	t.Helper()
	args := []string{"--name", id, "--id", id, "--grant", "client_credentials"}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	made := m.adminClient(t, args...)
	return m.first.self(made.ID, made.Secret).mustIssue(t)
}

// profilesAbove lets somebody who manages security profiles try to disarm those
// who may do everything.
func (m *market) profilesAbove(t *testing.T) {
	const path = "/v1/securityprofiles"
	lesser := m.worker(t, "profiler", "SecurityProfileAdmin", "Shopper")
	m.do(t, 201, "POST", path, `{"ID":"all","Name":"All","Roles":["FullAccess"]}`)
	m.do(t, 201, "POST", path, `{"ID":"own","Name":"Own","Roles":["Shopper"]}`)
	m.do(t, 201, "POST", "/v1/adminusers", `{"ID":"boss","Username":"boss","Active":true}`)
	m.do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"all","UserID":"boss"}`)
	m.do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"own","UserID":"boss"}`)
	before := m.do(t, 200, "GET", path+"/all", nil).body
	for _, try := range []struct{ method, path, body string }{
		{"PATCH", path + "/all", `{"Roles":[]}`},
		{"PATCH", path + "/all", `{"Name":"x"}`},
		{"PATCH", path + "/all", `{"PasswordConfig":{"AllowedFailedAttempts":1,"LockoutDuration":0}}`},
		{"PUT", path + "/all", `{"Name":"All","Roles":["Shopper"]}`},
		{"DELETE", path + "/all", ""},
		{"DELETE", path + "/all/assignments?userID=boss", ""},
		{"POST", path + "/assignments", `{"SecurityProfileID":"all"}`},
	} {
		got := m.send(m.first, lesser, try.method, try.path, try.body)
		if got.status != http.StatusForbidden || !strings.Contains(got.body, `"SufficientRoles":["FullAccess"]`) {
			t.Errorf("%s %s %s: %d %s", try.method, try.path, try.body, got.status, got.body)
		}
	}
	if got := m.do(t, 200, "GET", path+"/all", nil).body; got != before {
		t.Errorf("changed to %s", got)
	}
	if got := m.do(t, 200, "GET", "/v1/adminusers/boss", nil); !strings.Contains(got.body, `"FullAccess"`) {
		t.Errorf("boss: %s", got.body)
	}
	m.as(t, lesser, 200, "PATCH", path+"/own", `{"Name":"Mine"}`)
	m.as(t, lesser, 204, "DELETE", path+"/own/assignments?userID=boss", nil)
	m.as(t, lesser, 204, "DELETE", path+"/own", nil)
	m.as(t, lesser, 404, "DELETE", path+"/own", nil)
	m.do(t, 204, "DELETE", path+"/all/assignments?userID=boss", nil)
	m.do(t, 204, "DELETE", path+"/all", nil)
}

// withdrawnRoles takes a role from a user who has a token with it.
func (m *market) withdrawnRoles(t *testing.T) {
	const path = "/v1/securityprofiles"
	m.do(t, 201, "POST", path, `{"ID":"clerk","Name":"Clerk","Roles":["BuyerAdmin","Shopper"]}`)
	m.do(t, 201, "POST", "/v1/adminusers", `{"ID":"cleo","Username":"cleo","Password":"correct-Horse-7-battery","Active":true}`)
	m.do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"clerk","UserID":"cleo"}`)
	m.do(t, 201, "POST", "/v1/apiclients", `{"ID":"desk","AppName":"Desk","AllowSeller":true,"Active":true,"AccessTokenDuration":60}`)
	m.agreed(t, "/v1/apiclients/desk", path+"/clerk")
	token := m.signIn(m.first, "desk", "cleo", "correct-Horse-7-battery").mustIssue(t)
	m.as(t, token, 201, "POST", "/v1/buyers", `{"ID":"by-cleo","Name":"B"}`)
	eye := m.adminClient(t, "--name", "Eye", "--id", "eye", "--grant", "client_credentials", "--role", "TokenIntrospection")
	scope := func(n *node) string {
		return m.sendForm(n, "/oauth/introspect", "client_id", eye.ID, "client_secret", eye.Secret, "token", token).field("scope")
	}
	if got := scope(m.first); got != "BuyerAdmin Shopper" {
		t.Fatalf("scope %q", got)
	}
	m.do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"clerk"}`) // by another way as well
	m.do(t, 204, "DELETE", path+"/clerk/assignments?userID=cleo", nil)
	m.as(t, token, 200, "GET", "/v1/buyers/by-cleo", nil)
	m.do(t, 200, "PATCH", path+"/clerk", `{"Roles":["Shopper"]}`)
	m.everywhere(t, "the role is gone", func(n *node) bool {
		return m.send(n, token, "GET", "/v1/buyers/by-cleo", nil).status == http.StatusForbidden && scope(n) == "Shopper"
	})
	m.as(t, token, 200, "GET", "/v1/me", nil)
	m.do(t, 200, "PATCH", path+"/clerk", `{"Roles":["Shopper","BuyerAdmin","BuyerReader"]}`)
	m.everywhere(t, "the role is back", func(n *node) bool {
		return m.send(n, token, "GET", "/v1/buyers/by-cleo", nil).status == http.StatusOK &&
			scope(n) == "BuyerAdmin Shopper" // and none that the token did not have
	})
	m.do(t, 200, "PATCH", path+"/clerk", `{"Roles":["FullAccess"]}`)
	m.everywhere(t, "who may do everything has lost nothing", func(n *node) bool {
		return m.send(n, token, "GET", "/v1/buyers/by-cleo", nil).status == http.StatusOK
	})
}

// withdrawnFromClient takes a role from a client that acts for itself.
func (m *market) withdrawnFromClient(t *testing.T) {
	token := m.worker(t, "temp", "BuyerAdmin", "TokenIntrospection")
	m.as(t, token, 200, "GET", "/v1/buyers", nil)
	m.withApp(func(ctx context.Context, a *app) error {
		c, err := a.store.Client(ctx, "temp")
		if err != nil {
			return err
		}
		c.Roles = []string{"TokenIntrospection"}
		_, err = a.store.PutClient(ctx, c)
		return err
	})
	for _, n := range []*node{m.first, m.second} {
		wireSoon(t, "the role is gone", func() bool {
			return m.send(n, token, "GET", "/v1/buyers", nil).status == http.StatusForbidden
		})
	}
}
