package elasticpath_test

import "testing"

// TestSecretKeyIsHiddenFromReaders tests that only callers that may change an integration see
// its secret key. Receivers recognize the server by this key.
func TestSecretKeyIsHiddenFromReaders(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	made := s.send(caller{bearer: s.admin}, "POST", "/v2/integrations", `{"data":{"type":"integration","name":"Notify","integration_type":"webhook",
		"observes":["one-time-password-token-request.created"],"configuration":{"url":"https://receiver.example","secret_key":"moltin"}}}`, 201)
	path := "/v2/integrations/" + textAt(made, "data", "id")
	for role, want := range map[string]string{"MessageSenderReader": "", "MessageSenderAdmin": "moltin", "FullAccess": "moltin"} {
		who := caller{bearer: s.createClient("c-"+role, role)}
		one, all := s.send(who, "GET", path, "", 200), s.send(who, "GET", "/v2/integrations", "", 200)
		checkEqual(t, []string{
			textAt(one, "data", "configuration", "url"), textAt(one, "data", "configuration", "secret_key"),
			textAt(all, "data", 0, "configuration", "secret_key"),
		}, []string{"https://receiver.example", want, want})
	}
}

// TestMemberHeaderOnRoutesOfSellers tests that routes of sellers refuse a request with the
// header of a member, whatever the access token allows.
func TestMemberHeaderOnRoutesOfSellers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	user, _ := s.createUser("default", "john")
	for _, member := range []string{"nonsense", s.admin, ""} {
		both := caller{bearer: s.admin, member: member}
		status, detail := 403, "forbidden"
		if member == "" { // without the header
			status, detail = 201, ""
		}
		s.expectRefusal(both, "POST", "/v2/accounts", `{"data":{"type":"account","name":"A"}}`, status, detail)
	}
	s.expectRefusal(caller{bearer: s.admin, member: "x"}, "DELETE", realm+"/user-authentication-info/"+user, "", 403, "forbidden")
}
