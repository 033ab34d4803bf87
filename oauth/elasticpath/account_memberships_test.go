package elasticpath_test

import "testing"

// TestMembershipRolesNeedSameRoles tests that a caller cannot give or take away roles of a
// membership that it does not have itself.
func TestMembershipRolesNeedSameRoles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	user, _ := s.createUser(s.createProfile(), "ann")
	admin, giver := caller{bearer: s.admin}, caller{bearer: s.createClient("giver", "BuyerAdmin", "SecurityProfileAdmin")}
	account := textAt(s.send(admin, "POST", "/v2/accounts", `{"data":{"type":"account","name":"acme","legal_name":"Acme"}}`, 201), "data", "id")
	const path = "/account-memberships"
	body := func(role string) string {
		return `{"data":{"type":"account_membership","account_member_id":"` + user + `","roles":["` + role + `"]}}`
	}
	s.send(giver, "POST", "/v2/accounts/"+account+path, body("FullAccess"), 403)
	made := s.send(giver, "POST", "/v2/accounts/"+account+path, body("BuyerAdmin"), 201)
	id := textAt(made, "data", "id")
	s.send(giver, "PUT", "/v2/accounts/"+account+path+"/"+id, `{"data":{"type":"account_membership","roles":["OrderAdmin"]}}`, 403)
	s.send(admin, "PUT", "/v2/accounts/"+account+path+"/"+id, `{"data":{"type":"account_membership","roles":["OrderAdmin"]}}`, 200)
}
