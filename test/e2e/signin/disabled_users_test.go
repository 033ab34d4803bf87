package signin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"latchkey/test/e2e/kit"
)

// validFromDocument adds a client that gets every type of token, a user who is a member of two
// companies, and a user of a supplier.
const validFromDocument = `
SecurityProfiles:
  - {ID: supplying, Name: Supplying, Roles: [Supplier], Assignments: [{SupplierID: mill}]}
Buyers:
  - ID: acme
    Name: Acme Ltd
    Active: true
    Users:
      - {ID: nell, Username: nell, Password: correct-Horse-7-battery, FirstName: N, LastName: Ell, Email: nell@example.com, Active: true}
  - {ID: branch, Name: Branch Ltd, Active: true}
Suppliers:
  - ID: mill
    Name: Mill Ltd
    Active: true
    Users:
      - {ID: sue, Username: sue, Password: correct-Horse-7-battery, FirstName: S, LastName: Ue, Email: sue@example.com, Active: true}
ApiClients:
  - {ID: every, AppName: Every grant, ClientSecret: shop-secret-shop-secret-shop-secret, Active: true, AccessTokenDuration: 60, RefreshTokenDuration: 1440,
     AllowAnyBuyer: true, AllowAnySupplier: true, AllowedCredentials: [otp, password],
     GrantTypes: [implicit, password, refresh_token, client_credentials, "urn:latchkey:params:oauth:grant-type:account-member"]}
MessageSenders:
  - {ID: sink, Name: Sink, MessageTypes: [OneTimePassword, ForgottenPassword], URL: "SINK/{messagetype}", SharedKey: key-of-the-message-sender,
     AllowAllBuyers: true, Assignments: [{SupplierID: mill}]}
`

// adminSetup is a fixture with a server, and an administrator who disables and enables users,
// clients and accounts.
type adminSetup struct {
	*kit.Fixture
	server     *kit.Server
	operator   kit.Client
	adminToken string
	member     string // nell's ID below /v2
	document   string
}

func newAdminSetup(t *testing.T, w *kit.Fixture) *adminSetup {
	t.Helper()
	return newAdminSetupAt(t, w)
}

// newAdminSetupAt is newAdminSetup with settings of the server.
func newAdminSetupAt(t *testing.T, w *kit.Fixture, settings ...string) *adminSetup {
	t.Helper()
	hash, err := kit.PasswordHash()
	if err != nil {
		t.Fatal(err)
	}
	s := &adminSetup{Fixture: w}
	s.document = strings.NewReplacer("SINK", w.Inbox.URL, "Password: "+kit.Password, "PasswordHash: '"+hash+"'").Replace(validFromDocument)
	w.Apply(s.document)
	s.operator = w.CreateClient(t, "--name", "Operator", "--id", "operator", "--grant", "client_credentials", "--role", "FullAccess")
	s.server = w.Serve(settings...)
	s.adminToken = s.server.ClientCredentials(s.operator.ID, s.operator.Secret).AccessToken(t)
	s.member = s.signIn(t, "nell").claim(t, "sub")
	s.join(t)
	return s
}

// must sends a request of the administrator, which must succeed.
func (s *adminSetup) must(t *testing.T, method, path, body string) kit.Response {
	t.Helper()
	got := s.server.Do(method, path, "application/json", body, "Authorization", "Bearer "+s.adminToken)
	if got.Status/100 != 2 {
		t.Fatalf("%s %s: got %d %s", method, path, got.Status, got.Body)
	}
	return got
}

// active enables or disables the record of the path.
func (s *adminSetup) active(t *testing.T, path string, on bool) {
	t.Helper()
	state := map[bool]string{true: "true", false: "false"}[on]
	s.must(t, "PATCH", path, `{"Active":`+state+`}`)
}

// join makes nell a member of the second company.
func (s *adminSetup) join(t *testing.T) {
	t.Helper()
	s.must(t, "POST", "/v2/accounts/branch/account-memberships", `{"data":{"type":"account_membership","account_member_id":"`+s.member+`"}}`)
}

// leave ends nell's membership in the second company.
func (s *adminSetup) leave(t *testing.T) {
	t.Helper()
	found := s.must(t, "GET", "/v2/accounts/branch/account-memberships", "")
	s.must(t, "DELETE", "/v2/accounts/branch/account-memberships/"+kit.MustJSON(t, "memberships", 200, found).Text("data", 0, "id"), "")
}

// tokenResponse is the answer to a sign-in.
type tokenResponse struct{ kit.Response }

func (s tokenResponse) claim(t *testing.T, name string) string {
	t.Helper()
	_, claims := kit.DecodeJWT(t, s.Field("access_token"))
	text, _ := claims[name].(string)
	return text
}

func (s *adminSetup) signIn(t *testing.T, username string) tokenResponse {
	t.Helper()
	return tokenResponse{kit.MustIssue(t, "sign-in of "+username, s.server.Form("/oauth/token", append(kit.ClientFields("every"),
		"grant_type", "password", "username", username, "password", kit.Password)...))}
}

// issuedTokens are tokens of every type of one user.
type issuedTokens struct {
	user, client, account kit.Response // answers of the token endpoint
	accountToken          string       // an account token of /v2
	selection             string
	code, renewal         string
}

// issue gets the tokens of nell, or those of sue without the ones for accounts.
func (s *adminSetup) issue(t *testing.T, username string) (i issuedTokens) {
	t.Helper()
	i.user = s.signIn(t, username).Response
	i.client = kit.MustIssue(t, "implicit token", s.server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "every"))
	if username == "nell" {
		i.account = kit.MustIssue(t, "account token", s.server.MemberGrant("every", "username", "nell", "password", kit.Password, "account_id", "branch"))
		choice := s.server.MemberGrant("every", "username", "nell", "password", kit.Password)
		if i.selection = choice.Field("selection_token"); i.selection == "" {
			t.Fatalf("no choice: got %d %s", choice.Status, choice.Body)
		}
		i.accountToken = s.accountTokens(t, "", kit.ByPassword("nell", kit.Password))["branch"]
	}
	i.code, i.renewal = s.codes(t, username)
	return i
}

// accountTokens gets account tokens from /v2, by the ID of the account.
func (s *adminSetup) accountTokens(t *testing.T, held string, body kit.Object) map[string]string {
	t.Helper()
	bearer := kit.MustIssue(t, "implicit token", s.server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "every")).Field("access_token")
	got := kit.Caller{Server: s.server, AccessToken: bearer, AccountToken: held}.AccountTokens(body)
	tokens := map[string]string{}
	if got.Status != http.StatusCreated {
		return tokens
	}
	p := kit.MustJSON(t, "account tokens", http.StatusCreated, got)
	for i, id := range p.Column("account_id") {
		tokens[id] = p.Text("data", i, "token")
	}
	return tokens
}

// codes requests a one-time password and a verification code.
func (s *adminSetup) codes(t *testing.T, username string) (code, renewal string) {
	t.Helper()
	if got := s.server.RequestCodeThrough("every", username, ""); got.Status != 204 {
		t.Fatalf("request for a code: got %d %s, want 204", got.Status, got.Body)
	}
	code = s.Inbox.Next(t).EventBody.OneTimePassword
	body, err := json.Marshal(map[string]string{"ClientID": "every", "Username": username})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.server.Do("POST", "/v1/password/reset", "application/json", string(body)); got.Status != 204 {
		t.Fatalf("request for a renewal: got %d %s, want 204", got.Status, got.Body)
	}
	return code, s.Inbox.Next(t).EventBody.PasswordRenewalVerificationCode
}

// me reports whether an endpoint accepts an access token. Introspection must agree.
func (s *adminSetup) me(t *testing.T, a kit.Response) bool {
	t.Helper()
	token := a.Field("access_token")
	status := s.server.Do("GET", "/v1/me", "", "", "Authorization", "Bearer "+token).Status
	active := strings.Contains(s.server.Form("/oauth/introspect", append(kit.ClientFields("every"), "token", token)...).Body, `"active":true`)
	if taken := status == 200 || status == 403; taken != active {
		t.Errorf("got %d from GET /v1/me, but active %v from introspection", status, active)
	}
	return active
}

// refreshes reports whether the refresh token of an answer is accepted.
func (s *adminSetup) refreshes(a kit.Response) bool {
	return s.server.RefreshThrough("every", a.Field("refresh_token")).Status == 200
}

// works reports for each token and code of the user whether it is accepted. It uses the codes.
func (s *adminSetup) works(t *testing.T, username string, i issuedTokens) map[string]bool {
	t.Helper()
	good := map[string]bool{
		"access token": s.me(t, i.user), "refresh token": s.refreshes(i.user), "client's token": s.me(t, i.client),
		"one-time password": s.server.Form("/oauth/token", append(kit.ClientFields("every"),
			"grant_type", "password", "username", username, "password", i.code)...).Status == 200,
	}
	renewal := s.server.Do("PUT", "/v1/password/reset/"+i.renewal, "application/json",
		`{"ClientID":"every","Username":"`+username+`","Password":"`+kit.Password+`"}`)
	good["verification code"] = renewal.Status == 204
	if username == "nell" {
		good["account's access token"], good["account's refresh token"] = s.me(t, i.account), s.refreshes(i.account)
		good["account token"] = len(s.accountTokens(t, i.accountToken, kit.ByAccountToken())) > 0
		good["selection token"] = s.server.MemberGrant("every", "selection_token", i.selection, "account_id", "branch").Status == 200
	}
	return good
}

// TestDisabledAndEnabledAgain tests that tokens and codes from before a user, client or account
// was disabled stay invalid after it is enabled again, and that new ones work.
func TestDisabledAndEnabledAgain(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newAdminSetup(t, w)
		all := []string{"access token", "refresh token", "one-time password", "verification code"}
		accounts := []string{"account's access token", "account's refresh token", "account token", "selection token"}
		everything := append(append([]string{}, all...), accounts...)
		for _, test := range []struct {
			name, user string
			off, on    func(t *testing.T)
			ends       []string
		}{
			{"user", "nell", s.off("/v1/buyers/acme/users/nell"), s.on("/v1/buyers/acme/users/nell"), everything},
			{"buyer", "nell", s.off("/v1/buyers/acme"), s.on("/v1/buyers/acme"), everything},
			{"client", "nell", s.off("/v1/apiclients/every"), s.on("/v1/apiclients/every"), append(everything, "client's token")},
			{"client on the command line", "nell", func(t *testing.T) { s.Command(t, "client", "disable", "every") }, s.enable, append(everything, "client's token")},
			{"client, deleted and created again", "nell", func(t *testing.T) { s.must(t, "DELETE", "/v1/apiclients/every", "") }, func(*testing.T) { s.Apply(s.document) }, append(everything, "client's token")},
			{"buyer by apply", "nell", s.applyWith("Name: Acme Ltd\n    Active: true", "Name: Acme Ltd\n    Active: false"), func(*testing.T) { s.Apply(s.document) }, everything},
			{"the other company", "nell", s.off("/v1/buyers/branch"), s.on("/v1/buyers/branch"), accounts[:3]},
			{"membership", "nell", s.leave, s.join, accounts},
			{"supplier", "sue", s.off("/v1/suppliers/mill"), s.on("/v1/suppliers/mill"), all},
			{"supplier's user", "sue", s.off("/v1/suppliers/mill/users/sue"), s.on("/v1/suppliers/mill/users/sue"), all},
			{"supplier's user, deleted and created again", "sue", func(t *testing.T) { s.must(t, "DELETE", "/v1/suppliers/mill/users/sue", "") }, func(*testing.T) { s.Apply(s.document) }, all},
		} {
			t.Run(test.name, func(t *testing.T) {
				before := s.issue(t, test.user)
				test.off(t)
				test.on(t)
				after := s.signIn(t, test.user).Response
				if !s.me(t, after) || !s.refreshes(after) {
					t.Error("a sign-in right after it was enabled: got invalid tokens, want valid ones")
				}
				good := s.works(t, test.user, before)
				for _, what := range test.ends {
					if good[what] {
						t.Errorf("the %s works after it was enabled, want it invalid", what)
					}
				}
				for what, works := range good {
					if want := !contains(test.ends, what); want && !works && what != "selection token" {
						t.Errorf("the %s is invalid, want it valid", what)
					}
				}
				if code, _ := s.codes(t, test.user); s.server.Form("/oauth/token", append(kit.ClientFields("every"),
					"grant_type", "password", "username", test.user, "password", code)...).Status != 200 {
					t.Error("a new code was refused, want it accepted")
				}
			})
		}
	})
}

// TestWithdrawnPermissions withdraws a permission of a client and gives it back. Tokens and
// codes that needed it stay invalid. Others stay valid.
func TestWithdrawnPermissions(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newAdminSetup(t, w)
		client := func(body string) func(*testing.T) {
			return func(t *testing.T) { t.Helper(); s.must(t, "PATCH", "/v1/apiclients/every", body) }
		}
		assign := func(member, id string) func(*testing.T) {
			return func(t *testing.T) {
				t.Helper()
				s.must(t, "POST", "/v1/apiclients/assignments", `{"ApiClientID":"every","`+member+`":"`+id+`"}`)
			}
		}
		unassign := func(path string) func(*testing.T) {
			return func(t *testing.T) {
				t.Helper()
				s.must(t, "DELETE", path+"/ApiClients/Assignments/every", "")
			}
		}
		every := []string{"access token", "refresh token", "one-time password", "verification code"}
		grants := func(refresh string) string {
			return `{"GrantTypes":["implicit","password",` + refresh + `"client_credentials","urn:latchkey:params:oauth:grant-type:account-member"]}`
		}
		for _, test := range []struct {
			name, user string
			first      func(t *testing.T)
			off, on    func(t *testing.T)
			ends       []string
		}{
			{"all buyers", "nell", nil, client(`{"AllowAnyBuyer":false}`), client(`{"AllowAnyBuyer":true}`), append(every, "account token", "selection token", "account's access token", "account's refresh token")},
			{"all suppliers", "sue", nil, client(`{"AllowAnySupplier":false}`), client(`{"AllowAnySupplier":true}`), every},
			{"buyers do not concern suppliers", "sue", nil, client(`{"AllowAnyBuyer":false}`), client(`{"AllowAnyBuyer":true}`), nil},
			{"one-time passwords", "sue", nil, client(`{"AllowedCredentials":["password"]}`), client(`{"AllowedCredentials":["otp","password"]}`), every[2:]},
			{"refresh tokens", "sue", nil, client(grants("")), client(grants(`"refresh_token",`)), every[1:2]},
			{"all suppliers by apply", "sue", nil, s.heard(s.applyWith("AllowAnySupplier: true", "AllowAnySupplier: false")), s.heard(func(*testing.T) { s.Apply(s.document) }), every},
			{"an assigned supplier", "sue", func(t *testing.T) { assign("SupplierID", "mill")(t); client(`{"AllowAnySupplier":false}`)(t) }, unassign("/v1/suppliers/mill"), assign("SupplierID", "mill"), every},
			{"an assigned supplier whose kind goes and comes", "sue", nil, client(`{"AllowAnySupplier":true}`), client(`{"AllowAnySupplier":false}`), nil},
		} {
			t.Run(test.name, func(t *testing.T) {
				if test.first != nil {
					test.first(t)
				}
				before := s.issue(t, test.user)
				test.off(t)
				test.on(t)
				after := s.signIn(t, test.user).Response
				if !s.me(t, after) || !s.refreshes(after) {
					t.Error("a sign-in right after the permission was given back: got invalid tokens, want valid ones")
				}
				for what, good := range s.works(t, test.user, before) {
					if want := !contains(test.ends, what); good != want {
						t.Errorf("%s: got valid %v, want %v", what, good, want)
					}
				}
			})
		}
	})
}

// heard changes the client in another process, and waits until the server has read the change.
func (s *adminSetup) heard(change func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		version := func() string { return s.must(t, "GET", "/v1/apiclients/every", "").Header.Get("ETag") }
		before := version()
		change(t)
		kit.Eventually(t, "the server knows of the change", func() bool { return version() != before })
	}
}

func (s *adminSetup) off(path string) func(*testing.T) {
	return func(t *testing.T) { t.Helper(); s.active(t, path, false) }
}

func (s *adminSetup) on(path string) func(*testing.T) {
	return func(t *testing.T) { t.Helper(); s.active(t, path, true) }
}

// enable enables the client with the command line, and waits until the server has read the
// change.
func (s *adminSetup) enable(t *testing.T) {
	t.Helper()
	version := func() string { return s.must(t, "GET", "/v1/apiclients/every", "").Header.Get("ETag") }
	before := version()
	s.Command(t, "client", "enable", "every")
	kit.Eventually(t, "the server knows that the client is on again", func() bool {
		return version() != before && s.server.Form("/oauth/access_token", "grant_type", "implicit", "client_id", "every").Status == 200
	})
}

func (s *adminSetup) applyWith(old, replacement string) func(*testing.T) {
	return func(*testing.T) { s.Apply(strings.Replace(s.document, old, replacement, 1)) }
}

func contains(list []string, one string) bool {
	for _, item := range list {
		if item == one {
			return true
		}
	}
	return false
}

// TestNarrowedClient tests that roles that a client may no longer give are not effective in its
// older tokens, and that tokens of users who lack a newly required role are refused.
func TestNarrowedClient(t *testing.T) {
	kit.EachDatabase(t, func(t *testing.T, w *kit.Fixture) {
		s := newAdminSetup(t, w)
		had := s.signIn(t, "nell").Response
		scope := func(token string) string {
			return s.server.Form("/oauth/introspect", append(kit.ClientFields("every"), "token", token)...).Field("scope")
		}
		change := func() int {
			return s.server.Do("PATCH", "/v1/me", "application/json", `{"FirstName":"Nelly"}`, "Authorization", "Bearer "+had.Field("access_token")).Status
		}
		for _, step := range []struct {
			change, scope   string
			active          bool
			status, refresh int
		}{
			{`{}`, "MeAdmin Shopper", true, 200, 200},
			{`{"MaximumGrantedRoles":["Shopper","BuyerReader"]}`, "Shopper", true, 403, 200},
			{`{"MaximumGrantedRoles":["BuyerReader"]}`, "", true, 403, 200},
			{`{"MaximumGrantedRoles":[],"MinimumRequiredRoles":["Shopper"]}`, "MeAdmin Shopper", true, 200, 200},
			{`{"MinimumRequiredRoles":["Shopper","BuyerReader"]}`, "", false, 401, 400},
			{`{"MinimumRequiredRoles":[]}`, "MeAdmin Shopper", true, 200, 200},
		} {
			s.must(t, "PATCH", "/v1/apiclients/every", step.change)
			if s.me(t, had) != step.active || scope(had.Field("access_token")) != step.scope {
				t.Errorf("%s: got a token with the scope %q", step.change, scope(had.Field("access_token")))
			}
			if got := scope(had.Field("refresh_token")); got != step.scope {
				t.Errorf("%s: got a refresh token with the scope %q, want %q", step.change, got, step.scope)
			}
			if got := change(); got != step.status {
				t.Errorf("%s: PATCH /v1/me: got %d, want %d", step.change, got, step.status)
			}
			got := s.server.RefreshThrough("every", had.Field("refresh_token"))
			if got.Status != step.refresh || got.Status == 200 && scope(got.Field("access_token")) != step.scope {
				t.Errorf("%s: refreshed: got %d %s, want %d", step.change, got.Status, got.Body, step.refresh)
			}
			if got.Status == 200 {
				had = kit.Response{Body: `{"access_token":"` + had.Field("access_token") + `","refresh_token":"` + got.Field("refresh_token") + `"}`}
			}
		}
	})
}
