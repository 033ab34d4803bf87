package ordercloud

import (
	"strings"
	"testing"
	"time"

	"latchkey/oauth/ordercloud/wire"
	"latchkey/oauth/token"
	"latchkey/storage"
)

// TestOnlyFullAccessLetsSendersServeAdmins tests that only FullAccess may assign a sender to
// admin users. A receiver of their messages can act as each of them.
func TestOnlyFullAccessLetsSendersServeAdmins(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.clientToken("messenger", "back-office", "MessageSenderAdmin", "MessageConfigAssignmentAdmin", "DeliveryConfigAdmin")
	srv.expect(201, "messenger", "POST", senderPath, `{"ID":"own","Name":"n","MessageTypes":["OneTimePassword"],"URL":"https://mine.example","SharedKey":"k"}`)
	srv.refuses(403, "Auth.InsufficientRoles", "messenger", "POST", senderPath+"/assignments", `{"MessageSenderID":"own"}`)
	if srv.sender("own").AllowSeller {
		t.Error("the sender was assigned, want a refusal")
	}

	srv.expect(201, "root", "POST", configPath, `{"ID":"d","Name":"D","DeliveryTargets":{"MessageSender":{"Endpoint":"https://d.example","Secret":"s"}}}`)
	srv.expect(201, "root", "POST", senderPath, `{"ID":"theirs","Name":"n","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"d"}`)
	srv.expect(204, "root", "POST", senderPath+"/assignments", `{"MessageSenderID":"theirs"}`)
	for path, body := range map[string]string{
		senderPath + "/theirs": `{"URL":"https://mine.example"}`,
		configPath + "/d":      `{"DeliveryTargets":{"MessageSender":{"Endpoint":"https://mine.example"}}}`,
	} {
		srv.refuses(403, "Auth.InsufficientRoles", "messenger", "PATCH", path, body)
		srv.expect(200, "root", "PATCH", path, body)
	}
	for _, withdrawn := range []string{senderPath + "/theirs/assignments", senderPath + "/theirs"} {
		srv.refuses(403, "Auth.InsufficientRoles", "messenger", "DELETE", withdrawn, "")
	}
	srv.expect(204, "root", "DELETE", senderPath+"/theirs/assignments", "")
	srv.expect(200, "messenger", "PATCH", senderPath+"/theirs", `{"Name":"m"}`)
}

// TestClientsBeyondTheCallerCannotBeDeleted tests that a caller that may not change a client
// may not delete it either. Otherwise it could create the client again under the same ID.
func TestClientsBeyondTheCallerCannotBeDeleted(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.client("boss", func(c *storage.Client) { c.Roles = []string{token.RoleFullAccess} })
	srv.client("lesser", func(c *storage.Client) { c.Roles, c.AllowSeller = []string{"ApiClientAdmin"}, false })
	srv.clientToken("registrar", "lesser", "ApiClientAdmin")
	srv.refuses(403, "Auth.InsufficientRoles", "registrar", "DELETE", "/v1/apiclients/BOSS", "")
	srv.expect(200, "root", "GET", "/v1/apiclients/boss", "")
	srv.expect(204, "registrar", "DELETE", "/v1/apiclients/lesser", "")
	srv.expect(204, "root", "DELETE", "/v1/apiclients/boss", "")
}

// TestResourceServersNeedIntrospection tests that creating a resource server needs the role for
// introspection. A client with resources and without grants may introspect the tokens of all
// users for its resources.
func TestResourceServersNeedIntrospection(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.clientToken("registrar", "back-office", "ApiClientAdmin")
	srv.clientToken("inspector", "back-office", "ApiClientAdmin", "TokenIntrospection")
	const body = `{"ID":"api","AppName":"A","GrantTypes":[],"Resources":["https://api.example"]}`
	srv.refuses(403, "Auth.InsufficientRoles", "registrar", "POST", "/v1/apiclients", body)
	srv.expect(201, "registrar", "POST", "/v1/apiclients", strings.Replace(body, "[]", `["client_credentials"]`, 1))
	srv.refuses(403, "Auth.InsufficientRoles", "registrar", "PATCH", "/v1/apiclients/api", `{"GrantTypes":[]}`)
	srv.expect(200, "inspector", "PATCH", "/v1/apiclients/api", `{"GrantTypes":[]}`)
	srv.refuses(403, "Auth.InsufficientRoles", "registrar", "PATCH", "/v1/apiclients/api", `{"AppName":"B"}`)
}

// TestEveryClientCanBePatched tests that a client that the command line created, without a
// duration for anonymous tokens, can be switched off.
func TestEveryClientCanBePatched(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	_, err := srv.store.PutClient(srv.ctx, storage.Client{
		ID: "cli", Name: "cli", Active: true, ProfileID: storage.DefaultProfileID, Roles: []string{token.RoleFullAccess},
		GrantTypes: []string{"client_credentials"}, AccessTokenTTL: 10 * time.Minute,
	})
	srv.must(err)
	srv.expect(200, "root", "PATCH", "/v1/apiclients/cli", `{"Active":false}`)
	if c, err := srv.store.Client(srv.ctx, "cli"); err != nil || c.Active {
		t.Errorf("got %+v, error %v, want an inactive client", c, err)
	}
}

// TestDeepBodiesAreRefusedAtOnce tests that a merge patch of many levels is refused early.
// Otherwise it would cost the square of their number.
func TestDeepBodiesAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	srv.addPeople()
	srv.userToken("ann", "shop", "ann", "MeAdmin")
	nested := func(n int) string { return `{"xp":` + strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) + "}" }
	began := time.Now()
	srv.refuses(400, "Request.InvalidRequestBody", "ann", "PATCH", "/v1/me", nested(9_000))
	srv.refuses(400, "Request.InvalidRequestBody", "ann", "PATCH", "/v1/me", `{"xp":`+strings.Repeat("[", 200_000))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v, want at most 2s", took)
	}
	srv.refuses(400, "ValidationFailure", "ann", "PATCH", "/v1/me", nested(wire.MaxXPDepth+1))
	srv.expect(200, "ann", "PATCH", "/v1/me", nested(wire.MaxXPDepth))
	srv.expect(200, "ann", "PATCH", "/v1/me", `{"FirstName":"\"[[[[{{{{\\","xp":{"a":"`+strings.Repeat("[{", 100)+`"}}`)
}

// TestCodesEndWithTheAddress tests that codes end with a change of the address. So no one signs
// in with a message to the former address.
func TestCodesEndWithTheAddress(t *testing.T) {
	t.Parallel()
	const path, ann = "/v1/password/reset/", "/v1/buyers/acme/users/ann"
	srv := newServer(t)
	srv.addPeople()
	body := `{"ClientID":"shop","Username":"ann","Password":"Another-Horse-8"}`
	issue := func(text string) {
		t.Helper()
		srv.verification("ann", "shop", text)
		l, id := srv.login("ann"), "otr_otp_"+text
		srv.must(srv.store.AddCodeRequest(srv.ctx, storage.CodeRequest{
			ID: id, Type: storage.MessageOneTimePassword, ClientID: "shop", ProfileID: l.ProfileID, Username: "ann",
			CreatedAt: srv.now(), ExpiresAt: srv.now().Add(time.Minute),
		}))
		_, err := srv.store.IssueCodes(srv.ctx, storage.Issuance{RequestID: id, Now: srv.now(), Codes: []storage.IssuedCode{{
			LoginID: l.ID, Code: storage.Code{
				ID: "otc_" + text, RequestID: id, ClientID: "shop", Purpose: storage.PurposeSignIn,
				Digest: srv.codes.Digest(l.ID, "12345678"), ExpiresAt: srv.now().Add(time.Minute),
			},
		}}})
		srv.must(err)
	}
	has := func(want bool) {
		t.Helper()
		code := srv.login("ann").Code
		if live := code.Live(srv.now()); live != want {
			t.Errorf("one-time password is live: got %v, want %v", live, want)
		}
	}

	issue("first")
	srv.expect(200, "root", "PATCH", ann, `{"LastName":"Other","Email":"ANN@example.com"}`)
	has(true)
	srv.expect(200, "root", "PATCH", ann, `{"Email":"ann@elsewhere.example"}`)
	has(false)
	srv.refuses(400, "PasswordReset.InvalidVerification", "", "PUT", path+"first", body)

	srv.expect(200, "root", "PATCH", ann, `{"Phone":"+491"}`) // no code was sent to a missing number
	issue("second")
	srv.expect(200, "root", "PATCH", ann, `{"Phone":"+492"}`)
	has(false)
	srv.refuses(400, "PasswordReset.InvalidVerification", "", "PUT", path+"second", body)
}
