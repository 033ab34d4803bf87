package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/test/e2e/kit"
)

const (
	wireNoClient = `{"error":"invalid_client","error_description":"Invalid Client ID.",` +
		`"Errors":[{"ErrorCode":"ApiClient.InvalidClientID","Message":"Invalid Client ID.","Data":null}]}`
	wireClientNotActive = `{"error":"invalid_client","error_description":"Client ID is not active.",` +
		`"Errors":[{"ErrorCode":"Auth.ClientNotActive","Message":"Client ID is not active.","Data":null}]}`
)

// newSecret creates a secret of the client "desk" and returns the ID and the value of the
// answer.
func (j *orderCloudJourney) newSecret(t *testing.T, body string) (id, value string) {
	t.Helper()
	got := j.Do(t, 201, "POST", "/v1/apiclients/desk/secrets", body)
	id, value = got.Field("ID"), got.Field("ClientSecret")
	if id == "" || len(value) < 43 {
		t.Fatalf("got the secret %s", got.Body)
	}
	return id, value
}

// elevated signs ted in through "desk".
func (j *orderCloudJourney) elevated(n *kit.Server, secret string) kit.Response {
	return j.SignIn(n, "desk", "ted", kit.TedPassword, "client_secret", secret)
}

func (j *orderCloudJourney) secrets(t *testing.T) {
	j.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"desk","AppName":"Desk","AccessTokenDuration":10,"AllowAnyBuyer":true}`)
	j.SignIn(j.Second, "desk", "ted", kit.TedPassword).AccessToken(t) // the client is still public
	first, value := j.newSecret(t, `{"Name":"first"}`)
	j.OnBothServers(t, "it wants a secret", func(n *kit.Server) bool { return j.SignIn(n, "desk", "ted", kit.TedPassword).Body == wireNoClient })
	kit.MustRefuse(t, "with a wrong one", j.elevated(j.Second, "wrong"), wireNoClient)
	j.elevated(j.Second, value).AccessToken(t)

	brief, passing := j.newSecret(t, fmt.Sprintf(`{"Name":"brief","Expiration":%q}`, j.Clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)))
	for i := range 8 {
		j.newSecret(t, fmt.Sprintf(`{"Name":"spare %d"}`, i))
	}
	j.Send(j.Second, j.AdminToken, "POST", "/v1/apiclients/desk/secrets", `{"Name":"one too many"}`).MustRefuseV1(t, 400,
		kit.ErrorBody("ApiClientSecret.MaximumClientSecretsReached", "The maximum number of client secrets has been reached.", "null"))
	past := j.Clock.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	j.Send(j.Second, j.AdminToken, "PATCH", "/v1/apiclients/desk/secrets/"+first, `{"Expiration":"`+past+`"}`).MustRefuseV1(t, 400,
		kit.ErrorBody("ApiClientSecret.InvalidExpirationDate", "The expiration date must be in the future.", "null"))
	list := j.Do(t, 200, "GET", "/v1/apiclients/desk/secrets?pageSize=100", nil)
	if n := strings.Count(list.Body, `"ID":`); n != 10 || strings.Contains(list.Body, "ClientSecret") || strings.Contains(list.Body, value) {
		t.Errorf("got %d secrets: %s", n, list.Body)
	}
	j.Do(t, 200, "PATCH", "/v1/apiclients/desk/secrets/"+first, `{"Name":"renamed"}`).
		MustEqualJSON(t, `{"ID":"`+first+`","Name":"renamed","Expiration":null}`)

	j.OnBothServers(t, "it takes the new secret", func(n *kit.Server) bool { return j.elevated(n, passing).Status == 200 })
	j.Clock.Advance(time.Hour + time.Second)
	kit.MustRefuse(t, "an expired one", j.elevated(j.Second, passing), wireNoClient)
	j.Do(t, 204, "DELETE", "/v1/apiclients/desk/secrets/"+brief, nil)
	j.Send(j.First, j.AdminToken, "GET", "/v1/apiclients/desk/secrets/"+brief, nil).MustRefuseV1(t, 404, kit.NotFoundBody("ApiClientSecret", brief))
	second, other := j.newSecret(t, `{"Name":"again ten"}`)
	j.OnBothServers(t, "it takes the newest secret", func(n *kit.Server) bool { return j.elevated(n, other).Status == 200 })
	j.Do(t, 204, "DELETE", "/v1/apiclients/desk/secrets/"+second, nil)
	j.OnBothServers(t, "it refuses a deleted secret", func(n *kit.Server) bool { return j.elevated(n, other).Body == wireNoClient })
	j.deskSecret = value
}

// desk requests a token of the client "desk" with its own credentials.
func (j *orderCloudJourney) desk(n *kit.Server, more ...string) kit.Response {
	return j.SendForm(n, "/oauth/token", append([]string{"grant_type", "client_credentials", "client_id", "desk", "client_secret", j.deskSecret}, more...)...)
}

func (j *orderCloudJourney) clientCredentials(t *testing.T) {
	kit.MustRefuse(t, "without a context user", j.desk(j.First), `{"error":"invalid_grant","error_description":"Default context user required for client credentials grant",`+
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"Default context user required for client credentials grant","Data":null}]}`)
	j.Send(j.First, j.AdminToken, "PATCH", "/v1/apiclients/desk", `{"DefaultContextUserName":"nobody"}`).MustRefuseV1(t, 404, kit.NotFoundBody("User", "nobody"))
	j.Do(t, 200, "PATCH", "/v1/apiclients/desk", `{"DefaultContextUserName":"ted","MaximumGrantedRoles":["Shopper"]}`)
	got := j.desk(j.First)
	got.MustEqualJSON(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper"}`, "access_token")
	if me := j.DoAs(t, got.AccessToken(t), 200, "GET", "/v1/me", nil); me.Field("Username") != "ted" {
		t.Errorf("got a token of %s, want ted", me.Body)
	}
	j.Do(t, 200, "PATCH", "/v1/apiclients/desk", `{"MinimumRequiredRoles":["OrderAdmin"]}`)
	j.elevated(j.First, j.deskSecret).MustRefuse(t, 400, kit.RolesMissing)
	j.Do(t, 200, "PATCH", "/v1/apiclients/desk", `{"MinimumRequiredRoles":null}`)
	j.elevated(j.First, j.deskSecret).MustEqualJSON(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper"}`, "access_token")
}

func (j *orderCloudJourney) anonymous(t *testing.T) {
	j.Send(j.First, j.AdminToken, "POST", "/v1/apiclients", `{"AppName":"Anon","AllowSeller":true,"IsAnonBuyer":true,"DefaultContextUserName":"ada"}`).MustRefuseV1(t, 400,
		kit.ErrorBody("ApiClient.RequiredNotAnonBuyer", "IsAnonBuyer requires a default context user who is a user of a buyer.", "null"))
	id := j.Do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Anon","AllowAnyBuyer":true,"IsAnonBuyer":true,"RefreshTokenDuration":60,"DefaultContextUserName":"tess"}`).Field("ID")
	got := j.SendForm(j.Second, "/oauth/token", "grant_type", "client_credentials", "client_id", id, "scope", "Shopper", "anonuserid", "guest-1")
	got.MustEqualJSON(t, `{"token_type":"bearer","expires_in":604799}`, "access_token")
	token := got.AccessToken(t)
	if me := j.DoAs(t, token, 200, "GET", "/v1/me", nil); me.Field("Username") != "tess" {
		t.Errorf("got a token of %s, want tess", me.Body)
	}
	j.Send(j.First, token, "DELETE", "/v1/me/tokens", nil).MustRefuseV1(t, 403,
		kit.ErrorBody("Auth.AnonymousUser", "The user that everybody may be can only be changed by an administrator.", "null"))
}

// deactivation tests that every token of a client ends, for each user.
func (j *orderCloudJourney) deactivation(t *testing.T) {
	id := j.Do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Brief","AllowAnyBuyer":true,"RefreshTokenDuration":60,"DefaultContextUserName":"ted"}`).Field("ID")
	session := j.SignIn(j.Second, id, "ted", kit.TedPassword)
	token := session.AccessToken(t)
	j.DoAs(t, token, 200, "GET", "/v1/me", nil)
	if got := j.Send(j.Second, token, "GET", "/v1/me", nil); got.Status != 200 {
		t.Fatalf("got %d %s, want 200", got.Status, got.Body)
	}
	j.Do(t, 200, "PATCH", "/v1/apiclients/"+id, `{"Active":false}`)
	j.OnBothServers(t, "the token is refused", func(n *kit.Server) bool { return j.Send(n, token, "GET", "/v1/me", nil).Body == kit.InvalidTokenBody })
	for _, n := range []*kit.Server{j.First, j.Second} {
		kit.MustRefuse(t, "sign-in", j.SignIn(n, id, "ted", kit.TedPassword), wireClientNotActive)
		kit.MustRefuse(t, "refresh", j.Refresh(n, id, session.Field("refresh_token")), wireClientNotActive)
		j.Send(n, "", "POST", "/v1/password/reset", map[string]string{"ClientID": id, "Username": "ted"}).
			MustRefuseV1(t, 400, kit.ErrorBody("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"))
	}
	j.Do(t, 204, "DELETE", "/v1/apiclients/"+id, nil)
	j.Send(j.First, j.AdminToken, "GET", "/v1/apiclients/"+id, nil).MustRefuseV1(t, 404, kit.NotFoundBody("ApiClient", id))
	j.Send(j.First, j.AdminToken, "DELETE", "/v1/apiclients/operator", nil).MustRefuseV1(t, 409,
		kit.ErrorBody("ApiClient.CannotDeleteLastFullAccess", "The API client through which you have FullAccess cannot delete itself.", "null"))
}
