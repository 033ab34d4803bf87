package admin

import (
	"fmt"
	"net/http"
	"testing"

	"latchkey/test/e2e/kit"
)

// TestDeleteDuringChange changes and deletes a record at the same time, both with the entity tag
// that was read before. Only one of both may succeed. Otherwise a change would be lost.
func TestDeleteDuringChange(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"home","Name":"Home","Active":true}`)
		m.Do(t, 201, "POST", "/v1/buyers", `{"ID":"away","Name":"Away","Active":true}`)
		const users, memberships = "/v1/buyers/home/users", "/v1/buyers/home/users/jo/memberships"
		for _, test := range []struct {
			name, create, body, path, change string
		}{
			{"membership", memberships, `{"ID":"m","CompanyID":"away"}`, memberships + "/m", `{"Roles":["Shopper"]}`},
			{
				"account membership", memberships, `{"ID":"m","CompanyID":"away"}`, "/v2/accounts/away/account-memberships/m",
				`{"data":{"type":"account_membership","roles":["Shopper"]}}`,
			},
			{"user with another username", users, `{"ID":"ann","Username":"ann","Active":true}`, users + "/ann", `{"Username":"other"}`},
			{"user with another name", users, `{"ID":"ann","Username":"ann","Active":true}`, users + "/ann", `{"FirstName":"Ann"}`},
		} {
			if test.create == memberships {
				m.Do(t, 200, "PUT", users+"/jo", `{"Username":"jo","Active":true}`)
			}
			for round := range 40 {
				m.Do(t, 201, "POST", test.create, test.body)
				tag := m.Do(t, 200, "GET", test.path, nil).Header.Get("ETag")
				change := http.MethodPatch
				if test.name == "account membership" {
					change = http.MethodPut
				}
				done := make(chan kit.Response)
				go func() { done <- m.Send(m.Second, m.AdminToken, change, test.path, test.change, "If-Match", tag) }()
				deleted := m.Send(m.First, m.AdminToken, http.MethodDelete, test.path, nil, "If-Match", tag)
				changed := <-done
				if results := fmt.Sprint(changed.Status, " ", deleted.Status); results != "200 412" && results != "412 204" && results != "404 204" {
					t.Errorf("%s, round %d: got %s for change and deletion, want one success: %s %s", test.name, round, results, changed.Body, deleted.Body)
				}
				if deleted.Status != http.StatusNoContent {
					m.Do(t, 204, "DELETE", test.path, nil)
				}
			}
		}
	})
}
