package admin

import (
	"fmt"
	"regexp"
	"testing"

	"latchkey/test/e2e/kit"
)

func (j *orderCloudJourney) me(t *testing.T) {
	token := j.SignIn(j.First, j.shop, "ted", kit.TedPassword).AccessToken(t)
	me := j.DoAs(t, token, 200, "GET", "/v1/me", nil)
	me.MustEqualJSON(t, `{"ID":"ted","Username":"ted","FirstName":"T","LastName":"Ed","Email":"ted@example.com","Phone":null,"TermsAccepted":null,"Active":true,"xp":null,
		"CompanyID":"acme","AvailableRoles":["MeAdmin","Shopper","Vip"],"Locale":null,
		"Buyer":{"ID":"acme","DefaultCatalogID":null},"Supplier":null,"Seller":null}`, "DateCreated", "PasswordLastSetDate", "LastActive")
	if got := j.DoAs(t, token, 200, "PATCH", "/v1/me", `{"Phone":"+49 1"}`); got.Field("Phone") != "+49 1" {
		t.Errorf("after the change: got %s", got.Body)
	}
	j.Send(j.Second, token, "PUT", "/v1/me", me.Body, "If-Match", me.Header.Get("ETag")).MustRefuseV1(t, 412, kit.StaleBody)
	j.DoAs(t, token, 200, "PUT", "/v1/me", `{"Username":"ted","FirstName":"T","LastName":"Ed","Email":"ted@example.com"}`)
	j.Send(j.Second, token, "GET", "/v1/buyers/acme", nil).MustRefuseV1(t, 403, kit.ErrorBody("Auth.InsufficientRoles",
		"User does not have role(s) required to perform this action.",
		`{"AssignedRoles":["MeAdmin","Shopper","Vip"],"SufficientRoles":["FullAccess","BuyerAdmin","BuyerReader"]}`))
	j.Send(j.Second, j.AdminToken, "GET", "/v1/me", nil).
		MustRefuseV1(t, 403, kit.ErrorBody("Auth.UserRequired", "The access token stands for an API client, not for a user.", "null"))
	j.Send(j.First, "", "GET", "/v1/me", nil).MustRefuseV1(t, 401, kit.InvalidTokenBody)
	j.Send(j.First, "nonsense", "GET", "/v1/me", nil).MustRefuseV1(t, 401, kit.InvalidTokenBody)
}

// put renews a password with a code.
func (j *orderCloudJourney) put(n *kit.Server, code, username, password string) kit.Response {
	return j.Send(n, "", "PUT", "/v1/password/reset/"+code, map[string]string{"ClientID": j.shop, "Username": username, "Password": password})
}

// renewal requests a code to renew a password and waits for it.
func (j *orderCloudJourney) renewal(t *testing.T, username string) kit.SenderMessage {
	t.Helper()
	kit.MustBeDelivered(t, "a code for "+username, j.RequestMessage(t, "/v1/password/reset",
		map[string]string{"ClientID": j.shop, "Username": username, "URL": "https://shop.example/renew"}))
	return j.SenderInbox.Next(t, "ForgottenPassword", kit.SenderKey)
}

func (j *orderCloudJourney) passwordByCode(t *testing.T) {
	before := j.SignIn(j.First, j.shop, "ted", kit.TedPassword)
	l := j.renewal(t, "ted")
	code := l.EventBody.PasswordRenewalVerificationCode
	if l.Path != "/forgottenpassword" || l.EventBody.PasswordRenewalUrl != "https://shop.example/renew" || !regexp.MustCompile(`^[A-Za-z0-9_-]{22,}$`).MatchString(code) {
		t.Errorf("got a message to %s: %s", l.Path, l.Body)
	}
	kit.MustRefuse(t, "the code as a password", j.SignIn(j.Second, j.shop, "ted", code), kit.WrongCredentialsBody)
	j.put(j.Second, "wrong-code", "ted", kit.NextPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	j.put(j.Second, code, "tess", kit.NextPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	j.put(j.Second, code, "ted", "Short7abc").MustRefuseV1(t, 400, wireInsecure)
	if got := j.put(j.Second, code, "TED", kit.NextPassword); got.Status != 204 || got.Body != "" {
		t.Fatalf("renewal: got %d %s, want 204", got.Status, got.Body)
	}
	j.put(j.First, code, "ted", "third-Horse-9-battery").MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	j.Send(j.First, before.Field("access_token"), "GET", "/v1/me", nil).MustRefuseV1(t, 401, kit.RevokedTokenBody)
	kit.MustRefuse(t, "a session from before", j.Refresh(j.First, j.shop, before.Field("refresh_token")), kit.InvalidRefreshTokenBody)
	kit.MustRefuse(t, "the old password", j.SignIn(j.First, j.shop, "ted", kit.TedPassword), kit.WrongCredentialsBody)
	j.Send(j.First, l.EventBody.PasswordRenewalAccessToken, "POST", "/v1/me/password", `{"NewPassword":"third-Horse-9-battery"}`).
		MustRefuseV1(t, 401, kit.RevokedTokenBody)
	j.SignIn(j.First, j.shop, "ted", kit.NextPassword).AccessToken(t)
}

func (j *orderCloudJourney) passwordByToken(t *testing.T) {
	token := j.renewal(t, "ted").EventBody.PasswordRenewalAccessToken
	for path, method := range map[string]string{"/v1/me": "PATCH", "/v1/buyers/acme": "GET"} {
		if got := j.Send(j.First, token, method, path, "{}"); got.Status != 403 {
			t.Errorf("%s %s with a token for passwords only: got %d %s, want 403", method, path, got.Status, got.Body)
		}
	}
	j.Send(j.First, token, "POST", "/v1/me/password", `{"NewPassword":"Short7a"}`).MustRefuseV1(t, 400, wireInsecure)
	j.DoAs(t, token, 204, "POST", "/v1/me/password", `{"NewPassword":"`+kit.TedPassword+`"}`)
	j.Send(j.Second, token, "POST", "/v1/me/password", `{"NewPassword":"`+kit.NextPassword+`"}`).MustRefuseV1(t, 401, kit.RevokedTokenBody)
	shopper := j.SignIn(j.Second, j.shop, "ted", kit.TedPassword).AccessToken(t)
	if got := j.Send(j.Second, shopper, "POST", "/v1/me/password", `{"NewPassword":"`+kit.NextPassword+`"}`); got.Status != 403 {
		t.Errorf("a password without the role PasswordReset: got %d %s, want 403", got.Status, got.Body)
	}
}

func (j *orderCloudJourney) forgottenUsername(t *testing.T) {
	at := func(email string) string { return "/v1/username/retrieve?clientID=" + j.shop + "&email=" + email }
	kit.MustBeDelivered(t, "an address of somebody", j.RequestMessage(t, at("TED@example.com"), nil))
	l := j.SenderInbox.Next(t, "ForgottenUsername", kit.SenderKey)
	if l.Path != "/forgottenusername" || l.EventBody.Username != "ted" || l.EventBody.OneTimePassword != "" || l.EventBody.PasswordRenewalVerificationCode != "" {
		t.Errorf("got a message to %s: %s", l.Path, l.Body)
	}
	kit.MustReachNobody(t, "nobody's address", j.RequestMessage(t, at("nobody@example.com"), nil))
	kit.MustReachNobody(t, "an inactive user's", j.RequestMessage(t, at("gone@example.com"), nil))
	j.Send(j.First, "", "POST", at(""), nil).MustRefuseV1(t, 400, kit.ErrorBody("PasswordReset.MissingEmail", "Email is required.", "null"))
	j.SenderInbox.MustBeEmpty(t, "nobody")
}

func (j *orderCloudJourney) lockout(t *testing.T) {
	// While a code is live, guesses lock codes too.
	kit.MustBeDelivered(t, "before the guesses", j.RequestMessage(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted"}))
	j.SenderInbox.Next(t, "OneTimePassword", kit.SenderKey)
	for i := range 10 {
		kit.MustRefuse(t, "a guess", j.SignIn([]*kit.Server{j.First, j.Second}[i%2], j.till, "ted", kit.WrongCode), kit.WrongCredentialsBody)
	}
	for _, n := range []*kit.Server{j.First, j.Second} {
		kit.MustRefuse(t, "locked", j.SignIn(n, j.shop, "ted", kit.TedPassword), kit.WrongCredentialsBody)
	}
	if got := j.Do(t, 200, "GET", "/v1/buyers/acme/users/ted", nil).Members(t)["FailedLoginAttempts"]; got != 10.0 {
		t.Errorf("got FailedLoginAttempts %v, want %v", got, 10.0)
	}
	kit.MustReachNobody(t, "locked", j.RequestMessage(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted"}))
	if got := j.Send(j.Second, j.AdminToken, "POST", "/v1/buyers/acme/users/ted/unlock", nil); got.Status != 204 || got.Body != "" {
		t.Fatalf("unlock: got %d %s, want 204", got.Status, got.Body)
	}
	j.Send(j.Second, j.AdminToken, "POST", "/v1/buyers/acme/users/nobody/unlock", nil).MustRefuseV1(t, 404, kit.NotFoundBody("User", "nobody"))
	j.SignIn(j.First, j.shop, "ted", kit.TedPassword).AccessToken(t)
	if got := j.Do(t, 200, "GET", "/v1/buyers/acme/users/ted", nil).Members(t)["FailedLoginAttempts"]; got != 0.0 {
		t.Errorf("after the unlock: got FailedLoginAttempts %v, want 0", got)
	}
}

func (j *orderCloudJourney) revocation(t *testing.T) {
	for i, revoke := range []func(token string) kit.Response{
		func(string) kit.Response {
			return j.Send(j.Second, j.AdminToken, "DELETE", "/v1/buyers/acme/users/ted/tokens", nil)
		},
		func(token string) kit.Response { return j.Send(j.Second, token, "DELETE", "/v1/me/tokens", nil) },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			session := j.SignIn(j.First, j.shop, "ted", kit.TedPassword)
			token := session.AccessToken(t)
			j.DoAs(t, token, 200, "GET", "/v1/me", nil)
			if got := revoke(token); got.Status != 204 || got.Body != "" {
				t.Fatalf("revocation: got %d %s, want 204", got.Status, got.Body)
			}
			j.Send(j.First, token, "GET", "/v1/me", nil).MustRefuseV1(t, 401, kit.RevokedTokenBody)
			kit.MustRefuse(t, "refresh", j.Refresh(j.First, j.shop, session.Field("refresh_token")), kit.InvalidRefreshTokenBody)
		})
	}
	fresh := j.SignIn(j.First, j.shop, "ted", kit.TedPassword).AccessToken(t)
	j.DoAs(t, fresh, 200, "GET", "/v1/me", nil)
}
