package admin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey/test/e2e/kit"
)

// TestOrderCloud lets an administrator set up a marketplace through two servers, from the first
// buyer on, and lets shoppers use it. All requests and responses must match the OpenAPI
// document.
func TestOrderCloud(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		m.CheckDocument(t)
		newJourney(m).walk(t)
	})
}

// orderCloudJourney sets up a marketplace through the API, step by step.
type orderCloudJourney struct {
	*kit.OrderCloud
	shop string // API client of shoppers
	till string // API client that accepts only codes, so that a wrong guess costs little

	deskSecret string // secret of a confidential client
}

func newJourney(m *kit.OrderCloud) *orderCloudJourney { return &orderCloudJourney{OrderCloud: m} }

// walk does every step. Each step builds on the previous ones.
func (j *orderCloudJourney) walk(t *testing.T) {
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

func (j *orderCloudJourney) companies(t *testing.T) {
	made := j.Do(t, 201, "POST", "/v1/buyers", `{"ID":"acme","Name":"Acme","Active":true,"xp":{"tier":{"level":"gold","since":2001}}}`)
	made.MustEqualJSON(t, `{"ID":"acme","Name":"Acme","Active":true,"DefaultCatalogID":null,"xp":{"tier":{"level":"gold","since":2001}}}`, "DateCreated")
	if tag := made.Header.Get("ETag"); tag != `"1"` {
		t.Errorf("got ETag %s", tag)
	}
	j.Send(j.Second, j.AdminToken, "POST", "/v1/buyers", `{"ID":"acme","Name":"Again"}`).
		MustRefuseV1(t, 409, kit.ErrorBody("IdExists", "Object already exists.", kit.ObjectData("Buyer", "acme")))
	j.Send(j.Second, j.AdminToken, "GET", "/v1/buyers/nobody", nil).MustRefuseV1(t, 404, kit.NotFoundBody("Buyer", "nobody"))
	patched := j.Send(j.Second, j.AdminToken, "PATCH", "/v1/buyers/acme", `{"xp":{"tier":{"level":"silver"}}}`)
	patched.MustEqualJSON(t, `{"ID":"acme","Name":"Acme","Active":true,"DefaultCatalogID":null,"xp":{"tier":{"level":"silver","since":2001}}}`, "DateCreated")
	if got := j.Do(t, 200, "GET", "/v1/buyers/acme", nil); got.Body != patched.Body || got.Header.Get("ETag") != `"2"` {
		t.Errorf("got %s %s, want %s", got.Header.Get("ETag"), got.Body, patched.Body)
	}
	j.Do(t, 200, "PUT", "/v1/buyers/globex", `{"Name":"Globex"}`).
		MustEqualJSON(t, `{"ID":"globex","Name":"Globex","Active":true,"DefaultCatalogID":null,"xp":null}`, "DateCreated")
	j.Do(t, 201, "POST", "/v1/suppliers", `{"ID":"smith","Name":"Smith","Active":true}`).
		MustEqualJSON(t, `{"ID":"smith","Name":"Smith","Active":true,"AllBuyersCanOrder":false,"xp":null}`, "DateCreated")
	j.Do(t, 200, "GET", "/v1/buyers?sortBy=!Name&pageSize=1&page=2", nil).MustEqualJSON(t,
		`{"Meta":{"Page":2,"PageSize":1,"TotalCount":2,"TotalPages":2,"ItemRange":[2,2],"NextPageKey":null}}`, "Items")
}

func (j *orderCloudJourney) roles(t *testing.T) {
	made := j.Do(t, 201, "POST", "/v1/securityprofiles",
		`{"ID":"shopper","Name":"Shopper","Roles":["Shopper","MeAdmin"],"CustomRoles":["Vip"],"PasswordConfig":{"MinimumCharacterCount":12,"NumericRequired":true}}`)
	made.MustEqualJSON(t, `{"ID":"shopper","Name":"Shopper","Roles":["MeAdmin","Shopper"],"CustomRoles":["Vip"],"IsExternalRoleGroup":false,
		"PasswordConfig":{"LimitPasswordReuse":null,"MaxConsecutiveDupeChars":null,"MaximumPasswordAge":null,"MinimumPasswordAge":null,
		"AllowedFailedAttempts":null,"LockoutDuration":null,"UpperCaseRequired":false,"LowerCaseRequired":false,
		"SpecialCharacterRequired":false,"NumericRequired":true,"MinimumCharacterCount":12}}`)
	for _, buyer := range []string{"acme", "globex"} {
		j.Do(t, 204, "POST", "/v1/securityprofiles/assignments", `{"SecurityProfileID":"shopper","BuyerID":"`+buyer+`"}`)
	}
	j.Do(t, 200, "GET", "/v1/securityprofiles/assignments?buyerID=acme", nil).MustEqualJSON(t,
		`{"Items":[{"SecurityProfileID":"shopper","BuyerID":"acme","SupplierID":null,"UserID":null,"UserGroupID":null}]}`, "Meta")
}

// shownUser is a user of acme as the API returns it.
func shownUser(id, username, email, roles string) string {
	return fmt.Sprintf(`{"ID":%q,"Username":%q,"FirstName":"T","LastName":"Ed","Email":%q,"Phone":null,"TermsAccepted":null,"Active":true,"xp":null,
		"CompanyID":"acme","AvailableRoles":%s,"Locale":null,"LastActive":null,"PasswordLastSetDate":null,"FailedLoginAttempts":0}`, id, username, email, roles)
}

func (j *orderCloudJourney) people(t *testing.T) {
	weak := j.Send(j.First, j.AdminToken, "POST", "/v1/buyers/acme/users", `{"ID":"ted","Username":"ted","Password":"Short7a","FirstName":"T","LastName":"Ed","Email":"ted@example.com"}`)
	weak.MustRefuseV1(t, 400, wireInsecure)
	j.Do(t, 404, "GET", "/v1/buyers/acme/users/ted", nil) // the refused user was not stored
	j.Do(t, 201, "POST", "/v1/buyers/acme/users",
		`{"ID":"ted","Username":"ted","Password":"`+kit.TedPassword+`","FirstName":"T","LastName":"Ed","Email":"ted@example.com","Active":true}`)
	j.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"tess","Username":"tess","FirstName":"T","LastName":"Ed","Email":"tess@example.com","Active":true}`).
		MustEqualJSON(t, shownUser("tess", "tess", "tess@example.com", `["MeAdmin","Shopper","Vip"]`), "DateCreated")
	j.Send(j.Second, j.AdminToken, "POST", "/v1/buyers/globex/users", `{"ID":"other","Username":"TED"}`).
		MustRefuseV1(t, 409, kit.ErrorBody("User.UsernameMustBeUnique", "Username must be unique.", "null"))
	j.Send(j.Second, j.AdminToken, "POST", "/v1/buyers/acme/users", `{"ID":"tess","Username":"tessa"}`).
		MustRefuseV1(t, 409, kit.ErrorBody("IdExists", "Object already exists.", kit.ObjectData("User", "tess")))
	list := j.Do(t, 200, "GET", "/v1/buyers/acme/users?search=ESS&searchOn=Email,Username&Active=true", nil)
	var found struct{ Items []json.RawMessage }
	if err := json.Unmarshal([]byte(list.Body), &found); err != nil || len(found.Items) != 1 {
		t.Fatalf("%v: want one user in %s", err, list.Body)
	}
	kit.Response{Body: string(found.Items[0])}.MustEqualJSON(t, shownUser("tess", "tess", "tess@example.com", "null"), "DateCreated")
	j.Do(t, 201, "POST", "/v1/suppliers/smith/users", `{"ID":"sue","Username":"sue","Email":"sue@example.com"}`)
	j.Do(t, 201, "POST", "/v1/adminusers", `{"ID":"ada","Username":"ada","Email":"ada@example.com"}`)
	j.Do(t, 201, "POST", "/v1/buyers/acme/users", `{"ID":"gone","Username":"gone","Email":"gone@example.com","Active":false}`)
}

// wireInsecure is the refusal of a password that breaks the rules of the profile "shopper".
const wireInsecure = `{"Errors":[{"ErrorCode":"PasswordReset.InsecurePassword","Message":"Password does not meet security requirements.",` +
	`"Data":{"MinimumCharacterCount":12,"UpperCaseRequired":false,"LowerCaseRequired":false,"SpecialCharacterRequired":false,"NumericRequired":true,"MaxConsecutiveDupeChars":null}}]}`

func (j *orderCloudJourney) clients(t *testing.T) {
	made := j.Do(t, 201, "POST", "/v1/apiclients", `{"AppName":"Shop","Active":true,"AccessTokenDuration":10,"RefreshTokenDuration":1440}`)
	j.shop = made.Field("ID")
	if !regexp.MustCompile(`^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`).MatchString(j.shop) {
		t.Errorf("got the ID %q, want a GUID", j.shop)
	}
	made.MustEqualJSON(t, `{"ClientSecret":null,"AccessTokenDuration":10,"Active":true,"AppName":"Shop","RefreshTokenDuration":1440,"AnonymousTokenDuration":10080,
		"DefaultContextUserName":null,"xp":null,"AllowAnyBuyer":false,"AllowAnySupplier":false,"AllowSeller":false,"IsAnonBuyer":false,
		"AssignedBuyerCount":0,"AssignedSupplierCount":0,"MinimumRequiredRoles":[],"MinimumRequiredCustomRoles":[],"MaximumGrantedRoles":[],"MaximumGrantedCustomRoles":[],
		"OrderCheckoutIntegrationEventID":null,"OrderCheckoutIntegrationEventName":null,"OrderReturnIntegrationEventID":null,
		"OrderReturnIntegrationEventName":null,"AddToCartIntegrationEventID":null,"AddToCartIntegrationEventName":null,
		"GrantTypes":["client_credentials","password","refresh_token"],"AllowedCredentials":["otp","password"],
		"RefreshTokenRotation":false,"RefreshTokenIdleDuration":0,"SigningAlg":"RS256","PasswordProfileID":"default",
		"TokenEndpointAuthMethod":null,"JWKS":null,"Resources":[],"DPoPBoundAccessTokens":false,"TrustEndUserAddress":false,"RedirectUris":[],"PostLogoutRedirectUris":[],"BackchannelLogoutUri":null,"ThirdParty":false,"IDTokenSigningAlg":null,"RequirePushedAuthorizationRequests":false}`, "ID")
	kit.MustRefuse(t, "a company that is not assigned", j.SignIn(j.First, j.shop, "ted", kit.TedPassword), kit.WrongCredentialsBody)
	j.Do(t, 204, "POST", "/v1/apiclients/assignments", map[string]string{"ApiClientID": j.shop, "BuyerID": "acme"})
	j.Do(t, 200, "GET", "/v1/apiclients/assignments?apiClientID="+j.shop, nil).MustEqualJSON(t,
		`{"Items":[{"ApiClientID":"`+j.shop+`","BuyerID":"acme","SupplierID":null}]}`, "Meta")
	if got := j.Do(t, 200, "GET", "/v1/apiclients/"+strings.ToUpper(j.shop), nil).Members(t)["AssignedBuyerCount"]; got != 1.0 {
		t.Errorf("got AssignedBuyerCount %v, want %v", got, 1.0)
	}
	j.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"till","AppName":"Till","AccessTokenDuration":10,"AllowAnyBuyer":true,"AllowAnySupplier":true,"AllowSeller":true,
		"GrantTypes":["password"],"AllowedCredentials":["otp"]}`)
	j.till = "till"
	signedIn := j.SignIn(j.Second, strings.ToUpper(j.shop), "TED ", kit.TedPassword)
	signedIn.MustEqualJSON(t, `{"token_type":"bearer","expires_in":599,"scope":"MeAdmin Shopper Vip"}`, "access_token", "refresh_token")
	j.SignIn(j.First, j.shop, "ted", kit.TedPassword, "scope", "Shopper undefined OrderAdmin").
		MustEqualJSON(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper"}`, "access_token", "refresh_token")
}

func (j *orderCloudJourney) senders(t *testing.T) {
	sender := map[string]any{
		"ID": "sink", "Name": "Sink", "MessageTypes": []string{"OneTimePassword", "ForgottenPassword", "ForgottenUsername"},
		"URL": j.SenderInbox.URL + "/{messagetype}", "SharedKey": kit.SenderKey, "ElevatedRoles": []string{"OrderReader"}, "xp": map[string]int{"template": 7},
	}
	made := j.Do(t, 201, "POST", "/v1/messagesenders", sender)
	if strings.Contains(made.Body, kit.SenderKey) {
		t.Errorf("got the key in %s, want it hidden", made.Body)
	}
	ask := map[string]string{"ClientID": j.shop, "Username": "ted"}
	kit.MustReachNobody(t, "unassigned", j.RequestMessage(t, "/v1/password/onetimepassword", ask))
	j.Do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"sink","BuyerID":"acme"}`)
	j.AwaitAgreement(t, "/v1/messagesenders/assignments")
	kit.MustReachNobody(t, "inactive user", j.RequestMessage(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "gone"}))
	kit.MustReachNobody(t, "name and address of two", j.RequestMessage(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted", "Email": "tess@example.com"}))
	j.SenderInbox.MustBeEmpty(t, "nobody")
}

// claims returns the claims of a token that OrderCloud's clients read.
func claims(t *testing.T, token string) (c struct {
	Usr, Cid, Usrtype string
	Role              []string
},
) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %q, want a JWT", token)
	}
	kit.DecodeSegment(t, parts[1], &c)
	return c
}

func (j *orderCloudJourney) oneTimePassword(t *testing.T) {
	steps := j.RequestMessage(t, "/v1/password/onetimepassword", map[string]string{"ClientID": j.shop, "Username": "ted"})
	kit.MustBeDelivered(t, "assigned", steps)
	l := j.SenderInbox.Next(t, "OneTimePassword", kit.SenderKey)
	if l.Path != "/onetimepassword" || l.BuyerID == nil || *l.BuyerID != "acme" || string(l.ConfigData) != `{"template":7}` ||
		l.Recipient.Email != "ted@example.com" || l.EventBody.Username != "ted" || l.EventBody.ClientID != j.shop {
		t.Errorf("got a message to %s: %s", l.Path, l.Body)
	}
	if got := claims(t, l.UserToken); got.Usr != "ted" || !slices.Contains(got.Role, "OrderReader") {
		t.Errorf("got the claims %+v of the token in the message", got)
	}
	code := l.EventBody.OneTimePassword
	token := j.SignIn(j.Second, j.shop, "ted", code).AccessToken(t)
	if diff := cmp.Diff([]string{"MeAdmin", "Shopper", "Vip"}, claims(t, token).Role); diff != "" {
		t.Error(diff)
	}
	kit.MustRefuse(t, "the code again", j.SignIn(j.First, j.shop, "ted", code), kit.WrongCredentialsBody)
	for body, want := range map[string]string{
		`{"ClientID":"` + j.shop + `"}`:          kit.ErrorBody("OneTimePasswordRequest.UsernameOrEmailRequired", "Username or email is required.", "null"),
		`{"Username":"ted"}`:                     kit.ErrorBody("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"),
		`{"ClientID":"nobody","Username":"ted"}`: kit.ErrorBody("PasswordReset.MissingOrInvalidClientID", "ClientID is missing or invalid.", "null"),
	} {
		j.Send(j.First, "", "POST", "/v1/password/onetimepassword", body).MustRefuseV1(t, 400, want)
	}
}

// refreshes tests that a client that was created through OrderCloud's API keeps the same
// refresh token.
func (j *orderCloudJourney) refreshes(t *testing.T) {
	refresh := j.SignIn(j.First, j.shop, "ted", kit.TedPassword, "scope", "Shopper").Field("refresh_token")
	for _, n := range []*kit.Server{j.First, j.Second, j.First} {
		next := j.Refresh(n, j.shop, refresh)
		next.MustEqualJSON(t, `{"token_type":"bearer","expires_in":599,"scope":"Shopper","refresh_token":"`+refresh+`"}`, "access_token")
		if got := j.Send(j.Second, next.Field("access_token"), "GET", "/v1/me", nil); got.Field("Username") != "ted" {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
	kit.MustRefuse(t, "another client's", j.Refresh(j.First, j.till, refresh), `{"error":"unauthorized_client","error_description":"The client may not use this grant type.",`+
		`"Errors":[{"ErrorCode":"Auth.OauthError","Message":"The client may not use this grant type.","Data":null}]}`)
}
