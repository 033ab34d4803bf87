package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	wireNoClient = `{"error":"invalid_client","error_description":"Invalid Client ID.",` +
		`"Errors":[{"ErrorCode":"ApiClient.InvalidClientID","Message":"Invalid Client ID.","Data":null}]}`
	wireClientNotActive = `{"error":"invalid_client","error_description":"Client ID is not active.",` +
		`"Errors":[{"ErrorCode":"Auth.ClientNotActive","Message":"Client ID is not active.","Data":null}]}`
)

// newSecret makes a secret of the client "desk" and returns what was shown.
func (j *journey) newSecret(t *testing.T, body string) (id, value string) {
	t.Helper()
	got := j.do(t, 201, "POST", "/v1/apiclients/desk/secrets", body)
	id, value = got.field("ID"), got.field("ClientSecret")
	if id == "" || len(value) < 43 {
		t.Fatalf("secret %s", got.body)
	}
	return id, value
}

// elevated signs ted in through "desk".
func (j *journey) elevated(n *node, secret string) answer {
	return j.signIn(n, "desk", "ted", tedPassword, "client_secret", secret)
}

func (j *journey) secrets(t *testing.T) {
	j.do(t, 201, "POST", "/v1/apiclients", `{"ID":"desk","AppName":"Desk","AccessTokenDuration":10,"AllowAnyBuyer":true}`)
	j.signIn(j.second, "desk", "ted", tedPassword).mustIssue(t) // still public
	first, value := j.newSecret(t, `{"Name":"first"}`)
	j.everywhere(t, "it wants a secret", func(n *node) bool { return j.signIn(n, "desk", "ted", tedPassword).body == wireNoClient })
	refused(t, "with a wrong one", j.elevated(j.second, "wrong"), wireNoClient)
	j.elevated(j.second, value).mustIssue(t)

	brief, passing := j.newSecret(t, fmt.Sprintf(`{"Name":"brief","Expiration":%q}`, j.clock.now().Add(time.Hour).UTC().Format(time.RFC3339)))
	for i := range 8 {
		j.newSecret(t, fmt.Sprintf(`{"Name":"spare %d"}`, i))
	}
	j.send(j.second, j.root, "POST", "/v1/apiclients/desk/secrets", `{"Name":"one too many"}`).mustBeErrors(t, 400,
		vendorError("ApiClientSecret.MaximumClientSecretsReached", "The maximum number of client secrets has been reached.", "null"))
	past := j.clock.now().Add(-time.Minute).UTC().Format(time.RFC3339)
	j.send(j.second, j.root, "PATCH", "/v1/apiclients/desk/secrets/"+first, `{"Expiration":"`+past+`"}`).mustBeErrors(t, 400,
		vendorError("ApiClientSecret.InvalidExpirationDate", "The expiration date must be in the future.", "null"))
	list := j.do(t, 200, "GET", "/v1/apiclients/desk/secrets?pageSize=100", nil)
	if n := strings.Count(list.body, `"ID":`); n != 10 || strings.Contains(list.body, "ClientSecret") || strings.Contains(list.body, value) {
		t.Errorf("%d secrets: %s", n, list.body)
	}
	j.do(t, 200, "PATCH", "/v1/apiclients/desk/secrets/"+first, `{"Name":"renamed"}`).
		mustBe(t, `{"ID":"`+first+`","Name":"renamed","Expiration":null}`)

	j.everywhere(t, "it takes the new secret", func(n *node) bool { return j.elevated(n, passing).status == 200 })
	j.clock.advance(time.Hour + time.Second)
	refused(t, "an expired one", j.elevated(j.second, passing), wireNoClient)
	j.do(t, 204, "DELETE", "/v1/apiclients/desk/secrets/"+brief, nil)
	j.send(j.first, j.root, "GET", "/v1/apiclients/desk/secrets/"+brief, nil).mustBeErrors(t, 404, missing("ApiClientSecret", brief))
	second, other := j.newSecret(t, `{"Name":"again ten"}`)
	j.everywhere(t, "it takes the newest secret", func(n *node) bool { return j.elevated(n, other).status == 200 })
	j.do(t, 204, "DELETE", "/v1/apiclients/desk/secrets/"+second, nil)
	j.everywhere(t, "it refuses a deleted secret", func(n *node) bool { return j.elevated(n, other).body == wireNoClient })
	j.deskSecret = value
}

// desk asks for a token of the client "desk" by its own credentials.
func (j *journey) desk(n *node, more ...string) answer {
	return j.sendForm(n, "/oauth/token", append([]string{"grant_type", "client_credentials", "client_id", "desk", "client_secret", j.deskSecret}, more...)...)
}

func (j *journey) clientCredentials(t *testing.T) {
	refused(t, "without a context user", j.desk(j.first), `{"error":"invalid_grant","error_description":"Default context user required for client credentials grant",`+
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"Default context user required for client credentials grant","Data":null}]}`)
	j.send(j.first, j.root, "PATCH", "/v1/apiclients/desk", `{"DefaultContextUserName":"nobody"}`).mustBeErrors(t, 404, missing("User", "nobody"))
	j.do(t, 200, "PATCH", "/v1/apiclients/desk", `{"DefaultContextUserName":"ted","MaximumGrantedRoles":["Shopper"]}`)
	got := j.desk(j.first)
	got.mustBe(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper"}`, "access_token")
	if me := j.as(t, got.mustIssue(t), 200, "GET", "/v1/me", nil); me.field("Username") != "ted" {
		t.Errorf("acts as %s", me.body)
	}
	j.do(t, 200, "PATCH", "/v1/apiclients/desk", `{"MinimumRequiredRoles":["OrderAdmin"]}`)
	j.elevated(j.first, j.deskSecret).mustRefuse(t, 400, wireRolesMissing)
	j.do(t, 200, "PATCH", "/v1/apiclients/desk", `{"MinimumRequiredRoles":null}`)
	j.elevated(j.first, j.deskSecret).mustBe(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper"}`, "access_token")
}

func (j *journey) anonymous(t *testing.T) {
	j.send(j.first, j.root, "POST", "/v1/apiclients", `{"AppName":"Anon","AllowSeller":true,"IsAnonBuyer":true,"DefaultContextUserName":"ada"}`).mustBeErrors(t, 400,
		vendorError("ApiClient.RequiredNotAnonBuyer", "IsAnonBuyer requires a default context user who is a user of a buyer.", "null"))
	id := j.do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Anon","AllowAnyBuyer":true,"IsAnonBuyer":true,"RefreshTokenDuration":60,"DefaultContextUserName":"tess"}`).field("ID")
	got := j.sendForm(j.second, "/oauth/token", "grant_type", "client_credentials", "client_id", id, "scope", "Shopper", "anonuserid", "guest-1")
	got.mustBe(t, `{"token_type":"bearer","expires_in":604799}`, "access_token")
	token := got.mustIssue(t)
	if me := j.as(t, token, 200, "GET", "/v1/me", nil); me.field("Username") != "tess" {
		t.Errorf("shops as %s", me.body)
	}
	j.send(j.first, token, "DELETE", "/v1/me/tokens", nil).mustBeErrors(t, 403,
		vendorError("Auth.AnonymousUser", "The user that everybody may be can only be changed by an administrator.", "null"))
}

// deactivation ends every token of a client, whoever it stands for.
func (j *journey) deactivation(t *testing.T) {
	id := j.do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Brief","AllowAnyBuyer":true,"RefreshTokenDuration":60,"DefaultContextUserName":"ted"}`).field("ID")
	session := j.signIn(j.second, id, "ted", tedPassword)
	token := session.mustIssue(t)
	j.as(t, token, 200, "GET", "/v1/me", nil)
	if got := j.send(j.second, token, "GET", "/v1/me", nil); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	j.do(t, 200, "PATCH", "/v1/apiclients/"+id, `{"Active":false}`)
	j.everywhere(t, "the token is refused", func(n *node) bool { return j.send(n, token, "GET", "/v1/me", nil).body == wireInvalidToken })
	for _, n := range []*node{j.first, j.second} {
		refused(t, "sign-in", j.signIn(n, id, "ted", tedPassword), wireClientNotActive)
		refused(t, "refresh", j.renew(n, id, session.field("refresh_token")), wireClientNotActive)
		j.send(n, "", "POST", "/v1/password/reset", map[string]string{"ClientID": id, "Username": "ted"}).
			mustBeErrors(t, 400, vendorError("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"))
	}
	j.do(t, 204, "DELETE", "/v1/apiclients/"+id, nil)
	j.send(j.first, j.root, "GET", "/v1/apiclients/"+id, nil).mustBeErrors(t, 404, missing("ApiClient", id))
	j.send(j.first, j.root, "DELETE", "/v1/apiclients/operator", nil).mustBeErrors(t, 409,
		vendorError("ApiClient.CannotDeleteLastFullAccess", "The API client through which you have FullAccess cannot delete itself.", "null"))
}
