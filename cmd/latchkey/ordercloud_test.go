package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the journey's administrator chooses.
const (
	marketKey   = "key-of-the-market"
	tedPassword = "correct-Horse-7-battery"
)

// TestOrderCloud is the whole life of a marketplace, from its first buyer on:
// what its administrator sets up and its shoppers do, over two servers. All of
// it is as the server's document tells.
func TestOrderCloud(t *testing.T) {
	eachMarket(t, nil, func(t *testing.T, m *market) {
		m.observe(t)
		newJourney(m).walk(t)
	})
}

// journey is a market as it comes into being.
type journey struct {
	*market
	shop string // API client of shoppers
	till string // one that takes codes only, so that a wrong guess costs little

	deskSecret string // of a confidential client
}

func newJourney(m *market) *journey { return &journey{market: m} }

// walk goes every step; each builds on those before.
func (j *journey) walk(t *testing.T) {
	for _, step := range []struct {
		name string
		walk func(*testing.T)
	}{
		{"companies", j.companies},
		{"roles", j.roles},
		{"people", j.people},
		{"clients", j.clients},
		{"senders", j.senders},
		{"one-time password", j.oneTimePassword},
		{"refresh", j.refreshes},
		{"me", j.me},
		{"password by code", j.passwordByCode},
		{"password by token", j.passwordByToken},
		{"forgotten username", j.forgottenUsername},
		{"lockout", j.lockout},
		{"revocation", j.revocation},
		{"secrets", j.secrets},
		{"client credentials", j.clientCredentials},
		{"anonymous", j.anonymous},
		{"deactivation", j.deactivation},
		{"invitation", j.invitation},
		{"delivery config", j.deliveryConfig},
		{"whom senders serve", j.whomSendersServe},
		{"records", j.records},
		{"end", j.end},
	} {
		if !t.Run(step.name, step.walk) {
			return
		}
	}
}

func (j *journey) companies(t *testing.T) {
	made := j.do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme","Active":true,"xp":{"tier":{"level":"gold","since":2001}}}`)
	made.mustBe(t, `{"ID":"acme","Name":"Acme","Active":true,"DefaultCatalogID":null,"xp":{"tier":{"level":"gold","since":2001}}}`, "DateCreated")
	if tag := made.header.Get("ETag"); tag != `"1"` {
		t.Errorf("ETag %s", tag)
	}
	j.send(j.second, j.root, "POST", "/v1/buyers", `{"ID":"acme","Name":"Again"}`).
		mustBeErrors(t, 409, vendorError("IdExists", "Object already exists.", objectData("Buyer", "acme")))
	j.send(j.second, j.root, "GET", "/v1/buyers/nobody", nil).mustBeErrors(t, 404, missing("Buyer", "nobody"))
	patched := j.send(j.second, j.root, "PATCH", "/v1/buyers/acme", `{"xp":{"tier":{"level":"silver"}}}`)
	patched.mustBe(t, `{"ID":"acme","Name":"Acme","Active":true,"DefaultCatalogID":null,"xp":{"tier":{"level":"silver","since":2001}}}`, "DateCreated")
	if got := j.do(t, 200, "GET", "/v1/buyers/acme", nil); got.body != patched.body || got.header.Get("ETag") != `"2"` {
		t.Errorf("%s %s, want %s", got.header.Get("ETag"), got.body, patched.body)
	}
	j.do(t, 200, "PUT", "/v1/buyers/globex", `{"Name":"Globex"}`).
		mustBe(t, `{"ID":"globex","Name":"Globex","Active":true,"DefaultCatalogID":null,"xp":null}`, "DateCreated")
	j.do(t, 201, "POST", "/v1/suppliers", `{"ID":"smith","Name":"Smith","Active":true}`).
		mustBe(t, `{"ID":"smith","Name":"Smith","Active":true,"AllBuyersCanOrder":false,"xp":null}`, "DateCreated")
	j.do(t, 200, "GET", "/v1/buyers?sortBy=!Name&pageSize=1", nil).mustBe(t,
		`{"Meta":{"Page":1,"PageSize":1,"TotalCount":2,"TotalPages":2,"ItemRange":[1,1],"NextPageKey":null}}`, "Items")
}

func (j *journey) roles(t *testing.T) {
	made := j.do(t, 201, "POST", "/v1/securityprofiles",
		`{"ID":"shopper","Name":"Shopper","Roles":["Shopper","MeAdmin"],"CustomRoles":["Vip"],"PasswordConfig":{"MinimumCharacterCount":12,"NumericRequired":true}}`)
	made.mustBe(t, `{"ID":"shopper","Name":"Shopper","Roles":["MeAdmin","Shopper"],"CustomRoles":["Vip"],"IsExternalRoleGroup":false,
		"PasswordConfig":{"LimitPasswordReuse":null,"MaxConsecutiveDupeChars":null,"MaximumPasswordAge":null,"MinimumPasswordAge":null,
		"AllowedFailedAttempts":null,"LockoutDuration":null,"UpperCaseRequired":false,"LowerCaseRequired":false,
		"SpecialCharacterRequired":false,"NumericRequired":true,"MinimumCharacterCount":12}}`)
	for _, buyer := range []string{"acme", "globex"} {
		j.do(t, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"shopper","BuyerID":"`+buyer+`"}`)
	}
	j.do(t, 200, "GET", "/v1/securityprofiles/assignments?buyerID=acme", nil).mustBe(t,
		`{"Items":[{"SecurityProfileID":"shopper","BuyerID":"acme","SupplierID":null,"UserID":null,"UserGroupID":null}]}`, "Meta")
}

// shownUser is how the API shows a user of acme.
func shownUser(id, username, email, roles string) string {
	return fmt.Sprintf(`{"ID":%q,"Username":%q,"FirstName":"T","LastName":"Ed","Email":%q,"Phone":null,"TermsAccepted":null,"Active":true,"xp":null,
		"CompanyID":"acme","AvailableRoles":%s,"Locale":null,"LastActive":null,"PasswordLastSetDate":null,"FailedLoginAttempts":0}`, id, username, email, roles)
}

func (j *journey) people(t *testing.T) {
	weak := j.send(j.first, j.root, "POST", "/v1/buyers/acme/users", `{"ID":"ted","Username":"ted","Password":"Short7a","FirstName":"T","LastName":"Ed","Email":"ted@example.com"}`)
	weak.mustBeErrors(t, 400, wireInsecure)
	j.do(t, 404, "GET", "/v1/buyers/acme/users/ted", nil) // nothing of it was kept
	j.do(t, 201, "POST", "/v1/buyers/acme/users",
		`{"ID":"ted","Username":"ted","Password":"`+tedPassword+`","FirstName":"T","LastName":"Ed","Email":"ted@example.com","Active":true}`)
	j.do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"tess","Username":"tess","FirstName":"T","LastName":"Ed","Email":"tess@example.com","Active":true}`).
		mustBe(t, shownUser("tess", "tess", "tess@example.com", `["MeAdmin","Shopper","Vip"]`), "DateCreated")
	j.send(j.second, j.root, "POST", "/v1/buyers/globex/users", `{"ID":"other","Username":"TED"}`).
		mustBeErrors(t, 409, vendorError("User.UsernameMustBeUnique", "Username must be unique.", "null"))
	j.send(j.second, j.root, "POST", "/v1/buyers/acme/users", `{"ID":"tess","Username":"tessa"}`).
		mustBeErrors(t, 409, vendorError("IdExists", "Object already exists.", objectData("User", "tess")))
	list := j.do(t, 200, "GET", "/v1/buyers/acme/users?search=ESS&searchOn=Email,Username&Active=true", nil)
	var found struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(list.body), &found); err != nil || len(found.Items) != 1 {
		t.Fatalf("%v: want one user in %s", err, list.body)
	}
	answer{body: string(found.Items[0])}.mustBe(t, shownUser("tess", "tess", "tess@example.com", "null"), "DateCreated")
	j.do(t, 201, "POST", "/v1/suppliers/smith/users", `{"ID":"sue","Username":"sue","Email":"sue@example.com"}`)
	j.do(t, 201, "POST", "/v1/adminusers", `{"ID":"ada","Username":"ada","Email":"ada@example.com"}`)
	j.do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"gone","Username":"gone","Email":"gone@example.com","Active":false}`)
}

// wireInsecure refuses a password of one whom the profile "shopper" binds.
const wireInsecure = `{"Errors":[{"ErrorCode":"PasswordReset.InsecurePassword","Message":"Password does not meet security requirements.",` +
	`"Data":{"MinimumCharacterCount":12,"UpperCaseRequired":false,"LowerCaseRequired":false,"SpecialCharacterRequired":false,"NumericRequired":true,"MaxConsecutiveDupeChars":null}}]}`

func (j *journey) clients(t *testing.T) {
	made := j.do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Shop","Active":true,"AccessTokenDuration":10,"RefreshTokenDuration":1440}`)
	j.shop = made.field("ID")
	if !regexp.MustCompile(`^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`).MatchString(j.shop) {
		t.Errorf("ID %q is no GUID", j.shop)
	}
	made.mustBe(t, `{"ClientSecret":null,"AccessTokenDuration":10,"Active":true,"AppName":"Shop","RefreshTokenDuration":1440,"AnonymousTokenDuration":10080,
		"DefaultContextUserName":null,"xp":null,"AllowAnyBuyer":false,"AllowAnySupplier":false,"AllowSeller":false,"IsAnonBuyer":false,
		"AssignedBuyerCount":0,"AssignedSupplierCount":0,"MinimumRequiredRoles":[],"MinimumRequiredCustomRoles":[],"MaximumGrantedRoles":[],"MaximumGrantedCustomRoles":[],
		"OrderCheckoutIntegrationEventID":null,"OrderCheckoutIntegrationEventName":null,"OrderReturnIntegrationEventID":null,
		"OrderReturnIntegrationEventName":null,"AddToCartIntegrationEventID":null,"AddToCartIntegrationEventName":null,
		"GrantTypes":["client_credentials","password","refresh_token"],"AllowedCredentials":["otp","password"],
		"RefreshTokenRotation":false,"RefreshTokenIdleDuration":0,"SigningAlg":"RS256","PasswordProfileID":"default",
		"TokenEndpointAuthMethod":null,"JWKS":null,"Resources":[],"DPoPBoundAccessTokens":false,"TrustEndUserAddress":false}`, "ID")
	refused(t, "a company that is not assigned", j.signIn(j.first, j.shop, "ted", tedPassword), refusedSignIn)
	j.do(t, 204, "POST", "/v1/apiclients/assignments", map[string]string{"ApiClientID": j.shop, "BuyerID": "acme"})
	j.do(t, 200, "GET", "/v1/apiclients/assignments?apiClientID="+j.shop, nil).mustBe(t,
		`{"Items":[{"ApiClientID":"`+j.shop+`","BuyerID":"acme","SupplierID":null}]}`, "Meta")
	if got := j.do(t, 200, "GET", "/v1/apiclients/"+strings.ToUpper(j.shop), nil).object(t)["AssignedBuyerCount"]; got != 1.0 {
		t.Errorf("AssignedBuyerCount is %v", got)
	}
	j.do(t, 201, "POST", "/v1/apiclients", `{"ID":"till","AppName":"Till","AccessTokenDuration":10,"AllowAnyBuyer":true,"AllowAnySupplier":true,"AllowSeller":true,
		"GrantTypes":["password"],"AllowedCredentials":["otp"]}`)
	j.till = "till"
	signedIn := j.signIn(j.second, strings.ToUpper(j.shop), "TED ", tedPassword)
	signedIn.mustBe(t, `{"token_type":"bearer","expires_in":599,"scope":"MeAdmin Shopper Vip"}`, "access_token", "refresh_token")
	j.signIn(j.first, j.shop, "ted", tedPassword, "scope", "Shopper undefined OrderAdmin").
		mustBe(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper"}`, "access_token", "refresh_token")
}

func (j *journey) senders(t *testing.T) {
	sender := map[string]any{
		"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OneTimePassword", "ForgottenPassword", "ForgottenUsername"},
		"URL": j.box.url + "/{messagetype}", "SharedKey": marketKey, "ElevatedRoles": []string{"OrderReader"}, "xp": map[string]int{"template": 7},
	}
	made := j.do(t, 201, "POST", "/v1/messagesenders", sender)
	if strings.Contains(made.body, marketKey) {
		t.Errorf("the answer tells the key: %s", made.body)
	}
	ask := map[string]string{"ClientID": j.shop, "Username": "ted"}
	mustBeNobody(t, "unassigned", j.asked(t, "/v1/password/onetimepassword", ask))
	j.do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"sink","BuyerID":"acme"}`)
	j.agreed(t, "/v1/messagesenders/assignments")
	mustBeNobody(t, "inactive user", j.asked(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "gone"}))
	mustBeNobody(t, "name and address of two", j.asked(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted", "Email": "tess@example.com"}))
	j.box.silent(t, "nobody")
}

// claims reads the members of a token that OrderCloud's clients read.
func claims(t *testing.T, token string) (c struct {
	Usr, Cid, Usrtype string
	Role              []string
},
) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	decodeSegment(t, parts[1], &c)
	return c
}

func (j *journey) oneTimePassword(t *testing.T) {
	steps := j.asked(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted"})
	mustBeDelivered(t, "assigned", steps)
	l := j.box.next(t, "OneTimePassword", marketKey)
	if l.path != "/onetimepassword" || l.BuyerID == nil || *l.BuyerID != "acme" || string(l.ConfigData) != `{"template":7}` ||
		l.Recipient.Email != "ted@example.com" || l.EventBody.Username != "ted" || l.EventBody.ClientID != j.shop {
		t.Errorf("message to %s: %s", l.path, l.body)
	}
	if got := claims(t, l.UserToken); got.Usr != "ted" || !slices.Contains(got.Role, "OrderReader") {
		t.Errorf("claims of the token in the message: %+v", got)
	}
	code := l.EventBody.OneTimePassword
	token := j.signIn(j.second, j.shop, "ted", code).mustIssue(t)
	if diff := cmp.Diff([]string{"MeAdmin", "Shopper", "Vip"}, claims(t, token).Role); diff != "" {
		t.Error(diff)
	}
	refused(t, "the code again", j.signIn(j.first, j.shop, "ted", code), refusedSignIn)
	for body, want := range map[string]string{
		`{"ClientID":"` + j.shop + `"}`:          vendorError("OneTimePasswordRequest.UsernameOrEmailRequired", "Username or email is required.", "null"),
		`{"Username":"ted"}`:                     vendorError("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"),
		`{"ClientID":"nobody","Username":"ted"}`: vendorError("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"),
	} {
		j.send(j.first, "", "POST", "/v1/password/onetimepassword", body).mustBeErrors(t, 400, want)
	}
}

// refreshes: a client registered in OrderCloud's words sends the same token for
// ever.
func (j *journey) refreshes(t *testing.T) {
	refresh := j.signIn(j.first, j.shop, "ted", tedPassword, "scope", "Shopper").field("refresh_token")
	for _, n := range []*node{j.first, j.second, j.first} {
		next := j.renew(n, j.shop, refresh)
		next.mustBe(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper","refresh_token":"`+refresh+`"}`, "access_token")
		if got := j.send(j.second, next.field("access_token"), "GET", "/v1/me", nil); got.field("Username") != "ted" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	refused(t, "another client's", j.renew(j.first, j.till, refresh), `{"error":"unauthorized_client","error_description":"The client may not use this grant type.",`+
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The client may not use this grant type.","Data":null}]}`)
}
