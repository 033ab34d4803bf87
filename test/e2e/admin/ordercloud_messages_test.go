package admin

import (
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// ask requests a one-time password through the client for everybody.
func (j *orderCloudJourney) ask(t *testing.T, username string) (steps []string) {
	t.Helper()
	return j.RequestMessage(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.till, "Username": username})
}

// invitation tests that a new user is invited if a sender of that type serves it.
func (j *orderCloudJourney) invitation(t *testing.T) {
	j.Do(t, 201, "POST", "/v1/messagesenders", map[string]any{
		"ID": "greeter", "Name": "Greeter", "MessageTypes": []string{"NewUserInvitation"}, "AllowAllBuyers": true,
		"URL": j.SenderInbox.URL + "/{messagetype}", "SharedKey": kit.SenderKey,
	})
	j.AwaitAgreement(t, "/v1/messagesenders/greeter")
	j.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"asleep","Username":"asleep","Email":"asleep@example.com","Active":false}`)
	j.Do(t, 201, "POST", "/v1/suppliers/smith/users", `{"ID":"seth","Username":"seth","Email":"seth@example.com"}`)
	j.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"nina","Username":"nina","Email":"nina@example.com"}`)
	l := j.SenderInbox.Next(t, "NewUserInvitation", kit.SenderKey)
	code := l.EventBody.PasswordRenewalVerificationCode
	if l.Path != "/newuserinvitation" || l.Recipient.ID != "nina" || l.EventBody.Username != "nina" || code == "" {
		t.Errorf("got a message to %s: %s", l.Path, l.Body)
	}
	kit.MustRefuse(t, "the code as a password", j.SignIn(j.First, j.shop, "nina", code), kit.WrongCredentialsBody)
	if got := j.put(j.Second, code, "nina", kit.TedPassword); got.Status != 204 {
		t.Fatalf("first password: got %d %s, want 204", got.Status, got.Body)
	}
	j.put(j.First, code, "nina", kit.NextPassword).MustRefuseV1(t, 400, kit.InvalidVerificationBody)
	j.SignIn(j.First, j.shop, "nina", kit.TedPassword).AccessToken(t)
	j.SenderInbox.MustBeEmpty(t, "nobody else was invited")
}

func (j *orderCloudJourney) deliveryConfig(t *testing.T) {
	const path, secret = "/v1/integrations/deliveryconfig", "secret-of-the-config"
	http := map[string]any{"Endpoint": j.SenderInbox.URL + "/configured/{messagetype}", "Secret": secret, "CustomAuthHeaderName": "X-Gate", "CustomAuthHeaderValue": "open-sesame"}
	config := map[string]any{"ID": "hook", "Name": "Hook", "Enabled": true, "DeliveryTargets": map[string]any{"Http": http}}
	made := j.Do(t, 201, "POST", path, config)
	made.MustEqualJSON(t, `{"ID":"hook","Name":"Hook","Enabled":true,"DeliveryTargets":{"MessageSender":null,
		"Http":{"Endpoint":"`+j.SenderInbox.URL+`/configured/{messagetype}","CustomAuthHeaderName":"X-Gate"}}}`)
	j.Send(j.First, j.AdminToken, "POST", "/v1/messagesenders", `{"ID":"modern","Name":"Modern","MessageTypes":["OneTimePassword"]}`).MustRefuseV1(t, 400,
		`{"Errors":[{"ErrorCode":"MessageSenders.UrlRequired","Message":"Url is required when no delivery configuration is specified.","Data":{"Path":"URL"}},`+
			`{"ErrorCode":"MessageSenders.SharedKeyRequired","Message":"SharedKey is required when no delivery configuration is specified.","Data":{"Path":"SharedKey"}}]}`)
	j.Send(j.First, j.AdminToken, "POST", "/v1/messagesenders", `{"ID":"modern","Name":"Modern","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"nobody"}`).
		MustRefuseV1(t, 404, kit.NotFoundBody("DeliveryConfig", "nobody"))
	j.Do(t, 201, "POST", "/v1/messagesenders", `{"ID":"modern","Name":"Modern","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"hook","AllowAllBuyers":true}`)
	j.Do(t, 200, "PATCH", "/v1/messagesenders/sink", `{"MessageTypes":["ForgottenPassword"]}`)
	j.AwaitAgreement(t, "/v1/messagesenders/modern", "/v1/messagesenders/sink", path+"/hook")
	kit.MustBeDelivered(t, "by the config", j.ask(t, "ted"))
	l := j.SenderInbox.Next(t, "OneTimePassword", secret)
	if l.Path != "/configured/onetimepassword" || l.Header.Get("X-Gate") != "open-sesame" {
		t.Errorf("got a message to %s with %v", l.Path, l.Header)
	}
	j.SignIn(j.First, j.till, "ted", l.EventBody.OneTimePassword).AccessToken(t)

	j.Send(j.First, j.AdminToken, "DELETE", path+"/hook", nil).MustRefuseV1(t, 409,
		kit.ErrorBody("InUse", "Object is used by another object.", kit.ObjectData("DeliveryConfig", "hook")))
	for _, shown := range []kit.Response{made, j.Do(t, 200, "GET", path+"/hook", nil), j.Do(t, 200, "GET", path, nil)} {
		if strings.Contains(shown.Body, secret) || strings.Contains(shown.Body, "sesame") {
			t.Errorf("got a secret in %s, want it hidden", shown.Body)
		}
	}
	j.Do(t, 200, "PATCH", path+"/hook", `{"Enabled":false}`)
	j.AwaitAgreement(t, path+"/hook")
	kit.MustReachNobody(t, "a config that is off", j.ask(t, "ted"))
	j.SenderInbox.MustBeEmpty(t, "a config that is off")
	j.Do(t, 204, "DELETE", "/v1/messagesenders/modern", nil)
	j.Do(t, 204, "DELETE", path+"/hook", nil)
}

// whomSendersServe tests that senders serve the assigned users, except the inactive ones.
func (j *orderCloudJourney) whomSendersServe(t *testing.T) {
	j.Do(t, 200, "PUT", "/v1/messagesenders/sink", map[string]any{
		"Name": "Sink", "MessageTypes": []string{"OneTimePassword"}, "URL": j.SenderInbox.URL, "SharedKey": kit.SenderKey,
	})
	j.Do(t, 201, "POST", "/v1/buyers/globex/users", `{"ID":"gus","Username":"gus","Email":"gus@example.com"}`)
	j.SenderInbox.Next(t, "NewUserInvitation", kit.SenderKey)
	const assignments = "/v1/messagesenders/assignments"
	serve := func(who string, served bool) {
		t.Helper()
		j.AwaitAgreement(t, "/v1/messagesenders/sink", assignments)
		steps := j.ask(t, who)
		if !served {
			kit.MustReachNobody(t, who, steps)
			return
		}
		kit.MustBeDelivered(t, who, steps)
		if l := j.SenderInbox.Next(t, "OneTimePassword", kit.SenderKey); l.Recipient.Username != who || (l.BuyerID != nil) != (who == "ted" || who == "gus") {
			t.Errorf("got the message %s", l.Body)
		}
	}
	serve("ted", true)
	for _, who := range []string{"gus", "sue", "ada"} {
		serve(who, false)
	}
	j.Do(t, 204, "POST", assignments, `{"MessageSenderID":"sink","SupplierID":"smith"}`)
	j.Do(t, 204, "POST", assignments, `{"MessageSenderID":"sink"}`)
	serve("sue", true)
	serve("ada", true)
	j.Do(t, 200, "GET", assignments+"?messageSenderID=sink&sortBy=SupplierID,BuyerID", nil).MustEqualJSON(t, `{"Items":[
		{"MessageSenderID":"sink","BuyerID":null,"SupplierID":null,"UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null},
		{"MessageSenderID":"sink","BuyerID":"acme","SupplierID":null,"UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null},
		{"MessageSenderID":"sink","BuyerID":null,"SupplierID":"smith","UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null}]}`, "Meta")
	j.Do(t, 204, "DELETE", "/v1/messagesenders/sink/assignments?buyerID=acme", nil)
	j.Send(j.First, j.AdminToken, "DELETE", "/v1/messagesenders/sink/assignments?buyerID=acme", nil).MustRefuseV1(t, 404, kit.NotFoundBody("MessageSenderAssignment", "sink"))
	serve("ted", false)
	j.Do(t, 200, "PATCH", "/v1/messagesenders/sink", `{"AllowAllBuyers":true}`)
	serve("ted", true)
	serve("gus", true)

	for path, who := range map[string]string{"/v1/buyers/globex": "gus", "/v1/buyers/acme/users/ted": "ted", "/v1/suppliers/smith/users/sue": "sue", "/v1/adminusers/ada": "ada"} {
		j.Do(t, 200, "PATCH", path, `{"Active":false}`)
		serve(who, false)
		j.Do(t, 200, "PATCH", path, `{"Active":true}`)
		serve(who, true)
	}
	j.Send(j.First, j.AdminToken, "POST", assignments, `{"MessageSenderID":"nobody"}`).MustRefuseV1(t, 404, kit.NotFoundBody("MessageSender", "nobody"))
	j.Send(j.First, j.AdminToken, "POST", assignments, `{"MessageSenderID":"sink","BuyerID":"nobody"}`).MustRefuseV1(t, 404, kit.NotFoundBody("Buyer", "nobody"))
	j.SenderInbox.MustBeEmpty(t, "at the end")
}

// records tests what an administrator can read afterwards.
func (j *orderCloudJourney) records(t *testing.T) {
	for what, action := range map[string]string{
		"ApiClient/desk": "apiclient.created", "User/acme/ted": "user.unlocked", "SecurityProfile/shopper/Buyer/acme": "securityprofileassignment.created",
		"User/acme/nina": "user.created", "MessageSender/sink/Supplier/smith": "messagesenderassignment.created",
	} {
		kit.Eventually(t, "an audit event for "+what, func() bool {
			got := j.Do(t, 200, "GET", "/v1/auditevents?Action="+action+"&Object="+what+"&ClientID=operator&Outcome=success", nil)
			return strings.Contains(got.Body, `"TotalCount":1,`)
		})
	}
	asked := j.Do(t, 200, "GET", "/v1/onetimepasswordrequests?Username=ted&Type=OneTimePassword&pageSize=100", nil)
	if strings.Count(asked.Body, `"Username":"ted"`) < 5 {
		t.Errorf("requests: got %s", asked.Body)
	}
	keys := j.Do(t, 200, "GET", "/v1/signingkeys?State=active&Alg=ES256", nil)
	if strings.Count(keys.Body, `"State":"active"`) != 1 {
		t.Errorf("keys: got %s", keys.Body)
	}
	successor := j.Do(t, 200, "POST", "/v1/signingkeys/rotate", `{"Alg":"ES256"}`)
	if again := j.Do(t, 200, "POST", "/v1/signingkeys/rotate", `{"Alg":"ES256"}`); again.Field("State") != "announced" || again.Field("ID") != successor.Field("ID") {
		t.Errorf("got the successors %s and %s, want the same announced key", successor.Body, again.Body)
	}
	kid := successor.Field("ID")
	j.OnBothServers(t, "the successor is published", func(n *kit.Server) bool { return j.Send(n, "", "GET", "/oauth/certs/"+kid, nil).Status == 200 })
	j.Do(t, 204, "POST", "/v1/signingkeys/"+kid+"/revoke", nil)
	j.OnBothServers(t, "a revoked key is gone", func(n *kit.Server) bool { return j.Send(n, "", "GET", "/oauth/certs/"+kid, nil).Status == 404 })
}

func (j *orderCloudJourney) end(t *testing.T) {
	token := j.SignIn(j.First, j.shop, "ted", kit.TedPassword).AccessToken(t)
	j.Do(t, 204, "DELETE", "/v1/buyers/acme/users/ted", nil)
	j.Send(j.Second, token, "GET", "/v1/me", nil).MustRefuseV1(t, 401, kit.RevokedTokenBody)
	kit.MustRefuse(t, "a deleted user", j.SignIn(j.Second, j.shop, "ted", kit.TedPassword), kit.WrongCredentialsBody)
	j.Send(j.Second, j.AdminToken, "GET", "/v1/buyers/acme/users/ted", nil).MustRefuseV1(t, 404, kit.NotFoundBody("User", "ted"))
	j.Do(t, 204, "DELETE", "/v1/buyers/acme/ApiClients/Assignments/"+j.shop, nil)
	for _, path := range []string{"/v1/messagesenders/sink", "/v1/buyers/acme", "/v1/apiclients/" + j.shop, "/v1/securityprofiles/shopper", "/v1/suppliers/smith", "/v1/adminusers/ada"} {
		j.Do(t, 204, "DELETE", path, nil)
		if got := j.Send(j.First, j.AdminToken, "GET", path, nil); got.Status != 404 {
			t.Errorf("%s after its end: got %d %s, want 404", path, got.Status, got.Body)
		}
	}
	if got := j.Do(t, 200, "GET", "/v1/securityprofiles/assignments", nil); !strings.Contains(got.Body, `"Items":[]`) {
		t.Errorf("remaining assignments: got %s", got.Body)
	}
	j.Do(t, 201, "POST", "/v1/buyers/globex/users", `{"ID":"ted","Username":"ted"}`) // the name can be used again
	j.SenderInbox.Next(t, "NewUserInvitation", kit.SenderKey)
}
