package main

import (
	"strings"
	"testing"
)

// ask asks for a one-time password through the client of everybody.
func (j *journey) ask(t *testing.T, username string) (steps []string) {
	t.Helper()
	return j.asked(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.till, "Username": username})
}

// invitation: whoever is made while a sender of that type serves it is told.
func (j *journey) invitation(t *testing.T) {
	j.do(t, 201, "POST", "/v1/messagesenders", map[string]any{
		"ID": "greeter", "Name": "Greeter", "MessageTypes": []string{"NewUserInvitation"}, "AllowAllBuyers": true,
		"URL": j.box.url + "/{messagetype}", "SharedKey": marketKey,
	})
	j.agreed(t, "/v1/messagesenders/greeter")
	j.do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"asleep","Username":"asleep","Email":"asleep@example.com","Active":false}`)
	j.do(t, 201, "POST", "/v1/suppliers/smith/users", `{"ID":"seth","Username":"seth","Email":"seth@example.com"}`)
	j.do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"nina","Username":"nina","Email":"nina@example.com"}`)
	l := j.box.next(t, "NewUserInvitation", marketKey)
	code := l.EventBody.PasswordRenewalVerificationCode
	if l.path != "/newuserinvitation" || l.Recipient.ID != "nina" || l.EventBody.Username != "nina" || code == "" {
		t.Errorf("message to %s: %s", l.path, l.body)
	}
	refused(t, "the code as a password", j.signIn(j.first, j.shop, "nina", code), refusedSignIn)
	if got := j.put(j.second, code, "nina", tedPassword); got.status != 204 {
		t.Fatalf("first password: %d %s", got.status, got.body)
	}
	j.put(j.first, code, "nina", nextPassword).mustBeErrors(t, 400, wireVerification)
	j.signIn(j.first, j.shop, "nina", tedPassword).mustIssue(t)
	j.box.silent(t, "nobody else was invited")
}

func (j *journey) deliveryConfig(t *testing.T) {
	const path, secret = "/v1/integrations/deliveryconfig", "secret-of-the-config"
	http := map[string]any{"Endpoint": j.box.url + "/configured/{messagetype}", "Secret": secret, "CustomAuthHeaderName": "X-Gate", "CustomAuthHeaderValue": "open-sesame"}
	config := map[string]any{"ID": "hook", "Name": "Hook", "Enabled": true, "DeliveryTargets": map[string]any{"Http": http}}
	made := j.do(t, 201, "POST", path, config)
	made.mustBe(t, `{"ID":"hook","Name":"Hook","Enabled":true,"DeliveryTargets":{"MessageSender":null,
		"Http":{"Endpoint":"`+j.box.url+`/configured/{messagetype}","CustomAuthHeaderName":"X-Gate"}}}`)
	j.send(j.first, j.root, "POST", "/v1/messagesenders", `{"ID":"modern","Name":"Modern","MessageTypes":["OneTimePassword"]}`).mustBeErrors(t, 400,
		`{"Errors":[{"ErrorCode":"MessageSenders.UrlRequired","Message":"Url is required when no delivery configuration is specified.","Data":{"Path":"URL"}},`+
			`{"ErrorCode":"MessageSenders.SharedKeyRequired","Message":"SharedKey is required when no delivery configuration is specified.","Data":{"Path":"SharedKey"}}]}`)
	j.send(j.first, j.root, "POST", "/v1/messagesenders", `{"ID":"modern","Name":"Modern","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"nobody"}`).
		mustBeErrors(t, 404, missing("DeliveryConfig", "nobody"))
	j.do(t, 201, "POST", "/v1/messagesenders", `{"ID":"modern","Name":"Modern","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"hook","AllowAllBuyers":true}`)
	j.do(t, 200, "PATCH", "/v1/messagesenders/sink", `{"MessageTypes":["ForgottenPassword"]}`)
	j.agreed(t, "/v1/messagesenders/modern", "/v1/messagesenders/sink", path+"/hook")
	mustBeDelivered(t, "by the config", j.ask(t, "ted"))
	l := j.box.next(t, "OneTimePassword", secret)
	if l.path != "/configured/onetimepassword" || l.header.Get("X-Gate") != "open-sesame" {
		t.Errorf("message to %s with %v", l.path, l.header)
	}
	j.signIn(j.first, j.till, "ted", l.EventBody.OneTimePassword).mustIssue(t)

	j.send(j.first, j.root, "DELETE", path+"/hook", nil).mustBeErrors(t, 409,
		vendorError("InUse", "Object is used by another object.", objectData("DeliveryConfig", "hook")))
	for _, shown := range []answer{made, j.do(t, 200, "GET", path+"/hook", nil), j.do(t, 200, "GET", path, nil)} {
		if strings.Contains(shown.body, secret) || strings.Contains(shown.body, "sesame") {
			t.Errorf("a secret is shown: %s", shown.body)
		}
	}
	j.do(t, 200, "PATCH", path+"/hook", `{"Enabled":false}`)
	j.agreed(t, path+"/hook")
	mustBeNobody(t, "a config that is off", j.ask(t, "ted"))
	j.box.silent(t, "a config that is off")
	j.do(t, 204, "DELETE", "/v1/messagesenders/modern", nil)
	j.do(t, 204, "DELETE", path+"/hook", nil)
}

// whomSendersServe: those assigned, and of them no one inactive.
func (j *journey) whomSendersServe(t *testing.T) {
	j.do(t, 200, "PUT", "/v1/messagesenders/sink", map[string]any{
		"Name": "Sink", "MessageTypes": []string{"OneTimePassword"}, "URL": j.box.url, "SharedKey": marketKey,
	})
	j.do(t, 201, "POST", "/v1/buyers/globex/users", `{"ID":"gus","Username":"gus","Email":"gus@example.com"}`)
	j.box.next(t, "NewUserInvitation", marketKey)
	const assignments = "/v1/messagesenders/assignments"
	serve := func(who string, served bool) {
		t.Helper()
		j.agreed(t, "/v1/messagesenders/sink", assignments)
		steps := j.ask(t, who)
		if !served {
			mustBeNobody(t, who, steps)
			return
		}
		mustBeDelivered(t, who, steps)
		if l := j.box.next(t, "OneTimePassword", marketKey); l.Recipient.Username != who || (l.BuyerID != nil) != (who == "ted" || who == "gus") {
			t.Errorf("message %s", l.body)
		}
	}
	serve("ted", true)
	for _, who := range []string{"gus", "sue", "ada"} {
		serve(who, false)
	}
	j.do(t, 204, "POST", assignments, `{"MessageSenderID":"sink","SupplierID":"smith"}`)
	j.do(t, 204, "POST", assignments, `{"MessageSenderID":"sink"}`)
	serve("sue", true)
	serve("ada", true)
	j.do(t, 200, "GET", assignments+"?messageSenderID=sink&sortBy=SupplierID,BuyerID", nil).mustBe(t, `{"Items":[
		{"MessageSenderID":"sink","BuyerID":null,"SupplierID":null,"UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null},
		{"MessageSenderID":"sink","BuyerID":"acme","SupplierID":null,"UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null},
		{"MessageSenderID":"sink","BuyerID":null,"SupplierID":"smith","UserGroupID":null,"MessageConfigName":null,"MessageConfigDescription":null}]}`, "Meta")
	j.do(t, 204, "DELETE", "/v1/messagesenders/sink/assignments?buyerID=acme", nil)
	j.send(j.first, j.root, "DELETE", "/v1/messagesenders/sink/assignments?buyerID=acme", nil).mustBeErrors(t, 404, missing("MessageSenderAssignment", "sink"))
	serve("ted", false)
	j.do(t, 200, "PATCH", "/v1/messagesenders/sink", `{"AllowAllBuyers":true}`)
	serve("ted", true)
	serve("gus", true)

	for path, who := range map[string]string{"/v1/buyers/globex": "gus", "/v1/buyers/acme/users/ted": "ted", "/v1/suppliers/smith/users/sue": "sue", "/v1/adminusers/ada": "ada"} {
		j.do(t, 200, "PATCH", path, `{"Active":false}`)
		serve(who, false)
		j.do(t, 200, "PATCH", path, `{"Active":true}`)
		serve(who, true)
	}
	j.send(j.first, j.root, "POST", assignments, `{"MessageSenderID":"nobody"}`).mustBeErrors(t, 404, missing("MessageSender", "nobody"))
	j.send(j.first, j.root, "POST", assignments, `{"MessageSenderID":"sink","BuyerID":"nobody"}`).mustBeErrors(t, 404, missing("Buyer", "nobody"))
	j.box.silent(t, "at the end")
}

// records are what an administrator can find out afterwards.
func (j *journey) records(t *testing.T) {
	for what, action := range map[string]string{
		"ApiClient/desk": "apiclient.created", "User/acme/ted": "user.unlocked", "SecurityProfile/shopper/Buyer/acme": "securityprofileassignment.created",
		"User/acme/nina": "user.created", "MessageSender/sink/Supplier/smith": "messagesenderassignment.created",
	} {
		wireSoon(t, "an audit event for "+what, func() bool {
			got := j.do(t, 200, "GET", "/v1/auditevents?Action="+action+"&Object="+what+"&ClientID=operator&Outcome=success", nil)
			return strings.Contains(got.body, `"TotalCount":1,`)
		})
	}
	asked := j.do(t, 200, "GET", "/v1/onetimepasswordrequests?Username=ted&Type=OneTimePassword&pageSize=100", nil)
	if strings.Count(asked.body, `"Username":"ted"`) < 5 {
		t.Errorf("requests: %s", asked.body)
	}
	keys := j.do(t, 200, "GET", "/v1/signingkeys?State=active&Alg=ES256", nil)
	if strings.Count(keys.body, `"State":"active"`) != 1 {
		t.Errorf("keys: %s", keys.body)
	}
	successor := j.do(t, 200, "POST", "/v1/signingkeys/rotate", `{"Alg":"ES256"}`)
	if again := j.do(t, 200, "POST", "/v1/signingkeys/rotate", `{"Alg":"ES256"}`); again.field("State") != "announced" || again.field("ID") != successor.field("ID") {
		t.Errorf("rotated to %s and %s", successor.body, again.body)
	}
	kid := successor.field("ID")
	j.everywhere(t, "the successor is published", func(n *node) bool { return j.send(n, "", "GET", "/oauth/certs/"+kid, nil).status == 200 })
	j.do(t, 204, "POST", "/v1/signingkeys/"+kid+"/revoke", nil)
	j.everywhere(t, "a revoked key is gone", func(n *node) bool { return j.send(n, "", "GET", "/oauth/certs/"+kid, nil).status == 404 })
}

func (j *journey) end(t *testing.T) {
	token := j.signIn(j.first, j.shop, "ted", tedPassword).mustIssue(t)
	j.do(t, 204, "DELETE", "/v1/buyers/acme/users/ted", nil)
	j.send(j.second, token, "GET", "/v1/me", nil).mustBeErrors(t, 401, wireRevoked)
	refused(t, "a deleted user", j.signIn(j.second, j.shop, "ted", tedPassword), refusedSignIn)
	j.send(j.second, j.root, "GET", "/v1/buyers/acme/users/ted", nil).mustBeErrors(t, 404, missing("User", "ted"))
	j.do(t, 204, "DELETE", "/v1/buyers/acme/ApiClients/Assignments/"+j.shop, nil)
	for _, path := range []string{"/v1/messagesenders/sink", "/v1/buyers/acme", "/v1/apiclients/" + j.shop, "/v1/securityprofiles/shopper", "/v1/suppliers/smith", "/v1/adminusers/ada"} {
		j.do(t, 204, "DELETE", path, nil)
		if got := j.send(j.first, j.root, "GET", path, nil); got.status != 404 {
			t.Errorf("%s after its end: %d %s", path, got.status, got.body)
		}
	}
	if got := j.do(t, 200, "GET", "/v1/securityprofiles/assignments", nil); !strings.Contains(got.body, `"Items":[]`) {
		t.Errorf("assignments that are left: %s", got.body)
	}
	j.do(t, 201, "POST", "/v1/buyers/globex/users", `{"ID":"ted","Username":"ted"}`) // the name is free again
	j.box.next(t, "NewUserInvitation", marketKey)
}
