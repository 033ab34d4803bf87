package elasticpath_test

import "testing"

// Nobody gives a member a role that it has not itself.
func TestRolesOfMembershipsAreTheGivers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.person(w.profile(), "ann")
	admin, giver := as{bearer: w.admin}, as{bearer: w.client("giver", "BuyerAdmin", "SecurityProfileAdmin")}
	account := text(w.send(admin, "POST", "/v2/accounts", `{"data":{"type":"account","name":"acme","legal_name":"Acme"}}`, 201), "data", "id")
	const path = "/account-memberships"
	body := func(role string) string {
		return `{"data":{"type":"account_membership","account_member_id":"` + user + `","roles":["` + role + `"]}}`
	}
	w.send(giver, "POST", "/v2/accounts/"+account+path, body("FullAccess"), 403)
	made := w.send(giver, "POST", "/v2/accounts/"+account+path, body("BuyerAdmin"), 201)
	id := text(made, "data", "id")
	w.send(giver, "PUT", "/v2/accounts/"+account+path+"/"+id, `{"data":{"type":"account_membership","roles":["OrderAdmin"]}}`, 403)
	w.send(admin, "PUT", "/v2/accounts/"+account+path+"/"+id, `{"data":{"type":"account_membership","roles":["OrderAdmin"]}}`, 200)
}
