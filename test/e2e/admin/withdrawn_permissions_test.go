package admin

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"latchkey/oauth/server"
	"latchkey/test/e2e/kit"
)

// TestWithdrawnRolesEnd tests that an administrator with fewer roles cannot take anything from
// one with more, and that a withdrawn role ends at once.
func TestWithdrawnRolesEnd(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		m.CheckDocument(t)
		t.Run("security profiles above the caller", func(t *testing.T) { profilesAbove(m, t) })
		t.Run("withdrawn roles", func(t *testing.T) { withdrawnRoles(m, t) })
		t.Run("withdrawn roles of a client", func(t *testing.T) { withdrawnFromClient(m, t) })
	})
}

// worker creates a client that acts as itself and returns a token of it.
func worker(m *kit.OrderCloud, t *testing.T, id string, roles ...string) (token string) {
	t.Helper()
	args := []string{"--name", id, "--id", id, "--grant", "client_credentials"}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	made := m.CreateClient(t, args...)
	return m.First.ClientCredentials(made.ID, made.Secret).AccessToken(t)
}

// profilesAbove tests that a caller who manages security profiles cannot take roles from users
// with FullAccess.
func profilesAbove(m *kit.OrderCloud, t *testing.T) {
	const path = "/v1/securityprofiles"
	lesser := worker(m, t, "profiler", "SecurityProfileAdmin", "Shopper")
	m.Do(t, 201, "POST", path, `{"ID":"all","Name":"All","Roles":["FullAccess"]}`)
	m.Do(t, 201, "POST", path, `{"ID":"own","Name":"Own","Roles":["Shopper"]}`)
	m.Do(t, 201, "POST", "/v1/adminusers", `{"ID":"boss","Username":"boss","Active":true}`)
	m.Do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"all","UserID":"boss"}`)
	m.Do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"own","UserID":"boss"}`)
	before := m.Do(t, 200, "GET", path+"/all", nil).Body
	for _, try := range []struct{ method, path, body string }{
		{"PATCH", path + "/all", `{"Roles":[]}`},
		{"PATCH", path + "/all", `{"Name":"x"}`},
		{"PATCH", path + "/all", `{"PasswordConfig":{"AllowedFailedAttempts":1,"LockoutDuration":0}}`},
		{"PUT", path + "/all", `{"Name":"All","Roles":["Shopper"]}`},
		{"DELETE", path + "/all", ""},
		{"DELETE", path + "/all/assignments?userID=boss", ""},
		{"POST", path + "/assignments", `{"SecurityProfileID":"all"}`},
	} {
		got := m.Send(m.First, lesser, try.method, try.path, try.body)
		if got.Status != http.StatusForbidden || !strings.Contains(got.Body, `"SufficientRoles":["FullAccess"]`) {
			t.Errorf("%s %s %s: got %d %s, want 403", try.method, try.path, try.body, got.Status, got.Body)
		}
	}
	if got := m.Do(t, 200, "GET", path+"/all", nil).Body; got != before {
		t.Errorf("changed to %s, want %s", got, before)
	}
	if got := m.Do(t, 200, "GET", "/v1/adminusers/boss", nil); !strings.Contains(got.Body, `"FullAccess"`) {
		t.Errorf("boss: got %s", got.Body)
	}
	m.DoAs(t, lesser, 200, "PATCH", path+"/own", `{"Name":"Mine"}`)
	m.DoAs(t, lesser, 204, "DELETE", path+"/own/assignments?userID=boss", nil)
	m.DoAs(t, lesser, 204, "DELETE", path+"/own", nil)
	m.DoAs(t, lesser, 404, "DELETE", path+"/own", nil)
	m.Do(t, 204, "DELETE", path+"/all/assignments?userID=boss", nil)
	m.Do(t, 204, "DELETE", path+"/all", nil)
}

// withdrawnRoles takes a role from a user who has a token with it.
func withdrawnRoles(m *kit.OrderCloud, t *testing.T) {
	const path = "/v1/securityprofiles"
	m.Do(t, 201, "POST", path, `{"ID":"clerk","Name":"Clerk","Roles":["BuyerAdmin","Shopper"]}`)
	m.Do(t, 201, "POST", "/v1/adminusers", `{"ID":"cleo","Username":"cleo","Password":"correct-Horse-7-battery","Active":true}`)
	m.Do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"clerk","UserID":"cleo"}`)
	m.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"desk","AppName":"Desk","AllowSeller":true,"Active":true,"AccessTokenDuration":60}`)
	m.AwaitAgreement(t, "/v1/apiclients/desk", path+"/clerk")
	token := m.SignIn(m.First, "desk", "cleo", "correct-Horse-7-battery").AccessToken(t)
	m.DoAs(t, token, 201, "POST", "/v1/buyers", `{"ID":"by-cleo","Name":"B"}`)
	eye := m.CreateClient(t, "--name", "Eye", "--id", "eye", "--grant", "client_credentials", "--role", "TokenIntrospection")
	scope := func(n *kit.Server) string {
		return m.SendForm(n, "/oauth/introspect", "client_id", eye.ID, "client_secret", eye.Secret, "token", token).Field("scope")
	}
	if got := scope(m.First); got != "BuyerAdmin Shopper" {
		t.Fatalf("got scope %q, want \"BuyerAdmin Shopper\"", got)
	}
	m.Do(t, 204, "POST", path+"/assignments", `{"SecurityProfileID":"clerk"}`) // a second profile gives the role too
	m.Do(t, 204, "DELETE", path+"/clerk/assignments?userID=cleo", nil)
	m.DoAs(t, token, 200, "GET", "/v1/buyers/by-cleo", nil)
	m.Do(t, 200, "PATCH", path+"/clerk", `{"Roles":["Shopper"]}`)
	m.OnBothServers(t, "the role is gone", func(n *kit.Server) bool {
		return m.Send(n, token, "GET", "/v1/buyers/by-cleo", nil).Status == http.StatusForbidden && scope(n) == "Shopper"
	})
	m.DoAs(t, token, 200, "GET", "/v1/me", nil)
	m.Do(t, 200, "PATCH", path+"/clerk", `{"Roles":["Shopper","BuyerAdmin","BuyerReader"]}`)
	m.OnBothServers(t, "the role is back", func(n *kit.Server) bool {
		return m.Send(n, token, "GET", "/v1/buyers/by-cleo", nil).Status == http.StatusOK &&
			scope(n) == "BuyerAdmin Shopper" // no role that the token did not have
	})
	m.Do(t, 200, "PATCH", path+"/clerk", `{"Roles":["FullAccess"]}`)
	m.OnBothServers(t, "who may do everything has lost nothing", func(n *kit.Server) bool {
		return m.Send(n, token, "GET", "/v1/buyers/by-cleo", nil).Status == http.StatusOK
	})
}

// withdrawnFromClient takes a role from a client that acts as itself.
func withdrawnFromClient(m *kit.OrderCloud, t *testing.T) {
	token := worker(m, t, "temp", "BuyerAdmin", "TokenIntrospection")
	m.DoAs(t, token, 200, "GET", "/v1/buyers", nil)
	m.WithApp(func(ctx context.Context, a *server.App) error {
		c, err := a.Store.Client(ctx, "temp")
		if err != nil {
			return err
		}
		c.Roles = []string{"TokenIntrospection"}
		_, err = a.Store.PutClient(ctx, c)
		return err
	})
	for _, n := range []*kit.Server{m.First, m.Second} {
		kit.Eventually(t, "the role is gone", func() bool {
			return m.Send(n, token, "GET", "/v1/buyers", nil).Status == http.StatusForbidden
		})
	}
}
