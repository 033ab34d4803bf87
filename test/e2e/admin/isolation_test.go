package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/oauth/server"
	"latchkey/otp"
	"latchkey/storage"
	"latchkey/test/e2e/kit"
)

// mark is part of every name, address, secret and remark of company "alpha" and of its records.
// It is not part of any ID.
const mark = "zqmark"

// openOperations are the operations that need no token of a user. A new one must be added here.
func openOperations() []string {
	return []string{
		"OAuth.Token", "OAuth.Revoke", "OAuth.Introspect", "OAuth.Keys", "OAuth.WellKnownKeys", "OAuth.Cert", "OAuth.Metadata", "OAuth.OpenIDMetadata",
		"OAuth.Push",
		// These need a token of the authorization code grant and show its own user; see
		// TestJourney.
		"OAuth.Userinfo", "OAuth.UserinfoByPost",
		// These need tokens of their own type; see TestClientRegistration.
		"OAuth.Register", "OAuth.Registration", "OAuth.ReplaceRegistration", "OAuth.DeleteRegistration",
		"AccessTokens.Create",
		"password.SendOneTimePassword", "password.SendVerificationCode", "password.ResetByVerificationCode", "username.Retrieve",
	}
}

// ownOperations are operations on the data of the caller itself.
func ownOperations() []string {
	return []string{
		"me.Get", "me.Save", "me.Patch", "me.ResetPassword", "me.RevokeTokens", "me.ListSessions", "me.EndSession", "me.EndOtherSessions",
	}
}

// storefrontOperations are for every caller with an access token. A shop needs them before its
// user has signed in.
func storefrontOperations() []string {
	return []string{
		"AccountAuthenticationSettings.Get", "AuthenticationRealms.List", "AuthenticationRealms.Get", "PasswordProfiles.List", "PasswordProfiles.Get",
		"OIDCProfiles.List", "me.usergroups.List", // always empty
		"PasswordProfiles.RequestOneTimePasswordToken", "AccountMembers.CreateTokens",
	}
}

// memberOperations are lists that show an account member its own records.
func memberOperations() []string {
	return []string{"Accounts.List", "AccountMembers.List", "AccountTags.List"}
}

// operation is an operation of the document, with the path of a record of alpha.
type operation struct {
	id, method, path string
	roles            []string // one of these roles is enough
	open             bool
}

// twoCompanies is a database with two companies that have no common records.
type twoCompanies struct {
	*kit.OrderCloud
	operations []operation
	ids        map[string]string // IDs of alpha's records, by the parameter of the path
}

func TestIsolation(t *testing.T) {
	kit.EachOrderCloud(t, nil, func(t *testing.T, m *kit.OrderCloud) {
		e := &twoCompanies{OrderCloud: m, ids: map[string]string{"realm": "default", "profile": "default", "code": "x", "job": "job-1"}}
		m.CheckDocument(t)
		e.settle(t)
		e.survey(t)
		intruders := e.outsiders(t)
		e.actor(t, "an administrator with every role", "max")
		before := e.everything(t)
		for _, i := range intruders {
			t.Run(i.name, func(t *testing.T) { e.tryEverything(t, i) })
		}
		t.Run("roles", e.everyRole)
		if diff := cmp.Diff(before, e.everything(t)); diff != "" {
			t.Errorf("the intruders changed (-before +after):\n%s", diff)
		}
	})
}

// settle creates the two companies.
func (e *twoCompanies) settle(t *testing.T) {
	t.Helper()
	roles := slices.Concat([]string{"MeAdmin", "PasswordReset"}, e.documentedRoles(t))
	e.Do(t, 201, "POST", "/v1/securityprofiles", map[string]any{"ID": "all", "Name": mark + " all", "Roles": roles})
	e.Do(t, 201, "POST", "/v1/securityprofiles", map[string]any{"ID": "full", "Name": mark + " full", "Roles": []string{"FullAccess"}})
	person := func(id, name string) string {
		return fmt.Sprintf(`{"ID":%q,"Username":%q,"FirstName":%q,"LastName":%q,"Email":"%s@example.com","xp":{"note":%q}}`, id, name, name, name, name, name)
	}
	for path, bodies := range map[string][]string{
		"/v1/buyers":    {`{"ID":"alpha","Name":"` + mark + `","xp":{"note":"` + mark + `"}}`, `{"ID":"bravo","Name":"Bravo"}`, `{"ID":"depot","Name":"Depot"}`},
		"/v1/suppliers": {`{"ID":"alphas","Name":"` + mark + `","xp":{"note":"` + mark + `"}}`, `{"ID":"bravos","Name":"Bravo"}`},
	} {
		for _, body := range bodies {
			e.Do(t, 201, "POST", path, body)
		}
	}
	for path, bodies := range map[string][]string{
		"/v1/buyers/alpha/users":     {person("alan", mark+"-alan")},
		"/v1/suppliers/alphas/users": {person("alma", mark+"-alma")},
		"/v1/adminusers":             {person("adam", mark+"-adam"), person("zoe", "zoe"), person("max", "max")},
		"/v1/buyers/bravo/users":     {person("bob", "bob"), person("bella", "bella")},
		"/v1/suppliers/bravos/users": {person("bea", "bea")},
	} {
		for _, body := range bodies {
			e.Do(t, 201, "POST", path, body)
		}
	}
	for _, assignment := range []string{
		`{"SecurityProfileID":"all","BuyerID":"bravo","UserID":"bob"}`, `{"SecurityProfileID":"full","BuyerID":"bravo","UserID":"bella"}`,
		`{"SecurityProfileID":"full","SupplierID":"bravos"}`, `{"SecurityProfileID":"all","UserID":"max"}`,
	} {
		e.Do(t, 204, "POST", "/v1/securityprofiles/assignments", assignment)
	}
	e.furnish(t)
}

// furnish creates the records of company alpha that the paths of the document name.
func (e *twoCompanies) furnish(t *testing.T) {
	t.Helper()
	e.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"desk","AppName":"`+mark+`","AllowSeller":true,"AllowAnyBuyer":true,"ClientSecret":"`+mark+`-`+kit.ClientSecret+`","xp":{"note":"`+mark+`"}}`)
	e.ids["secretID"] = e.Do(t, 201, "POST", "/v1/apiclients/desk/secrets", `{"Name":"`+mark+`"}`).Field("ID")
	e.Do(t, 204, "POST", "/v1/apiclients/assignments", `{"ApiClientID":"desk","BuyerID":"alpha"}`)
	e.Do(t, 201, "POST", "/v1/integrations/deliveryconfig",
		`{"ID":"hook","Name":"`+mark+`","DeliveryTargets":{"MessageSender":{"Endpoint":"`+e.SenderInbox.URL+`/`+mark+`","Secret":"`+mark+`-key"}}}`)
	e.Do(t, 201, "POST", "/v1/messagesenders", `{"ID":"sink","Name":"`+mark+`","MessageTypes":["OneTimePassword"],"DeliveryConfigID":"hook"}`)
	e.Do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"sink","BuyerID":"alpha"}`)
	e.Do(t, 201, "POST", "/v1/apiclients", `{"ID":"front","AppName":"Front","AllowAnyBuyer":true,"RefreshTokenDuration":60,
		"GrantTypes":["implicit","password","refresh_token","urn:latchkey:params:oauth:grant-type:account-member"]}`)
	kit.MustBeDelivered(t, "alan", e.RequestMessage(t, "/v1/password/onetimepassword", `{"ClientID":"front","Username":"`+mark+`-alan"}`))
	e.SenderInbox.Next(t, "OneTimePassword", mark+"-key")
	integration := e.Do(t, 201, "POST", "/v2/integrations", `{"data":{"type":"integration","name":"`+mark+`","integration_type":"webhook","observes":["one-time-password-token-request.created"],
		"configuration":{"url":"`+e.SenderInbox.URL+`/`+mark+`","secret_key":"`+mark+`-key"}}}`)
	e.note(t, integration, "integration", "data", "id")
	e.note(t, e.Do(t, 200, "GET", "/v1/onetimepasswordrequests", nil), "requestID", "Items", "0", "ID")
	e.Do(t, 204, "POST", "/v1/messagesenders/assignments", `{"MessageSenderID":"sink","SupplierID":"alphas"}`)
	e.Do(t, 204, "POST", "/v1/apiclients/assignments", `{"ApiClientID":"desk","SupplierID":"alphas"}`)
	kit.MustBeDelivered(t, "alma", e.RequestMessage(t, "/v1/password/onetimepassword", `{"ClientID":"desk","Username":"`+mark+`-alma"}`))
	e.SenderInbox.Next(t, "OneTimePassword", mark+"-key")
	e.note(t, e.Do(t, 200, "GET", "/v1/suppliers/alphas/onetimepasswordrequests?find="+mark+"-alma", nil), "supplierRequestID", "Items", "0", "ID")
	e.signInAtBrowser()
	one := e.Do(t, 200, "GET", "/v1/onetimepasswordrequests/"+e.ids["requestID"], nil)
	for i := range 9 {
		if id, ok := at(t, one, "Timeline", fmt.Sprint(i), "MessageID").(string); ok {
			e.ids["messageID"] = id
			break
		}
	}
	audited := func() kit.Response { return e.Do(t, 200, "GET", "/v1/auditevents?Object=ApiClient/desk", nil) }
	kit.Eventually(t, "an audit event", func() bool { return at(t, audited(), "Items", "0") != nil })
	e.note(t, audited(), "auditEventID", "Items", "0", "ID")
	e.note(t, e.Do(t, 200, "GET", "/v1/signingkeys?State=active", nil), "kid", "Items", "0", "ID")
	e.note(t, e.Do(t, 201, "POST", "/v1/passwordprofiles/default/replays", `{}`), "replayID", "ID")
	e.note(t, e.Do(t, 201, "POST", "/v1/auditchain/verifications", `{}`), "verificationID", "ID")
	memberships := e.Do(t, 200, "GET", "/v2/accounts/alpha/account-memberships?include=account_member", nil)
	e.note(t, memberships, "membership", "data", "0", "id")
	e.ids["membershipID"] = e.ids["membership"]
	e.note(t, memberships, "member", "data", "0", "relationships", "account_member", "data", "id")
	e.ids["user"] = e.ids["member"]
	e.note(t, e.Do(t, 200, "GET", "/v2/authentication-realms/default/user-authentication-info/"+e.ids["user"]+"/user-authentication-password-profile-info", nil), "info", "data", "0", "id")
	for parameter, id := range map[string]string{
		"buyerID": "alpha", "supplierID": "alphas", "apiClientID": "desk", "securityProfileID": "all", "messageSenderID": "sink", "passwordProfileID": "default", "deliveryConfigID": "hook", "account": "alpha", "client_id": "desk",
	} {
		e.ids[parameter] = id
	}
}

// signInAtBrowser creates a session of a user of alpha.
func (e *twoCompanies) signInAtBrowser() {
	e.WithApp(func(ctx context.Context, a *server.App) error {
		p, err := a.Store.Principal(ctx, storage.LoginKey{ProfileID: storage.DefaultProfileID, UsernameKey: otp.NormalizeUsername(mark + "-alan")})
		if err != nil {
			return err
		}
		now := e.Clock.Now()
		e.ids["sessionID"], e.ids["clientID"] = "session-of-a-browser", "desk"
		if err := a.Store.PutConsent(ctx, storage.Consent{UserUID: p.User.UID, ClientID: "desk", Scope: []string{mark}, GrantedAt: now}); err != nil {
			return err
		}
		return a.Store.SettleLogin(ctx, storage.Settlement{
			LoginID: p.Login.ID, PasswordSetAt: p.Login.PasswordSetAt, Now: now,
			BeginSession: &storage.Session{
				ID: e.ids["sessionID"], ClientID: "desk", UserUID: p.User.UID, LoginID: p.Login.ID, AMR: []string{"pwd"},
				AuthTime: now, CreatedAt: now, LastUsedAt: now, IdleUntil: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
			},
		})
	})
}

// at returns the value at a path of an answer, or nil.
func at(t *testing.T, a kit.Response, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.Body), &v); err != nil {
		t.Fatalf("%v: got %s", err, a.Body)
	}
	for _, step := range path {
		switch of := v.(type) {
		case map[string]any:
			v = of[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(of) {
				return nil
			}
			v = of[i]
		}
	}
	return v
}

// note stores an ID of an answer.
func (e *twoCompanies) note(t *testing.T, a kit.Response, parameter string, path ...string) {
	t.Helper()
	id, ok := at(t, a, path...).(string)
	if !ok {
		t.Fatalf("got no %v in %s", path, a.Body)
	}
	e.ids[parameter] = id
}

// document is the part of the OpenAPI document that the test uses.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string   `json:"operationId"`
		Security    []any    `json:"security"`
		Roles       []string `json:"x-roles"`
	}
}

// fetchDocument returns the OpenAPI document of the server.
func fetchDocument(m *kit.OrderCloud, t *testing.T) (d document) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.Do(t, 200, "GET", "/openapi.json", nil).Body), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (e *twoCompanies) documentedRoles(t *testing.T) (roles []string) {
	t.Helper()
	for _, methods := range fetchDocument(e.OrderCloud, t).Paths {
		for _, o := range methods {
			roles = append(roles, o.Roles...)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// survey reads the operations from the document. An administrator must find a record of alpha
// at each path. Otherwise a refusal would prove nothing.
func (e *twoCompanies) survey(t *testing.T) {
	t.Helper()
	var open []string
	for path, methods := range fetchDocument(e.OrderCloud, t).Paths {
		for method, o := range methods {
			one := operation{o.OperationID, strings.ToUpper(method), e.pathOf(t, path), o.Roles, len(o.Security) == 0 || !strings.HasPrefix(path, "/v")}
			e.operations = append(e.operations, one)
			if lower := strings.Replace(one.path, "/ApiClients/Assignments/", "/apiclients/assignments/", 1); lower != one.path {
				e.operations = append(e.operations, operation{one.id, one.method, lower, one.roles, one.open})
			}
			if one.open {
				open = append(open, one.id)
			}
		}
	}
	want := openOperations()
	slices.Sort(open)
	slices.Sort(want)
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("operations without a token (-want +got):\n%s", diff)
	}
	slices.SortFunc(e.operations, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	if len(e.operations) < 140 {
		t.Errorf("got only %d operations", len(e.operations))
	}
	for _, o := range e.operations {
		if o.method == http.MethodGet && !o.open && !slices.Contains(ownOperations(), o.id) {
			e.Do(t, 200, o.method, o.path, nil)
		}
	}
}

// pathOf replaces the parameters of a path by alpha's IDs.
func (e *twoCompanies) pathOf(t *testing.T, path string) string {
	t.Helper()
	user := "alan"
	switch {
	case strings.HasPrefix(path, "/v1/suppliers"):
		user = "alma"
	case strings.HasPrefix(path, "/v1/adminusers"):
		user = "adam"
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		name, ok := strings.CutPrefix(strings.TrimSuffix(part, "}"), "{")
		switch {
		case !ok:
		case name == "userID":
			parts[i] = user
		case name == "requestID" && strings.HasPrefix(path, "/v1/suppliers"):
			parts[i] = e.ids["supplierRequestID"]
		case e.ids[name] == "":
			t.Fatalf("%s: got no %s of alpha", path, name)
		default:
			parts[i] = e.ids[name]
		}
	}
	joined := strings.Join(parts, "/")
	if strings.HasSuffix(path, "}/onetimepasswordrequests") { // such a list demands a name
		joined += "?find=" + mark + "-" + user
	}
	return joined
}

// everything returns all lists as an administrator sees them, without the records that the
// tests cause themselves.
func (e *twoCompanies) everything(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	for _, o := range e.operations {
		if o.method != http.MethodGet || o.open || slices.Contains(ownOperations(), o.id) || strings.HasPrefix(o.path, "/v1/audit") ||
			strings.Contains(o.path, "/onetimepasswordrequests") || strings.HasPrefix(o.path, "/v1/messagesenderstatus") || o.path == "/v1/status" ||
			strings.HasSuffix(o.path, "/plan") {
			continue
		}
		got := e.Do(t, 200, o.method, o.path, nil)
		seen[o.path] = got.Header.Get("ETag") + got.Body
	}
	return seen
}
