package main

import (
	"fmt"
	"regexp"
	"testing"
)

func (j *journey) me(t *testing.T) {
	token := j.signIn(j.first, j.shop, "ted", tedPassword).mustIssue(t)
	me := j.as(t, token, 200, "GET", "/v1/me", nil)
	me.mustBe(t, `{"ID":"ted","Username":"ted","FirstName":"T","LastName":"Ed","Email":"ted@example.com","Phone":null,"TermsAccepted":null,"Active":true,"xp":null,
		"CompanyID":"acme","AvailableRoles":["MeAdmin","Shopper","Vip"],"Locale":null,
		"Buyer":{"ID":"acme","DefaultCatalogID":null},"Supplier":null,"Seller":null}`, "DateCreated", "PasswordLastSetDate", "LastActive")
	if got := j.as(t, token, 200, "PATCH", "/v1/me", `{"Phone":"+49 1"}`); got.field("Phone") != "+49 1" {
		t.Errorf("after the change: %s", got.body)
	}
	j.send(j.second, token, "PUT", "/v1/me", me.body, "If-Match", me.header.Get("ETag")).mustBeErrors(t, 412, wireStale)
	j.as(t, token, 200, "PUT", "/v1/me", `{"Username":"ted","FirstName":"T","LastName":"Ed","Email":"ted@example.com"}`)
	j.send(j.second, token, "GET", "/v1/buyers/acme", nil).mustBeErrors(t, 403, vendorError("Auth.InsufficientRoles",
		"User does not have role(s) required to perform this action.",
		`{"AssignedRoles":["MeAdmin","Shopper","Vip"],"SufficientRoles":["FullAccess","BuyerAdmin","BuyerReader"]}`))
	j.send(j.second, j.root, "GET", "/v1/me", nil).
		mustBeErrors(t, 403, vendorError("Auth.UserRequired", "The access token stands for an API client, not for a user.", "null"))
	j.send(j.first, "", "GET", "/v1/me", nil).mustBeErrors(t, 401, wireInvalidToken)
	j.send(j.first, "nonsense", "GET", "/v1/me", nil).mustBeErrors(t, 401, wireInvalidToken)
}

// put renews a password by a code.
func (j *journey) put(n *node, code, username, password string) answer {
	return j.send(n, "", "PUT", "/v1/password/reset/"+code, map[string]string{"ClientID": j.shop, "Username": username, "Password": password})
}

// renewal asks for a code to renew a password and waits for it.
func (j *journey) renewal(t *testing.T, username string) letter {
	t.Helper()
	mustBeDelivered(t, "a code for "+username, j.asked(t, "/v1/password/reset",
		map[string]string{"ClientID": j.shop, "Username": username, "URL": "https://shop.example/renew"}))
	return j.box.next(t, "ForgottenPassword", marketKey)
}

const nextPassword = "second-Horse-8-battery"

func (j *journey) passwordByCode(t *testing.T) {
	before := j.signIn(j.first, j.shop, "ted", tedPassword)
	l := j.renewal(t, "ted")
	code := l.EventBody.PasswordRenewalVerificationCode
	if l.path != "/forgottenpassword" || l.EventBody.PasswordRenewalUrl != "https://shop.example/renew" || !regexp.MustCompile(`^[A-Za-z0-9_-]{22,}$`).MatchString(code) {
		t.Errorf("message to %s: %s", l.path, l.body)
	}
	refused(t, "the code as a password", j.signIn(j.second, j.shop, "ted", code), refusedSignIn)
	j.put(j.second, "wrong-code", "ted", nextPassword).mustBeErrors(t, 400, wireVerification)
	j.put(j.second, code, "tess", nextPassword).mustBeErrors(t, 400, wireVerification)
	j.put(j.second, code, "ted", "Short7abc").mustBeErrors(t, 400, wireInsecure)
	if got := j.put(j.second, code, "TED", nextPassword); got.status != 204 || got.body != "" {
		t.Fatalf("renewal: %d %s", got.status, got.body)
	}
	j.put(j.first, code, "ted", "third-Horse-9-battery").mustBeErrors(t, 400, wireVerification)
	j.send(j.first, before.field("access_token"), "GET", "/v1/me", nil).mustBeErrors(t, 401, wireRevoked)
	refused(t, "a session from before", j.renew(j.first, j.shop, before.field("refresh_token")), refusedRefresh)
	refused(t, "the old password", j.signIn(j.first, j.shop, "ted", tedPassword), refusedSignIn)
	j.send(j.first, l.EventBody.PasswordRenewalAccessToken, "POST", "/v1/me/password", `{"NewPassword":"third-Horse-9-battery"}`).
		mustBeErrors(t, 401, wireRevoked)
	j.signIn(j.first, j.shop, "ted", nextPassword).mustIssue(t)
}

func (j *journey) passwordByToken(t *testing.T) {
	token := j.renewal(t, "ted").EventBody.PasswordRenewalAccessToken
	for path, method := range map[string]string{"/v1/me": "PATCH", "/v1/buyers/acme": "GET"} {
		if got := j.send(j.first, token, method, path, "{}"); got.status != 403 {
			t.Errorf("%s %s with a token for passwords only: %d %s", method, path, got.status, got.body)
		}
	}
	j.send(j.first, token, "POST", "/v1/me/password", `{"NewPassword":"Short7a"}`).mustBeErrors(t, 400, wireInsecure)
	j.as(t, token, 204, "POST", "/v1/me/password", `{"NewPassword":"`+tedPassword+`"}`)
	j.send(j.second, token, "POST", "/v1/me/password", `{"NewPassword":"`+nextPassword+`"}`).mustBeErrors(t, 401, wireRevoked)
	shopper := j.signIn(j.second, j.shop, "ted", tedPassword).mustIssue(t)
	if got := j.send(j.second, shopper, "POST", "/v1/me/password", `{"NewPassword":"`+nextPassword+`"}`); got.status != 403 {
		t.Errorf("a password without the role PasswordReset: %d %s", got.status, got.body)
	}
}

func (j *journey) forgottenUsername(t *testing.T) {
	at := func(email string) string { return "/v1/username/retrieve?clientID=" + j.shop + "&email=" + email }
	mustBeDelivered(t, "an address of somebody", j.asked(t, at("TED@example.com"), nil))
	l := j.box.next(t, "ForgottenUsername", marketKey)
	if l.path != "/forgottenusername" || l.EventBody.Username != "ted" || l.EventBody.OneTimePassword != "" || l.EventBody.PasswordRenewalVerificationCode != "" {
		t.Errorf("message to %s: %s", l.path, l.body)
	}
	mustBeNobody(t, "nobody's address", j.asked(t, at("nobody@example.com"), nil))
	mustBeNobody(t, "an inactive user's", j.asked(t, at("gone@example.com"), nil))
	j.send(j.first, "", "POST", at(""), nil).mustBeErrors(t, 400, vendorError("PasswordReset.MissingEmail", "Email is required.", "null"))
	j.box.silent(t, "nobody")
}

func (j *journey) lockout(t *testing.T) {
	// With a code on its way, guesses lock codes as well.
	mustBeDelivered(t, "before the guesses", j.asked(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted"}))
	j.box.next(t, "OneTimePassword", marketKey)
	for i := range 10 {
		refused(t, "a guess", j.signIn([]*node{j.first, j.second}[i%2], j.till, "ted", wrongCode), refusedSignIn)
	}
	for _, n := range []*node{j.first, j.second} {
		refused(t, "locked", j.signIn(n, j.shop, "ted", tedPassword), refusedSignIn)
	}
	if got := j.do(t, 200, "GET", "/v1/buyers/acme/users/ted", nil).object(t)["FailedLoginAttempts"]; got != 10.0 {
		t.Errorf("FailedLoginAttempts is %v", got)
	}
	mustBeNobody(t, "locked", j.asked(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted"}))
	if got := j.send(j.second, j.root, "POST", "/v1/buyers/acme/users/ted/unlock", nil); got.status != 204 || got.body != "" {
		t.Fatalf("unlock: %d %s", got.status, got.body)
	}
	j.send(j.second, j.root, "POST", "/v1/buyers/acme/users/nobody/unlock", nil).mustBeErrors(t, 404, missing("User", "nobody"))
	j.signIn(j.first, j.shop, "ted", tedPassword).mustIssue(t)
	if got := j.do(t, 200, "GET", "/v1/buyers/acme/users/ted", nil).object(t)["FailedLoginAttempts"]; got != 0.0 {
		t.Errorf("FailedLoginAttempts is %v after the unlock", got)
	}
}

func (j *journey) revocation(t *testing.T) {
	for i, revoke := range []func(token string) answer{
		func(string) answer {
			return j.send(j.second, j.root, "DELETE", "/v1/buyers/acme/users/ted/tokens", nil)
		},
		func(token string) answer { return j.send(j.second, token, "DELETE", "/v1/me/tokens", nil) },
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			session := j.signIn(j.first, j.shop, "ted", tedPassword)
			token := session.mustIssue(t)
			j.as(t, token, 200, "GET", "/v1/me", nil)
			if got := revoke(token); got.status != 204 || got.body != "" {
				t.Fatalf("revocation: %d %s", got.status, got.body)
			}
			j.send(j.first, token, "GET", "/v1/me", nil).mustBeErrors(t, 401, wireRevoked)
			refused(t, "refresh", j.renew(j.first, j.shop, session.field("refresh_token")), refusedRefresh)
		})
	}
	fresh := j.signIn(j.first, j.shop, "ted", tedPassword).mustIssue(t)
	j.as(t, fresh, 200, "GET", "/v1/me", nil)
}
