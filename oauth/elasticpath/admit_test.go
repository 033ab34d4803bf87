package elasticpath_test

import "testing"

// TestSecretKeysAreForWhoeverMayChangeThem: a reader learns no secret that
// receivers know the server by.
func TestSecretKeysAreForWhoeverMayChangeThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.send(as{bearer: w.admin}, "POST", "/v2/integrations", `{"data":{"type":"integration","name":"Notify","integration_type":"webhook",
		"observes":["one-time-password-token-request.created"],"configuration":{"url":"https://receiver.example","secret_key":"moltin"}}}`, 201)
	path := "/v2/integrations/" + text(made, "data", "id")
	for role, want := range map[string]string{"MessageSenderReader": "", "MessageSenderAdmin": "moltin", "FullAccess": "moltin"} {
		who := as{bearer: w.client("c-"+role, role)}
		one, all := w.send(who, "GET", path, "", 200), w.send(who, "GET", "/v2/integrations", "", 200)
		equal(t, []string{
			text(one, "data", "configuration", "url"), text(one, "data", "configuration", "secret_key"),
			text(all, "data", 0, "configuration", "secret_key"),
		}, []string{"https://receiver.example", want, want})
	}
}

// TestMemberHeaderOnRoutesOfSellers: who names a member is not let do what only
// those may do who run the shop, whatever the access token allows.
func TestMemberHeaderOnRoutesOfSellers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.person("default", "john")
	for _, member := range []string{"nonsense", w.admin, ""} {
		carrier := as{bearer: w.admin, member: member}
		status, detail := 403, "forbidden"
		if member == "" { // no header
			status, detail = 201, ""
		}
		w.refused(carrier, "POST", "/v2/accounts", `{"data":{"type":"account","name":"A"}}`, status, detail)
	}
	w.refused(as{bearer: w.admin, member: "x"}, "DELETE", realm+"/user-authentication-info/"+user, "", 403, "forbidden")
}
